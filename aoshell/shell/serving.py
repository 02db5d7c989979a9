"""What a session knows of serving its node over HTTP (`.serve`): others do it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.protocol.wallet import Wallet


class ServedAs(Protocol):
    """Where a node is served, and what clients need to know of it."""

    def as_json(self) -> dict[str, Any]:
        """docs/json.md lists the fields."""

    def as_text(self) -> str:
        """Lines to paste, addresses, module ids."""


class Served(Protocol):
    """A node that is served; it stays open when this is closed."""

    @property
    def facts(self) -> ServedAs:
        """Where."""

    async def close(self) -> None:
        """Take no more requests; end those under way."""


class ServeNode(Protocol):
    """Serves a node on a port, 0 for any that is free."""

    async def __call__(
        self,
        node: Node,
        port: int,
        tell: Callable[[AoError], None],
        sign_as: Callable[[str], Awaitable[Wallet]],
    ) -> Served:
        """Serve it.

        Args:
            tell: shows a person an error that no client caused.
            sign_as: the wallet of an identity.

        Raises:
            AoError: stage "serve".
        """
