"""Makes assignments in the network's form: items that the node signs, and the hash chain over them.

An assignment is an ANS-104 item of type 2 (Ed25519). Such signatures are deterministic, so an item
that was not stored can be made again. A link of the chain is SHA-256 over the id of the previous
assignment and the previous link; the first link is over the id of the process.
Source: permaweb/ao, `su` (`scheduler.rs`, `builder.rs`) and `cu` (`isHashChainValid`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import Logged
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.message import tags_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

EXCLUDE = "Exclude"


def first_link(process_id: str) -> str:
    """The link of slot 0."""
    return b64url(hashlib.sha256(unb64url(process_id)).digest())


def next_link(assignment_id: str, link: str) -> str:
    """The link after the assignment with that id, whose own link is `link`."""
    return b64url(hashlib.sha256(unb64url(assignment_id) + unb64url(link)).digest())


class Assigner:
    """Signs assignments with the node's key.

    Args:
        read_key: returns the 32 bytes of the node's private key, None if there is none.
    """

    type = 2

    def __init__(self, read_key: Callable[[], bytes | None]) -> None:
        self._read_key = read_key
        self._key: Ed25519PrivateKey | None = None
        self._owner = b""

    @property
    def owner(self) -> bytes:
        self._load()
        return self._owner

    def sign(self, message: bytes) -> bytes:
        return self._load().sign(message)

    def _load(self) -> Ed25519PrivateKey:
        if self._key is None:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            key = self._read_key()
            if key is None:
                raise AoError(
                    "the node's private key is gone from its home, and it signs assignments",
                    stage="store",
                    hint="use another AOSHELL_HOME",
                )
            self._key = Ed25519PrivateKey.from_private_bytes(key)
            self._owner = self._key.public_key().public_bytes_raw()
        return self._key

    def assign(self, process_id: str, logged: Logged, exclude: Sequence[str] = ()) -> DataItem:
        """The assignment of a message to its slot.

        Args:
            exclude: names of fields of the message that the process must not get.
        """
        pairs = [
            ("Process", process_id),
            ("Epoch", "0"),
            ("Nonce", str(logged.slot)),
            ("Hash-Chain", logged.chain),
            ("Block-Height", f"{logged.height:012}"),
            ("Timestamp", str(logged.timestamp)),
            ("Data-Protocol", "ao"),
            ("Type", "Assignment"),
            ("Variant", "ao.TN.1"),
            ("Message", logged.id),
        ]
        if exclude:
            pairs.append((EXCLUDE, ",".join(exclude)))
        return DataItem.sign(self, tags=tags_of(pairs), limits=False)  # they are short
