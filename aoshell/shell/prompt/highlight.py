"""Colours for what is typed: Lua, and dot commands. Loaded behind the first prompt."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer, PygmentsLexer
from pygments.lexers.scripting import LuaLexer

from aoshell.shell.lines.multiline import is_command


class LineLexer(Lexer):
    """Lua, unless the line is a dot command."""

    def __init__(self) -> None:
        self._lua = PygmentsLexer(LuaLexer)

    def lex_document(self, document: Document) -> Callable[[int], StyleAndTextTuples]:
        if not is_command(document.text):
            return self._lua.lex_document(document)
        name, space, rest = document.lines[0].partition(" ")

        def line(number: int) -> StyleAndTextTuples:
            if number:
                return [("", document.lines[number])]
            return [("class:command", name), ("", space + rest)]

        return line
