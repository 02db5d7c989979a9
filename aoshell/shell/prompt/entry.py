"""The line being typed: Enter, pastes, answers to questions, and `.editor`."""

from __future__ import annotations

import asyncio
from typing import Protocol

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document

from aoshell.shell.lines.multiline import is_command
from aoshell.shell.lines.pasted import (
    COMPOSING,
    Following,
    is_transcript,
    split_chunks,
    without_answers,
)
from aoshell.shell.prompt.keys import Ahead, KeyTarget
from aoshell.shell.prompt.pastes import Pastes
from aoshell.shell.prompt.structure import dedented, next_indent

_VERBS = (".done", ".cancel", ".delete", ".print")


class Owner(Protocol):
    """Runs what is entered."""

    def accept(self, lines: list[str]) -> None:
        """Run lines in order. What is typed is still on the screen."""

    def interrupted(self) -> None:
        """Ctrl-C while no question is open."""

    def keep(self, typed: str) -> None:
        """Keep lines that were typed and not run, so the user can bring them back."""

    def leave(self) -> None:
        """The end of the input."""

    def tab(self) -> None:
        """Complete what stands before the cursor."""

    def write(self, text: str) -> None:
        """Print above the prompt."""

    def finish(self) -> None:
        """Leave the line on the screen, and go on below it."""

    def suspend(self) -> None:
        """Give the terminal back for a while."""


class PromptInput(KeyTarget):
    """What is typed, and its purpose: a line, the answer to a question, or code."""

    def __init__(self, buffer: Buffer, owner: Owner) -> None:
        self._buffer, self._owner = buffer, owner
        self._pastes = Pastes()
        self._waiting: asyncio.Future[str] | None = None
        self._question = ""
        self._pasted = False

    @property
    def prefix(self) -> str | None:
        """The question that is being answered, None while a line is typed."""
        if self._waiting is None:
            return None
        return self._question or COMPOSING

    async def ask(self, question: str) -> str:
        """Ask a question. Returns the next line; "" if the user gives up."""
        return await self._next(question)

    async def compose(self, begun: str = "") -> str:
        """The lines until `.done`; "" if the user gives up."""
        self._buffer.document = Document(begun)
        return await self._next("")

    async def _next(self, question: str) -> str:
        self._question = question
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def take(self) -> str:
        """Take out what is typed, with pastes in full."""
        typed = self._pastes.unfold(self._buffer.text)
        self._pastes.clear()
        self._pasted = False
        self._buffer.reset()
        self._buffer.on_text_changed.fire()  # `reset` does not fire it
        return typed

    @property
    def line(self) -> str:
        """The line of Lua that Enter would send, "" if Enter would do anything else.

        A paste does not count: it may be many lines, or be checked first.
        """
        if self._waiting or self._pasted:
            return ""
        lines, is_open = split_chunks(self._buffer.text)
        return "" if is_open or len(lines) != 1 or is_command(lines[0]) else lines[0]

    # --- keys

    def enter(self, ahead: Ahead) -> None:
        buffer = self._buffer
        state, buffer.complete_state = buffer.complete_state, None
        if state and state.current_completion and not ahead:
            return  # the paste is in the line, and the user checks it
        if self._waiting and self._question:
            self._answer(buffer.text)
        elif self._waiting:
            self._composed(ahead=bool(ahead))
        elif rest := ahead.take():
            # A paste that the terminal has not marked. If it ends with Enter, it is run. Lines
            # typed before the terminal was raw end with \n.
            ended = rest[-1] in "\r\n"
            self._buffer.insert_text(self._pastes.fold("\n" + (rest[:-1] if ended else rest)))
            if ended:
                self._send(ahead=True)
        else:
            self._send(ahead=bool(ahead))

    def _send(self, *, ahead: bool) -> None:
        """Send what is typed, or begin the next line if it is not complete."""
        self._dedent(ahead=ahead)
        typed = self._pastes.unfold(self._buffer.text)
        lines, is_open = split_chunks(typed)
        if is_open or not self._buffer.document.on_last_line:
            self.newline(ahead=ahead)
        else:
            # Lines typed ahead are not a transcript; each runs separately.
            if self._pasted or is_transcript(typed):
                lines = [*lines[:1], *map(Following, lines[1:])]
            self._pasted = False
            self._owner.accept(lines)
            self._pastes.clear()

    def newline(self, *, ahead: bool) -> None:
        self._dedent(ahead=ahead)
        indent = "" if ahead else next_indent(self._buffer.document.text_before_cursor)
        self._buffer.insert_text(f"\n{indent}")

    def complete(self) -> None:
        self._owner.tab()

    def paste(self, text: str) -> None:
        if not self._waiting and not self._buffer.text:
            text, gone = without_answers(text)
            if gone:
                lines = "1 line of an answer was" if gone == 1 else f"{gone} lines of answers were"
                self._owner.write(f"{lines} left out of the paste.\n")
        self._pasted = True
        self._buffer.insert_text(self._pastes.fold(text))

    def interrupt(self) -> None:
        if not self._waiting:
            self._owner.interrupted()
        elif self._question:
            self._answer("")
        else:
            code = self._pastes.unfold(self._buffer.text)
            self._answer("")
            self._owner.keep(code)

    def end(self) -> None:
        if self._waiting:
            self._answer("")
        else:
            self._owner.finish()
            self._owner.leave()

    def suspend(self) -> None:
        self._owner.suspend()

    @property
    def empty(self) -> bool:
        return not self._buffer.text

    # --- answers

    def _answer(self, text: str) -> None:
        self._owner.finish()
        self._buffer.reset()
        if self._waiting and not self._waiting.done():
            self._waiting.set_result(self._pastes.unfold(text))
        self._pastes.clear()

    def _composed(self, *, ahead: bool) -> None:
        """Enter in `.editor`: begin the next line, or obey the last one."""
        code, _, last = self._buffer.text.rpartition("\n")
        verb = last.strip()
        if verb not in _VERBS:
            self.newline(ahead=ahead)
        elif verb in (".done", ".cancel"):
            self._answer(code if verb == ".done" else "")
        elif verb == ".delete":
            left, newline, _ = code.rpartition("\n")
            self._buffer.document = Document(left + newline)
        else:
            lines = code.split("\n")
            self._owner.write("".join(f"{n:4}  {line}\n" for n, line in enumerate(lines, 1)))
            self._buffer.document = Document(f"{code}\n")

    def _dedent(self, *, ahead: bool) -> None:
        """Give a line that closes a block or bracket the indentation of the line that opened it."""
        document = self._buffer.document
        indent = None if ahead else dedented(document.text_before_cursor)
        if indent is not None:
            line = document.current_line_before_cursor
            self._buffer.delete_before_cursor(len(line))
            self._buffer.insert_text(indent + line.lstrip())
