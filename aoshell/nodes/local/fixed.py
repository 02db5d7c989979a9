"""What a node otherwise takes from its machine, given to it, so that it does the same each time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fixed:
    """Time and chance of a node, whose messages are computed one at a time (`turns`).

    Attributes:
        begin: what its clock shows until it is set forward, milliseconds since the Unix epoch.
        key: 32 bytes, the private Ed25519 key of a node that has none yet.
    """

    begin: int
    key: bytes
