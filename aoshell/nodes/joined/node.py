"""The node of a home, for one shell, in this process or another: `nodes.base.Node`."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell.nodes.clients import client_name
from aoshell.nodes.joined import verbs
from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.reach import Reach
from aoshell.nodes.local.node import evidence_elsewhere, item_of, signed_for, unsigned_for
from aoshell.nodes.values import (
    EndpointFinding,
    Event,
    Hop,
    Limits,
    LogEntry,
    Module,
    NodeInfo,
    ProcessInfo,
    Receipt,
    Rerun,
    Sent,
    Stage,
    Undelivered,
)
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.wallet import Wallet

if TYPE_CHECKING:
    from aoshell.attest.evidence import Evidence
    from aoshell.nodes.network_verbs import NetworkVerbs


class HomeNode:
    """A node in a home, in this process or in another one. Made by `HomeNode.open`."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._closed = False
        self.workbench = HomeWorkbench(reach)

    @classmethod
    async def open(
        cls,
        home: Home,
        limits: Limits | None = None,
        *,
        client: str = "",
        threaded: bool = False,
        tell: Callable[[str], None] = lambda _: None,
    ) -> HomeNode:
        """Open the node of a home, or join the process that carries it.

        Args:
            limits: limits of processes. If another process carries the node, its limits hold, and
                a notice names the different ones.
            client: name of this shell in the log (`nodes.clients`); "" for its terminal.
            threaded: open it in a separate thread, as this event loop may block.
            tell: shows for which carrier it waits, if that does not answer at once.

        Raises:
            AoError: the home cannot be used, or its carrier does not answer.
        """
        reach = Reach(home, limits or Limits(), client or client_name(), threaded)
        await reach.open(tell)
        return cls(reach)

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if not self._closed:
            warn(f"the node in {self._reach.folder} was not closed", ResourceWarning, source=self)
            self._reach.abandon()

    @property
    def local(self) -> HomeNode:
        return self

    @property
    def remote(self) -> None:
        return None

    @property
    def cron(self) -> None:
        return None

    @property
    def state(self) -> HomeNode:
        return self

    @property
    def network(self) -> NetworkVerbs | None:
        node = self._reach.node
        return node.network if node is not None else None

    @property
    def stage(self) -> Stage | None:
        return self._reach.stage

    @property
    def limits(self) -> Limits:
        return self._reach.limits

    @property
    def newest(self) -> int:
        return self._reach.newest

    async def close(self) -> None:
        self._closed = True
        await self._reach.close()

    # Messages ---------------------------------------------------------------------------------

    async def sign(self, wallet: Wallet, target: str, tags: tuple[Tag, ...], data: bytes) -> Sent:
        if target and await self._reach.takes_unsigned(target):
            return unsigned_for(wallet.address, target, tags, data)
        return signed_for(self._reach.address, wallet, target, tags, data)

    async def spawn(self, item: Sent, name: str = "", *, unique: bool = False) -> Receipt:
        return await self._reach.deliver(verbs.SPAWN, item_of(item), name, unique)

    async def send(self, process: str, item: Sent) -> Receipt:
        if isinstance(item, Message):
            return await self._reach.deliver(verbs.SAY, process, item)
        return await self._reach.send_signed(process, item_of(item))

    async def result(self, process: str, place: int | str) -> Result:
        return await self._reach.result(process, place)

    async def results(self, process: str, after: int = -1, limit: int = 100) -> Sequence[LogEntry]:
        return await self._reach.call(verbs.RESULTS, process, after, limit)

    async def dryrun(self, process: str, item: Message) -> Result:
        return await self._reach.call(verbs.DRYRUN, process, item)

    async def slots(self, process: str) -> int:
        return await self._reach.call(verbs.SLOTS, process)

    async def schedule(self, process: str, first: int, last: int) -> Sequence[Message]:
        return await self._reach.call(verbs.SCHEDULE, process, first, last)

    async def settled(self, root: str) -> None:
        await self._reach.settled(root)

    async def idle(self) -> None:
        """Return once nothing is left to compute, cron messages included, and it is on disk."""
        await self._reach.call(verbs.IDLE)

    async def clock(self) -> int:
        """The node's time, milliseconds since the Unix epoch."""
        return await self._reach.call(verbs.CLOCK)

    async def now(self, process: str, key: str) -> object:
        return await self._reach.call(verbs.NOW, process, key)

    def subscribe(self) -> AsyncIterator[Event]:
        """Events from now on, in order.

        If another process carries the node, there are results only of watched processes, and of
        everything that messages of this shell caused.
        """
        return self._reach.subscribe()

    async def watch(self, process: str) -> None:
        await self._reach.watch(process)

    def knows(self, wallets: Iterable[str]) -> None:
        self._reach.knows(tuple(wallets))

    # Processes and modules ----------------------------------------------------------------------

    async def processes(self) -> Sequence[ProcessInfo]:
        return await self._reach.call(verbs.PROCESSES)

    async def find(self, reference: str) -> ProcessInfo:
        return await self._reach.call(verbs.FIND, reference)

    async def upload(self, data: bytes, name: str = "") -> Module:
        return await self._reach.call(verbs.UPLOAD, data, name)

    async def fetch(self, reference: str) -> Module:
        return await self._reach.call(verbs.FETCH, reference)

    async def info(self) -> NodeInfo:
        return await self._reach.info()

    async def evidence(self, nonce: bytes, endpoint: str = "", kind: str = "") -> Evidence:
        return await evidence_elsewhere(nonce, endpoint, kind)

    # Under the user's own hands -----------------------------------------------------------------

    async def cancel(self, process: str, slot: int) -> bool:
        return await self._reach.call(verbs.CANCEL, process, slot)

    async def set_limits(self, limits: Limits) -> None:
        await self._reach.set_limits(limits)

    async def undelivered(self, process: str | None = None) -> Sequence[Undelivered]:
        return await self._reach.call(verbs.UNDELIVERED, process)

    async def examine(self) -> Sequence[EndpointFinding]:
        # In this process, even if another one carries the node: it checks what this one can reach.
        from aoshell.nodes.local import health

        folder = Path((await self.info()).endpoint)
        return await asyncio.to_thread(health.examine, folder)

    async def verify_log(self, process: str) -> Sequence[str]:
        return await self._reach.call(verbs.VERIFY_LOG, process)

    async def export(self, process: str) -> bytes:
        return await self._reach.call(verbs.EXPORT, process)

    async def warnings(self, process: str) -> Sequence[str]:
        return await self._reach.call(verbs.WARNINGS, process)

    async def restore(self, data: bytes, name: str = "", *, unique: bool = False) -> ProcessInfo:
        return await self._reach.call(verbs.RESTORE, data, name, unique)

    async def rename(self, process: str, name: str) -> ProcessInfo:
        return await self._reach.call(verbs.RENAME, process, name)

    async def delete(self, process: str) -> None:
        await self._reach.call(verbs.DELETE, process)


class HomeWorkbench:
    """`nodes.base.Workbench` of a `HomeNode`."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach

    async def fork(self, process: str, slot: int | None, name: str) -> ProcessInfo:
        return await self._reach.call(verbs.FORK, process, slot, name)

    async def undo(self, process: str, slot: int) -> str:
        return await self._reach.call(verbs.UNDO, process, slot)

    async def at(self, process: str, slot: int, message: Message) -> Result:
        return await self._reach.call(verbs.AT, process, slot, message)

    async def rerun(self, process: str, slot: int, code: bytes, last: int) -> Rerun:
        return await self._reach.call(verbs.RERUN, process, slot, code, last)

    async def mark(self, process: str, name: str) -> int:
        return await self._reach.call(verbs.MARK, process, name)

    async def marks(self, process: str) -> Mapping[str, int]:
        return await self._reach.call(verbs.MARKS, process)

    async def warp(self, milliseconds: int) -> int:
        return await self._reach.call(verbs.WARP, milliseconds)

    async def tick(self, process: str) -> int:
        return await self._reach.call(verbs.TICK, process)

    async def pause(self, process: str, on: bool) -> None:
        await self._reach.call(verbs.PAUSE, process, on)

    async def queued(self, process: str) -> Sequence[Undelivered]:
        return await self._reach.call(verbs.QUEUED, process)

    async def step(self, process: str, index: int = 0) -> None:
        await self._reach.call(verbs.STEP, process, index)

    async def mock(self, id: str, source: bytes, name: str) -> ProcessInfo:
        return await self._reach.call(verbs.MOCK, id, source, name)

    async def find_messages(self, begin: str) -> Sequence[Receipt]:
        return await self._reach.call(verbs.FIND_MESSAGES, begin)

    async def trace(self, message: str, process: str = "") -> Sequence[Hop]:
        return await self._reach.call(verbs.TRACE, message, process)
