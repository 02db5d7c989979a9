"""Runs tests in several processes at once: forks of this one, which have loaded the files.

Each runs one test at a time and sends back its outcome. They share the zygote that forks sandboxes,
and die with this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

from aoshell.errors import AoError
from aoshell.sandbox.worker.confine import die_with_parent
from aoshell.sandbox.worker.fates import describe_fate, read_fate
from aoshell.testing.runs.outcomes import TestFailure, TestOutcome
from aoshell.testing.runs.running import Runner, TestFile

Unit = tuple[int, int]
"""A test: the index of its file, and its index in the file."""

ENDING = 5.0  # seconds that a fork may take to clean up before it is killed
_CTRL_C = {signal.SIGINT}
_LOOK = 0.005  # seconds between two checks whether it has ended


@dataclass(slots=True)
class _Part:
    """A fork that runs tests; `unit` is the one that it runs."""

    pid: int
    pipe: Connection
    unit: Unit = (0, 0)


class Parallel:
    """Forks of this process that run tests of these files.

    Must be made while no event loop runs: the forks would inherit it.

    Raises:
        AoError: no process can be started.
    """

    def __init__(self, runner: Runner, files: Sequence[TestFile], count: int) -> None:
        self._runner = runner
        self._files = files
        self._parts: list[_Part] = []
        try:
            for _ in range(count):
                self._parts.append(_fork(runner, files, self._parts))
        except OSError as error:
            self.close()
            raise AoError(
                f"no process for tests can be started: {error.strerror or error}",
                stage="sandbox",
                hint="run fewer at once: -j 1",
            ) from error

    def close(self) -> None:
        """End the forks and what they run."""
        for part in self._parts:
            part.pipe.close()
            with contextlib.suppress(ProcessLookupError):
                os.kill(part.pid, signal.SIGINT)
        deadline = time.monotonic() + ENDING
        for part in self._parts:
            while _status(part.pid) is None:
                if time.monotonic() > deadline:
                    os.kill(part.pid, signal.SIGKILL)
                time.sleep(_LOOK)
        self._parts.clear()

    async def run(
        self, units: Sequence[Unit], stop: bool = False
    ) -> AsyncIterator[tuple[Unit, TestOutcome]]:
        """The outcomes of tests, each as soon as it is known.

        Args:
            stop: begin no more tests once one has failed; all tests before it have begun by then.
        """
        loop, waiting = asyncio.get_running_loop(), deque(units)
        came: asyncio.Queue[tuple[_Part, object]] = asyncio.Queue()
        for part in self._parts:
            loop.add_reader(part.pipe.fileno(), self._take, part, came)
        try:
            running = sum(_hand_next(part, waiting) for part in self._parts)
            while running:
                part, found = await came.get()
                running -= 1
                if isinstance(found, Exception):
                    raise found
                assert isinstance(found, TestOutcome)
                yield part.unit, found
                if stop and found.bad:
                    waiting.clear()
                if part in self._parts:
                    running += _hand_next(part, waiting)
            for unit in waiting:
                yield unit, self._lost(unit, "no process is left to run it")
        finally:
            for part in self._parts:
                loop.remove_reader(part.pipe.fileno())

    def take_coverage(self) -> None:
        """Add the counts of the forks; each ends its test first, and runs no more tests."""
        if self._runner.coverage is None or self._runner.apart:
            return
        for part in self._parts:
            with contextlib.suppress(EOFError, OSError):  # it has ended, and this is reported
                part.pipe.send(None)
                while not isinstance(found := part.pipe.recv(), dict):
                    pass  # the outcome of a test that nobody waits for any more
                self._runner.coverage.add(found)

    def _take(self, part: _Part, came: asyncio.Queue[tuple[_Part, object]]) -> None:
        try:
            came.put_nowait((part, part.pipe.recv()))
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(part.pipe.fileno())
            self._parts.remove(part)
            part.pipe.close()
            _pid, status = os.waitpid(part.pid, 0)
            fate = read_fate(status)
            how = describe_fate(fate, 0) if fate else "ended by itself"
            came.put_nowait((part, self._lost(part.unit, f"the process that ran it {how}")))

    def _lost(self, unit: Unit, why: str) -> TestOutcome:
        file = self._files[unit[0]]
        return TestOutcome(str(file.path), file.tests[unit[1]].name, "error", 0.0, TestFailure(why))


def _status(pid: int) -> int | None:
    """The status with which a child ended, None while it runs."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return status if ended else None


def _hand_next(part: _Part, waiting: deque[Unit]) -> int:
    """Give the next test to a fork; returns how many were given: 0 or 1."""
    if not waiting:
        return 0
    part.unit = waiting.popleft()
    with contextlib.suppress(OSError):  # it has ended, which the next read shows
        part.pipe.send(part.unit)
    return 1


def _fork(runner: Runner, files: Sequence[TestFile], others: Sequence[_Part]) -> _Part:
    ours, theirs = multiprocessing.Pipe()
    # Ctrl-C waits until the fork can take it: what it begins then is put away.
    signal.pthread_sigmask(signal.SIG_BLOCK, _CTRL_C)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _CTRL_C)
    if pid == 0:
        try:
            die_with_parent(True)
            ours.close()
            for other in others:
                other.pipe.close()
            runner.forked()
            gc.freeze()  # present objects stay, so garbage collection can skip them
            asyncio.run(_serve(runner, files, theirs))
        finally:
            os._exit(0)
    theirs.close()
    return _Part(pid, ours)


async def _serve(runner: Runner, files: Sequence[TestFile], pipe: Connection) -> None:
    """Run tests in a fork until the pipe ends or Ctrl-C stops one."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        loop.add_signal_handler(signal.SIGINT, lambda: None)  # cleanup is not interrupted
        task.cancel()

    loop.add_signal_handler(signal.SIGINT, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _CTRL_C)
    try:
        await _run_asked(runner, files, pipe)
    finally:
        # While the loop closes, asyncio would print that it cannot handle the signal.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


async def _run_asked(runner: Runner, files: Sequence[TestFile], pipe: Connection) -> None:
    loop = asyncio.get_running_loop()
    while True:
        ready: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pipe.fileno(), ready.set_result, None)
        try:
            await ready
        finally:
            loop.remove_reader(pipe.fileno())
        try:
            asked = pipe.recv()
        except (EOFError, OSError):
            return
        if asked is None:
            if runner.coverage is not None:
                pipe.send(runner.coverage.packed())
            return
        file, test = asked
        try:
            found: object = await runner.run(files[file], test)
        except Exception as error:
            found = RuntimeError("".join(traceback.format_exception(error)))
        pipe.send(found)
