"""Transactions that no log holds, and that clients must find: modules, and where schedulers are.

Nobody has signed these here. They have the height 0, so that whatever is in a log comes before
them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable

from aoshell.nodes.network_verbs import NetworkVerbs
from aoshell.nodes.remote.arweave.bundler import ENCODINGS, check_code
from aoshell.nodes.values import Module
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Tag, tags_of
from aoshell.serve.graphql import searching
from aoshell.serve.graphql.entries import NUMBER_BITS, Entry, sound
from aoshell.serve.graphql.filling import Follower
from aoshell.serve.graphql.filters import OWNER, TAG, Filter

LOCATION_LIFE = 3_600_000  # milliseconds for which clients keep where a scheduler is
MOST_MODULES = 100  # ids of one query that are looked for among the modules of the node

_LOCATIONS = frozenset(("Scheduler-Location", "Location"))


class Unlogged:
    """What the node knows besides its log."""

    def __init__(self, node: NetworkVerbs, follower: Follower) -> None:
        self._node = node
        self._follower = follower

    async def find(self, wanted: Filter, url: str) -> list[Entry]:
        """What a query means of it, whatever its cursor.

        Args:
            url: of this server.
        """
        known = await self._modules(wanted) if _may_be_module(wanted) else {}
        for owner in self._schedulers(wanted):
            location = _location(owner, url)
            known[location.id] = location
        meant = {id: entry for id, entry in known.items() if entry.fits(wanted)}
        if not meant:
            return []
        logged = await self._follower.ask(lambda index: searching.known_ids(index, meant))
        return [entry for id, entry in meant.items() if id not in logged]

    async def _modules(self, wanted: Filter) -> dict[str, Entry]:
        """Modules by id: those that the network knows, and those that a query names."""
        found, named = dict[str, Entry](), wanted.ids or frozenset()
        for one in self._node.modules():
            found[one.id] = _entry(one.id, "", one.tags)
        missing = [id for id in named if id not in found or not found[id].tags]
        for id in missing[:MOST_MODULES]:
            if (module := await self._node.module(id)) is not None:
                found[id] = await asyncio.to_thread(_module, module)
        return found

    def _schedulers(self, wanted: Filter) -> Iterable[str]:
        """The addresses of schedulers that a query asks for: each of them is here."""
        clauses = wanted.clauses
        if not any(
            one.kind == TAG and one.name == "Type" and one.values & _LOCATIONS for one in clauses
        ):
            return ()
        owners = next((one.values for one in clauses if one.kind == OWNER), None)
        return map(sound, (self._node.address,) if owners is None else owners)


def _may_be_module(wanted: Filter) -> bool:
    """Whether a module could be meant, so that it is worth while to look at them."""
    for one in wanted.clauses:
        if one.negated or one.match is not None:
            continue
        if one.kind != TAG and "" not in one.values:
            return False
        if one.kind == TAG and one.name == "Type" and "Module" not in one.values:
            return False
    return True


def _location(owner: str, url: str) -> Entry:
    tags = (
        ("Data-Protocol", "ao"),
        ("Variant", "ao.TN.1"),
        ("Type", "Scheduler-Location"),
        ("Url", url),
        ("Time-To-Live", str(LOCATION_LIFE)),
    )
    id = b64url(hashlib.sha256(b"aoshell scheduler " + owner.encode()).digest())
    return _entry(id, owner, tags_of(tags))


def _module(module: Module) -> Entry:
    """A module of the node, which has no definition on the network."""
    is_wasm = module.kind == "wasm"
    pairs = [
        ("Content-Type", "application/wasm" if is_wasm else "application/lua"),
        ("Data-Protocol", "ao"),
        ("Variant", "ao.TN.1"),
        ("Type", "Module"),
        ("Module-Format", check_code(module.data) if is_wasm else "lua"),
        *ENCODINGS,
    ]
    if module.name:
        pairs.append(("Name", module.name))
    return _entry(module.id, "", tags_of(pairs), len(module.data))


def _entry(id: str, owner: str, tags: Iterable[Tag], size: int = 0) -> Entry:
    digest = hashlib.sha256(id.encode("utf-8", "replace")).digest()
    number = int.from_bytes(digest[:8], "big") >> (64 - NUMBER_BITS)
    return Entry(number, id, owner, "", "", size, 0, 0, tuple(tags))
