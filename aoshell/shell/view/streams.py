"""Writes to standard output and error, also if nobody reads them."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import IO

from aoshell.errors import AoError

Write = Callable[[str], None]


def colours(*streams: IO[str]) -> bool:
    """Whether streams may have colours: terminals that show colours, without NO_COLOR."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and all(stream.isatty() for stream in streams)


def columns() -> int:
    """Width of the terminal that answers go to, 0 if they go elsewhere."""
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else 0


def writer(stream: IO[str], *, needed: bool) -> Write:
    """A function that writes to a stream and flushes it, so that a reader sees each answer at once.

    Args:
        needed: whether a failed write raises: BrokenPipeError if nobody reads, else AoError, stage
            "output". If not needed, the text is lost.
    """

    def write(text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except OSError as error:
            to_nowhere(stream)
            if needed:
                raise broken(error) from None

    return write


def broken(error: OSError) -> Exception:
    """The error for an answer that could not be written."""
    if isinstance(error, BrokenPipeError):
        return error
    closed = "standard output is not open for writing" if error.errno == errno.EBADF else ""
    why = closed or error.strerror or error
    return AoError(f"answers cannot be written: {why}", stage="output")


def to_nowhere(stream: IO[str]) -> None:
    """Redirect a stream to the null device, so that Python's flush at exit does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
