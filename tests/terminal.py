"""A program in a true terminal, and the screen that a person would see."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

import pexpect
import pyte
from eventually import SECONDS
from program import Spawn

# The line below the prompt.
TOOLBAR = re.compile(r"(local|hyperbeam \S+)( · |$)|default(?: \(\S+\))? · ")


class Terminal:
    """A program, started in a terminal of its own, and what its screen shows.

    Args:
        command: the program and its arguments.
        folder: where it starts; here where none is given.
    """

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        *,
        columns: int = 80,
        rows: int = 24,
        folder: str | None = None,
    ) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        program, *arguments = command
        self.child = Spawn(
            program,
            arguments,
            env=environment,
            cwd=folder,
            dimensions=(rows, columns),
            timeout=SECONDS,
        )
        self.child.delaybeforesend = None

    def type(self, keys: str) -> None:
        self.child.send(keys)

    def resize(self, columns: int, rows: int) -> None:
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    @property
    def lines(self) -> list[str]:
        """All lines of the screen."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def said(self) -> list[str]:
        """What is on the screen, but for empty lines and the one below the prompt."""
        return [line for line in self.lines if line and not TOOLBAR.match(line)]

    def look(self) -> bool:
        """Take in what is drawn within a moment; whether more can come."""
        try:
            self._stream.feed(self.child.read_nonblocking(65536, timeout=0.05))
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        return True

    def read(self, seconds: float) -> None:
        """Take in what is drawn for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.look():
            pass

    def ended(self) -> None:
        """Wait until it has ended, and take in what it drew."""
        self.child.expect(pexpect.EOF)
        self._stream.feed(self.child.before)
        self.child.close()

    def shows(self, pattern: str) -> str:
        """The whole screen, once it matches."""
        end = time.monotonic() + SECONDS
        going_on = True
        while not re.search(pattern, "\n".join(self.lines), re.MULTILINE):
            assert going_on and time.monotonic() < end, self._missing(pattern, self.lines)
            going_on = self.look()
        return "\n".join(self.lines)

    def see(self, *expected: str) -> None:
        """Wait until the last lines of what is said are these."""
        end = time.monotonic() + SECONDS
        while self.said[-len(expected) :] != list(expected):
            assert time.monotonic() < end, self._missing(expected, self.said)
            self.look()

    @staticmethod
    def _missing(wanted: object, lines: Iterable[str]) -> str:
        return "\n".join([f"{wanted!r} is not on the screen:", *lines])
