"""Looks up names of processes on a HyperBEAM node: at the node itself, or at the gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aoshell.errors import AoError
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import brief
from aoshell.protocol.url import is_loopback

AWAY = frozenset(("resolve", "connect", "TLS"))  # stages of errors without a connection


class Names:
    """Looks names up at the node, if it has GraphQL, and at the gateway.

    Args:
        client: client of the node.
        gateway: asked for names that the node does not know.
        tell: called with a warning for the user.
    """

    def __init__(self, client: Client, gateway: Gateway, tell: Callable[[str], None]) -> None:
        self._endpoint = client.endpoint
        self._own = Gateway(client, Path())  # nothing is fetched from it, so nothing is kept
        self._gateway = gateway
        self._tell = tell

    async def look_up(self, name: str, owner: str, variant: str) -> str:
        """The id of an owner's process by its name.

        Raises:
            NotFoundError: there is none; or the node is on this machine, and has no look-up: then
                only this home knows names.
            AoError: it is not known whether there is one.
        """
        own: AoError | None = None
        try:
            found = await self._own.find(name, owner, variant)
        except AoError as error:
            own = error
        else:
            self._tell(f"the name {name} stands for {found}, as {self._endpoint} says unsigned")
            return found
        try:
            return await self._gateway.find(name, owner, variant)
        except NotFoundError:
            raise
        except AoError as error:
            if error.stage not in AWAY:
                raise
            if isinstance(own, NotFoundError):
                raise own from error
            if not is_loopback(self._endpoint):
                raise
            raise NotFoundError(
                f"this home knows no process {brief(name)} there, and neither {self._endpoint} "
                f"nor {self._gateway.endpoint} looks names up",
                stage="lookup",
                hint=".ps lists those that it knows; --gateway-url names another gateway",
            ) from error
