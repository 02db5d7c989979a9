"""Where an error of Lua is: the source line with its number, and a caret under the place."""

from __future__ import annotations

import re
from collections.abc import Mapping

from aoshell.shell import lua

TYPED = '[string "aos"]'
"""The name under which a process compiles what was typed."""

_PLACE = re.compile(
    r'(?P<chunk>\[string "[^"\n]*"\]|[^\s:\[\]"\'][^:\n\[\]"]*):(?P<line>\d+): (?P<what>[^\n]*)'
)
_NEAR = re.compile(r"near (?:'(?P<token>.*)'|<eof>)$", re.DOTALL)
_VARIABLE = re.compile(r"\((?:global|local|upvalue|field|method|constant) '([^']+)'\)")
_WIDEST = 160


def view(error: str, sources: Mapping[str, str]) -> str:
    """The lines to show below an error message, "" where no source is known for it.

    Args:
        error: the message of Lua, perhaps with a traceback.
        sources: text by chunk name: `TYPED`, and files by the path that messages use.
    """
    for place in _PLACE.finditer(error):
        source = _source(place["chunk"], sources)
        if source is None:
            continue
        lines = re.split(r"\r\n|\n\r|\r|\n", source)
        number, what = int(place["line"]), error[place.start("what") :]
        if not 1 <= number <= len(lines):
            continue
        if what.split("\n", 1)[0].endswith("near <eof>"):
            number = max(n for n, line in enumerate(lines, 1) if line.strip() or n == 1)
        line = lines[number - 1]
        column = _column(what, lines, number)
        return "" if column is None else _drawn(number, line, column)
    return ""


def _source(chunk: str, sources: Mapping[str, str]) -> str | None:
    if chunk in sources:
        return sources[chunk]
    # Lua shortens long names from the left: "...sub/folder/file.lua".
    tail = chunk.removeprefix("...")
    if tail == chunk:
        return None
    return next((text for name, text in sources.items() if name.endswith(tail)), None)


def _column(what: str, lines: list[str], number: int) -> int | None:
    """Index into the line, or None where the message names something that is not in it."""
    line, message = lines[number - 1], what.split("\n", 1)[0]
    if message.endswith("near <eof>"):
        return len(line.rstrip())
    if near := _NEAR.search(message) or _NEAR.search(what):
        return _stop(lines, number, near["token"])
    if variable := _VARIABLE.search(message):
        found = re.search(rf"(?<!\w){re.escape(variable[1])}(?!\w)", line)
        return found.start() if found else None
    return len(line) - len(line.lstrip())


def _stop(lines: list[str], number: int, token: str) -> int:
    """Where the parser stopped: the first place of the token from which on the text is wrong."""
    line, before = lines[number - 1], "\n".join(lines[: number - 1])
    token = token.split("\n", 1)[0]
    places = [match.start() for match in re.finditer(re.escape(token), line)]
    for start in places:
        head = f"{before}\n{line[: start + len(token)]}" if before else line[: start + len(token)]
        error = lua.syntax_error(head)
        if error and not error.endswith("near <eof>"):
            return start
    return places[-1] if places else len(line) - len(line.lstrip())


def _drawn(number: int, line: str, column: int) -> str:
    start = max(0, column - _WIDEST // 2) if len(line) > _WIDEST else 0
    shown = line[start : start + _WIDEST]
    gutter, blank = f"  {number} │ ", " " * len(f"  {number} ") + "│ "
    width = len(_even(shown[: column - start]))
    return f"{gutter}{_even(shown)}\n{blank}{' ' * width}^"


def _even(text: str) -> str:
    """Text of which each character takes one column: a tab and whatever is not printable."""
    return "".join(c if c.isprintable() else "  " if c == "\t" else "?" for c in text)
