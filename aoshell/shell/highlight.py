"""Colours for what is typed: Lua, and dot commands. Loaded behind the first prompt."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import Lexer, PygmentsLexer
from prompt_toolkit.styles import Style
from pygments.lexers.scripting import LuaLexer

from aoshell.shell.multiline import is_command

# The terminal's own palette, which its user can read; pygments' style is made for white pages.
STYLE = Style.from_dict(
    {
        "pygments.keyword": "ansimagenta",
        "pygments.keyword.constant": "ansicyan",
        "pygments.literal.string": "ansigreen",
        "pygments.literal.number": "ansicyan",
        "pygments.comment": "ansibrightblack",
        "pygments.name.builtin": "ansiblue",
        "pygments.operator.word": "ansimagenta",
        "pygments.error": "",
    }
)


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
            return [("class:pygments.keyword", name), ("", space + rest)]

        return line
