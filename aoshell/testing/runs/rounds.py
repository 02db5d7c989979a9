"""One round: the chosen tests of some files, in order, one by one or several at once."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from aoshell import interrupts
from aoshell.bounded.files import real
from aoshell.testing.runs.choosing import Test
from aoshell.testing.runs.lasting import Failed
from aoshell.testing.runs.outcomes import TestOutcome
from aoshell.testing.runs.parallel import Parallel, Unit
from aoshell.testing.runs.running import Runner, TestFile

MOST_AT_ONCE = 64  # processes that run tests
_OF_ITSELF = 8  # most processes by default
_WORTH = 4  # tests per process that make its start worthwhile, by default

Step = Unit | TestOutcome
"""A test to run, or the outcome of a file that could not be loaded."""

Show = Callable[[TestOutcome], None]
Until = Callable[["Round"], Coroutine[Any, Any, None]]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Plan:
    """How tests are chosen and run.

    Attributes:
        chosen: whether a test runs, by its name.
        only: run only these, if not None.
        at_once: processes that run tests; 0: as many as are worthwhile.
        stop: stop at the first test that fails.
    """

    chosen: Test
    only: Failed | None = None
    at_once: int = 0
    stop: bool = False


@dataclass(slots=True)
class Round:
    """The result of a round.

    Attributes:

        outcomes: by file, in the order in which files were given and declare their tests.
        files: as they were loaded.
        seconds: how long it took.
        stopped: a test failed, so others were not run.
        broken: it was ended from outside.
    """

    outcomes: list[TestOutcome] = field(default_factory=list)
    files: list[TestFile] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False
    broken: bool = False


class _BrokenError(Exception):
    """The round was ended from outside."""


def run_round(
    runner: Runner, paths: Sequence[Path], plan: Plan, show: Show, until: Until | None = None
) -> Round:
    """Run the tests of files; `show` is called with each outcome, in order.

    Args:
        until: the round ends once this returns; it gets the round so far.

    Raises:
        KeyboardInterrupt: Ctrl-C; running tests are ended.
    """
    begin, found = time.perf_counter(), Round()
    try:
        steps = interrupts.run(_unless(until, found, _alone(runner, paths, plan, found, show)))
        if steps:
            _run_parallel(runner, steps, plan, found, show, until)
    except _BrokenError:
        found.broken = True
    found.seconds = time.perf_counter() - begin
    return found


def _run_parallel(
    runner: Runner,
    steps: Sequence[Step],
    plan: Plan,
    found: Round,
    show: Show,
    until: Until | None,
) -> None:
    parallel = Parallel(runner, found.files, _processes(plan, found, steps))
    try:
        outcomes = parallel.run(_units(steps), plan.stop)
        interrupts.run(_unless(until, found, _gather(steps, outcomes, plan, found, show)))
        parallel.take_coverage()
    finally:
        parallel.close()


async def _unless(until: Until | None, found: Round, work: Coroutine[Any, Any, _T]) -> _T:
    """The result of some work. Raises _BrokenError if `until` returns first."""
    if until is None:
        return await work
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(until(found))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            return tasks[0].result()
        raise _BrokenError
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _alone(
    runner: Runner, paths: Sequence[Path], plan: Plan, found: Round, show: Show
) -> list[Step]:
    """Load files, and run their tests unless several processes are worthwhile; returns the rest."""
    try:
        found.files += [await runner.open(path) for path in paths]
        steps = [
            step for place, file in enumerate(found.files) for step in _steps(place, file, plan)
        ]
        if _processes(plan, found, steps) > 1:
            return steps
        outcomes = _one_by_one(runner, found.files, _units(steps))
        await _gather(steps, outcomes, plan, found, show)
        return []
    finally:
        runner.forget_guest()


def _steps(place: int, file: TestFile, plan: Plan) -> list[Step]:
    """The tests of a file to run, or the outcome if it could not be loaded."""
    if file.problem is not None:
        return [file.problem]
    path = str(real(file.path))
    named = None if plan.only is None else {name for at, name in plan.only if at == path}
    whole = named is not None and "" in named  # it could not be loaded last time
    return [
        (place, index)
        for index, test in enumerate(file.tests)
        if plan.chosen(test.name) and (named is None or whole or test.name in named)
    ]


def _units(steps: Sequence[Step]) -> list[Unit]:
    return [step for step in steps if isinstance(step, tuple)]


def _processes(plan: Plan, found: Round, steps: Sequence[Step]) -> int:
    units = _units(steps)
    tests = sum(not found.files[file].tests[test].skipped for file, test in units)
    if plan.at_once:
        return min(plan.at_once, tests)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(cores or 1, _OF_ITSELF, tests // _WORTH)


async def _one_by_one(
    runner: Runner, files: Sequence[TestFile], units: Sequence[Unit]
) -> AsyncIterator[tuple[Unit, TestOutcome]]:
    for unit in units:
        yield unit, await runner.run(files[unit[0]], unit[1])


async def _gather(
    steps: Sequence[Step],
    outcomes: AsyncIterator[tuple[Unit, TestOutcome]],
    plan: Plan,
    found: Round,
    show: Show,
) -> None:
    """Show outcomes in the order of the steps, not of their arrival."""
    early: dict[Unit, TestOutcome] = {}
    for step in steps:
        while isinstance(step, tuple) and step not in early:
            unit, came = await anext(outcomes)
            early[unit] = came
        outcome = early.pop(step) if isinstance(step, tuple) else step
        found.outcomes.append(outcome)
        show(outcome)
        if plan.stop and outcome.bad:
            found.stopped = True
            return
