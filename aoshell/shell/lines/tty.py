"""Reads lines from a terminal whose own line mode would cut them at 4,095 characters.

The terminal hands over each key; it still echoes them and sends signals. Erasing is done here.
"""

from __future__ import annotations

import fcntl
import os
import re
import termios
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aoshell import interrupts
from aoshell.errors import AoError
from aoshell.protocol.message import text

BLOCK = 65536  # bytes that are read at once
LONGEST = 1 << 20  # bytes of a line that can be erased; in a longer line only those after them
KEPT = 4095  # characters of a line that a terminal's line mode keeps, on Linux

_LFLAG, _CC = 3, 6
_ALL = re.compile(rb".*\Z", re.DOTALL)
_WORD = re.compile(rb"\S*\s*\Z")
_CHARACTER = re.compile(rb"(?:[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]*|[\x80-\xbf])\Z")


class Keys:
    """The line that is typed, and the keys that erase parts of it or end the input.

    Args:
        control: characters of the terminal: `termios.tcgetattr(fd)[6]`.

    Attributes:
        ended: whether the key that ends the input was pressed at the beginning of a line. Within a
            line it is ignored: some programs send it after every few hundred characters.
    """

    def __init__(self, control: list[bytes]) -> None:
        self.ended = False
        self._line = b""
        self._erase = {b"\x08", b"\x7f", control[termios.VERASE]}
        self._kill, self._word = control[termios.VKILL], control[termios.VWERASE]
        self._end = control[termios.VEOF]
        special = self._erase | {self._kill, self._word, self._end, b"\n"}
        # A key that is off has the value zero.
        self._special = re.compile(b"([" + re.escape(b"".join(special - {b"\0"})) + b"])")

    def take(self, block: bytes) -> tuple[bytes, bytes]:
        """Add keys; returns the lines that they complete, and bytes that undo their echo."""
        lines, undo = b"", b""
        for piece in filter(None, self._special.split(block)):
            if piece == b"\n":
                # Input that came faster than it was read is on a line above by now.
                lines, self._line, undo = lines + self._line + b"\n", b"", b""
            elif piece == self._end:
                self.ended = not self._line
                if self.ended:
                    break
            elif piece in self._erase:
                undo += self._without(_CHARACTER)
            elif piece == self._word:
                undo += self._without(_WORD)
            elif piece == self._kill:
                undo += self._without(_ALL)
            else:
                self._line += piece
                if len(self._line) > LONGEST:
                    lines, self._line = lines + self._line, b""
        return lines, undo

    def _without(self, pattern: re.Pattern[bytes]) -> bytes:
        """Erase the end of the line; returns what erases it on the screen."""
        found = pattern.search(self._line)
        if not found:
            return b""
        from aoshell.shell.view.text import width_of

        self._line = self._line[: found.start()]
        return b"\b \b" * width_of(text(found[0]))


def _waiting(fd: int) -> int:
    """The number of characters that wait in the terminal."""
    found = array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, found)
    return found[0]


@contextmanager
def open_input(fd: int) -> Iterator[Callable[[], bytes]]:
    """A function that reads the next bytes of a terminal, a pipe or a file; b"" at the end.

    Raises:
        AoError: stage "input", on entering: the terminal may have cut what was typed until now.
    """
    if not os.isatty(fd):
        yield lambda: os.read(fd, BLOCK)
        return
    with _long_lines(fd) as keys:
        yield lambda: _lines(fd, keys)


@contextmanager
def _long_lines(fd: int) -> Iterator[Keys]:
    """Within the block, the terminal hands over each key."""
    before, now = termios.tcgetattr(fd), termios.tcgetattr(fd)

    def restore() -> None:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)

    now[_LFLAG] &= ~(termios.ICANON | termios.ECHOCTL)
    now[_CC][termios.VMIN], now[_CC][termios.VTIME] = 1, 0
    interrupts.call_before_end(restore)
    termios.tcsetattr(fd, termios.TCSANOW, now)
    try:
        if _waiting(fd) >= KEPT:
            raise AoError(
                f"what was typed before the shell was ready filled the {KEPT:,} characters that the"
                " terminal keeps; it may be cut, and was not run",
                stage="input",
                hint="type it again now, or give it as a file: aoshell < FILE",
            )
        yield Keys(before[_CC])
    finally:
        restore()
        interrupts.forget_before_end(restore)


def _lines(fd: int, keys: Keys) -> bytes:
    """Lines, as soon as there is a whole one; b"" at the end."""
    while not keys.ended:
        block = os.read(fd, BLOCK)
        lines, undo = keys.take(block)
        if undo:
            os.write(fd, undo)
        if lines or not block:
            return lines
    return b""
