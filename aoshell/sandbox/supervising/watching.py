"""What workers watch for the shell's side of the sandbox."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


def _ignore(_lines: str) -> None:
    pass


class Watch(NamedTuple):
    """What the workers of Lua processes watch: the number of instructions at least.

    Attributes:
        lines: note lines too.
        lines_came: called with the lines of each message, as `host/watch.lua` writes them.
    """

    lines: bool = False
    lines_came: Callable[[str], None] = _ignore
