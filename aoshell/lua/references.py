"""`@name` in Lua that is typed: it stands for the id of a process or the address of an identity.

A reference is `@` and a name of letters, digits, underscores and single hyphens, or `@` and a
string in quotes. It is looked for outside of strings and comments only, where no Lua has an `@`.
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
    """All of a text that is typed, as `lexer.pieces`; a reference is one piece, "reference"."""
    at = 0
    while at < len(source):
        for piece in pieces(source, at):
            found = _REFERENCE.match(source, piece.start) if piece.text == "@" else None
            if found:
                yield Token("reference", found[0], piece.start)
                at = found.end()
                break  # what is behind it is cut anew
            yield piece
        else:
            return


def find_references(source: str) -> Iterator[Reference]:
    """The references of a text, in order. An `@` that begins none is left out."""
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
    """The text with the string of a value in place of each reference.

    Args:
        value: the id that a name stands for.
    """
    parts, at = [], 0
    for one in find_references(source):
        parts += [source[at : one.start], f'"{value(one.name)}"']
        at = one.end
    return "".join(parts) + source[at:]


def masked(source: str) -> str:
    """The text with a string of the same length in place of each reference, for the compiler."""
    parts, at = [], 0
    for one in find_references(source):
        width = one.end - one.start
        parts += [source[at : one.start], '"' + "x" * (width - 2) + '"']
        at = one.end
    return "".join(parts) + source[at:]
