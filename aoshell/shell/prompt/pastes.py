"""Large pastes: the prompt shows a short mark instead.

Every key draws the whole prompt, so a megabyte in it would make typing slow.
"""

from __future__ import annotations

import re

FOLDED = 8_000  # characters; longer pastes are folded
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
        """Typed text with the pastes instead of their marks."""
        if not self._kept:
            return typed
        return _MARK.sub(lambda mark: self._kept.get(int(mark[1]), mark[0]), typed)

    def clear(self) -> None:
        """Forget the pastes: the line has ended."""
        self._kept.clear()
