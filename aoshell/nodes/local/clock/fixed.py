"""A fixed clock and key for a node, so that it does the same in each run."""

from __future__ import annotations

from typing import NamedTuple


class Fixed(NamedTuple):
    """Clock and key of a node whose messages are computed one at a time (`turns`).

    Attributes:
        begin: the time on its clock until it is set forward, milliseconds since the Unix epoch.
        key: 32 bytes, the private Ed25519 key of a node that has none yet.
    """

    begin: int
    key: bytes
