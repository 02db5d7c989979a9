"""The shell's side of the sandbox: owns the zygotes, and has them fork workers.

`Supervisor.start()` needs no event loop, so a zygote can load Lua while the shell still imports
the rest of itself. Everything else runs on the loop, callbacks too.
"""

from __future__ import annotations

import contextlib
import select
import socket
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.sandbox.frames import BASED, COUNTING, WORKER
from aoshell.sandbox.supervising.watching import Watch
from aoshell.sandbox.supervising.worker_handle import Follow, OnFrame, OnGone, OnImage, WorkerHandle
from aoshell.sandbox.supervising.zygote_handle import ZygoteHandle, no_worker_error

if TYPE_CHECKING:
    import asyncio

AHEAD = 0.005  # seconds after the start of a worker, when the next one is forked
BUFFER = 1 << 20  # bytes: the kernel's buffer for each direction, and the most that one read takes

Ends = tuple[socket.socket, socket.socket]  # ours, of a worker's two pairs of sockets


class Supervisor:
    """Owns a node's zygotes, one for each device ("lua", "wasm").

    Args:
        watch: what workers of Lua processes watch, as for tests; None: nothing.
        base: a second environment of Lua that the zygote loads once, for workers that begin with
            it. It must be trusted code: the zygote has no limits.
        follow: called with each frame to and from a worker.
    """

    def __init__(
        self, watch: Watch | None = None, base: bytes = b"", follow: Follow | None = None
    ) -> None:
        self._watch = watch
        self._base = base
        self._follow = follow
        self._zygotes: dict[str, ZygoteHandle] = {}
        # Workers that nobody needs yet, by device and by what they begin with.
        self._ahead: dict[tuple[str, bool], Ends] = {}
        # All workers share it, as they are read in turn. A new one for each read would map new
        # memory.
        self._buffer = memoryview(bytearray(BUFFER))

    def start(self, device: str = "lua") -> None:
        """Start a device's zygote if it has none. Raises AoError where no process can start."""
        if device not in self._zygotes:
            base = self._base if device == "lua" else b""
            self._zygotes[device] = ZygoteHandle(device, base, watched=self._watch is not None)

    def worker(
        self,
        loop: asyncio.AbstractEventLoop,
        on_frame: OnFrame,
        on_image: OnImage,
        on_gone: OnGone,
        device: str = "lua",
        *,
        based: bool = False,
        watched: bool = True,
    ) -> WorkerHandle:
        """A new worker, without an AO process.

        From the second call on, the next worker is forked ahead, so that nobody waits for a fork.

        Args:
            based: begin with the base instead of the device's own code.
            watched: watch it, if this supervisor watches any.
        """
        main, side = self._take_ahead(device, based) or self._fork(device, based)
        zygote = self._zygotes[device]
        if zygote.has_forked:
            loop.call_later(AHEAD, self._fork_ahead, device, based)
        zygote.has_forked = True
        calls = on_frame, on_image, on_gone
        handle = WorkerHandle(loop, main, side, *calls, zygote, self._buffer, self._follow)
        if watched and self._watch is not None and device == "lua":
            handle.watch(self._watch)
        return handle

    def hand_counting(self, packed: bytes) -> None:
        """Give later workers code that counts its lines, so that they need not make it.

        It goes as a file, so that what several forks of this process send is not mixed up.
        """
        from tempfile import TemporaryFile  # imported here, as a start does not need it

        with contextlib.suppress(OSError, AoError), TemporaryFile() as file:
            file.write(packed)
            file.flush()
            self.start()
            self._zygotes["lua"].send(COUNTING, [file.fileno()])
        for end in self._ahead.pop(("lua", False), ()):  # forked before, so without that code
            end.close()

    def _take_ahead(self, device: str, based: bool) -> Ends | None:
        """The worker that was forked ahead, unless it has ended with its zygote."""
        ends = self._ahead.pop((device, based), None)
        if ends and not _has_ended(ends[0]):
            return ends
        for end in ends or ():
            end.close()
        return None

    def _fork_ahead(self, device: str, based: bool) -> None:
        if device in self._zygotes and (device, based) not in self._ahead:
            with contextlib.suppress(AoError):  # the next call of `worker` raises it
                self._ahead[device, based] = self._fork(device, based)

    def _fork(self, device: str, based: bool) -> Ends:
        """Have a worker forked. Raises AoError."""
        main, their_main, side, their_side = _pairs()
        try:
            for end in (main, their_main):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            self._send_fds(device, [their_main.fileno(), their_side.fileno()], based)
        finally:
            their_main.close()
            their_side.close()
        return main, side

    def _send_fds(self, device: str, fds: list[int], based: bool) -> None:
        for attempt in (1, 2):
            self.start(device)
            try:
                self._zygotes[device].send(BASED if based else WORKER, fds)
                return
            except OSError as error:  # the zygote died: start another, once
                self._zygotes.pop(device).close()
                if attempt == 2:
                    raise AoError("the sandbox does not stay up", stage="sandbox") from error

    def close(self) -> None:
        """Kill the zygotes. On Linux this ends their workers; elsewhere closed sockets do."""
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()
        self.leave_ahead()

    def leave_ahead(self) -> None:
        """Close the sockets of workers that were forked ahead; a fork leaves them to its parent."""
        for ends in self._ahead.values():
            for end in ends:
                end.close()
        self._ahead.clear()


def _pairs() -> tuple[socket.socket, ...]:
    """The two pairs of sockets of a worker. Raises AoError where no descriptors are left."""
    made: list[socket.socket] = []
    try:
        for _ in range(2):
            made += socket.socketpair()
    except OSError as error:
        for end in made:
            end.close()
        raise no_worker_error(error) from error
    return tuple(made)


def _has_ended(main: socket.socket) -> bool:
    """Whether the worker at the other end has ended."""
    ends = select.poll()
    ends.register(main, 0)  # poll reports a hang-up even if no event is asked for
    return bool(ends.poll(0))
