"""The child process that computes one AO process; forked by a zygote, killed from outside.

A message that fails is undone by going back to a *parked fork*, which has the state before it:
`parking` says how.

Code and a log that came with a process run under limits, too. These are wide enough for anything
that once succeeded.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NoReturn

from aoshell.sandbox.frames import WITH_BYTES
from aoshell.sandbox.runtime import Host, OutOfMemoryError, Runtime, Watched
from aoshell.sandbox.worker.confine import die_with_parent
from aoshell.sandbox.worker.fates import OUT_OF_MEMORY, read_fate
from aoshell.sandbox.worker.floor import Floor
from aoshell.sandbox.worker.last_lines import LastLines
from aoshell.sandbox.worker.parking import ROLL_BACK, Parking
from aoshell.sandbox.worker.printed import Printed
from aoshell.sandbox.worker.side_work import compile_module, save_image
from aoshell.sandbox.worker.trials import SequenceTrial
from aoshell.sandbox.worker.worker_sockets import WorkerSockets

# Seconds of processor time.
LOAD_SECONDS = 2.0  # the least that code may take to load, whatever a message may; ours takes 0.03
REPLAY_TIMES = 10  # a replayed message may take this many times what a new one may

LOADING, RESTORING, REPLAYING = (
    "its code does not load",
    "its checkpoint cannot be used",
    "its log cannot be computed again",
)


def _end_out_of_memory(unraisable: Any) -> None:
    """`sys.unraisablehook`: end where Python drops a MemoryError, in a callback for example.

    Otherwise a guest would go on with an answer that was never made.
    """
    if isinstance(unraisable.exc_value, MemoryError):
        os._exit(OUT_OF_MEMORY)


class Worker:
    """Computes messages in order; see the module's docstring, and `frames` for the commands."""

    def __init__(
        self,
        sockets: WorkerSockets,
        host: Host,
        runtime: Runtime | None,
        printed: Printed,
        floor: Floor,
    ) -> None:
        self._sockets = sockets
        self._host = host
        self._loaded = runtime
        self._printed = printed
        printed.renew()
        self._floor = floor
        self._memory = 0  # bytes of heap the guest may use
        self._seconds = 0.0  # of processor time, that a new message may take
        self._judged = True  # messages are new, so all bounds count
        self._code_size = 0  # bytes of the code that came with the process
        self._seq = 0  # the last message whose effects the state holds
        self._parking = Parking(sockets, printed)
        self._task = ""  # LOADING, RESTORING or REPLAYING while that is under way
        self._watches = self._notes_lines = False
        self._armed = 0.0  # when the task's timer was last set, seconds
        self._commands: dict[str, Callable[..., object]] = {
            "code": self._code,
            "compile": self._compile,
            "watch": self._watch,
            "boot": self._boot,
            "lift": self._lift,
            "image": self._image,
            "run": self._run,
            "replay": self._replay,
            "failed": self._failed,
            "park": self._park,
            "dry": self._dry,
            "trial": self._trial,
            "checkpoint": self._checkpoint,
        }

    def serve(self) -> NoReturn:
        sys.unraisablehook = _end_out_of_memory
        self._sockets.send(["ready", os.getpid()])
        self._parking.park_ahead(lambda command, *values: self._commands[command](*values))
        while True:
            try:
                command, epoch, *rest = self._sockets.receive()
                # Older frames were sent before the shell knew of a roll-back; it sends them again.
                if epoch == self._parking.epoch:
                    self._commands[command](*rest)
                    self._parking.keep(command, rest)
                elif command in WITH_BYTES:
                    self._sockets.read(rest[-1])
            except MemoryError:
                os._exit(OUT_OF_MEMORY)

    # Before the first message -------------------------------------------------------------

    @property
    def _runtime(self) -> Runtime:
        if self._loaded is None:
            self._sockets.end_broken("no code was loaded")
        return self._loaded

    def _code(self, gas: int, memory: int, seconds: float, length: int) -> None:
        self._seconds, self._code_size = seconds, length
        data = self._sockets.read(length)
        self._floor.lay(memory, self._host.room(memory), length)
        self._start_task(LOADING)
        self._floor.lower()
        try:
            self._loaded = self._host.load(data, gas, self._host.headroom * memory)
        except MemoryError:
            self._sockets.end_unable(f"{LOADING} within {memory >> 20} MB")
        except Exception as error:
            self._sockets.end_unable(f"{LOADING}: {error}")
        self._floor.lift()

    def _compile(self, gas: int, length: int) -> None:
        source = self._sockets.read(length)
        compile_module(self._sockets, self._host, self._floor, source, gas)

    def _watch(self, lines: bool) -> None:
        self._watches, self._notes_lines = True, lines

    def _boot(self, memory: int, seconds: float, *definition: Any) -> None:
        self._memory, self._seconds = memory, seconds
        self._floor.lay(memory, self._host.room(memory), self._code_size)
        if self._watches and isinstance(self._loaded, Watched):
            self._loaded.watch(lines=self._notes_lines)
        self._runtime.limit_memory(memory)
        self._runtime.boot(definition)

    def _lift(self) -> None:
        self._judged = False

    def _image(self, seq: int, length: int) -> None:
        data = self._sockets.read(length)
        self._start_task(RESTORING)
        try:
            self._runtime.limit_memory(self._host.headroom * self._memory, judged=False)
            self._runtime.restore(zlib.decompress(data))
            self._runtime.limit_memory(self._memory)
        except (ValueError, zlib.error, MemoryError, OutOfMemoryError) as error:
            self._sockets.end_broken(f"{RESTORING}: {error or 'no memory is left for it'}")
        self._seq = seq

    def _start_task(self, task: str) -> None:
        """Set the limits for running code or a log that came with the process.

        Called for each part of a task, each message of a log for example.
        """
        now = time.perf_counter()
        if task != self._task:
            self._task = task
            self._parking.begin_task(task, self._task_seconds)
            self._floor.lift()
        elif now - self._armed < self._task_seconds / REPLAY_TIMES:
            return  # setting it for each message would cost more than a short message does
        self._armed = now
        signal.setitimer(signal.ITIMER_PROF, self._task_seconds)

    @property
    def _task_seconds(self) -> float:
        """Seconds of processor time for the task: code, an image, or a message of the log."""
        times = 1 if self._task == LOADING else REPLAY_TIMES
        return max(LOAD_SECONDS, times * self._seconds)

    def _end_task(self) -> None:
        """Take the task's time limit away: what comes now has limits of its own."""
        if self._task:
            self._task = ""
            self._printed.clear()
            signal.setitimer(signal.ITIMER_PROF, 0)

    # Messages -----------------------------------------------------------------------------

    def _run(self, seq: int, seconds: float, *message: Any) -> None:
        self._end_task()
        if self._parking.park_when_due(self._seq):
            return  # promoted: this message will come again
        outcome, spent, result = self._compute(seconds, message)
        cost = (spent * 1000, self._runtime.memory, self._runtime.gas_used)
        self._send_lines(outcome)
        self._printed.end()  # before it is sent: who reads it may kill this fork for the next one
        self._sockets.send(["done", self._parking.epoch, seq, outcome, *cost, *result])
        # Exit after the result is sent. The parked process has the state before the message.
        if outcome != "ok":
            os._exit(ROLL_BACK)
        self._parking.add(spent)
        self._seq = seq

    def _send_lines(self, outcome: str) -> None:
        """Send which lines the message ran."""
        counting = self._counting
        if counting is not None:
            self._floor.lift()
            if outcome == "memory":  # Lua cannot be asked for handlers any more
                self._send_lines_so_far(counting)
            else:
                self._sockets.send(["lines", counting.watched_lines()])

    @property
    def _counting(self) -> Watched | None:
        """The runtime, where it counts lines; None where no lines are noted."""
        loaded = self._loaded
        return loaded if self._notes_lines and isinstance(loaded, Watched) else None

    def _send_lines_so_far(self, counting: Watched) -> None:
        self._sockets.send(["lines", counting.lines_so_far()])

    def _last_lines(self, seconds: float) -> AbstractContextManager[None]:
        """A context for running a message: sends its lines before the time limit kills it."""
        counting = self._counting
        if counting is None:
            return nullcontext()
        return LastLines(seconds, partial(self._send_lines_so_far, counting))

    def _compute(
        self, seconds: float, message: tuple[Any, ...], *, sends_lines: bool = True
    ) -> tuple[str, float, list[Any]]:
        """Outcome, seconds and result of a message. `sends_lines`: its lines are sent, too."""
        self._printed.clear()
        self._runtime.limit_memory(self._memory, judged=self._judged)
        if self._judged:
            self._floor.lower()
        start = time.perf_counter()
        # The kernel kills this fork with SIGPROF when its processor time is up. Nothing that a
        # guest does (pcall, a coroutine, a pattern that never ends) can prevent that.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            with self._last_lines(seconds) if sends_lines else nullcontext():
                error, *others = self._runtime.deliver(message)
            outcome, result = self._runtime.failure if error else "ok", [error, *others]
        except (OutOfMemoryError, MemoryError):
            outcome, result = "memory", [None, self._printed.text(), "", False, 0]
        signal.setitimer(signal.ITIMER_PROF, 0)
        return outcome, time.perf_counter() - start, result

    def _replay(self, seq: int, *message: Any) -> None:
        self._start_task(REPLAYING)
        # It succeeded once. But after a checkpoint, garbage is collected at other moments, so the
        # same message may need more memory for a while.
        size = self._host.headroom * self._memory
        self._runtime.limit_memory(size, judged=False)
        try:
            self._runtime.deliver(message)
        except (OutOfMemoryError, MemoryError):
            self._sockets.end_unable(f"{REPLAYING} within {size >> 20} MB")
        self._seq = seq

    def _failed(self, seq: int, text: str) -> None:
        self._start_task(REPLAYING)
        self._runtime.failed(text)
        self._seq = seq

    def _park(self) -> None:
        self._printed.clear()  # a log that was computed again has printed, too
        self._parking.park(self._seq)

    # What changes no state ----------------------------------------------------------------

    def _dry(self, token: int, seconds: float, *message: Any) -> None:
        self._end_task()
        # A dry run is stopped by killing the computing fork, so a parked one must be there first.
        if not self._parking.is_parked and self._parking.park_when_due(self._seq):
            return  # promoted: the dry run will come again, if it is still wanted
        child = os.fork()
        if child == 0:
            die_with_parent(True)
            outcome, spent, result = self._compute(seconds, message)
            cost = (spent * 1000, self._runtime.memory, self._runtime.gas_used)
            try:
                self._send_lines(outcome)
                self._sockets.send(["dried", token, outcome, *cost, *result])
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            os._exit(0)
        _pid, status = os.waitpid(child, 0)
        how = read_fate(status)
        if how:
            outcome = how if how in ("time", "memory", "killed") else "crash"
            printed = self._printed.text()
            cost = (seconds * 1000, 0, 0)
            self._sockets.send(["dried", token, outcome, *cost, None, printed, "", False, 0])
        self._printed.clear()

    def _trial(self, token: int, seconds: float, end: str, *steps: list[Any]) -> None:
        self._end_task()
        self._parking.spoil()
        self._runtime.print_places()
        printed, compute = self._printed, partial(self._compute, sends_lines=False)
        SequenceTrial(
            self._sockets, self._runtime, printed, compute, token, seconds, end, steps
        ).run()

    def _checkpoint(self, seq: int) -> None:
        save_image(self._sockets, self._runtime, self._floor, seq)
