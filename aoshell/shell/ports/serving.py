"""The interface for serving a session's node over HTTP (`.serve`)."""

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

_NODE_KEY = "the key of this node"  # not the wallet: restoring the wallet does not help


class ServedAs(Protocol):
    """Where a node is served, and what clients need to know."""

    @property
    def url(self) -> str:
        """The URL of all roles."""

    def as_json(self) -> dict[str, Any]:
        """docs/json.md lists the fields."""

    def as_text(self) -> str:
        """Lines to paste, addresses, module ids."""


class Served(Protocol):
    """A node that is served; closing this leaves the node open."""

    @property
    def facts(self) -> ServedAs:
        """Where it is served."""

    async def close(self) -> None:
        """Accept no more requests, and end those under way."""


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
    """The key with which a home's node signs HyperBEAM answers, made on first use.

    Args:
        say: shows a person that it is being made, which takes up to a few seconds.

    Raises:
        AoError: it cannot be read or written.
    """
    if not os.path.lexists(settings.node_key):
        say("making the RSA key with which this node signs HyperBEAM answers, once")
    return await in_background(lambda: ensure_wallet(settings.node_key, _NODE_KEY))
