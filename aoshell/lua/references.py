"""`@name` in typed Lua: it stands for the id of a process or the address of an identity.

A reference is `@` and a name of letters, digits, underscores and single hyphens, or `@` and a
string in quotes. Strings and comments are not searched; outside of them, Lua has no `@`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from aoshell.lua.lexer import Token, pieces

_NAME = re.compile(r"@\w+(?:-\w+)*", re.ASCII)
_REFERENCE = re.compile(rf"""{_NAME.pattern}|@"[^"\\\r\n]*"|@'[^'\\\r\n]*'""", re.ASCII)


class Reference(NamedTuple):
    """A reference in a text.

    Attributes:
        name: without the @ and without quotes.
        start, end: its offsets.
    """

    name: str
    start: int
    end: int


def typed_pieces(source: str) -> Iterator[Token]:
    """All pieces of typed text, as `lexer.pieces`; a reference is one piece of kind "reference"."""
    at = 0
    while at < len(source):
        for piece in pieces(source, at):
            found = _REFERENCE.match(source, piece.start) if piece.text == "@" else None
            if found:
                yield Token("reference", found[0], piece.start)
                at = found.end()
                break  # the text after it is cut again
            yield piece
        else:
            return


def find_references(source: str) -> Iterator[Reference]:
    """The references of a text, in order. Other `@` are left out."""
    if "@" not in source:
        return
    for piece in typed_pieces(source):
        if piece.kind == "reference":
            name = piece.text[1:]
            yield Reference(name[1:-1] if name[0] in "\"'" else name, piece.start, piece.end)


def reference_to(name: str) -> str:
    """The reference that means a name."""
    return f"@{name}" if _NAME.fullmatch(f"@{name}") else f'@"{name}"'


def replaced(source: str, value: Callable[[str], str]) -> str:
    """The text with a string instead of each reference.

    Args:
        value: returns the id that a name stands for.
    """
    parts, at = [], 0
    for one in find_references(source):
        parts += [source[at : one.start], f'"{value(one.name)}"']
        at = one.end
    return "".join(parts) + source[at:]


def masked(source: str) -> str:
    """The text with a string of the same length instead of each reference, for the compiler."""
    parts, at = [], 0
    for one in find_references(source):
        width = one.end - one.start
        parts += [source[at : one.start], '"' + "x" * (width - 2) + '"']
        at = one.end
    return "".join(parts) + source[at:]
