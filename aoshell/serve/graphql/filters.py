"""Turns the arguments of a query for transactions into filters for the index."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.matching import matcher
from aoshell.serve.graphql.schema import DEFAULT_ROWS

MOST_ROWS = 1_000  # of one page; the network's gateways give 100 (Arweave) or 1,000 (Goldsky)
MOST_KEYS = 2_000  # values that one query compares with

TAG, OWNER, RECIPIENT = range(3)  # kinds of keys under which messages are found

_MOST_DIGITS = 19  # of a cursor: places fit into 62 bits


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition: a message has one of some values, or none of them.

    Attributes:
        kind: TAG, OWNER or RECIPIENT.
        name: name of the tag, "" for the other kinds.
        values: a message's value must equal one of them, unless there is a `match`.
        match: whether a value fits, where that is not equality; else None.
        negated: a message must have no such value.
    """

    kind: int
    name: str
    values: frozenset[str]
    match: Callable[[str], bool] | None = None
    negated: bool = False

    def fits(self, values: Sequence[str]) -> bool:
        """Whether a message with these values, of that kind and name, fulfils it."""
        one = self.match or self.values.__contains__
        return any(map(one, values)) is not self.negated


@dataclass(frozen=True, slots=True)
class Filter:
    """A query for a page of transactions.

    Attributes:
        ids: ids of the transactions, None for any.
        clauses: all must hold.
        first: how many transactions.
        after: the page begins after this place, None for the beginning.
        newest_first: the order.
        lowest, highest: block heights, inclusive; None for no bound.
    """

    ids: frozenset[str] | None = None
    clauses: tuple[Clause, ...] = ()
    first: int = DEFAULT_ROWS
    after: int | None = None
    newest_first: bool = True
    lowest: int | None = None
    highest: int | None = None


def read_filter(arguments: Mapping[str, Any]) -> Filter:
    """The filter for the arguments of `transactions`; an empty list filters nothing.

    Raises:
        GraphqlError: it has too many values, or a bad page size or cursor.
    """
    clauses = [
        Clause(kind, "", frozenset(arguments[name]))
        for kind, name in ((OWNER, "owners"), (RECIPIENT, "recipients"))
        if arguments[name]
    ]
    clauses += [_tag_clause(one) for one in arguments["tags"] or ()]
    if sum(len(clause.values) for clause in clauses) > MOST_KEYS:
        raise GraphqlError(f"The query compares with more than {MOST_KEYS:,} values.")
    block = arguments["block"] or {}
    return Filter(
        ids=frozenset(arguments["ids"]) if arguments["ids"] else None,
        clauses=tuple(clauses),
        first=read_first(arguments["first"]),
        after=read_cursor(arguments["after"]),
        newest_first=is_newest_first(arguments["sort"]),
        lowest=block.get("min"),
        highest=block.get("max"),
    )


def is_newest_first(sort: str | None) -> bool:
    """The order that `sort` names. Here the time of ingestion is the block's time."""
    return sort is None or sort.endswith("_DESC")


def read_first(first: int | None) -> int:
    """How many rows a page has at most. Raises GraphqlError."""
    if first is None:
        return DEFAULT_ROWS
    if first < 0:
        raise GraphqlError('Argument "first" must not be negative.')
    return min(first, MOST_ROWS)


def write_cursor(place: int) -> str:
    """The cursor of a place."""
    return base64.urlsafe_b64encode(b"%d" % place).decode()


def read_cursor(cursor: str | None) -> int | None:
    """The place of a cursor, None for no cursor. Raises GraphqlError."""
    if not cursor:
        return None
    try:
        digits = base64.urlsafe_b64decode(cursor.encode())
    except (binascii.Error, ValueError):
        digits = b""
    if digits.isdigit() and len(digits) <= _MOST_DIGITS:
        return int(digits)
    raise GraphqlError(f"The cursor {cursor[:40]!a} is not one of this server's.")


def _tag_clause(given: Mapping[str, Any]) -> Clause:
    name, values, match = given["name"], given["values"], given["match"]
    negated = given["op"] == "NEQ"
    if match in (None, "EXACT"):
        return Clause(TAG, name, frozenset(values), None, negated)
    return Clause(TAG, name, frozenset(), matcher(match, values), negated)
