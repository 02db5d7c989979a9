"""A remote node in memory, for tests of what the shell does with one.

`sleep(S)` in a line makes its result take S seconds, at stage "compute". `trouble` fails look-ups.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from shell_fake import ADDRESS, FakeBackend, FakeNode

from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.values import (
    EndpointFinding,
    Module,
    NodeInfo,
    NotFoundError,
    Pin,
    ProcessInfo,
    Publication,
    Receipt,
    Stage,
    Verify,
)
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Result
from aoshell.protocol.wallet import Wallet
from aoshell.shell.start import Start

URL = "https://node.example"
MODULE = "M" * 43
BROKEN = AoError("the gateway is away", stage="lookup", hint="try again")


class FakeRemote(FakeNode):
    local = None

    def __init__(self, *known: str) -> None:
        super().__init__()
        self.remote = self.cron = self.state = self
        self.verify = Verify.OFF
        self.pin: Pin | None = None
        self.endpoint = URL
        self.last_failure = ""
        self.stage: Stage | None = None
        self.trouble: AoError | None = None
        self.slotless = False
        self.reached = True
        self.luerl = False
        self.left = ""
        self.keys = ["K" * 43, "L" * 43]
        self.published: list[Publication] = []
        self.monitored: list[tuple[str, bool]] = []
        self.module = MODULE
        self.modules[MODULE] = Module(MODULE, "lua", "code", b"return 1")
        self.found = [EndpointFinding("node", URL, True, "answers (3 ms)")]
        self.known = known

    async def default_module(self) -> str:
        return self.module

    async def runs_luerl(self, _: str) -> bool:
        return self.luerl

    def has_left(self, message: str) -> bool:
        return self.reached and bool(message)

    def own(self, owner: str) -> None:
        """Make the processes that are there already."""
        for number, name in enumerate(self.known):
            self.make(f"{number}{name[0] * 41}A", name, owner)

    def knows(self, _: object) -> None:
        pass

    async def finish(self) -> str:
        return self.left

    async def send(self, process: str, item: DataItem) -> Receipt:
        receipt = await super().send(process, item)
        return Receipt(receipt.id, process, None) if self.slotless else receipt

    async def result(self, process: str, place: int | str) -> Result:
        self.stage = Stage("compute", URL)
        try:
            return await super().result(process, place)
        finally:
            self.stage = None

    async def find(self, reference: str) -> ProcessInfo:
        if self.trouble:
            raise self.trouble
        try:
            return await super().find(reference)
        except AoError as error:
            raise NotFoundError(error.what, stage=error.stage) from None

    async def info(self) -> NodeInfo:
        return NodeInfo("hyperbeam", ADDRESS, URL, {"answers": "verified"})

    async def upload(self, *_: object) -> Module:
        raise AssertionError("nothing is uploaded in passing")

    async def publication(self, wallet: Wallet, data: bytes, _: str) -> Publication:
        item = DataItem.sign(wallet, "", (), data)
        return Publication(item, "https://up.example", len(item.raw), "0.000004 AR")

    async def publish(self, publication: Publication) -> Module:
        self.published.append(publication)
        return Module(publication.item.id, "lua", "", publication.item.data)

    async def new_key(self) -> str:
        return self.keys.pop(0)

    async def doctor(self) -> Sequence[EndpointFinding]:
        return self.found

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        assert b64url(sha256(wallet.owner).digest()) == wallet.address
        self.monitored.append((process, on))

    async def now(self, process: str, key: str) -> object:
        state = {"balances": {"a": "7"}, "at": process}
        return state["balances"]["a"] if key == "balances/a" else state


class RemoteBackend(FakeBackend):
    """The remote node behind a whole command line; process "default" is there."""

    def __init__(self) -> None:
        super().__init__(FakeRemote("default"))

    def prepared(self, start: Start, settings: Settings) -> Start:
        from aoshell.home.wallets import load_wallet

        self.node.own(load_wallet(settings.wallet).address)
        return start


def new(name: str = "fresh", **more: object) -> Start:
    return Start(name, named=True, place=f"on {URL}", **more)  # type: ignore[arg-type]
