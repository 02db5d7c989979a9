"""A prompt for terminals that only print, such as the shell mode of Emacs (TERM=dumb).

It asks for a line when the previous one is done. What arrives in between is shown on separate
lines.
"""

from __future__ import annotations

from collections.abc import Callable

from aoshell import __version__
from aoshell.shell.attached.session import Session
from aoshell.shell.view.streams import Write
from aoshell.shell.view.text import clean_prompt

MORE = "... "  # for incomplete lines; Emacs takes no text with this end for a prompt


class Asking:
    """Asks for lines.

    Args:
        write: to the terminal.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._session: Session | None = None
        self._asked = ""

    def greet(self, session: Session) -> None:
        """Say where lines go."""
        self._session = session
        process = session.process
        where = f"the process {process.name or process.id[:8]}" if process else "no process"
        node = "another node" if session.remote else "the built-in node"
        self._write(
            f"aoshell {__version__}: {where} on {node}."
            " Lua is evaluated there; .help lists commands, Ctrl-D leaves.\n"
        )

    def ask(self, *, more: bool) -> None:
        """Ask for a line, or for more of one that is not complete."""
        prompt = self._session.prompt if self._session else ""
        self._asked = MORE if more else clean_prompt(prompt, colour=False)
        self._write(self._asked)

    def answered(self) -> None:
        """A line was entered."""
        self._asked = ""

    def end(self) -> None:
        """The input has ended: what the terminal shows next begins a line."""
        if self._asked:
            self._write("\n")
        self._asked = ""

    def beside(self, show: Callable[[str], None]) -> Callable[[str], None]:
        """Show text on separate lines, and ask again below them."""

        def shown(text: str) -> None:
            asked = self._asked
            if asked:
                self._write("\n")
            show(text)
            if asked:
                self._write(asked)

        return shown
