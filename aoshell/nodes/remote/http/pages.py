"""Bounds on what a node could send without end: pages of a list, digits of a number."""

from __future__ import annotations

from collections.abc import Iterator

from aoshell.errors import AoError

MOST_PAGES = 10_000  # answers for one list
LONGEST_NUMBER = 30  # digits; the supply in winston has 20


def turns(endpoint: str, stage: str) -> Iterator[int]:
    """Counts the pages of a list. Raises AoError after `MOST_PAGES`."""
    yield from range(MOST_PAGES)
    raise AoError(
        f"{endpoint} does not come to an end: it lists more than {MOST_PAGES:,} pages",
        stage=stage,
        hint="ask for a part: .messages FROM-TO",
    )


def is_number(text: str) -> bool:
    """Whether a node's text is a natural number of a size that can be right."""
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
