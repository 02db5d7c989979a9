"""Bounds in bytes as text."""

from __future__ import annotations


def size(count: int) -> str:
    """A number of bytes in the largest unit that keeps it whole."""
    if count % (1 << 20) == 0:
        return f"{count >> 20} MB"
    return f"{count >> 10} KB" if count % (1 << 10) == 0 else f"{count} bytes"
