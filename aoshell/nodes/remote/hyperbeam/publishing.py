"""Publishes and finds code on a HyperBEAM node, and chooses the module of new processes."""

from __future__ import annotations

import hashlib
import time

from aoshell.nodes.remote.arweave.bundler import kind_of
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.hyperbeam import signing
from aoshell.nodes.remote.hyperbeam.reading import plain
from aoshell.nodes.remote.hyperbeam.sending import Sending
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Module, Publication
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.url import is_loopback
from aoshell.protocol.wallet import Wallet

# The module of the newest aos (2.0.x of 2026) on HyperBEAM: WASM, executed by genesis-wasm@1.0.
AOS_MODULE = "ISShJH1ij-hPPt9St5UFFr_8Ys3Kj5cyg7zrMGt7H9s"
CODE = "code"  # kind of facts in the book: modules that this node has, by their SHA-256
OFFERED = "offered"  # kind of facts in the book: the module that the node names for new processes


class Publishing(Sending):
    """The part of the node that publishes and fetches code.

    Args:
        client, book, waiting: as in `Sending`.
        gateway: publishes and looks up code that the node does not have.
        module: id of the default module of new processes, "" for the network's or our own.
    """

    def __init__(
        self, client: Client, book: Book, waiting: Waiting, gateway: Gateway, module: str
    ) -> None:
        Sending.__init__(self, client, book, waiting)
        self._gateway = gateway
        self._module = module
        self._modules: dict[str, Module] = {}  # signed, but not sent yet, by id

    async def publication(self, wallet: Wallet, data: bytes, name: str) -> Publication:
        if not is_loopback(self.endpoint):
            return await self._gateway.publication(wallet, data, name)
        profile, address = (await self._generation()).profile, await self._address()
        item = signing.module(wallet, data, name, address, profile)
        self._modules[item.id] = Module(item.id, kind_of(data), name, data)
        return Publication(item, self.endpoint, len(item.body), "free", permanent=False)

    async def publish(self, publication: Publication) -> Module:
        module = self._modules.pop(publication.item.id, None)
        if module is None:
            return self._remembered(await self._gateway.publish(publication))
        what = "does not keep the code", ".publish it again"
        path = signing.SPAWN
        await self._scheduled("publish", path, publication.item, module.id, what)
        self._book.put(self.endpoint, CODE, _hash_of(module.data), module.id)
        return self._remembered(module)

    async def default_module(self) -> str:
        if self._module:
            return self._module
        if not is_loopback(self.endpoint):
            return AOS_MODULE
        from aoshell.sandbox import hyperaos

        kept = self._book.get(self.endpoint, CODE, _hash_of(hyperaos.source()))
        return str(kept or "") or await self._offered_module()

    async def _offered_module(self) -> str:
        """The module that the node itself names for new processes, as `aoshell serve` does; "" for
        none."""
        path = "/~meta@1.0/info/default-module"
        answer = await self._get("info", path)
        offered = plain(self._trust.read(answer, "info")) if answer.ok else ""
        if not has_id_form(offered):
            return ""
        self._book.put(self.endpoint, CODE, OFFERED, offered, learnt_again=True)
        return self._remembered(Module(offered, "wasm", "aos", b"")).id

    async def fetch(self, reference: str) -> Module:
        own = self._book.all(self.endpoint, CODE)
        modules = self._book.all(self.endpoint, "module")
        named = [one for one, fact in modules.items() if fact.get("name") == reference]
        newest = sorted(named, key=lambda one: modules[one].get("at", 0))[-1:]
        reference = newest[0] if newest and not has_id_form(reference) else reference
        fact = modules.get(reference)
        if fact and reference in own.values():  # the node has it, and no gateway does
            return Module(reference, str(fact["kind"]), str(fact["name"]), b"")
        return self._remembered(await self._gateway.module(reference))

    def _remembered(self, module: Module) -> Module:
        fact = {"kind": module.kind, "name": module.name, "at": time.time_ns()}
        self._book.put(self.endpoint, "module", module.id, fact)
        return module


def _hash_of(code: bytes) -> str:
    return hashlib.sha256(code).hexdigest()
