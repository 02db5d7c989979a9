"""Opens a home's node and its socket: in this event loop, or in a separate thread."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell.nodes.joined.door import Door
from aoshell.nodes.local.clock.fixed import Fixed
from aoshell.nodes.local.delivery.fetching import Fetch
from aoshell.nodes.local.log.lock import HomeLock
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import Limits
from aoshell.sandbox.supervising.supervisor import Supervisor

if TYPE_CHECKING:
    from aoshell.nodes.joined.server import Host

PATIENCE_AT_EXIT = 2.0  # seconds that the end of a program waits for a node that it left open


@dataclass(slots=True)
class Home:
    """What a process needs to open the node of a home.

    Attributes:
        folder: the folder of the node's state.
        supervisor: one whose zygote was started already; the first node takes it.
        fetch, fixed: see `LocalNode.open`.
    """

    folder: Path
    supervisor: Supervisor | None = None
    fetch: Fetch | None = None
    fixed: Fixed | None = None

    def take_supervisor(self) -> Supervisor | None:
        """The supervisor at the first call, then None."""
        taken, self.supervisor = self.supervisor, None
        return taken


class Carrier:
    """The node of a home in this loop, with its door. `Carrier.begin` makes one."""

    def __init__(self, home: Home, node: LocalNode, door: Door) -> None:
        self._home = home
        self.node = node
        self._door = door
        self._host: Host | None = None
        door.open(self._take)

    @classmethod
    async def begin(cls, home: Home, limits: Limits, lock: HomeLock, door: Door) -> Carrier:
        """Open the node of a home whose lock is taken. Raises AoError; then the lock is free."""
        try:
            node = await LocalNode.open(
                home.folder, limits, home.take_supervisor(), home.fetch, home.fixed, lock
            )
        except BaseException:
            door.close()
            lock.close()
            raise
        return cls(home, node, door)

    def _take(self, connection: socket.socket) -> None:
        if self._host is None:
            from aoshell.nodes.joined.server import Host  # most shells never need it

            self._host = Host(self.node, self._home.folder, self._home.fixed is not None)
        self._host.take(connection)

    def tell_state(self) -> None:
        """Tell the joined shells that the limits have changed."""
        if self._host is not None:
            self._host.tell_state()

    async def close(self) -> None:
        """Close the connections and the node. One of the joined shells then takes the lock."""
        self._let_go()
        await self.node.close()

    def abandon(self) -> None:
        """Close without waiting. The next carrier computes what has no result."""
        self._let_go()
        self.node.abandon()

    def _let_go(self) -> None:
        self._door.close()
        if self._host is not None:
            self._host.close()


class ThreadCarrier:
    """A carrier in a thread: it answers even while its opener's event loop is blocked."""

    def __init__(self, home: Home, limits: Limits, lock: HomeLock, door: Door) -> None:
        self._begin = partial(Carrier.begin, home, limits, lock, door)
        self._open: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._closed: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave = asyncio.Event()
        # A daemon thread: the log is on disk, so the end of a program need not wait long for it.
        threading.Thread(target=self._run, name="aoshell-node", daemon=True).start()
        atexit.register(self._close_at_exit)

    @classmethod
    async def begin(cls, home: Home, limits: Limits, lock: HomeLock, door: Door) -> ThreadCarrier:
        """As `Carrier.begin`; `door` must be bound."""
        carrier = cls(home, limits, lock, door)
        try:
            await asyncio.wrap_future(carrier._open)
        except asyncio.CancelledError:
            await carrier.close()
            raise
        return carrier

    def _run(self) -> None:
        try:
            asyncio.run(self._carry())
            self._closed.set_result(None)
        except BaseException as error:
            self._closed.set_exception(error)

    async def _carry(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            carrier = await self._begin()
        except BaseException as error:
            with suppress(concurrent.futures.InvalidStateError):  # cancelled
                self._open.set_exception(error)
            return
        try:
            with suppress(concurrent.futures.InvalidStateError):
                self._open.set_result(None)
            await self._leave.wait()
        finally:
            await carrier.close()

    def abandon(self) -> None:
        """Make it close, without waiting."""
        if self._loop is not None:
            with suppress(RuntimeError):  # its loop has ended
                self._loop.call_soon_threadsafe(self._leave.set)

    def _close_at_exit(self) -> None:
        """Close a node that the program left open: a thread that still runs could abort its end.

        See `interrupts.leave`, which cannot be used as this is a program of others.
        """
        self.abandon()
        concurrent.futures.wait([self._closed], PATIENCE_AT_EXIT)

    async def close(self) -> None:
        """As `Carrier.close`."""
        self.abandon()
        try:
            await asyncio.shield(asyncio.wrap_future(self._closed))
        finally:
            atexit.unregister(self._close_at_exit)
