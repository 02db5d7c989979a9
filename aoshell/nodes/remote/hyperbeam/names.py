"""Names of processes on a HyperBEAM node: who is asked for them, and what a name is worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from aoshell.errors import AoError
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import brief
from aoshell.protocol.url import is_loopback

AWAY = frozenset(("resolve", "connect", "TLS"))  # stages at which nobody was reached


class Names:
    """Looks names up at the node, where it has GraphQL, and at the gateway.

    Args:
        client: of the node.
        gateway: where names are that the node does not know.
        tell: called with what a person should know of the name.
    """

    def __init__(self, client: Client, gateway: Gateway, tell: Callable[[str], None]) -> None:
        self._endpoint = client.endpoint
        self._own = Gateway(client, Path())  # nothing is fetched from it, so nothing is kept
        self._gateway = gateway
        self._tell = tell

    async def look_up(self, name: str, owner: str, variant: str) -> str:
        """The id of an owner's process by its name.

        Raises:
            NotFoundError: there is none, or the node is one of this machine's own and nobody looks
                names up for it: then the name is one of this home's.
            AoError: that is not known.
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
