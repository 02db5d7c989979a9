"""The shell's side of a worker: sends and reads its frames, notices its end, kills it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from aoshell.sandbox.frames import (
    Frame,
    FrameError,
    FrameReader,
    check_image_header,
    check_worker_frame,
    encode_frame,
)
from aoshell.sandbox.packing import pack_list, unpack
from aoshell.sandbox.supervising.stillness import Stillness
from aoshell.sandbox.supervising.watching import Watch
from aoshell.sandbox.supervising.zygote_handle import ZygoteHandle

if TYPE_CHECKING:
    import asyncio

NOBODY = -1
MAX_PID = 1 << 22  # the largest that Linux gives: PID_MAX_LIMIT, proc(5)

OnFrame = Callable[[Frame], None]
OnImage = Callable[[int, bytes, str], None]
OnGone = Callable[[], None]
Follow = Callable[[object, Frame], None]  # a worker, and a frame that it was sent or has sent


def _group_of(pid: int) -> int:
    """The process group of a process, NOBODY where there is no such process (any more)."""
    try:
        return os.getpgid(pid)
    except (ProcessLookupError, OverflowError):
        return NOBODY


def _is_others(group: int) -> bool:
    """Whether a group may be killed: not our own, and not 1, as kill(-1) signals every process."""
    return group > 1 and group != os.getpgid(0)


def _nothing_more() -> None:
    """The default of `on_read`."""


class WorkerHandle:
    """The worker of one AO process, as the shell sees it. Sends frames; calls back for those read.

    Args:
        zygote: the process that forks it.
        buffer: where a read puts its bytes; others use it between two reads.
        follow: called with each frame in either direction.

    Attributes:
        on_read: called after all frames of one read.
        pid: of the fork that computes; 0 while unknown.
        group: process group of the worker and all its forks; 0 before its frame `ready`.
        unbelieved: it was killed because it sent what no worker sends.
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
        self._gathers = False  # a frame was sent in this turn: later ones wait for its end
        self._closed = False
        self.pid = 0
        self.group = 0
        self.unbelieved = False
        self._stillness = Stillness()
        main.setblocking(False)
        side.setblocking(False)
        # By number: for a socket object, each failed look-up in the loop formats it as text.
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
        """Queue a frame; never blocks.

        The first one of a turn of the loop is sent at once: the worker computes it during the rest
        of the turn. Later ones are sent together.
        """
        if self._follow:
            self._follow(self, frame)
        is_first = not (self._gathers or self._unsent or self._closed)
        self._unsent += encode_frame(frame, pack_list)
        self._unsent += blob
        if is_first:
            self._gathers = True
            self._send_some()
            self._loop.call_soon(self._send_gathered)

    def _send_gathered(self) -> None:
        self._gathers = False
        if self._closed:
            return
        if self._unsent:
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
        """Pass on the lines in a frame of lines; False for any other frame.

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
        # A worker sends `ready` once, before any guest runs, so its group is certain. Later pids
        # are believed only within that group, or a guest could have any process of the user killed.
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
        """Kill it and go on as if it had died, as a guest may have taken it over."""
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
            # Raised where all have ended; macOS gives EPERM for zombies.
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
