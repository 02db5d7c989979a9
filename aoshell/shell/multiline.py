"""From lines as they come to chunks that can be sent: complete Lua, or one dot command."""

from __future__ import annotations

import re

from aoshell.shell import lua

_SGR = re.compile(r"\x1b\[[0-9;]*m")
# Prompts that stand at line starts of transcripts: `aos> `, `[aos]> `, `me@aos-2.0.4[Inbox:1]> `.
_PROMPT = re.compile(r"\s*(?:aos|\[aos\]|[^\s@]*@aos-[\w.-]+(?:\[Inbox:\d+\])?)> ?")
_COMMAND = re.compile(r"\s*\.[A-Za-z]")


def is_command(line: str) -> bool:
    """Whether a line is meant for the shell: no Lua chunk begins with a dot and a letter."""
    return _COMMAND.match(line) is not None


def is_complete(chunk: str) -> bool:
    """Whether Enter sends this, or asks for another line."""
    return is_command(chunk) or lua.check(chunk).complete


def without_prompt(line: str) -> str:
    """A line without the prompt, coloured or not, that was copied together with it."""
    plain = _SGR.sub("", line)
    prompt = _PROMPT.match(plain)
    return plain[prompt.end() :] if prompt else line


class Assembler:
    """Puts lines together until they are complete, as a person at the prompt would.

    Prompts are stripped where a chunk begins only: further down they may stand in a long string.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> str | None:
        """Take one line without its newline; the chunk that it completes, or None.

        Blank lines and comments between chunks complete nothing.
        """
        self._lines.append(line if self._lines else without_prompt(line))
        chunk = "\n".join(self._lines)
        if not chunk.strip():
            self._lines.clear()
            return None
        if not is_complete(chunk):
            return None
        self._lines.clear()
        return chunk if is_command(chunk) or any(lua.tokens(chunk)) else None

    def rest(self) -> str | None:
        """What is left at the end of the input, complete or not, or None."""
        chunk = "\n".join(self._lines)
        self._lines.clear()
        return chunk if chunk.strip() else None


def chunks(text: str) -> tuple[list[str], bool]:
    """The chunks of a text of several lines, and whether the last one is left open."""
    assembler = Assembler()
    found = [
        chunk
        for line in re.split(r"\r\n|\r|\n", text)
        if (chunk := assembler.add(line)) is not None
    ]
    last = assembler.rest()
    return (found, False) if last is None else ([*found, last], True)
