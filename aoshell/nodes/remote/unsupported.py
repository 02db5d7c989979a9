"""What no remote node can do, and what to use instead."""

from __future__ import annotations

from aoshell.errors import UnsupportedError
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.values import Module, Stage


class Elsewhere:
    """The common part of remote nodes.

    Args:
        waiting: holds the current stage of their clients.
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
            "code for a remote node becomes public, so it is uploaded on request only",
            hint=".publish FILE shows size, cost and destination, and asks",
        )
