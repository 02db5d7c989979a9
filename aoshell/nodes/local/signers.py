"""The addresses that people sign with at this node.

A message that a process sends to one of them is delivered by being shown, so it is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from aoshell.nodes.local.log.store import Store

WALLETS = "wallets"  # in the table of facts: addresses of the shell's identities, a JSON list


class Signers:
    """Addresses of wallets. Those that have signed something that is in the log need no entry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = self._stored()

    def add(self, addresses: Iterable[str]) -> None:
        """Know addresses durably, though nothing that they signed has come yet."""
        stored = self._stored()
        if new := set(addresses) - stored:
            self._store.set_meta(WALLETS, json.dumps(sorted(stored | new)))
        self._known |= new

    def note(self, address: str) -> None:
        """Know an address while the node is open; its signed message brings it back later."""
        self._known.add(address)

    def has(self, address: str) -> bool:
        """Whether somebody known here signs with an address."""
        return address in self._known or self._store.is_owner(address)

    def _stored(self) -> set[str]:
        return set(json.loads(self._store.meta(WALLETS) or "[]"))
