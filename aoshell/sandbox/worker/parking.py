"""Parked forks: processes that sleep with an older state, to take over when the newer is lost.

Before a live message, when enough has been computed since the last fork, the worker forks: the
child goes on, the parent keeps the state and sleeps until the child ends. A message that fails
makes the child exit (or the kernel kills it at its time limit). The parent, whose state is older,
then sends `promoted`, and the shell sends it what to compute again. Forks may take a tenth of the
computing time, so their cost decides how often there is one. On a busy machine a fork may seem to
cost seconds, so there is one after some messages in any case, as the shell keeps these. The first
process is parked before there is anything to compute (`ahead`).

While the worker runs code or a log that came with the process, the first process waits, and reports
how the computing fork died, if it does.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple, NoReturn

from aoshell.sandbox.worker.ahead import BEGINNING, Ahead
from aoshell.sandbox.worker.confine import die_with_parent
from aoshell.sandbox.worker.fates import describe_fate, end_as, read_fate
from aoshell.sandbox.worker.printed import Printed
from aoshell.sandbox.worker.side_work import reap_images
from aoshell.sandbox.worker.worker_sockets import WorkerSockets

ROLL_BACK = 3  # exit code of a fork whose message failed; its result is sent already
PARK_SHARE = 10  # forks may cost one part in this many of the computing time
COPYING = 2  # a fork costs this many times what fork(2) takes: pages are copied on later writes
# What may be computed after a fork was parked: the shell keeps it, to send it again.
MOST_BEHIND = 2000  # messages
BYTES_BEHIND = 8 << 20  # bytes of frames


class Role(Enum):
    """What the parent does when its fork, this process, ends."""

    NONE = auto()  # nothing: it is the zygote, and waits for no fork
    AHEAD = auto()  # parked ahead: it takes over if it has the frames that give the fork's state
    WATCHING = auto()  # it reports how the fork died while running code or a log
    PARKED = auto()  # it takes over, with the state that it kept


class Parent(NamedTuple):
    """The parent of this process."""

    pid: int
    role: Role

    def end(self) -> None:
        """Kill it, if it waits: nobody goes back to its state any more."""
        # If this process has another parent now, that one has ended, and its pid may be reused.
        if self.role is not Role.NONE and os.getppid() == self.pid:
            # Its death would kill this process. Once the zygote has adopted this one, dying with
            # the parent means dying with the zygote.
            die_with_parent(False)
            os.kill(self.pid, signal.SIGKILL)
            while os.getppid() == self.pid:
                time.sleep(0.0001)
            die_with_parent(True)


ZYGOTE = Parent(0, Role.NONE)


class Parking:
    """Parks this process, and takes over when its fork ends.

    Attributes:
        epoch: how often a parked process has taken over.
    """

    def __init__(self, sockets: WorkerSockets, printed: Printed) -> None:
        self._sockets = sockets
        self._printed = printed
        self._ahead = Ahead()
        self._parent = ZYGOTE
        self.epoch = 0
        self._spent = 0.0  # seconds computed since parking
        self._count = 0  # messages since then
        self._taken = 0  # bytes of frames that were received before parking
        self._fork_cost = 0.001  # seconds, of the last fork with the copying that follows

    @property
    def is_parked(self) -> bool:
        """Whether the parent takes over when this process ends."""
        return self._parent.role is Role.PARKED

    def add(self, seconds: float) -> None:
        """Count a message that was computed."""
        self._spent += seconds
        self._count += 1

    # Before the first message -------------------------------------------------------------

    def park_ahead(self, begin: Callable[..., object]) -> None:
        """Park this process while it has nothing to do. Returns in the fork, or when promoted.

        Args:
            begin: called, when this process takes over, with each frame that its fork began with.
        """
        own, start = os.getpid(), time.perf_counter()
        child = os.fork()
        if child == 0:
            self._begin_fork(start, Parent(own, Role.AHEAD))
            return
        _pid, status = os.waitpid(child, 0)
        if self._ahead.runs_task:
            self._end_watched(status)
        frames = self._ahead.frames
        if not frames:
            end_as(status)
        for frame in frames:
            begin(*frame)
        self._take_over(status, seq=0)

    def keep(self, command: str, values: list[Any]) -> None:
        """Keep a received frame for the process that was parked ahead."""
        if self._parent.role is Role.AHEAD and command in BEGINNING:
            self._ahead.keep(command, values)

    def spoil(self) -> None:
        """Note that frames no longer give the state of this process to the one parked ahead."""
        if self._parent.role is Role.AHEAD:
            self._ahead.spoil()

    def begin_task(self, task: str, seconds: float) -> None:
        """From now on the process that was parked ahead reports how this one dies, if it does.

        A process that is parked later takes over instead, and reports nothing.

        Args:
            task: the start of that report: the code or log "does not load", for example.
            seconds: processor time that the task may take.
        """
        if self._parent.role is Role.AHEAD:
            self._parent = self._parent._replace(role=Role.WATCHING)
            self._ahead.begin_task()
            self._sockets.send(["forked", os.getpid()])
        # The memory for prints is shared, so `_end_watched` reads there what to report.
        self._printed.clear()
        self._printed.line(f"{task}: it {describe_fate('time', seconds)}")

    def _end_watched(self, status: int) -> NoReturn:
        """Report how the fork died in a task, if it did, and end."""
        how = read_fate(status)
        if how and how != "killed":
            overdue = self._printed.text().partition("\n")[0]
            task = overdue.partition(":")[0]
            self._sockets.end_unable(
                overdue if how == "time" else f"{task}: it {describe_fate(how, 0)}"
            )
        end_as(status)

    # Between messages ---------------------------------------------------------------------

    def park_when_due(self, seq: int) -> bool:
        """Park this process and go on in a fork, if it is time. Returns True when promoted.

        Args:
            seq: the last message whose effects the state holds.
        """
        if self._parent.role is Role.AHEAD and self._ahead.frames:
            self._parent = self._parent._replace(role=Role.PARKED)
            self._sockets.send(["parked", seq, os.getpid()])
        if self.is_parked and not self._is_far_behind():
            return False
        return self.park(seq)

    def _is_far_behind(self) -> bool:
        """Whether the state that is parked is old enough to park another."""
        if self._spent >= PARK_SHARE * self._fork_cost or self._count >= MOST_BEHIND:
            return True
        return self._sockets.taken - self._taken >= BYTES_BEHIND

    def park(self, seq: int) -> bool:
        """Park this process and go on in a fork. Returns True when promoted."""
        reap_images()
        own = os.getpid()
        start = time.perf_counter()
        # First, as the new fork may later end this process. The older parked process would take
        # that for the end of the computing one, and come back with a state that is too old.
        self._parent.end()
        self._parent = ZYGOTE
        child = os.fork()
        if child == 0:
            self._begin_fork(start, Parent(own, Role.PARKED))
            self._spent, self._count, self._taken = 0.0, 0, self._sockets.taken
            self._sockets.send(["parked", seq, os.getpid()])
            return False
        # Sleep until the computing fork ends.
        self._take_over(os.waitpid(child, 0)[1], seq)
        return True

    def _begin_fork(self, start: float, parent: Parent) -> None:
        """Go on as a fork that `parent` began at `start`, a time of `time.perf_counter`."""
        die_with_parent(True)
        self._parent = parent
        self._fork_cost = max(COPYING * (time.perf_counter() - start), 0.001)

    def _take_over(self, status: int, seq: int) -> None:
        """Take over from the computing fork; exit if it exited without a roll-back."""
        why = read_fate(status)
        if not why:
            if os.WEXITSTATUS(status) != ROLL_BACK:
                end_as(status)
            why = "rollback"
        self.epoch += 1
        printed = self._printed.text_under(why)
        self._sockets.send(["promoted", seq, why, printed, os.getpid()])
