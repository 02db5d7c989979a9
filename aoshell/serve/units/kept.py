"""A cache of answers that never change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from aoshell.serve.asgi.http import Response

KEPT = 1024  # answers
LARGEST_KEPT = 1 << 20  # bytes of one that is kept
MOST_KEPT = 32 << 20  # bytes of all that are kept


class KeptAnswers:
    """Answers by keys of what they depend on. The longest unused are dropped first."""

    def __init__(self) -> None:
        self._all: OrderedDict[Hashable, Response] = OrderedDict()
        self._bytes = 0

    def get(self, key: Hashable) -> Response | None:
        found = self._all.get(key)
        if found is not None:
            self._all.move_to_end(key)
        return found

    def put(self, key: Hashable, response: Response) -> None:
        if len(response.body) > LARGEST_KEPT:
            return
        if (old := self._all.pop(key, None)) is not None:  # two requests made it at once
            self._bytes -= _size(old)
        self._all[key] = response
        self._bytes += _size(response)
        while len(self._all) > KEPT or self._bytes > MOST_KEPT:
            _, dropped = self._all.popitem(last=False)
            self._bytes -= _size(dropped)


def _size(response: Response) -> int:
    return len(response.body) + sum(len(name) + len(value) for name, value in response.headers)
