"""Code from Arweave that is what its id stands for, or nothing.

A gateway tells of a transaction what GraphQL has of it, and its data. Of a data item (ANS-104) that
is enough to build the item again; of a base layer transaction, its header is asked for besides.
Either way the signature is checked and the id made from it, so a gateway can leave out, never lie.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aoshell.bounded import jsontext
from aoshell.nodes.remote.arweave import transactions
from aoshell.nodes.remote.arweave.transactions import NotVerifiedError
from aoshell.nodes.remote.results import words
from aoshell.protocol.ans104 import ADDRESS_LENGTH, DataItem
from aoshell.protocol.avro import encode_tags
from aoshell.protocol.encoding import ProtocolError, unb64url
from aoshell.protocol.keys import KINDS
from aoshell.protocol.message import Tag, raw, text

WHOLE = ("signature", "owner", "tags")  # members without which no item can be built again


@dataclass(frozen=True, slots=True)
class VerifiedCode:
    """Verified bytes.

    Attributes:
        tags: of the transaction.
        packed: all that it takes to verify it again, for `unpack`.
    """

    id: str
    tags: tuple[Tag, ...]
    data: bytes = field(repr=False)
    packed: bytes = field(repr=False)

    @property
    def name(self) -> str:
        return next((tag.value for tag in self.tags if tag.name == "Name"), "")


def item(id: str, node: Mapping[str, Any], data: bytes) -> VerifiedCode:
    """A data item from what GraphQL tells of it, and its data.

    Raises:
        NotVerifiedError: says what is missing, or what does not fit.
    """
    signature = _octets(node, "signature", node.get("signature"))
    owner = node.get("owner")
    key = _octets(node, "owner's key", owner.get("key") if isinstance(owner, Mapping) else None)
    tags = _tags(node.get("tags"))
    anchor, target = _anchor(node.get("anchor")), words(node.get("recipient"))
    if len(_unb64url(target)) not in (0, ADDRESS_LENGTH):
        raise NotVerifiedError("its recipient is no address")
    for number, kind in KINDS.items():
        if (kind.signature, kind.owner) != (len(signature), len(key)):
            continue
        built = DataItem(number, signature, key, target, anchor, tags, encode_tags(tags), data=data)
        if built.id != id:
            raise NotVerifiedError("its signature belongs to another id")
        if built.verify():
            return VerifiedCode(id, tags, data, built.raw)
    raise NotVerifiedError("its owner has not signed what came")


def transaction(id: str, header: Mapping[str, Any], data: bytes) -> VerifiedCode:
    """A base layer transaction, from its header and data. Raises NotVerifiedError."""
    transactions.check(id, header, data)
    kept = {name: value for name, value in header.items() if name != "data"}
    tags = tuple(
        Tag(*(text(unb64url(tag[part])) for part in ("name", "value")))
        for tag in header.get("tags") or []
    )
    return VerifiedCode(id, tags, data, json.dumps(kept).encode() + b"\n" + data)


def unpack(id: str, packed: bytes) -> VerifiedCode:
    """Code as it was packed, verified again. Raises NotVerifiedError."""
    if packed.startswith(b"{"):
        head, _, data = packed.partition(b"\n")
        try:
            header = jsontext.parse(head)
        except ValueError:
            raise NotVerifiedError("the file is damaged") from None
        return transaction(id, header, data)
    try:
        kept = DataItem.parse(packed)
    except ProtocolError as error:
        raise NotVerifiedError(error.what) from None
    if kept.id != id or not kept.verify():
        raise NotVerifiedError("the file is damaged")
    return VerifiedCode(id, kept.tags, kept.data, packed)


def _octets(node: Mapping[str, Any], what: str, value: object) -> bytes:
    try:
        found = unb64url(value) if isinstance(value, str) else b""
    except ValueError:  # some gateways write "<not-found>"
        found = b""
    if not found:
        has = ", ".join(name for name in node if node[name] and name in WHOLE)
        raise NotVerifiedError(
            f"the gateway does not tell its {what} (of {', '.join(WHOLE)}: {has})"
        )
    return found


def _tags(value: object) -> tuple[Tag, ...]:
    if not isinstance(value, list) or not all(isinstance(tag, Mapping) for tag in value):
        raise NotVerifiedError("the gateway does not tell its tags")
    return tuple(Tag(words(tag.get("name")), words(tag.get("value"))) for tag in value)


def _anchor(value: object) -> bytes:
    """An anchor: gateways write its 32 bytes as they are, or in base64url."""
    anchor = words(value)
    for octets in (raw(anchor), _unb64url(anchor)):
        if len(octets) in (0, ADDRESS_LENGTH):
            return octets
    raise NotVerifiedError("its anchor has no 32 bytes")


def _unb64url(string: str) -> bytes:
    try:
        return unb64url(string)
    except ValueError:
        return b"?"
