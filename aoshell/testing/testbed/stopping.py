"""Stops messages that nobody waits for: the next message would have to wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aoshell.nodes.base import Node
from aoshell.nodes.values import Receipt


@asynccontextmanager
async def stopped_with_us(node: Node, receipt: Receipt) -> AsyncIterator[None]:
    """If the block is cancelled, stop computing the message that was sent."""
    try:
        yield
    except asyncio.CancelledError:
        if receipt.slot is not None and node.local:
            await node.local.cancel(receipt.process, receipt.slot)
        raise
