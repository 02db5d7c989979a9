"""Makes the node behind the shell: the built-in node or a remote one.

Only this module gives the shell its node; the shell itself imports only `nodes.base` and
`nodes.values`. Slow imports are inside the functions that need them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from aoshell.home.endpoints import Endpoints
    from aoshell.home.folders import Settings
    from aoshell.nodes.base import Node
    from aoshell.nodes.remote.arweave.gateway import Gateway
    from aoshell.nodes.remote.http.client import Client
    from aoshell.nodes.remote.http.progress import Waiting
    from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
    from aoshell.nodes.remote.legacy.node import LegacyNode
    from aoshell.nodes.values import Limits, Module, ProcessInfo
    from aoshell.protocol.wallet import Wallet
    from aoshell.sandbox.supervising.supervisor import Supervisor
    from aoshell.sandbox.supervising.worker_handle import Follow
    from aoshell.shell.start import Key, Start

OWN_GATEWAY = 10.0  # seconds in which even a busy node of this machine answers


class Backend(Protocol):
    """A node that the shell can open. `processes` and `last_prompt` need no open node."""

    def warm(self) -> None:
        """Start slow work that needs neither settings nor an event loop."""

    def prepared(self, start: Start, settings: Settings) -> Start:
        """A `Start`, completed for this node."""

    async def open(
        self, settings: Settings, limits: Limits, key: Key, tell: Callable[[str], None]
    ) -> Node:
        """Open the node.

        Args:
            key: returns the wallet once it is loaded.
            tell: shows what the shell waits for, if that takes long.
        """

    def processes(self, settings: Settings, tell: Callable[[str], None]) -> Sequence[ProcessInfo]:
        """All processes, newest first; also while another shell has the node open.

        Args:
            tell: shows warnings, and stages that take long.
        """

    def last_prompt(self, settings: Settings, name: str) -> str:
        """The last prompt of a process, "" if it has none."""


class LocalBackend:
    """The built-in node.

    Args:
        named: whether the user named it. If not, a process known on a remote node is not made here.
        endpoints: returns the endpoints; their gateway provides code that this node lacks.
        gateway: URL of the gateway that the user named, "" for none.
        program: whether a program has it open, whose own code may block: the node gets a thread.
        follow: called with each frame to and from a worker.
    """

    def __init__(
        self,
        named: bool = False,
        endpoints: Callable[[], Endpoints] | None = None,
        gateway: str = "",
        *,
        program: bool = False,
        follow: Follow | None = None,
    ) -> None:
        self._supervisor: Supervisor | None = None
        self._named = named
        self._endpoints = endpoints
        self._gateway = gateway
        self._program = program
        self._follow = follow

    def warm(self) -> None:
        from aoshell.sandbox.supervising.supervisor import Supervisor

        self._supervisor = Supervisor(follow=self._follow)
        self._supervisor.start()

    def prepared(self, start: Start, settings: Settings) -> Start:

        if self._gateway.startswith("http:"):
            from aoshell.protocol.url import unprotected

            start = start._replace(place=unprotected([self._gateway]))
        if self._named:
            return start
        return start._replace(elsewhere=lambda reference: _elsewhere(settings, reference))

    async def open(
        self, settings: Settings, limits: Limits, key: Key, tell: Callable[[str], None]
    ) -> Node:
        del key
        from aoshell.nodes.clients import client_name
        from aoshell.nodes.joined.carrying import Home
        from aoshell.nodes.joined.node import HomeNode
        from aoshell.nodes.local.workers.room import raise_descriptors

        if not self._program:
            raise_descriptors()
            _freeze()
        fetch = self._endpoints and partial(fetch_module, self._endpoints, settings)
        supervisor, self._supervisor = self._supervisor, None
        return await HomeNode.open(
            Home(settings.state, supervisor, fetch),
            limits,
            client=client_name("python" if self._program else ""),
            threaded=self._program,
            tell=tell,
        )

    def processes(self, settings: Settings, tell: Callable[[str], None]) -> Sequence[ProcessInfo]:
        del tell
        from aoshell.nodes.local.processes.peek import list_processes

        return list_processes(settings.node_db)

    def last_prompt(self, settings: Settings, name: str) -> str:
        from aoshell.nodes.local.processes.peek import read_last_prompt

        return read_last_prompt(settings.node_db, name)


def _freeze() -> None:
    """Exclude the objects of the start from garbage collection: they stay."""
    import gc

    gc.freeze()


class RemoteBackend:
    """A remote node."""

    def __init__(self, endpoints: Endpoints, wallet: str, verify: str) -> None:
        self._endpoints = endpoints
        self._wallet = wallet
        self._verify = verify

    def warm(self) -> None:
        pass

    def prepared(self, start: Start, settings: Settings) -> Start:
        del settings

        from aoshell.protocol.message import tags_of
        from aoshell.protocol.url import unprotected

        where, wanted = self._endpoints, ("Scheduler", "Authority")
        place = "\n".join(filter(None, (_place(where), unprotected(where.urls))))
        pairs = ((name, getattr(where, name.lower())) for name in wanted)
        return start._replace(
            network=tags_of((name, value) for name, value in pairs if value),
            place=place,
            startup=where.startup,
        )

    async def open(
        self, settings: Settings, limits: Limits, key: Key, tell: Callable[[str], None]
    ) -> Node:
        del limits, tell  # a remote node has its own limits, and is asked later
        return remote_node(await _completed(self._endpoints), settings, key, self._verify)

    def processes(self, settings: Settings, tell: Callable[[str], None]) -> Sequence[ProcessInfo]:
        from aoshell import interrupts

        return interrupts.run(self._processes(settings, tell))

    async def _processes(
        self, settings: Settings, tell: Callable[[str], None]
    ) -> Sequence[ProcessInfo]:
        import asyncio

        from aoshell.bounded.files import path_of
        from aoshell.home.wallets import load_wallet
        from aoshell.protocol.url import unprotected
        from aoshell.shell.view.waiting import report

        async def key() -> Wallet:
            return load_wallet(path_of(self._wallet) if self._wallet else settings.wallet)

        if warning := unprotected(self._endpoints.urls):
            tell(warning)
        settings.make_folders()
        node = remote_node(self._endpoints, settings, key, self._verify)
        reporting = asyncio.create_task(report(node, tell))
        try:
            return await node.processes()
        finally:
            reporting.cancel()
            await node.close()

    def last_prompt(self, settings: Settings, name: str) -> str:
        del settings, name
        return ""


def remote_node(endpoints: Endpoints, settings: Settings, key: Key, verify: str) -> Node:
    """Make a remote node; the only place that does."""
    from aoshell.nodes.remote.http.progress import Waiting
    from aoshell.nodes.remote.memory import Book

    waiting = Waiting()
    gateway = _gateway(endpoints, settings, waiting)
    book = Book(settings.book)
    node: HyperBeamNode | LegacyNode
    if endpoints.kind == "legacynet":
        from aoshell.nodes.remote.legacy.node import LegacyNode, LegacyUrls

        names = ("mu", "cu", "su", "scheduler", "authority", "module")
        urls = LegacyUrls(**{name: getattr(endpoints, name) for name in names})
        node = LegacyNode(urls, book, gateway, key, waiting)
    else:
        from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode

        node = HyperBeamNode(endpoints.node, book, gateway, key, waiting, module=endpoints.module)
    if verify:
        from aoshell.nodes.values import Verify
        from aoshell.shell.attestation.pins import AttestationPins

        node.verify = Verify(verify)
        known = AttestationPins(settings).get(node.endpoint)
        node.pin = known.pin() if known else None
    return node


async def _completed(endpoints: Endpoints) -> Endpoints:
    """The endpoints, completed if they are a node of this machine.

    If the node is also a gateway, as `aoshell serve` is, it becomes gateway and bundler, unless the
    user named others. If it is all units of a network, its address becomes scheduler and authority,
    unless the user named others.
    """
    import asyncio
    from contextlib import suppress
    from dataclasses import replace

    from aoshell.errors import AoError
    from aoshell.protocol.url import is_loopback

    units = {endpoints.mu, endpoints.cu, endpoints.su}
    here = endpoints.node or (endpoints.mu if len(units) == 1 else "")
    if not (here and is_loopback(here)):
        return endpoints
    found = endpoints
    if "gateway" not in endpoints.sources:
        with suppress(AoError, TimeoutError):
            await asyncio.create_task(_look_up(here))
            own = endpoints.sources.get("bundler") == "default"
            found = replace(found, gateway=here, bundler=here if own else found.bundler)
    if endpoints.mu and not (endpoints.scheduler and endpoints.authority):
        with suppress(AoError, TimeoutError):
            address = await asyncio.create_task(_address_of(here))
            scheduler, authority = found.scheduler or address, found.authority or address
            found = replace(found, scheduler=scheduler, authority=authority)
    return found


async def _look_up(here: str) -> None:
    """Ask a node of this machine as a gateway; call it in a task. Raises AoError, TimeoutError."""
    from pathlib import Path

    from aoshell.nodes.remote.arweave.gateway import Gateway

    async with _asked_once(here) as client:
        await Gateway(client, Path()).look()


async def _address_of(here: str) -> str:
    """The address of a network of this machine, "" if it gives none; otherwise as `_look_up`."""
    from aoshell.protocol.encoding import has_id_form

    async with _asked_once(here) as client:
        answer = await client.get("schedule", "/")
    facts = answer.json("schedule") if answer.ok else None
    found = facts.get("address") if isinstance(facts, dict) else None
    return found if isinstance(found, str) and has_id_form(found) else ""


@asynccontextmanager
async def _asked_once(here: str) -> AsyncIterator[Client]:
    """A client that tries once, for `OWN_GATEWAY` seconds at most; enter it in a task."""
    import asyncio

    from aoshell.nodes.remote.http.client import Client
    from aoshell.nodes.remote.http.progress import Waiting, disable_retries

    disable_retries()
    client = Client(here, Waiting())
    try:
        async with asyncio.timeout(OWN_GATEWAY):
            yield client
    finally:
        await client.close()


def _gateway(endpoints: Endpoints, settings: Settings, waiting: Waiting) -> Gateway:
    from aoshell.nodes.remote.arweave.gateway import Gateway
    from aoshell.nodes.remote.http.client import Client

    bundler = Client(endpoints.bundler, waiting) if endpoints.bundler else None
    return Gateway(Client(endpoints.gateway, waiting), settings.cache / "modules", bundler)


async def fetch_module(
    endpoints: Callable[[], Endpoints],
    settings: Settings,
    module: str,
    tell: Callable[[str], None] = lambda _line: None,
) -> Module:
    """Code by its transaction id, from the cache of the home or from the gateway.

    Args:
        tell: shows what is waited for, where that takes long.

    Raises:
        AoError: there is none, it cannot be fetched, or it does not belong to the id.
    """
    import asyncio

    from aoshell.nodes.remote.http.progress import Waiting
    from aoshell.shell.view.waiting import report

    waiting = Waiting()
    gateway = _gateway(endpoints(), settings, waiting)
    reporting = asyncio.create_task(report(waiting, tell))
    try:
        return await gateway.module(module)
    finally:
        reporting.cancel()
        await gateway.close()


def _place(endpoints: Endpoints) -> str:
    """The remote node and the setting that chose it, for the first line on the screen."""
    where = endpoints.node or f"MU {endpoints.mu}, CU {endpoints.cu}, SU {endpoints.su}"
    chosen = endpoints.sources.get("kind", "")
    return f"on {where} ({endpoints.kind}, by {chosen})"


def _elsewhere(settings: Settings, reference: str) -> tuple[str, str] | None:
    """The remote node on which a name or id is known, and the flags that open it."""
    file = settings.book
    if not file.exists():
        return None
    from aoshell.nodes.remote.memory import home_of

    found = home_of(file, reference)
    if found is None:
        return None
    from aoshell.home.endpoints import PUBLIC

    url, hyperbeam = found
    if hyperbeam:
        return url, f"--node {url}"
    return url, "--legacy" if url == PUBLIC["mu"] else "--profile of that network"
