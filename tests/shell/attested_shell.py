"""A session on a simulated node that runs processes and has evidence of what it runs on."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

sys.path.extend(str(Path(__file__).parents[1] / room) for room in ("attest", "nodes"))

from attest_node import SimulatedNode
from der_writer import NOW
from envelope_node import EnvelopeNode, SnpNode, TpmNode
from eventually import until
from hyper_server import HTML, HyperServer, Reply, Request, serving
from shell_session import Screen, replied

from aoshell.attest.collateral.kds import KdsResponse as KdsReply
from aoshell.home.folders import Settings
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.memory import Book
from aoshell.protocol.message import tags_of
from aoshell.shell.attached.session import Session
from aoshell.shell.attestation.judging import Wishes, judge_evidence
from aoshell.shell.commands.attest import run_attest
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput as Outcome
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import Start, close_session, open_session

MODULE = "L" * 43


class Guest(HyperServer):
    """A node that runs processes, in a guest that has evidence."""

    guest: SimulatedNode | EnvelopeNode

    def answer(self, request: Request) -> Reply | None:
        reply = super().answer(request)
        if reply and self.sign_all and ("content-type", "application/json") in reply[1]:
            json = {"content-type": "application/json", "body": reply[2].decode()}
            return self.signed(json)
        return reply

    def route(self, request: Request) -> Reply | None:
        devices = ("/~snp@1.0", "/~message@1.0", "/~measurement@1.0")
        evidence = request.path.endswith("/~meta@1.0/info")
        if not evidence and not any(device in request.path for device in devices):
            return super().route(request)
        if isinstance(self.guest, SimulatedNode):
            found = self.guest.respond(unquote(request.path))
        else:
            found = self.guest.respond(request.path, request.headers, request.body)
        return (200, *found) if found else (404, [], HTML)

    def become(self, guest: SimulatedNode | EnvelopeNode) -> None:
        self.guest, self.wallet = guest, guest.wallet


class NoGateway:
    probes: tuple[Any, ...] = ()

    async def find(self, name: str, *_: str) -> str:
        from aoshell.nodes.values import NotFoundError

        raise NotFoundError(f"no process {name}", stage="find")

    async def close(self) -> None: ...


class There:
    """A session on the node."""

    def __init__(self, server: Guest, session: Session, screen: Screen) -> None:
        self.server, self.session, self.screen = server, session, screen

    @property
    def node(self) -> Any:
        return self.session.node

    async def attest(self, rest: str = "--offline") -> Outcome:
        return await run_attest(self.session, rest, **self.roots, at=NOW)

    @property
    def roots(self) -> dict[str, Any]:
        """The roots that its evidence leads to."""
        match self.server.guest:
            case TpmNode(maker=maker):
                return {"test_ek_roots": maker.roots}
            case SnpNode() as guest:
                return {"test_roots": guest.sample().roots}
            case SimulatedNode() as guest:
                return {"test_roots": guest.sample.roots}
        return {}

    async def pass_(self) -> Outcome:
        await self.attest()
        replied(await run_line(self.session, ".trust mine"))
        found = await self.attest()
        assert found.ok, found.text
        return found

    async def told(self, beginning: str) -> None:
        """Wait until the screen has a line that begins so."""
        said = self.screen.said
        await until(lambda: f"\n{beginning}" in "\n".join(["", *said]), beginning)

    async def attach(self) -> None:
        """A process of this wallet's."""
        wallet = await self.session.wallet()
        tags = tags_of([("Module", MODULE), ("Name", "first")])
        made = await self.node.spawn(await self.node.sign(wallet, "", tags, b""), "first")
        await self.session.attach(await self.node.find(made.process))


@asynccontextmanager
async def opened(server: Guest, home: Settings) -> AsyncIterator[There]:
    """A session on the node, which is served."""
    async with serving(server):

        async def node(_: Settings, __: Any, key: Any, ___: Any) -> Any:
            book, gateway = Book(home.state / "remote.db"), NoGateway()
            book.put(server.url, "module", MODULE, {"kind": "lua", "name": ""})
            return HyperBeamNode(server.url, book, gateway, key, Waiting())  # type: ignore

        screen = Screen(asks=False)
        session = await open_session(Start(), home, node, screen, Patience.OWN)
        try:
            yield There(server, session, screen)
        finally:
            await close_session(session)


async def fill(guest: SimulatedNode, home: Settings) -> None:
    async def asking(url: str, _: int) -> KdsReply:
        sample = guest.sample
        kinds = {"cert_chain": sample.chain, "crl": sample.crl}
        return KdsReply(200, {}, kinds.get(url.rpartition("/")[2], sample.vek))

    roots, wishes = guest.sample.roots, Wishes(at=NOW)
    await judge_evidence(guest.evidence(), home, wishes, test_roots=roots, asking=asking)
