"""What no node somewhere else can do, and what to do instead."""

from __future__ import annotations

from aoshell.errors import UnsupportedError
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.values import Module, Stage


class Elsewhere:
    """The part that remote nodes have in common.

    Args:
        waiting: what their clients tell of.
    """

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting

    @property
    def local(self) -> None:
        return None

    @property
    def stage(self) -> Stage | None:
        return self._waiting.stage

    async def upload(self, data: bytes, name: str = "") -> Module:
        del data, name
        raise UnsupportedError(
            "code for a remote node is public, so it is never stored in passing",
            hint=".publish FILE shows size, cost and destination, and asks",
        )
