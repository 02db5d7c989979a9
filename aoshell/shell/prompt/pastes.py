"""Large pastes: kept aside, and shown by their size, so that a key costs as much as before.

What is in the prompt is drawn with every key; a megabyte of it would be felt.
"""

from __future__ import annotations

import re

FOLDED = 8_000  # characters from which on a paste is folded
_LINES = 200
_MARK = re.compile("⟦paste (\\d+): [^⟦⟧]*⟧")


class Pastes:
    """The pastes of the line being typed."""

    def __init__(self) -> None:
        self._kept: dict[int, str] = {}

    def fold(self, pasted: str) -> str:
        """What is put into the prompt for a paste: itself, or what stands for it."""
        said = pasted.replace("\r\n", "\n").replace("\r", "\n")
        lines = said.count("\n") + 1
        if len(said) < FOLDED and lines < _LINES:
            return said
        number = len(self._kept) + 1
        self._kept[number] = said
        return f"⟦paste {number}: {lines} lines, {len(said)} characters⟧"

    def unfold(self, typed: str) -> str:
        """The text that is meant."""
        if not self._kept:
            return typed
        return _MARK.sub(lambda mark: self._kept.get(int(mark[1]), mark[0]), typed)

    def clear(self) -> None:
        """The line is over."""
        self._kept.clear()
