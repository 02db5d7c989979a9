"""Compares a tag's value in other ways than equality (`match` of a TagFilter)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from aoshell.serve.graphql.errors import GraphqlError

LONGEST_PATTERN = 256  # characters of a value with wildcards

_WORD = re.compile(r"\w+")


def matcher(match: str, values: Sequence[str]) -> Callable[[str], bool]:
    """A function that tells whether a text fits one of `values`.

    Args:
        match: WILDCARD (`*` is any characters, `?` is one), FUZZY_OR or FUZZY_AND (one, or all, of
            the words of the values are among its words, in whatever case).

    Raises:
        GraphqlError: a pattern is too long.
    """
    if match == "WILDCARD":
        if any(len(value) > LONGEST_PATTERN for value in values):
            raise GraphqlError(f"A value with wildcards is longer than {LONGEST_PATTERN} letters.")
        return lambda text: any(fits_wildcard(value, text) for value in values)
    wanted = {word for value in values for word in _words(value)}
    if match == "FUZZY_AND":
        return lambda text: bool(wanted) and wanted <= _words(text)
    return lambda text: not wanted.isdisjoint(_words(text))


def fits_wildcard(pattern: str, text: str) -> bool:
    """Whether a whole text fits a pattern. Takes time in proportion to both lengths at most."""
    at = p = 0
    star, taken = -1, 0  # the last `*`, and the end of the text that it covers so far
    while at < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, taken = p, at
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", text[at]):
            p, at = p + 1, at + 1
        elif star >= 0:
            taken += 1
            p, at = star + 1, taken
        else:
            return False
    return not pattern[p:].strip("*")


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
