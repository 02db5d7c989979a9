"""A transaction of Arweave's base layer, with the attributes of a `DataItem`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aoshell.bounded import jsontext
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.message import Tag, text


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction; the caller has verified it (`remote.arweave.transactions`).

    Attributes:
        id: SHA-256 of its signature, 43 characters base64url.
        header: its members in JSON, binary ones in base64url; without the data.
        data: its data.
    """

    id: str
    header: Mapping[str, Any] = field(repr=False)
    data: bytes = field(repr=False)

    @classmethod
    def load(cls, id: str, raw: bytes) -> Transaction:
        """The inverse of `raw`. Raises ValueError for malformed bytes."""
        head, _, data = raw.partition(b"\n")
        return cls(id, jsontext.parse(head), data)

    @property
    def raw(self) -> bytes:
        """The transaction as bytes: a line with the header, then the data."""
        return json.dumps(self.header, separators=(",", ":")).encode() + b"\n" + self.data

    @property
    def owner_address(self) -> str:
        """Address of the signer."""
        return b64url(hashlib.sha256(unb64url(self.header["owner"])).digest())

    @property
    def target(self) -> str:
        """The wallet that it sends to, or ""."""
        return str(self.header.get("target") or "")

    @property
    def anchor(self) -> bytes:
        """Its `last_tx`."""
        return unb64url(self.header.get("last_tx") or "")

    @property
    def tags(self) -> tuple[Tag, ...]:
        """Its tags, in order."""
        pairs = ((tag.get("name"), tag.get("value")) for tag in self.header.get("tags") or ())
        return tuple(
            Tag(text(unb64url(name or "")), text(unb64url(value or ""))) for name, value in pairs
        )
