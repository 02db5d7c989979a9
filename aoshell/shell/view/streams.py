"""Standard output and error, and what becomes of them when nobody reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import IO

from aoshell.errors import AoError

Write = Callable[[str], None]


def colours(*streams: IO[str]) -> bool:
    """Whether these may be coloured: terminals that can show it, and no NO_COLOR that forbids."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and all(stream.isatty() for stream in streams)


def writer(stream: IO[str], *, needed: bool) -> Write:
    """Writing to a stream at once, so that a reader at the other end sees each answer.

    Args:
        needed: whether it is a failure that the stream takes no more: BrokenPipeError where nobody
            reads, else AoError, stage "output". What is beside the answers may be lost.
    """

    def write(said: str) -> None:
        try:
            stream.write(said)
            stream.flush()
        except OSError as error:
            to_nowhere(stream)
            if needed:
                raise broken(error) from None

    return write


def broken(error: OSError) -> Exception:
    """What a failure to write an answer is told as."""
    if isinstance(error, BrokenPipeError):
        return error
    return AoError(f"answers cannot be written: {error.strerror or error}", stage="output")


def to_nowhere(stream: IO[str]) -> None:
    """What Python still has in a stream's buffers must not fail at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
