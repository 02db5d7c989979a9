"""Anchors make the id of each message its own: signatures of the same text are the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

SIZE = 32  # bytes of an anchor


def counted_anchors() -> Iterator[bytes]:
    """The same ones in each run."""
    return (number.to_bytes(SIZE, "big") for number in count(1))


def random_anchors() -> Iterator[bytes]:
    """Others each time."""
    while True:
        yield os.urandom(SIZE)
