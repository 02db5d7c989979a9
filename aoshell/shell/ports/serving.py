"""What a session knows of serving its node over HTTP (`.serve`): others do it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.home.wallets import ensure_wallet
from aoshell.interrupts import in_background
from aoshell.nodes.base import Node
from aoshell.protocol.wallet import Wallet

_NODE_KEY = "the key of this node"  # not the wallet: who restores the wallet mends nothing


class ServedAs(Protocol):
    """Where a node is served, and what clients need to know of it."""

    @property
    def url(self) -> str:
        """Of all roles."""

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
        say: Callable[[str], None],
    ) -> Served:
        """Serve it.

        Args:
            say: shows a person what takes long.
            tell: shows a person an error that no client caused.
            sign_as: the wallet of an identity.

        Raises:
            AoError: stage "serve".
        """


async def node_key(settings: Settings, say: Callable[[str], None]) -> Wallet:
    """The key with which a home's node signs HyperBEAM answers, made at its first use.

    Args:
        say: shows a person that it is made, which takes up to some seconds.

    Raises:
        AoError: it cannot be read or written.
    """
    if not os.path.lexists(settings.node_key):
        say("making the RSA key with which this node signs HyperBEAM answers, once")
    return await in_background(lambda: ensure_wallet(settings.node_key, _NODE_KEY))
