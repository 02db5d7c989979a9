"""Judges the outcome of a message."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aoshell.fuzz.holding import Holding
from aoshell.fuzz.sequences import Step
from aoshell.nodes.local.log import form
from aoshell.nodes.local.replaying.rehearsal import Performed, output_of
from aoshell.shell.view.errors_view import split_error
from aoshell.shell.view.text import without_colours
from aoshell.testing.code.invariants import marked, reported_values

# Errors of Lua itself, unlike those of a script that refuses a message.
_CRASH = re.compile(
    r"""attempt\ to\ (?:index|call|compare|concatenate|perform|get\ length|divide|yield)
    |bad\ argument\ \#\d|number\ has\ no\ integer\ representation|stack\ overflow
    |number\ (?:overflow|\w+\ out\ of\ range)|string\ slice\ too\ long|invalid\ value\ \(at\ index
    |invalid\ order\ function|malformed\ (?:pattern|number)|table\ index\ is\ (?:nil|NaN)
    |'for'\ \w+\ (?:value\ )?must\ be""",
    re.VERBOSE,
)
# Texts of wasmtime for traps in a module's code.
_TRAP = re.compile(
    r"unreachable|out of bounds|undefined element|uninitialized element|integer (?:divide|overflow)"
    r"|indirect call|invalid conversion to integer|call stack exhausted|null (?:reference|pointer)"
)
# What Lua in WebAssembly says where its memory cannot grow: the limit of our own host.
_FULL = re.compile(r'(?:\[string "[\w.-]+"\]:\d+: )*not enough memory')
# By aos, at the beginning; searched for elsewhere, it would take the square of the error's length.
_RAISED_AGAIN = re.compile(r'\A(?:\[string "[\w.-]+"\]:\d+: )+(?=\S+:\d+: )')
# A name is tried from its first character only: a long text without a place would take the square
# of its length.
_FILE = r"(?<![^\s:\"])[^\s:\"]++"
_PLACE = re.compile(rf"(?P<file>{_FILE}):(?P<line>\d+): ")
_AT = re.compile(rf"{_FILE}:\d+")
_VARYING = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])|\d+")  # addresses, ids, numbers


def reason_of(error: str) -> str:
    """The first line of a raised error, without the places that aos puts before it."""
    return _RAISED_AGAIN.sub("", split_error(error)[1].split("\n")[0], count=1)


@dataclass(frozen=True, slots=True)
class FuzzVerdict:
    """What is wrong.

    Attributes:
        kind: "invariant", "answer", "raises", "time", "memory" or "crash".
        about: the invariant or the handler.
        text: one line.
    """

    kind: str
    about: str
    text: str

    @property
    def is_of_handler(self) -> bool:
        """Whether `about` is a handler that the text does not name."""
        return bool(self.about) and self.kind not in ("invariant", "answer")

    @property
    def is_death(self) -> bool:
        """Whether a limit stopped the message."""
        return self.kind in ("time", "memory", "crash")

    def fault(self, handler: str) -> tuple[str, str, str]:
        """Identifies this fault: by its line of code, else by handler and text without numbers.

        Args:
            handler: the one that the message is for.
        """
        place = _AT.search(self.text) if self.kind == "raises" or self.is_death else None
        if place and self.is_death:
            return self.kind, "", place[0]
        what = "" if self.is_death else _VARYING.sub("…", self.text)
        return self.kind, f"{self.about} {place[0] if place else handler}", what

    @property
    def same(self) -> tuple[str, str, str]:
        """What a shorter sequence must show as well."""
        if self.kind != "raises":
            return self.kind, self.about, ""
        place = _PLACE.search(self.text)
        return self.kind, self.about, place[0] if place else self.text


class Oracle:
    """Judges outcomes.

    Args:
        mark: prefix of the errors of invariants, and of printed states.
        holding: invariants in Python, None without.
        seconds, memory: limits of a message (seconds) and of the process (bytes).
        is_bare: WebAssembly without Lua: only traps are faults.
    """

    def __init__(
        self,
        mark: str,
        seconds: float,
        memory: int,
        holding: Holding | None = None,
        *,
        is_bare: bool = False,
    ) -> None:
        self.mark = mark
        self.is_bare = is_bare
        self._holding = holding
        self._seconds = seconds
        self._memory = memory

    @property
    def _full(self) -> str:
        return f"it needs more than {self._memory >> 20} MB"

    def judge(self, step: Step, done: Performed) -> FuzzVerdict | None:
        """The verdict on a message's outcome; None if nothing is wrong."""
        if done.outcome == "ok":
            return self._of_states(done) if self._holding else None
        if done.outcome == "error":
            return self._of_error(step, form.widen(str(done.result.error)))
        return self._of_death(step, done)

    def _of_states(self, done: Performed) -> FuzzVerdict | None:
        assert self._holding is not None
        values = reported_values(without_colours(output_of(done.result)), self.mark)
        if not isinstance(values, dict):  # it waits for another message
            return None
        before, after = (values[name] or {} for name in ("before", "after"))
        broken = self._holding.broken(before, after, values["msg"])
        if broken is None:
            return None
        return FuzzVerdict("invariant", broken[0], f'invariant "{broken[0]}" {broken[1]}')

    def _of_error(self, step: Step, error: str) -> FuzzVerdict | None:
        if broken := marked(error, self.mark):
            text = without_colours(broken).split("\n")[0]
            kind, _, rest = text.partition(" ")
            about = rest.partition('"')[2].partition('"')[0]
            return FuzzVerdict("answer" if kind == "handler" else "invariant", about, text)
        reason = reason_of(error)
        if _FULL.fullmatch(reason):
            return FuzzVerdict("memory", step.handler, self._full)
        if step.formed and (_CRASH.search(reason) or (self.is_bare and _TRAP.search(reason))):
            return FuzzVerdict("raises", step.handler, reason)
        return None

    def _of_death(self, step: Step, done: Performed) -> FuzzVerdict:
        where = f", at {done.line}" if done.line else ""
        what = {
            "time": f"it computes for more than {self._seconds:g} s{where}",
            "memory": f"{self._full}{where}",
        }.get(done.outcome, f"its worker dies under it{where}")
        return FuzzVerdict(done.outcome, step.handler, what)
