"""Bytes with other bytes in them here and there."""

from __future__ import annotations


def edited(data: bytes, edits: list[tuple[int, bytes, int]]) -> bytes:
    """The bytes after edits: (place, what is put there, how many bytes it takes the place of)."""
    for at, new, removed in edits:
        at %= len(data) + 1
        data = data[:at] + new + data[at + removed :]
    return data
