"""Large pastes: a short mark stands for them in the prompt.

The whole prompt is drawn with every key, so a megabyte in it would make typing slow.
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
        """The text to put into the prompt for a paste: itself, or a mark."""
        text = pasted.replace("\r\n", "\n").replace("\r", "\n")
        lines = text.count("\n") + 1
        if len(text) < FOLDED and lines < _LINES:
            return text
        number = len(self._kept) + 1
        self._kept[number] = text
        return f"⟦paste {number}: {lines} lines, {len(text)} characters⟧"

    def unfold(self, typed: str) -> str:
        """What is typed, with pastes in place of their marks."""
        if not self._kept:
            return typed
        return _MARK.sub(lambda mark: self._kept.get(int(mark[1]), mark[0]), typed)

    def clear(self) -> None:
        """Forget the pastes: the line is over."""
        self._kept.clear()
