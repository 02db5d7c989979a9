"""Shows where an error of Lua is: the source line with its number, and a caret under the place."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from aoshell.protocol.message import Result
from aoshell.shell.view.text import SGR, width_of, without_colours

if TYPE_CHECKING:
    from aoshell.lua.lexer import Token

TYPED = '[string "aos"]'
"""The name under which a process compiles what was typed."""

# A process chooses the text of its errors, so no search in it may take longer than its length
# allows: names are bounded (Lua shortens them to 59 characters), and so are the characters and the
# places that are looked at.
_READ = 64 << 10  # characters of an error
_PLACES = 100  # places in it
_PLACE = re.compile(
    r'(?P<chunk>\[string "[^"\n]{0,255}"\]|[^\s:\[\]"\'][^:\n\[\]"]{0,255}):(?P<line>\d{1,9}): '
)
# What an environment prints above the reason, in colour.
_HEADING = re.compile(rf"(?:^|\n)(?:{SGR.pattern})*error:(?:{SGR.pattern})*\n")
_NEAR = "near '"
_VARIABLE = re.compile(
    r"\((?:global|local|upvalue|field|method|constant) '([^']+)'\)|^bad argument #\d+ to '([^']+)'"
)
NAMED_FIELD = re.compile(r"\((?:field|method) '([^']+)'\)")
"""How Lua names the field or method that an operation failed on."""

_RAISING = frozenset({"error", "assert"})
_WIDEST = 160


def split_error(error: str) -> tuple[str, str]:
    """The text printed before a message failed, and Lua's error message; both without colours."""
    *before, reason = map(without_colours, _HEADING.split(error))
    return "\n".join(before).strip("\n"), reason.strip("\n")


def show_source(error: str, sources: Mapping[str, str]) -> str:
    """The lines to show below an error message, "" where no source is known for it.

    Args:
        error: the message of Lua, perhaps with a traceback.
        sources: text by chunk name: `TYPED`, and files by the path that messages use.
    """
    _, error = split_error(error)  # printed text may name places, too
    for place in islice(_PLACE.finditer(error, 0, _READ), _PLACES):
        source = _source(place["chunk"], sources)
        if source is None:
            continue
        from aoshell.lua.lexer import BREAK  # not needed at a start without errors

        lines = BREAK.split(source)
        number, what = int(place["line"]), error[place.end() : _READ]
        if not 1 <= number <= len(lines):
            continue
        if what.split("\n", 1)[0].endswith("near <eof>"):
            number = max(n for n, line in enumerate(lines, 1) if line.strip() or n == 1)
        line = lines[number - 1]
        column = _column(what, lines, number)
        return "" if column is None else _drawn(number, line, column)
    return ""


def names_a_file(error: str) -> bool:
    """Whether an error names a line of a file, not only of typed text."""
    _, reason = split_error(error)
    return any(place["chunk"][0] != "[" for place in _PLACE.finditer(reason, 0, _READ))


def place_of(error: str, source: str) -> int | None:
    """The offset in a source of an error of Lua's compiler; None if unknown.

    Args:
        error: a message that names a line of it.
    """
    from aoshell.lua.lexer import BREAK

    place = _PLACE.search(error, 0, _READ)
    lines = BREAK.split(source)
    if not place or not 1 <= int(place["line"]) <= len(lines):
        return None
    number = int(place["line"])
    column = _column(error[place.end() : _READ], lines, number)
    if column is None or column < 0:
        return None
    return sum(len(line) + 1 for line in lines[: number - 1]) + column


def _source(chunk: str, sources: Mapping[str, str]) -> str | None:
    if chunk in sources:
        return sources[chunk]
    # Lua shortens long names from the left: "...sub/folder/file.lua".
    tail = chunk.removeprefix("...")
    if tail == chunk:
        return None
    return next((text for name, text in sources.items() if name.endswith(tail)), None)


def _column(what: str, lines: list[str], number: int) -> int | None:
    """Index into the line; -1 if the place in it is not known.

    None if the message names something that is not in the line.
    """
    line, message = lines[number - 1], what.split("\n", 1)[0]
    if message.endswith("near <eof>"):
        return len(line.rstrip())
    token = _token_of(message)
    if token is None:
        token = _token_of(what)
    if token is not None:
        return _stop(lines, number, token)
    if variable := _VARIABLE.search(message):
        name = variable[1] or variable[2]
        found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", line)
        return found.start() if found else None
    from aoshell.lua.lexer import tokens

    names = [token for token in tokens(line) if token.kind in ("name", "keyword")]
    raising = [token.start for token in names if token.text in _RAISING]
    words = set(re.findall(r"\w+", message))
    places = raising or [token.start for token in names if token.text in words]
    return places[0] if len(places) == 1 else -1


def _token_of(message: str) -> str | None:
    """The token in quotes at the end of a message of the compiler; None if it names none."""
    _, near, rest = message.removesuffix("\n").partition(_NEAR)
    return rest[:-1] if near and rest.endswith("'") else None


def _stop(lines: list[str], number: int, token: str) -> int:
    """Where the parser stopped: the first place of the token where the text becomes an error."""
    from aoshell.lua import compiling
    from aoshell.lua.lexer import tokens
    from aoshell.lua.references import masked

    line, before = lines[number - 1], "".join(f"{line}\n" for line in lines[: number - 1])
    token = token.split("\n", 1)[0]
    source, begin = masked(before + line), len(before)
    # Compares tokens, because the same characters may occur in a string before it.
    places = [one.start for one in tokens(source) if one.start >= begin and _is(one, token)]

    def stops(place: int) -> bool:
        error = compiling.find_syntax_error(source[: place + len(token)])
        return bool(error) and not error.endswith("near <eof>")

    # More text does not repair an error.
    at = bisect_left(places, True, key=stops)
    if at < len(places):
        return places[at] - begin
    return line.rfind(token) if token in line else len(line) - len(line.lstrip())


def _is(token: Token, text: str) -> bool:
    """Whether Lua's message, which may shorten a token, means this one."""
    return token.text == text or (token.kind == "string" and token.text.startswith(text))


def _drawn(number: int, line: str, column: int) -> str:
    """The line, with a caret if the column is known."""
    start = max(0, column - _WIDEST // 2) if len(line) > _WIDEST else 0
    shown = line[start : start + _WIDEST]
    if column < 0:
        return f"  {number} │ {_even(shown)}"
    gutter, blank = f"  {number} │ ", " " * len(f"  {number} ") + "│ "
    width = width_of(_even(shown[: column - start]))
    return f"{gutter}{_even(shown)}\n{blank}{' ' * width}^"


def _even(text: str) -> str:
    """A text with one column per character: tabs and unprintable characters are replaced."""
    return "".join(c if c.isprintable() else "  " if c == "\t" else "?" for c in text)


def _once(error: str) -> str:
    """An error without the reason at its end, if the printed text has it already.

    aos prints the reason why a handler failed, with a traceback, and then raises it.
    """
    before, reason = split_error(error)
    if not reason or reason not in before:
        return error
    *_, heading = _HEADING.finditer(error)
    return error[: heading.start()]


def failure_text(result: Result, sources: Mapping[str, str]) -> str:
    """Why a message failed, with the source line if that is known."""
    reason = _once(result.error).strip("\n") or {
        "time": "the message took longer than its limit (.limits)",
        "memory": "the process ran out of memory (.limits)",
        "crash": "the worker died",
    }.get(result.outcome, "the message failed")
    seen = show_source(result.error, sources)
    return f"{reason}\n{seen}" if seen else reason
