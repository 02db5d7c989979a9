"""Invariants in Python: declared in the user's file, checked after each message.

from aoshell.fuzz import invariant, state

state("balances", "Balances")  # a Lua expression

@invariant("nobody owes")
def nobody_owes(before, after, msg):
    return all(int(balance) >= 0 for balance in after["balances"].values())
"""

from __future__ import annotations

import runpy
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

from aoshell.errors import AoError, UsageError
from aoshell.protocol.message import text
from aoshell.shell.code.bundle import short_string
from aoshell.testing.testbed.answers import Answer, Mail
from aoshell.testing.testbed.sync import Process

SECONDS = 1.0  # of processor time that one invariant may take
T = TypeVar("T")
Values = Mapping[str, Any]
Holds = Callable[[Values, Values, Values], object]


class TooLongError(Exception):
    """An invariant computes for too long; the text says where."""


@dataclass
class Holding:
    """What a file declares.

    Attributes:
        states: name → a Lua expression.
        invariants: name → the function that says whether it holds.
        answering: handlers that must answer.
    """

    path: Path
    states: dict[str, str] = field(default_factory=dict)
    invariants: dict[str, Holds] = field(default_factory=dict)
    answering: list[str] = field(default_factory=list)

    @property
    def expression(self) -> str:
        """Lua: a table of all states."""
        parts = (f"[{_quoted(name)}] = ({one})" for name, one in self.states.items())
        return f"{{ {', '.join(parts)} }}"

    @property
    def lua(self) -> str:
        """The same declarations in Lua, without the invariants."""
        return "\n".join(
            f"state({_quoted(name)}, function() return {one} end)"
            for name, one in self.states.items()
        )

    def broken(self, before: Values, after: Values, msg: Values) -> tuple[str, str] | None:
        """The first broken invariant, and how; None if all are true."""
        for name, holds in self.invariants.items():
            try:
                with _limited():
                    answer = holds(before, after, msg)
            except (Exception, SystemExit) as error:
                return name, f"raised: {self._place(error)}{type(error).__name__}: {error}"
            if answer is False:
                return name, "does not hold"
        return None

    def _place(self, error: BaseException) -> str:
        """The line of the user's file that raised it."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [one for one in frames if one.filename == str(self.path)]
        return f"{self.path.name}:{own[-1].lineno}: " if own else ""


_declared: list[Holding] = []  # the file being loaded is last


def _declaring() -> Holding:
    if not _declared:
        raise UsageError("invariants are declared in a file for aoshell fuzz", hint="docs/fuzz.md")
    return _declared[-1]


def state(name: str, expression: str) -> None:
    """Declare a Lua expression whose value before and after each message invariants get."""
    _declaring().states[name] = expression


def invariant(name: str) -> Callable[[Holds], Holds]:
    """Declare that a function of (before, after, msg) never returns False and never raises."""

    def declare(holds: Holds) -> Holds:
        _declaring().invariants[name] = holds
        return holds

    return declare


def answers(*handlers: str) -> None:
    """Declare that these handlers answer each message that they handle, or fail."""
    _declaring().answering += handlers


def read_holding(path: Path) -> Holding:
    """Run a Python file; returns what it declares.

    Raises:
        AoError: stage "fuzz", it raises.
    """
    found = Holding(path)
    _declared.append(found)
    try:
        runpy.run_path(str(path))
    except SyntaxError as error:
        place = f"{Path(error.filename or path).name}:{error.lineno}"
        raise _unloadable(path, f"{place}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        what = f"{found._place(error)}{type(error).__name__}: {error}"
        raise _unloadable(path, what) from error
    finally:
        _declared.pop()
    return found


def _unloadable(path: Path, why: str) -> AoError:
    return AoError(f"the invariants do not load: {why}", stage="fuzz", hint=f"mend {path}")


class Checked:
    """A process of a test. Invariants in Python are checked after each of its messages."""

    def __init__(self, process: Process, file: Path | str) -> None:
        self.process = process
        self._holding = read_holding(Path(file))

    def send(self, /, action: str = "", data: str = "", **named: Any) -> Answer:
        """As `process.send`. Raises AssertionError where an invariant is broken."""
        return self.by(self.process, action, data, **named)

    def by(self, sender: Process, /, action: str = "", data: str = "", **named: Any) -> Answer:
        """Send to another process, which then sends something to this one."""
        return self.check(lambda: sender.send(action, data, **named))

    def check(self, act: Callable[[], T]) -> T:
        """Call something that gives the process a message: `process.tick`, `process.replay`."""
        before = self.process.value(self._holding.expression)
        came = act()
        newest = self.process.entries()[-1]
        if newest.result is None or not newest.result.ok:
            return came
        after = self.process.value(self._holding.expression)
        mail = Mail.received(newest.message)
        msg = {**mail.tags, "From": mail.sender, "Data": mail.data}
        broken = self._holding.broken(before or {}, after or {}, msg)
        if broken:
            raise AssertionError(f'invariant "{broken[0]}" {broken[1]}')
        return came


def _quoted(string: str) -> str:
    return text(short_string(string))


@contextmanager
def _limited() -> Iterator[None]:
    """Stop the block if it computes for too long."""

    def end(_number: int, frame: FrameType | None) -> None:
        where = f" at line {frame.f_lineno}" if frame else ""
        raise TooLongError(f"it computes for more than {SECONDS:g} s{where}")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
