"""How long code takes: .time and .bench."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from aoshell.errors import UsageError
from aoshell.lua import compiling
from aoshell.lua.references import masked
from aoshell.protocol.encoding import brief
from aoshell.shell.attached.questions import dryrun
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.flags.limits import MEGABYTE
from aoshell.shell.outcome import CommandOutput, LineAnswer
from aoshell.shell.table import Table

KEEP = "--keep"
RUNS, MOST_RUNS = 100, 10_000  # runs of .bench: default and limit
_WARM = 1  # runs before those that count: the first one may start a worker


@dataclass(frozen=True, slots=True)
class Run:
    """One evaluation.

    Attributes:
        whole: milliseconds from here to the answer.
    """

    answer: LineAnswer
    whole: float

    @property
    def memory(self) -> int:
        """Bytes of the process's heap afterwards."""
        return self.answer.last.memory


@command("time")
async def time_(session: Session, given: Given) -> CommandOutput:
    """Evaluate Lua read-only, and show how long that took.

    With --keep it is a normal line: its effects stay.
    """
    keep = given.has(KEEP)
    run = await _run(session, given["CODE"], keep)
    value = {
        "kept": keep,
        "ms": round(run.answer.milliseconds, 3),
        "whole_ms": round(run.whole, 3),
        "gas": run.answer.gas,
        "memory": run.memory,
    }
    return CommandOutput(value, text=_times_text(session, run), answer=run.answer, ok=run.answer.ok)


def _times_text(session: Session, run: Run) -> str:
    parts = [] if session.remote else [f"{run.answer.milliseconds:.1f} ms computing"]
    parts += [f"{run.whole:.1f} ms in all"]
    parts += [f"{run.answer.gas:,} gas"] if run.answer.gas else []
    parts += [f"{run.memory / MEGABYTE:.1f} MB of memory"] if run.memory else []
    return " · ".join(parts)


@command("bench")
async def bench(session: Session, given: Given) -> CommandOutput:
    """Evaluate Lua N times (100) read-only, and show how long it takes and how that varies.

    With --keep each run is a message that stays in the log, and begins in the state after the one
    before. The first run is not counted. If the whole text is Lua, the last number belongs to it.
    """
    keep = given.has(KEEP)
    code, count = split_count(given.plain)
    runs: list[Run] = []
    for number in range(_WARM + count):
        run = await _run(session, code, keep)
        if not run.answer.ok:
            return CommandOutput(
                {"kept": keep, "runs": number},
                text=f"run {number + 1} failed",
                answer=run.answer,
                ok=False,
            )
        runs.append(run)
    return _report(session, runs[_WARM:], keep)


def split_count(text: str) -> tuple[str, int]:
    """Code, and how often to run it.

    Raises:
        UsageError: the number is not one that `.bench` takes.
    """
    head, _, last = text.rpartition(" ")
    if not last.isdecimal() or not head.strip() or not compiling.check_line(masked(text)).error:
        return text, RUNS
    if not (re.fullmatch("[0-9]{1,9}", last) and 1 <= int(last) <= MOST_RUNS):
        raise UsageError(f"it cannot run {brief(last)[1:-1]} times", hint=f"1 to {MOST_RUNS:,}")
    return head.strip(), int(last)


async def _run(session: Session, code: str, keep: bool) -> Run:
    asked = await session.naming.in_lua(code)
    begin = time.perf_counter()
    if keep:
        answer = await session.evaluate(asked, shown=code)
    else:
        answer = await dryrun(session, asked, shown=code)
    return Run(answer, (time.perf_counter() - begin) * 1000)


def _report(session: Session, runs: Sequence[Run], keep: bool) -> CommandOutput:
    measured = {
        "whole ms": [run.whole for run in runs],
        "gas": [float(run.answer.gas) for run in runs],
        "memory MB": [run.memory / MEGABYTE for run in runs],
    }
    if not session.remote:  # other nodes do not report how long they computed
        measured = {"computing ms": [run.answer.milliseconds for run in runs], **measured}
    spreads = {name: spread(numbers) for name, numbers in measured.items() if any(numbers)}
    rows = tuple((name, *map(_shown, numbers.values())) for name, numbers in spreads.items())
    columns = ("", "LEAST", "MEDIAN", "P95", "MOST")
    value = {"kept": keep, "runs": len(runs)} | {
        name.replace(" ", "_"): {key: round(number, 4) for key, number in numbers.items()}
        for name, numbers in spreads.items()
    }
    how = "each kept in the log" if keep else "read-only"
    note = f"{len(runs)} run{'s' if len(runs) > 1 else ''}, {how}"
    return CommandOutput(value, table=Table(columns, rows, frozenset(columns[1:])), note=note)


def spread(numbers: Sequence[float]) -> dict[str, float]:
    """Least, median, 95th percentile (nearest rank) and most."""
    ordered = sorted(numbers)
    rank = math.ceil(0.95 * len(ordered)) - 1
    return {
        "least": ordered[0],
        "median": median(ordered),
        "p95": ordered[rank],
        "most": ordered[-1],
    }


def _shown(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 or number == int(number) else f"{number:.3g}"
