"""Asks a HyperBEAM node for a live process: its log with all signatures, its code, its results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from aoshell.forks.bundles import EDGES, is_garbled, keep_answer, lists_assignments
from aoshell.home.folders import Settings
from aoshell.nodes.remote.arweave.verified import VerifiedCode
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.hyperbeam.asking import until_whole
from aoshell.nodes.remote.hyperbeam.key import BUNDLED
from aoshell.nodes.remote.hyperbeam.reading import Reading
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.remote.results import words
from aoshell.protocol import httpsig
from aoshell.protocol.message import Result, Tag, raw

FEWEST, MOST = 8, 128  # messages per request if a node adds all signatures
QUICK = 5.0  # seconds; after a slower answer, fewer messages are asked for
LARGEST_ANSWER = 64 << 20  # bytes
SECONDS = 120.0  # most time for an answer


class HyperNode:
    """One node.

    Args:
        client: of the node.
        settings: of the home, which remembers what the node understands.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self._read = partial(client.get, headers=BUNDLED, largest=LARGEST_ANSWER, seconds=SECONDS)
        self._client = client
        self._settings = settings
        self._book: Book | None = None
        self._reading: Reading | None = None
        self._gives_bundles = True
        self._many = FEWEST

    async def bundle(self, process: str, after: int, last: int) -> Sequence[Any] | None:
        """A page of a log with its signatures, for `log.read_page`; None if the node gives none.

        Raises:
            AoError: stage "schedule", the node cannot be asked.
        """
        if not self._gives_bundles:
            return None
        start, upto = time.monotonic(), min(last, after + self._many)
        path = f"/{process}~process@1.0/schedule?from={after + 1}&to={upto}"
        answer: Response = await until_whole(partial(self._read, "schedule", path))
        if not (answer.ok and lists_assignments(answer)):
            return None
        slow = time.monotonic() - start > QUICK
        self._many = max(FEWEST, self._many // 2) if slow else min(MOST, self._many * 2)
        kept = keep_answer(answer)
        if await asyncio.to_thread(is_garbled, answer):
            kept[EDGES] = await self._edges(path)
        return (kept,)

    async def _edges(self, path: str) -> list[Any]:
        """The same messages as JSON; [] if the node gives no JSON."""
        answer = await self._read("schedule", f"{path}&accept=application/aos-2")
        if not answer.ok or not answer.body.lstrip().startswith(b"{"):
            return []
        listed = answer.json("schedule")
        edges = listed.get("edges") if isinstance(listed, Mapping) else None
        return edges if isinstance(edges, list) else []

    def has_no_bundles(self) -> None:
        """Note that the node lists this log in JSON only, without signatures."""
        self._gives_bundles = False

    async def code(self, id: str) -> VerifiedCode | None:
        """Code from the node, its signature checked; None if it has none.

        Raises:
            AoError: stage "fetch", the node cannot be asked.
        """
        answer: Response = await until_whole(partial(self._read, "fetch", f"/{id}"))
        checked = httpsig.check(answer.headers, answer.body)
        by = [one.committer for one in checked.commitments if one.id == id and one.committer]
        if not answer.ok or not by:
            return None
        fields = checked.verified
        data = fields.get("data", fields.get("body", ""))
        tags = tuple(Tag(name, words(value)) for name, value in fields.items() if name != "data")
        return VerifiedCode(id, tags, raw(words(data)), b"", by[0])

    async def result(self, process: str, slot: int) -> Result:
        """The result of a slot. Raises AoError, stage "compute"."""
        if self._reading is None:
            self._book = Book(self._settings.book)
            self._reading = Reading(self._client, self._book)
        return await self._reading.result(process, slot)

    def close(self) -> None:
        """Close the memory; the client stays open."""
        if self._book is not None:
            self._book.close()
