"""Errors of a query, in GraphQL's form."""

from __future__ import annotations

from typing import Any


class GraphqlError(Exception):
    """A query cannot be answered; the text tells its author why.

    Args:
        what: one sentence with its full stop.
        place: line and column in the query, from 1; None if it concerns no single place.
    """

    def __init__(self, what: str, place: tuple[int, int] | None = None) -> None:
        super().__init__(what)
        self.place = place

    @property
    def form(self) -> dict[str, Any]:
        """The error as a member of `errors` in an answer."""
        form: dict[str, Any] = {"message": str(self)}
        if self.place is not None:
            form["locations"] = [{"line": self.place[0], "column": self.place[1]}]
        return form
