"""What a process has computed, read page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aoshell.nodes.base import Node
from aoshell.nodes.values import LogEntry

_PAGE = 200  # entries that a node is asked for at once


async def computed_entries(node: Node, process: str, after: int = -1) -> AsyncIterator[LogEntry]:
    """The computed entries of a process after a slot, oldest first."""
    last = await node.slots(process) - 1
    while after < last:
        page = await node.results(process, after, _PAGE)
        for entry in page:
            yield entry
        slots = [entry.result.slot for entry in page if entry.result]
        if not slots or slots[-1] <= after:
            return
        after = slots[-1]
