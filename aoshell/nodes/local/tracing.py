"""Traces: a message from outside, and everything that it caused."""

from __future__ import annotations

from aoshell.nodes.glances import HopPage
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log import form
from aoshell.nodes.values import Hop


def trace(engine: Engine, root: int, limit: int, largest: int) -> HopPage:
    """The messages that a message caused, causes first, then those that were not delivered.

    Args:
        root: number of the message.
        limit: the most hops.
        largest: bytes of messages and results; ends at the hop that exceeds it.
    """
    hops: list[Hop] = []
    places: dict[int, int] = {}
    size = 0
    for logged, computed in engine.store.tree(root, limit + 1):
        if len(hops) == limit or size > largest:
            return HopPage(tuple(hops), True)
        size += len(logged.body) + (len(computed.body) if computed else 0)
        row = engine.processes.get(logged.process)
        places[logged.seq] = len(hops)
        entry = form.load_entry(row.id, logged, computed)
        hops.append(Hop(row.id, entry, places.get(logged.cause or 0, -1)))
    for sender, slot, kept in engine.store.kept(root=root):
        if kept.cause not in places:
            continue
        if len(hops) == limit or size > largest:
            return HopPage(tuple(hops), True)
        size += len(kept.body)
        lost = form.to_undelivered(engine.processes.get(sender).id, slot, kept)
        hops.append(Hop(lost.process, None, places[kept.cause], lost))
    return HopPage(tuple(hops), False)
