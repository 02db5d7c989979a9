"""Chooses the tests to run: files by name, tests by an expression, and those that failed last."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from aoshell.bounded.files import is_folder, is_there, shown
from aoshell.errors import UsageError

PATTERNS = ("*_test.lua", "test_*.lua")
DEEPEST = 50  # brackets around a part of an expression

_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<sign>[()])|(?P<word>[^\s()"'][^\s()]*))"""
)
_OPERATORS = frozenset({"and", "or", "not", "(", ")"})
_QUOTE = "put quotes around a text that holds and, or, not or brackets"

Test = Callable[[str], bool]
"""Whether a name is chosen."""


def find_test_files(given: Iterable[str]) -> list[Path]:
    """The given test files, also those in given folders; by default those below the current folder.

    Raises:
        UsageError: there is no such file or folder, no test file in it, or it cannot be read.
    """
    found: dict[Path, None] = {}
    for path in [Path(name) for name in given] or [Path()]:
        if not is_there(path):
            raise UsageError(f"there is no file {shown(path)}", hint="aoshell test [FILE|FOLDER…]")
        found.update(dict.fromkeys(_below_folder(path) if is_folder(path) else [path]))
    if not found:
        raise UsageError("there are no test files", hint=f"they are named {' or '.join(PATTERNS)}")
    return list(found)


def _below_folder(folder: Path) -> list[Path]:
    """Test files, in order; hidden folders are left out.

    Raises:
        UsageError: a folder cannot be read: its tests would be left out silently.
    """
    found: list[Path] = []
    for where, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        chosen = {name for pattern in PATTERNS for name in fnmatch.filter(names, pattern)}
        found += [Path(where, name) for name in chosen if not name.startswith(".")]
    return sorted(found)


def _refuse_folder(error: OSError) -> NoReturn:
    raise UsageError(
        f"the folder {error.filename} cannot be read: {error.strerror}",
        hint="name the files and folders of tests: aoshell test FILE|FOLDER…",
    ) from error


def parse_choice(expression: str) -> Test:
    """The predicate of an expression; "" chooses all tests.

    Texts match parts of names, ignoring case; adjacent words are one text. Texts are joined by
    `and`, `or`, `not` and brackets, as in pytest's `-k`.

    Raises:
        UsageError: it is not a valid expression.
    """
    if not expression.strip():
        return lambda _name: True
    parser = _Parser(expression)
    chosen = parser.either(0)
    if parser.ahead:
        parser.refuse(f"nothing may follow before {parser.ahead!r}")
    return chosen


class _Parser:
    """Parses an expression from left to right: `or` binds least, `not` most.

    Attributes:
        ahead: the next operator or bracket, or a text as it was quoted; "" at the end.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        self._tokens = iter(_tokens(expression))
        self.ahead, self._text = next(self._tokens, ("", False))

    def refuse(self, why: str) -> None:
        raise UsageError(f"-k {self._expression!r} is not a valid expression: {why}", hint=_QUOTE)

    def either(self, depth: int) -> Test:
        """Parts joined by `or`."""
        parts = [self._both(depth)]
        while self._take("or"):
            parts.append(self._both(depth))
        return lambda name: any(part(name) for part in parts)

    def _both(self, depth: int) -> Test:
        parts = [self._one(depth)]
        while self._take("and"):
            parts.append(self._one(depth))
        return lambda name: all(part(name) for part in parts)

    def _one(self, depth: int) -> Test:
        if depth > DEEPEST:
            self.refuse(f"more than {DEEPEST} of not and brackets are nested")
        if self._take("not"):
            negated = self._one(depth + 1)
            return lambda name: not negated(name)
        if self._take("("):
            inner = self.either(depth + 1)
            if not self._take(")"):
                self.refuse("a bracket is not closed")
            return inner
        if not self._text:
            self.refuse(f"a text is expected, not {self.ahead!r}" if self.ahead else "it ends")
        words = []
        while self._text:
            words.append(self.ahead)
            self._next()
        wanted = " ".join(words).lower()
        return lambda name: wanted in name.lower()

    def _take(self, operator: str) -> bool:
        if self._text or self.ahead != operator:
            return False
        self._next()
        return True

    def _next(self) -> None:
        self.ahead, self._text = next(self._tokens, ("", False))


def _tokens(expression: str) -> Iterator[tuple[str, bool]]:
    """Each token, and whether it is a text."""
    at = 0
    while expression[at:].strip():
        found = _TOKEN.match(expression, at)
        if found is None:
            raise UsageError(f"-k {expression!r} has a quote without an end", hint=_QUOTE)
        at = found.end()
        if found["quoted"]:
            yield found["quoted"][1:-1], True
        else:
            yield found[0].strip(), found[0].strip() not in _OPERATORS
