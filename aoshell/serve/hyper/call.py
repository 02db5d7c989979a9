"""One request while its path is resolved, and the services that its keys need."""

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

CLIENT = "hyperbeam"  # who sent a message, in the log
SMALL = 1 << 15  # bytes of a message that is read in the loop, as a thread would take longer

_JSON = ("application/json", "json@1.0")
_HTTPSIG = ("httpsig@1.0", "*/*", "")
_HEADERS = frozenset(("slot", "target", "to"))  # headers that are parameters of each step


@dataclass(frozen=True)
class Services:
    """What the role uses to answer.

    Attributes:
        key: the node's RSA key, which signs answers.
        dry_runs: held while a dry run, or a read of a state, computes.
        units: the compute unit that `~relay@1.0` asks.
    """

    node: Node
    network: NetworkVerbs
    checker: Checker
    submitting: Submitting
    key: Wallet
    dry_runs: asyncio.Semaphore
    units: ComputeUnit


class Call:
    """A request. Its path, query, headers or message say how to answer it."""

    def __init__(self, request: Request, segments: tuple[Segment, ...], services: Services) -> None:
        self.request = request
        self.segments = segments
        self.services = services
        self._fields: Mapping[str, str] = {}

    async def look(self) -> None:
        """Read what the request's message asks for. Call it before `asked` and `codec`."""
        if len(self.request.body) > SMALL:
            self._fields = await self.services.checker.run(lambda: asked_in(self.request))
        else:
            self._fields = asked_in(self.request)

    @property
    def network(self) -> NetworkVerbs:
        return self.services.network

    @property
    def address(self) -> str:
        """The node's address here: of the key that signs its answers."""
        return self.services.key.address

    @property
    def writes(self) -> bool:
        """Whether it carries a message to schedule, if the path takes one."""
        return self.request.method == "POST"

    def parameter(self, segment: Segment, name: str, default: str = "") -> str:
        """A parameter of a step: from its segment, else from the query, else from a header."""
        found = segment.parameter(name)
        if found is None:
            found = find_parameter(self.request.parameters, name)
        if found is None and name in _HEADERS:
            found = self.request.header(name)
        return found or default

    def asked(self, name: str) -> str:
        """An option for the answer: from the path, the query, a header or the message."""
        for segment in reversed(self.segments):
            if (found := segment.parameter(name)) is not None:
                return found
        found = find_parameter(self.request.parameters, name)
        return found or self.request.header(name) or self._fields.get(name, "")

    @cached_property
    def codec(self) -> Codec:
        """How the answer is to be written.

        Raises:
            RequestError: 406, it requires a codec that is not supported here.
        """
        required = _first(self.asked("require-codec"))
        if required in _JSON:
            return Codec.JSON
        if required not in _HTTPSIG:
            raise RequestError(406, f"the codec {required[:100]!r} is not given here; {_GIVEN}")
        accepted = _first(self.asked("accept")), _first(self.asked("accept-codec"))
        return Codec.JSON if any(one in _JSON for one in accepted) else Codec.HTTPSIG

    async def message(self) -> Incoming | None:
        """The signed message of the request, verified; None if there is none.

        Raises:
            RequestError: 400, it is malformed, or its signature does not fit.
        """
        return await self.services.checker.run(lambda: read_incoming(self.request))

    async def expected_message(self) -> Incoming:
        """As `message`. Raises RequestError if there is none."""
        found = await self.message()
        if found is None:
            raise RequestError(
                400, "a signed message is expected: an ANS-104 item, or an httpsig message"
            )
        return found

    async def submit(self, item: Incoming, process: str = "") -> Receipt:
        """Schedule a message, or make a process from its definition.

        Args:
            process: the process that the path names, "" for none; the message must be for it.

        Raises:
            RequestError: it cannot be scheduled.
        """
        if process and item.target != process:
            to = f"for {item.target}" if item.target else "for no process"
            raise RequestError(400, f"the path names {process}, and the message is {to}")
        return await self.services.submitting.submit(item, item.tags, item.target, CLIENT)


_GIVEN = "application/json and httpsig@1.0 are"


def _first(accepted: str) -> str:
    """The first accepted type, without its weight."""
    return accepted.partition(",")[0].partition(";")[0].strip().lower()
