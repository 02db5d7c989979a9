"""Anchors make the id of each message unique: equal texts have equal signatures and ids."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

SIZE = 32  # bytes of an anchor


def counted_anchors() -> Iterator[bytes]:
    """The same anchors in each run."""
    return (number.to_bytes(SIZE, "big") for number in count(1))


def random_anchors() -> Iterator[bytes]:
    """Different anchors in each run."""
    while True:
        yield os.urandom(SIZE)
