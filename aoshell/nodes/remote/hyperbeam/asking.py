"""Sends requests to a HyperBEAM node, and decides whose answers count, and their form."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.remote.feed import Page, RemoteFeed
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import ANSWER, Client, NotHttpError
from aoshell.nodes.remote.hyperbeam.binding import ANY, Asked
from aoshell.nodes.remote.hyperbeam.generation import JSON, Generation
from aoshell.nodes.remote.hyperbeam.key import BUNDLED, NodeKey
from aoshell.nodes.remote.hyperbeam.refusal import is_momentary, is_unfit_for_json
from aoshell.nodes.remote.hyperbeam.signed import is_message_in_json
from aoshell.nodes.remote.hyperbeam.trust import Trust
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Event
from aoshell.protocol.httpsig import Checked

# Seconds before each retry of a read that lacked a part of the state.
MOMENTS = (0.2, 0.5, 1.0, 2.0)
_DOCTOR = ".doctor looks at the node"


class Asking:
    """The common part of all requests to a node.

    Args:
        client: client of the node.
        book: remembers facts about the node.
        page: asks for the steps of a process, for the feed.
    """

    def __init__(self, client: Client, book: Book, page: Page) -> None:
        self._client = client
        self.endpoint = client.endpoint
        self._book = book
        self._key = NodeKey(client, book)
        self._trust = Trust(self.endpoint, self._notice, self._heard)
        self._feed = RemoteFeed(page, book, self.endpoint)

    def _notice(self, detail: str, kind: str = "notice") -> None:
        self._feed.tell(Event(kind, "", "", detail))

    def _heard(self, checked: Checked) -> None:
        """Learn from an answer whose signatures fit."""
        before = self._key.heard(checked)
        if before:
            now = self._key.generation.name
            self._notice(f"{self.endpoint} is of another generation now: {now}, before {before}")
        if not self._trust.verifies and len(checked.committers) == 1:
            self._key.signed_by(checked.committers[0])
            self._trust.address = self._key.known

    async def _address(self) -> str:
        """The address of the node; asks the node if no answer has shown it."""
        if self._trust.verifies or not self._key.known:
            return await self._asked_address()
        await self._ready()
        return self._trust.address

    async def _asked_address(self) -> str:
        """The address that the node gives in this run, so that a changed key is noticed."""
        await self._key.address(signed=self._trust.verifies)
        await self._ready()
        self._trust.met(signed=self._key.signed)
        return self._trust.address

    async def _generation(self) -> Generation:
        """The generation of the node; asks the node if no answer of this run has shown it."""
        if not self._key.has_spoken:
            await self._key.address(signed=self._trust.verifies)
            self._trust.met(signed=self._key.signed)
        return self._key.generation

    async def _ready(self) -> None:
        """Set whose answers count; call it before each request."""
        pin = self._trust.pinned()
        if self._trust.verifies:
            await self._key.address(signed=True)
        address = self._trust.address = self._key.known
        if pin and pin.address != address:
            raise AoError(
                f"{self.endpoint} says that its key is {address}, and {pin.address} was attested",
                stage="verify",
                hint=".attest looks at it again",
            )

    async def _accepted(self) -> Mapping[str, str]:
        """Headers that ask for a complete message: as JSON with its commitments, if the node's
        generation has that."""
        return BUNDLED | {"accept": JSON} if (await self._generation()).json else BUNDLED

    async def _get(self, stage: str, path: str, seconds: float = ANSWER) -> Response:
        """Ask for a message, as JSON if the node's generation has that.

        JSON can hold almost every value. Header fields cannot: nodes of 2025 write line breaks into
        them raw, which breaks HTTP.
        """
        return await until_whole(lambda: self._get_once(stage, path, seconds))

    async def _get_once(self, stage: str, path: str, seconds: float) -> Response:
        await self._ready()
        headers = await self._accepted()
        answer = await self._client.get(stage, path, headers=headers, seconds=seconds)
        if headers == BUNDLED:
            return answer
        lacking = is_unfit_for_json(answer)
        if not lacking and self._trust.is_checkable(answer):
            return answer
        # A value that JSON loses (an atom) or cannot hold may be signed: ask for the other form.
        try:
            return await self._client.get(stage, path, headers=BUNDLED, seconds=seconds)
        except NotHttpError:
            if self._trust.verifies and not lacking:
                raise
            return answer

    def _fields(
        self, answer: Response, stage: str, asked: Asked, *, whole: bool = False
    ) -> Mapping[str, Any]:
        """The fields of an answer, which is a message or JSON.

        Args:
            whole: include unsigned fields of a signed answer, if unsigned answers are accepted.
        """
        if is_message_in_json(answer) or not answer.header("content-type").startswith(JSON):
            return self._trust.read(answer, stage, asked, whole=whole)
        value = self._trust.json(answer, stage, asked)
        return value if isinstance(value, dict) else {}

    def _expect(
        self, answer: Response, stage: str, what: str, asked: Asked = ANY, about: str = ""
    ) -> None:
        if answer.ok:
            return
        raise AoError(
            self._trust.failure(answer, stage, what, asked, about),
            stage=stage,
            hint=_DOCTOR if answer.status >= 500 else "",
        )


async def until_whole(ask: Callable[[], Awaitable[Response]]) -> Response:
    """The answer to a read, repeated while the node lacks a part of its state."""
    answer = await ask()
    for pause in MOMENTS:
        if not is_momentary(answer):
            break
        await asyncio.sleep(pause)
        answer = await ask()
    return answer
