"""Tries whole sequences of messages on a state, and leaves that state unchanged.

The process that has the state, the base, forks. The fork computes one message after another, as the
AO process would, and ends. A message that fails must leave no trace. So another process keeps a
state before it: the base, or a fork that waits since before a message that was expected to fail.
That fork, or a new fork of the base, computes again what came since, and goes on after the failed
message.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from aoshell.sandbox.runtime import Runtime
from aoshell.sandbox.worker.confine import die_with_parent
from aoshell.sandbox.worker.fates import read_fate
from aoshell.sandbox.worker.printed import Printed
from aoshell.sandbox.worker.worker_sockets import WorkerSockets

STEPS = 1000  # messages of a sequence
SECONDS = 5.0  # of wall clock, after which a sequence is cut off
FAILED = 3  # exit code of a fork whose message failed; its result is sent already
BATCH = 64  # outcomes that are sent together, as each write wakes the reader
LARGE = 1 << 16  # characters: an outcome with a longer text is sent at once
_ERROR = 256  # bytes of an error that are kept, for `Runtime.failed`
_BEGIN = 8  # bytes of the index, before the errors

Compute = Callable[[float, tuple[Any, ...]], tuple[str, float, list[Any]]]


class SequenceTrial:
    """One sequence.

    Args:
        compute: runs one message under its limits: outcome, seconds, result.
        end: an error that contains this text ends the sequence; "" for none.
        steps: for each message, whether it is expected to fail, then what `Runtime.deliver` takes.
    """

    def __init__(
        self,
        sockets: WorkerSockets,
        runtime: Runtime,
        printed: Printed,
        compute: Compute,
        token: int,
        seconds: float,
        end: str,
        steps: Sequence[list[Any]],
    ) -> None:
        self._sockets = sockets
        self._runtime = runtime
        self._printed = printed
        self._compute = compute
        self._token = token
        self._seconds = seconds
        self._ending = end
        self._steps = steps[:STEPS]
        # Shared with all forks: the step that is computed, and the error of each that failed.
        self._page = mmap.mmap(-1, _BEGIN + _ERROR * max(1, len(self._steps)))
        self._unsent: list[list[Any]] = []
        self._late = time.perf_counter() + SECONDS

    def run(self) -> None:
        """Try it in forks of this process, which stays as it is."""
        at = 0
        while at < len(self._steps) and not self._is_late:
            child = os.fork()
            if child == 0:
                die_with_parent(True)
                self._catch_up(0, at)
                self._go_on(at)
            if not self._is_failure(os.waitpid(child, 0)[1]):
                break
            at = self._index + 1
        self._sockets.send(["over", self._token])
        self._page.close()

    def _catch_up(self, begin: int, end: int) -> None:
        """Compute again the steps whose outcomes are known."""
        for index in range(begin, end):
            if error := self._error(index):
                self._runtime.failed(error)
            else:
                self._runtime.deliver(self._steps[index][1:])

    def _go_on(self, at: int) -> NoReturn:
        """Compute the steps from `at` on; the runtime has the state before that step."""
        while at < len(self._steps) and not self._is_late:
            is_doubtful, *message = self._steps[at]
            if is_doubtful:
                self._send_unsent()
            child = os.fork() if is_doubtful else 0
            if child:
                if not self._is_failure(os.waitpid(child, 0)[1]):
                    os._exit(0)
                begin, at = at, self._index + 1
                self._catch_up(begin, at)
                continue
            if is_doubtful:
                die_with_parent(True)
            self._step(at, tuple(message))
            at += 1
        self._send_unsent()
        os._exit(0)

    def _step(self, index: int, message: tuple[Any, ...]) -> None:
        self._page[:_BEGIN] = index.to_bytes(_BEGIN, "big")
        outcome, spent, result = self._compute(self._seconds, message)
        cost = (spent * 1000, self._runtime.memory, self._runtime.gas_used)
        self._unsent.append(["tried", self._token, index, outcome, *cost, *result])
        if len(self._unsent) >= BATCH or any(type(v) is str and len(v) > LARGE for v in result):
            self._send_unsent()
        if outcome != "ok":
            self._send_unsent()
            if self._ending and self._ending in str(result[0]):
                os._exit(0)
            error = str(result[0] or outcome).encode("latin-1")[-_ERROR:]
            begin = _BEGIN + _ERROR * index
            self._page[begin : begin + len(error)] = error
            os._exit(FAILED)

    @property
    def _is_late(self) -> bool:
        return time.perf_counter() >= self._late

    def _send_unsent(self) -> None:
        """Send the outcomes that were not sent yet."""
        self._sockets.send_all(self._unsent)
        self._unsent.clear()

    def _is_failure(self, status: int) -> bool:
        """Whether a fork ended as one whose message failed; one that died ends the trial."""
        how = read_fate(status)
        if how:
            outcome = how if how in ("time", "memory", "killed") else "crash"
            printed = self._printed.text()
            values = (outcome, self._seconds * 1000, 0, 0, None, printed, "", False, 0)
            self._sockets.send(["tried", self._token, self._index, *values])
            return False
        return os.WEXITSTATUS(status) == FAILED

    def _error(self, index: int) -> str:
        """The error of a step, "" if it did not fail."""
        begin = _BEGIN + _ERROR * index
        return self._page[begin : begin + _ERROR].rstrip(b"\0").decode("latin-1")

    @property
    def _index(self) -> int:
        """The step that was computed last, in any fork."""
        return int.from_bytes(self._page[:_BEGIN], "big")
