"""Verbs that no remote node can do; errors name what to use instead."""

from __future__ import annotations

from collections.abc import Iterable

from aoshell.errors import UnsupportedError
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.values import Module, Sent, Signed, Stage
from aoshell.protocol.message import Message


def signed_only(item: Sent) -> Signed:
    """A signed message, unchanged. Raises UnsupportedError for an unsigned one."""
    if isinstance(item, Message):
        raise UnsupportedError(
            "it is not signed: it is for a fork or a stand-in on the built-in node",
            hint="without --node it goes there",
        )
    return item


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

    def knows(self, wallets: Iterable[str]) -> None:
        """Does nothing, as networks do not report undelivered messages."""

    async def settled(self, root: str) -> None:
        """Returns at once, as networks do not report when delivery is done."""

    async def finish(self) -> str:
        return ""

    async def deliver(self, process: str, slot: int, *, again: bool = False) -> int:
        del process, slot, again
        raise UnsupportedError(
            "this network delivers by itself", hint=".messages shows what has arrived"
        )

    async def upload(self, data: bytes, name: str = "") -> Module:
        del data, name
        raise UnsupportedError(
            "code for a remote node becomes public, so it is uploaded on request only",
            hint=".publish FILE shows size, cost and destination, and asks",
        )
