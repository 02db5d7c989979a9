"""A fixed clock and key for a node, so that each run gives the same results."""

from __future__ import annotations

from typing import NamedTuple


class Fixed(NamedTuple):
    """Clock and key of a node whose messages are computed one at a time (`turns`).

    Attributes:
        begin: the time on its clock until that is set forward, milliseconds since the Unix epoch.
        key: 32 bytes, the private Ed25519 key for a node that has none yet.
    """

    begin: int
    key: bytes
