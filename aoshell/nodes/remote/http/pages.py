"""Bounds on what a node may go on with: pages of a list, and the digits of a number."""

from __future__ import annotations

from collections.abc import Iterator

from aoshell.errors import AoError

MOST_PAGES = 10_000  # answers that one list is read from
LONGEST_NUMBER = 30  # digits; the supply in winston has 20


def turns(endpoint: str, stage: str) -> Iterator[int]:
    """Counts the pages of a list. Raises AoError where a node does not come to its end."""
    yield from range(MOST_PAGES)
    raise AoError(
        f"{endpoint} does not come to an end: it lists more than {MOST_PAGES:,} pages",
        stage=stage,
        hint="ask for a part: .messages FROM-TO",
    )


def is_number(said: str) -> bool:
    """Whether what a node says is a natural number that anything here can count to."""
    return said.isascii() and said.isdecimal() and len(said) <= LONGEST_NUMBER
