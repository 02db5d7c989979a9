"""The shell's side of the sandbox: starts zygotes, asks them for workers, kills what overruns.

`Supervisor.start()` needs no event loop, so a zygote can load Lua while the shell still imports
the rest of itself. Everything else runs on the loop, callbacks too.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.sandbox.frames import (
    BASE,
    BASED,
    COUNTING,
    WORKER,
    Frame,
    FrameError,
    FrameReader,
    check_image_header,
    check_worker_frame,
    encode_frame,
)
from aoshell.sandbox.packing import pack_list, unpack
from aoshell.sandbox.stillness import Stillness
from aoshell.sandbox.watching import Watch

if TYPE_CHECKING:
    import asyncio

NOBODY = -1
MAX_PID = 1 << 22  # the largest that Linux gives: PID_MAX_LIMIT, proc(5)
AHEAD = 0.005  # seconds behind the start of a worker, when the next one is forked
BUFFER = 1 << 20  # bytes: the kernel's buffer for each direction, and the most that one read takes

OnFrame = Callable[[Frame], None]
OnImage = Callable[[int, bytes, str], None]
OnGone = Callable[[], None]
Follow = Callable[[object, Frame], None]  # a worker, and a frame that it was sent or has sent
Ends = tuple[socket.socket, socket.socket]  # ours, of a worker's two pairs of sockets


# The package that a device's zygote imports besides aoshell.
_PACKAGES = {"lua": "lupa", "wasm": "wasmtime"}


def _import_paths(device: str) -> list[str]:
    """The folders where a bare interpreter finds aoshell and the device's package.

    The package is looked up but not imported: the shell's start-up has no need of it.
    """
    found = importlib.util.find_spec(_PACKAGES[device])
    places = [__file__] if found is None or found.origin is None else [__file__, found.origin]
    depth = [2, 1]  # folders above aoshell/sandbox/supervisor.py and PACKAGE/__init__.py
    return [str(Path(place).resolve().parents[n]) for place, n in zip(places, depth, strict=False)]


def _group_of(pid: int) -> int:
    """The process group of a process, NOBODY where there is no such process (any more)."""
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, OverflowError):
        return NOBODY


def _is_others(group: int) -> bool:
    """Whether a group may be killed: not ours, nor 1, as kill(-1) signals every process."""
    return group > 1 and group != os.getpgid(0)


# Imports leave no garbage to look for; the zygote has it looked for again once it serves.
START = """import gc, sys
gc.disable()
sys.path[:0] = sys.argv[4:]
from aoshell.sandbox.zygote import main
main()"""


class Supervisor:
    """Owns a node's zygotes, one for each device ("lua", "wasm").

    Args:
        watch: what workers of Lua processes watch, as for tests; None: nothing.
        base: an environment of Lua that the zygote loads beside its own, once, for workers that
            begin with it. It is ours: the zygote has no limits.
        follow: is told each frame to and from a worker.
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
        # One for all: they are read in turn. To make one for each read would map its memory anew.
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

        Where there was one before, the next is forked ahead, so that nobody waits for the fork.

        Args:
            based: it begins with the base, and not with the device's own code, if there is any.
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
        """Hand code that counts its lines to workers to come, which then need not make it.

        It goes as a file, so that what several forks of this process hand over is not mixed up.
        """
        from tempfile import TemporaryFile  # only here: a start has no need of it

        with contextlib.suppress(OSError, AoError), TemporaryFile() as file:
            file.write(packed)
            file.flush()
            self.start()
            self._zygotes["lua"].send(COUNTING, [file.fileno()])
        for end in self._ahead.pop(("lua", False), ()):  # it was forked without that
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
            with contextlib.suppress(AoError):  # who needs a worker is told
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
            except OSError as error:  # the zygote died: one more is started
                self._zygotes.pop(device).close()
                if attempt == 2:
                    raise AoError("the sandbox does not stay up", stage="sandbox") from error

    def close(self) -> None:
        """Let the zygotes end. Workers end when their own sockets are closed."""
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()
        self.leave_ahead()

    def leave_ahead(self) -> None:
        """Let go of the workers that were forked ahead, which a fork leaves to its parent."""
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
        raise _no_worker(error) from error
    return tuple(made)


def _no_worker(error: OSError) -> AoError:
    return AoError(
        f"no worker can be started: {error.strerror}",
        stage="sandbox",
        hint="look at the limits on processes, descriptors and memory (`ulimit -a`), and try again",
    )


def _has_ended(main: socket.socket) -> bool:
    """Whether the worker at the other end has ended."""
    ends = select.poll()
    ends.register(main, 0)  # its end is told without being asked for
    return bool(ends.poll(0))


class ZygoteHandle:
    """A process that forks workers. Raises AoError where it cannot be started.

    Attributes:
        has_forked: it was asked for a worker.
    """

    def __init__(self, device: str, base: bytes = b"", *, watched: bool = False) -> None:
        self.has_forked = False
        try:
            self._control, theirs = socket.socketpair()
            null = os.open(os.devnull, os.O_RDWR)
        except OSError as error:
            raise _no_worker(error) from error
        target = 3 if theirs.fileno() != 3 else theirs.fileno()
        arguments = [device, str(target), str(int(watched)), *_import_paths(device)]
        # -I and an empty environment: nothing of the user's reaches the interpreter. A process
        # group of its own keeps the terminal's Ctrl-C away.
        try:
            self.pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-c", START, *arguments],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, null, 0),
                    (os.POSIX_SPAWN_DUP2, null, 1),
                    (os.POSIX_SPAWN_DUP2, null, 2),
                    (os.POSIX_SPAWN_DUP2, theirs.fileno(), target),
                ],
                setpgroup=0,
            )
        except OSError as error:
            self._control.close()
            raise _no_worker(error) from error
        finally:
            theirs.close()
            os.close(null)
        if base:
            with contextlib.suppress(OSError):  # the first worker meets a zygote that is gone
                self._control.sendall(BASE + len(base).to_bytes(4, "big") + base)

    def send(self, what: bytes, fds: list[int]) -> None:
        """Hand over the two sockets of a new worker, or a file. Raises OSError where it is gone."""
        socket.send_fds(self._control, [what], fds)

    def close(self) -> None:
        """Kill it, which also ends its workers: they ask to die with their parent."""
        if self._control.fileno() < 0:
            return  # closed before: another process may have its pid by now
        self._control.close()
        with contextlib.suppress(ProcessLookupError):  # it has ended
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):  # as where SIGCHLD is ignored
            os.waitpid(self.pid, 0)


def _nothing_more() -> None:
    """Behind the frames of a read nothing is left to do."""


class WorkerHandle:
    """The worker of one AO process, as the shell sees it: it sends frames and calls back.

    Args:
        zygote: the process that forks it.
        buffer: where a read puts its bytes; others use it between two reads.
        follow: is told each frame in either direction.

    Attributes:
        on_read: called behind all frames of one read.
        pid: of the fork that computes; 0 while unknown.
        group: process group of the worker and all its forks; 0 before its frame `ready`.
        unbelieved: it was given up because it sent what no worker sends.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        main: socket.socket,
        side: socket.socket,
        on_frame: OnFrame,
        on_image: OnImage,
        on_gone: OnGone,
        zygote: ZygoteHandle,
        buffer: memoryview,
        follow: Follow | None = None,
    ) -> None:
        self._loop = loop
        self._follow = follow
        self._zygote = zygote
        self._buffer = buffer
        self._main = main
        self._side = side
        self._on_frame = on_frame
        self._on_image = on_image
        self._on_gone = on_gone
        self.on_read: Callable[[], None] = _nothing_more
        self._frames = FrameReader(unpack)
        self._images = FrameReader(unpack)
        self._image: Frame | None = None
        self._watch: Watch | None = None
        self._unsent = bytearray()
        self._closed = False
        self.pid = 0
        self.group = 0
        self.unbelieved = False
        self._stillness = Stillness()
        main.setblocking(False)
        side.setblocking(False)
        # By their numbers: for a socket, each look-up that fails would make a text of it.
        loop.add_reader(main.fileno(), self._readable)
        loop.add_reader(side.fileno(), self._side_readable)

    @property
    def backlog(self) -> int:
        """Bytes that wait to be sent to the worker."""
        return len(self._unsent)

    def watch(self, watch: Watch) -> None:
        """Have it watched. Called before any other frame is sent."""
        self._watch = watch
        self.send(["watch", 0, watch.lines])

    def send(self, frame: Frame, blob: bytes = b"") -> None:
        """Queue a frame; never blocks. What one turn of the loop queues is sent together."""
        if not self._unsent and not self._closed:
            self._loop.call_soon(self._send)
        if self._follow:
            self._follow(self, frame)
        self._unsent += encode_frame(frame, pack_list)
        self._unsent += blob

    def _send(self) -> None:
        if self._closed:
            return
        self._send_some()
        if self._unsent:
            self._loop.add_writer(self._main.fileno(), self._writable)

    def _writable(self) -> None:
        self._send_some()
        if not self._unsent:
            self._loop.remove_writer(self._main.fileno())

    def _send_some(self) -> None:
        try:
            sent = self._main.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(self._unsent)  # the worker is gone; _readable() sees the end of the stream
        del self._unsent[:sent]

    def _readable(self) -> None:
        try:
            size = self._main.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self._gone()
            return
        self._stillness.end()
        self._frames.feed(self._buffer[:size])
        while not self._closed:
            try:
                frame = self._frames.frame()
                if frame is None:
                    self.on_read()
                    return
                self._note_pid(check_worker_frame(frame))
                if self._take_lines(frame):
                    continue
            except FrameError:
                self.give_up()
                return
            if self._follow:
                self._follow(self, frame)
            self._on_frame(frame)

    def _take_lines(self, frame: Frame) -> bool:
        """Whether a frame says which lines were run; it is taken then.

        Raises:
            FrameError: nobody asked for that.
        """
        if frame[0] != "lines":
            return False
        if self._watch is None or not self._watch.lines:
            raise FrameError("a worker notes lines where it is asked to")
        try:
            self._watch.lines_came(frame[1])
        except ValueError as error:
            raise FrameError("no worker notes such lines") from error
        return True

    def _note_pid(self, frame: Frame) -> None:
        # A worker sends `ready` before any guest runs, and once: so its group is known for certain.
        # Pids that come later count only within that group, or a guest could have any process of
        # the user's killed.
        match frame:
            case ["ready", pid]:
                # Its forks may have ended it before this was read: the group is theirs then.
                leads = _group_of(pid) in (pid, NOBODY) and _is_others(pid)
                if self.group or pid > MAX_PID or not leads:
                    raise FrameError("a worker is ready once, and leads a group of its own")
                self.pid = self.group = pid
            case _ if not self.group:
                raise FrameError("a worker is ready first")
            case ["parked", _, pid] | ["promoted", _, _, _, pid] | ["forked", pid]:
                self.pid = pid if _group_of(pid) == self.group else 0

    def _side_readable(self) -> None:
        try:
            size = self._side.recv_into(self._buffer)
        except (BlockingIOError, OSError):
            return
        if not size:
            self._loop.remove_reader(self._side.fileno())
            return
        self._images.feed(self._buffer[:size])
        while not self._closed:
            try:
                # Read the image of a header before the next header: its bytes are no frames.
                header = self._image or self._images.frame()
                self._image = header and check_image_header(header)
            except FrameError:
                self.give_up()
                return
            if self._image is None:
                return
            seq, length, reason = self._image
            blob = self._images.take(length)
            if blob is None:
                return
            self._image = None
            self._on_image(seq, blob, reason)

    def _gone(self) -> None:
        if not self._closed:
            self.close()
            self._on_gone()

    def give_up(self) -> None:
        """Kill it and go on as if it had died: a guest may have taken it over."""
        self.unbelieved = True
        self.drop()

    def drop(self) -> None:
        """Kill it and go on as if it had died."""
        self.kill()
        self._gone()

    def hangs(self) -> bool:
        """Whether it neither answers nor computes any more (see `stillness`). Ask once a second.

        Before its first frame the zygote is looked at instead. One that hangs is killed, and the
        next worker starts another.
        """
        still = self._stillness.lasts(self.group or self._zygote.pid)
        if still and not self.group:
            self._zygote.close()
        return still

    def stop_computing(self) -> None:
        """Kill the fork that computes; the parked one takes over and sends `promoted`."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.kill(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """Kill the worker with all its forks."""
        if _is_others(self.group):
            # All have ended; macOS answers EPERM where they are still to be waited for.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, signal.SIGKILL)

    def close(self) -> None:
        """Close the sockets. An idle worker ends by itself when it reads their end."""
        if self._closed:
            return
        self._closed = True
        if not self._loop.is_closed():
            self._loop.remove_reader(self._main.fileno())
            self._loop.remove_writer(self._main.fileno())
            self._loop.remove_reader(self._side.fileno())
        self._main.close()
        self._side.close()
