"""Joins lines into chunks that can be sent: complete Lua, or one dot command."""

from __future__ import annotations

import re

from aoshell.lua import compiling
from aoshell.lua.lexer import pieces, tokens
from aoshell.lua.references import masked
from aoshell.shell.lines.meant import read_expression
from aoshell.shell.view.text import without_colours

# Prompts that stand at line starts of transcripts: `aos> `, `[aos]> `, `me@aos-2.0.4[Inbox:1]> `.
_PROMPT = re.compile(r"\s*(?:aos|\[aos\]|[^\s@]*@aos-[\w.-]+(?:\[Inbox:\d+\])?)> ?")
_CHECKED = 64  # lines; for longer chunks Lua's parser runs only if `Depth` sees no open block
_OPENS = {
    **dict.fromkeys(("(", "{", "[", "function", "if", "do", "repeat"), 1),
    **dict.fromkeys((")", "}", "]", "end", "until"), -1),
}
_GOES_ON = frozenset(
    (*"+-*/%^#&~|<>=,", "..", "==", "~=", "<=", ">=", "<<", ">>", "//", "and", "or", "not")
)  # no complete chunk ends in these
_COMMAND = re.compile(r"\s*\.[A-Za-z]")


def is_command(line: str) -> bool:
    """Whether a line is a dot command: no Lua chunk begins with a dot and a letter."""
    return _COMMAND.match(line) is not None


def command_name(line: str) -> str:
    """The name of a dot command, without the dot; "" for Lua."""
    return line.strip()[1:].partition(" ")[0] if is_command(line) else ""


def is_complete(chunk: str) -> bool:
    """Whether Enter sends this; otherwise it begins another line."""
    return is_command(chunk) or check(chunk).complete


def check(chunk: str) -> compiling.CompileResult:
    """The compiler's verdict on Lua as it is typed, in which `@name` stands for an id."""
    return compiling.check_line(masked(read_expression(chunk) or chunk))


def prompt_of(line: str) -> str:
    """The prompt, without its colours, that was copied with a line; "" where there is none."""
    prompt = _PROMPT.match(without_colours(line))
    return prompt[0] if prompt else ""


def without_prompt(line: str) -> str:
    """A line without a prompt, coloured or not, that was copied with it."""
    prompt = prompt_of(line)
    return without_colours(line)[len(prompt) :] if prompt else line


class Depth:
    """Estimates how many brackets and blocks lines leave open; errors in them may mislead it."""

    def __init__(self) -> None:
        self._depth = 0
        self._closer = ""  # of the long string or comment that is open
        self._begun = ""  # the beginning of a quoted string that goes on in the next line
        self._last = ""

    @property
    def open(self) -> bool:
        """Whether a chunk of these lines cannot be complete."""
        return self._depth > 0 or bool(self._closer + self._begun) or self._last in _GOES_ON

    def add(self, line: str) -> None:
        """Take the next line in."""
        if self._closer:
            _, found, line = line.partition(self._closer)
            if not found:
                return
            self._closer = ""
        begun, self._begun = self._begun, ""
        for piece in pieces(f"{begun}{line}\n"):
            if piece.unfinished and piece.level is not None:
                self._closer = f"]{'=' * piece.level}]"
            elif piece.unfinished and piece.text[-1] == "\n":  # a backslash took it along
                self._begun = piece.text[0] + "\\z" * piece.text.rstrip().endswith("\\z")
            elif piece.kind in ("keyword", "symbol"):
                self._depth += _OPENS.get(piece.text, 0)
            if piece.kind not in ("space", "comment"):
                self._last = piece.text


class Assembler:
    """Joins lines until they are complete, like the prompt.

    Prompts are stripped from the first line of a chunk only: later lines may be in a long string.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._depth = Depth()
        self._size = 0

    @property
    def size(self) -> int:
        """Characters of the lines that are not complete yet."""
        return self._size if self._lines else 0

    def add(self, line: str) -> str | None:
        """Add a line without its newline; returns the chunk that it completes, or None.

        Blank lines and comments between chunks are skipped.
        """
        if not self._lines:
            self._depth, self._size = Depth(), 0
        self._size += len(line)
        self._lines.append(line if self._lines else without_prompt(line))
        self._depth.add(self._lines[-1])
        if len(self._lines) > _CHECKED and self._depth.open:
            return None
        chunk = "\n".join(self._lines)
        if not chunk.strip():
            self._lines.clear()
            return None
        if not is_complete(chunk):
            return None
        self._lines.clear()
        return chunk if is_command(chunk) or any(tokens(chunk)) else None

    def rest(self) -> str | None:
        """What is left at the end of the input, complete or not, or None."""
        chunk = "\n".join(self._lines)
        self._lines.clear()
        return chunk if chunk.strip() else None
