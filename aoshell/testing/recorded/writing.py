"""Writes Lua for recorded tests: texts, tables, and variables instead of addresses."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from aoshell.protocol.message import raw, text
from aoshell.shell.code.bundle import long_string, short_string

# Text that differs between runs: ids, whole or shortened by aos, and times in (milli)seconds.
VOLATILE = re.compile(
    r"(?<![\w-])[\w-]{43}(?![\w-])|(?<![\w-])[\w-]{3}\.\.\.[\w-]{3}(?![\w-])"
    r"|(?<!\d)1\d{12}(?!\d)|(?<!\d)1[6-9]\d{8}(?!\d)"
)
ADDRESS = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])")
_PUNCTUATION, _ESCAPED = re.compile(r"[^\w\s]", re.ASCII), r"%\g<0>"  # of Lua's patterns
# What Lua takes as a name: any but its keywords.
_NAME = re.compile(
    r"""(?!(?:and|break|do|else|elseif|end|false|for|function|goto|if|in|local|nil|not|or|repeat
        |return|then|true|until|while)\Z) [A-Za-z_][A-Za-z0-9_]*\Z""",
    re.VERBOSE,
)
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})
_LONG = 60  # most characters of code for one line


def lua_string(value: str) -> str:
    """Text as a Lua string, in quotes if it is printable."""
    if value.replace("\n", "").replace("\t", "").isprintable():
        return f'"{value.translate(_ESCAPES)}"'
    return text(short_string(value))


def lua_pattern(value: str) -> str:
    """A Lua pattern that matches this text alone, as a Lua string."""
    return lua_string(_PUNCTUATION.sub(_ESCAPED, value))


def lua_comment(value: str) -> str:
    """Text as comments, one for each line."""
    return "\n".join(f"-- {line}".rstrip() for line in value.splitlines())


def unused_name(name: str, taken: Iterable[str]) -> str:
    """A free name for a Lua variable, similar to this one."""
    plain = re.sub(r"[^A-Za-z0-9_]", "_", name)
    begun = plain if _NAME.match(plain) else f"_{plain}"
    used, found, number = set(taken), begun, 1
    while found in used:
        number += 1
        found = f"{begun}_{number}"
    return found


class AddressNames:
    """The Lua expressions that stand for addresses in a test."""

    def __init__(self) -> None:
        self.of: dict[str, str] = {}

    def known(self, value: str) -> str:
        """Text as Lua, "" if it differs between runs."""
        rest = ADDRESS.sub(lambda found: "" if found[0] in self.of else found[0], value)
        return "" if VOLATILE.search(rest) else self.expression(value)

    def expression(self, value: str, write: Callable[[str], str] = lua_string) -> str:
        """Text as Lua, with the test's own expressions for known addresses."""
        parts, at = [], 0
        for found in ADDRESS.finditer(value):
            if found[0] in self.of:
                parts += [write(value[at : found.start()]) if found.start() > at else '""']
                parts.append(self.of[found[0]])
                at = found.end()
        if at < len(value):
            parts.append(write(value[at:]))
        return " .. ".join(part for part in parts if part != '""') or '""'

    def code(self, source: str) -> str:
        """Code as a Lua string; several lines keep their form."""
        if "\n" not in source and len(source) < _LONG:
            return self.expression(source)
        return self.expression(source, _block)

    def table(self, fields: Sequence[tuple[str, str]], *, any_value: bool) -> str:
        """Fields as a table; without `any_value`, only fields that are equal in each run."""
        written = []
        for name, value in fields:
            expression = self.expression(value) if any_value else self.known(value)
            if expression:
                key = name if _NAME.match(name) else f"[{lua_string(name)}]"
                written.append(f"{key} = {expression}")
        return f"{{ {', '.join(written)} }}" if written else "{}"


def _block(piece: str) -> str:
    """Code as a long string, which keeps its lines but would change carriage returns."""
    if "\r" in piece or (len(piece) < _LONG and "\n" not in piece):
        return lua_string(piece)
    return text(long_string(raw(piece)))
