"""Transactions that no log has but clients must find: modules, and the locations of schedulers.

They are not signed. They have the height 0, so everything in a log comes before them (newest
first).
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

LOCATION_LIFE = 3_600_000  # milliseconds for which clients keep the location of a scheduler
MOST_MODULES = 100  # ids of one query that are looked up among the node's modules

_LOCATIONS = frozenset(("Scheduler-Location", "Location"))


class Unlogged:
    """Finds transactions that the node has outside its log."""

    def __init__(self, node: NetworkVerbs, follower: Follower) -> None:
        self._node = node
        self._follower = follower

    async def find(self, wanted: Filter, url: str) -> list[Entry]:
        """Those that a query asks for, whatever its cursor.

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
        """Modules by id: those that the network also has, and those that a query names."""
        found, named = dict[str, Entry](), wanted.ids or frozenset()
        for one in self._node.modules():
            found[one.id] = _entry(one.id, "", one.tags)
        missing = [id for id in named if id not in found or not found[id].tags]
        for id in missing[:MOST_MODULES]:
            if (module := await self._node.module(id)) is not None:
                found[id] = await asyncio.to_thread(_module, module)
        return found

    def _schedulers(self, wanted: Filter) -> Iterable[str]:
        """The addresses of schedulers that a query asks for; each gets a location, this node."""
        clauses = wanted.clauses
        if not any(
            one.kind == TAG and one.name == "Type" and one.values & _LOCATIONS for one in clauses
        ):
            return ()
        owners = next((one.values for one in clauses if one.kind == OWNER), None)
        return map(sound, (self._node.address,) if owners is None else owners)


def _may_be_module(wanted: Filter) -> bool:
    """Whether a query could find a module, so that modules must be searched."""
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
    """A module of the node, as a transaction made up from what the node knows of it."""
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
