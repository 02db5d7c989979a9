"""One request while its path is resolved, and what the resolved keys need to answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from aoshell.nodes.base import Node
from aoshell.nodes.network_verbs import NetworkVerbs
from aoshell.nodes.values import Receipt
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Request, RequestError
from aoshell.serve.hyper.answers import Codec
from aoshell.serve.hyper.incoming import Incoming, asked_in, read_incoming
from aoshell.serve.hyper.path import Segment, find_parameter
from aoshell.serve.items import Checker

if TYPE_CHECKING:
    from aoshell.serve.units.cu import ComputeUnit
    from aoshell.serve.units.mu import Submitting

CLIENT = "hyperbeam"  # who handed a message in, in the log
SMALL = 1 << 15  # bytes of a message that is looked at in the loop: a thread would take longer

_JSON = ("application/json", "json@1.0")
_HTTPSIG = ("httpsig@1.0", "*/*", "")
_HEADERS = frozenset(("slot", "target", "to"))  # that are parameters of each step


@dataclass(frozen=True)
class Services:
    """What is behind the role.

    Attributes:
        key: the node's RSA key, which signs answers.
        dry_runs: to be held while a dry run, or a look at a state, computes.
        units: the compute unit, to which `~relay@1.0` leads.
    """

    node: Node
    network: NetworkVerbs
    checker: Checker
    submitting: Submitting
    key: Wallet
    dry_runs: asyncio.Semaphore
    units: ComputeUnit


class Call:
    """A request. What it asks of its answer is in its path, query, headers or message."""

    def __init__(self, request: Request, segments: tuple[Segment, ...], services: Services) -> None:
        self.request = request
        self.segments = segments
        self.services = services
        self._said: Mapping[str, str] = {}

    async def look(self) -> None:
        """Read what the message says that came, before anything is asked of it."""
        if len(self.request.body) > SMALL:
            self._said = await self.services.checker.run(lambda: asked_in(self.request))
        else:
            self._said = asked_in(self.request)

    @property
    def network(self) -> NetworkVerbs:
        return self.services.network

    @property
    def address(self) -> str:
        """The node's address here: of the key that signs its answers."""
        return self.services.key.address

    @property
    def writes(self) -> bool:
        """Whether it carries a message to be scheduled, where a path takes one."""
        return self.request.method == "POST"

    def parameter(self, segment: Segment, name: str, default: str = "") -> str:
        """A parameter of a step: of its segment, else of the query, else a header."""
        found = segment.parameter(name)
        if found is None:
            found = find_parameter(self.request.parameters, name)
        if found is None and name in _HEADERS:
            found = self.request.header(name)
        return found or default

    def asked(self, name: str) -> str:
        """What the request asks of its answer: in the path, the query, a header or its message."""
        for segment in reversed(self.segments):
            if (found := segment.parameter(name)) is not None:
                return found
        found = find_parameter(self.request.parameters, name)
        return found or self.request.header(name) or self._said.get(name, "")

    @cached_property
    def codec(self) -> Codec:
        """How the answer is to be written.

        Raises:
            RequestError: 406, a codec is required that is not given here.
        """
        required = _first(self.asked("require-codec"))
        if required in _JSON:
            return Codec.JSON
        if required not in _HTTPSIG:
            raise RequestError(406, f"the codec {required[:100]!r} is not given here; {_GIVEN}")
        accepted = _first(self.asked("accept")), _first(self.asked("accept-codec"))
        return Codec.JSON if any(one in _JSON for one in accepted) else Codec.HTTPSIG

    async def message(self) -> Incoming | None:
        """The signed message that came, verified; None where none did.

        Raises:
            RequestError: 400, it is not what it should be.
        """
        return await self.services.checker.run(lambda: read_incoming(self.request))

    async def expected_message(self) -> Incoming:
        """The same where there must be one. Raises RequestError."""
        found = await self.message()
        if found is None:
            raise RequestError(
                400, "a signed message is expected: an ANS-104 item, or an httpsig message"
            )
        return found

    async def submit(self, item: Incoming, process: str = "") -> Receipt:
        """Schedule a message, or make a process of a definition.

        Args:
            process: that the path names; the message must be for it.

        Raises:
            RequestError: it cannot be scheduled.
        """
        if process and item.target != process:
            to = f"for {item.target}" if item.target else "for no process"
            raise RequestError(400, f"the path names {process}, and the message is {to}")
        return await self.services.submitting.submit(item, item.tags, item.target, CLIENT)


_GIVEN = "application/json and httpsig@1.0 are"


def _first(accepted: str) -> str:
    """The first of what is accepted, without its weight."""
    return accepted.partition(",")[0].partition(";")[0].strip().lower()
