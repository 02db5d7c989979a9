"""Colours typed text: Lua, and dot commands. Loaded after the first prompt is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer

from aoshell.check.known import BASIC, LUA
from aoshell.lua.lexer import Token
from aoshell.lua.references import typed_pieces
from aoshell.shell.lines.multiline import is_command

_CONSTANTS = frozenset(("true", "false", "nil"))
_COLOURED = frozenset(("string", "number", "comment", "reference"))
_BUILTIN = "class:lua.builtin"
_REFERENCE = "class:lua.reference"
_NAME = re.compile(r"(?<![^\s=/])@[\w-]+", re.ASCII)  # in a dot command
_BUILTINS = BASIC | {f"{library}.{name}" for library, names in LUA.items() for name in names}
_OPEN_LIBRARIES = frozenset(("bit32", "debug", "io", "package"))  # any field of these counts


class LineLexer(Lexer):
    """Lua, unless the line is a dot command."""

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        """Colours line by line, only the lines that are asked for."""
        if is_command(document.text):
            return lambda number: _command_line(document.lines[number], first=not number)
        rest_of_lines, coloured = _lines(document.text), list[StyleAndTextTuples]()

        def line(number: int) -> StyleAndTextTuples:
            while len(coloured) <= number:
                coloured.append(next(rest_of_lines, []))
            return coloured[number]

        return line


def _command_line(line: str, *, first: bool) -> StyleAndTextTuples:
    """A line of a dot command, with its `@name`s."""
    name, space, rest = line.partition(" ") if first else ("", "", line)
    coloured: StyleAndTextTuples = [("class:command", name), ("", space)] if first else []
    at = 0
    for found in _NAME.finditer(rest):
        coloured += [("", rest[at : found.start()]), (_REFERENCE, found[0])]
        at = found.end()
    return [*coloured, ("", rest[at:])]


def _lines(text: str) -> Iterator[StyleAndTextTuples]:
    """The lines of a text of Lua, in coloured pieces."""
    line: StyleAndTextTuples = []
    for piece in typed_pieces(text):
        style = _style(piece, line)
        first, *others = piece.text.split("\n")
        line.append((style, first))
        for other in others:
            yield line
            line = [(style, other)] if other else []
    yield line


def _style(piece: Token, line: StyleAndTextTuples) -> str:
    """The class of a piece, given the pieces of its line before it.

    `string` gets its colour together with `format`: alone it may be any variable.
    """
    kind, word = piece.kind, piece.text
    if kind == "keyword":
        return "class:lua.constant" if word in _CONSTANTS else "class:lua.keyword"
    if kind != "name":
        return f"class:lua.{kind}" if kind in _COLOURED else ""
    dot = line[-1][1] if line else ""
    if dot not in (".", ":"):
        return _BUILTIN if word in _BUILTINS else ""
    library = line[-2][1] if len(line) > 1 and dot == "." else ""
    if library not in _OPEN_LIBRARIES and f"{library}.{word}" not in _BUILTINS:
        return ""
    line[-2:] = [(_BUILTIN, library), (_BUILTIN, dot)]
    return _BUILTIN
