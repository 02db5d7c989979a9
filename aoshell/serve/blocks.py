"""Blocks, as a gateway shows them. The node has none, so a block stands for 129 seconds of its
time: heights are then as large as on Arweave. A block's id holds its height, so it can be found."""

from __future__ import annotations

import hashlib

from aoshell.nodes.local.log.scheduler import block_height, block_time
from aoshell.protocol.encoding import b64url, unb64url

__all__ = ["block_height", "block_id", "block_time", "height_of"]

_DIGEST = 40  # bytes of an id before its height; ids of blocks have 48 in all
_HEIGHT = 8


def block_id(height: int) -> str:
    """The id of the block at a height: 64 characters of base64url."""
    end = max(height, 0).to_bytes(_HEIGHT, "big")
    return b64url(hashlib.sha384(b"aoshell block" + end).digest()[:_DIGEST] + end)


def height_of(id: str) -> int | None:
    """The height of the block with this id, None if no block has it."""
    try:
        height = int.from_bytes(unb64url(id)[_DIGEST:], "big")
        return height if block_id(height) == id else None
    except (ValueError, OverflowError):
        return None
