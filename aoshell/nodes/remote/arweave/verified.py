"""Code from Arweave, verified against its id.

A gateway returns GraphQL's entry of a transaction, and its data. This is enough to rebuild a data
item (ANS-104); for a base layer transaction its header is fetched as well. The signature is
verified and the id computed from it, so a gateway can withhold code, but not change it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aoshell.bounded import jsontext
from aoshell.nodes.remote.arweave.transactions import NotVerifiedError, check_transaction
from aoshell.nodes.remote.results import words
from aoshell.protocol.ans104 import ADDRESS_LENGTH, DataItem
from aoshell.protocol.avro import encode_tags
from aoshell.protocol.encoding import ProtocolError, unb64url
from aoshell.protocol.keys import KINDS
from aoshell.protocol.message import Tag, raw, text
from aoshell.protocol.wallet import address_of

WHOLE = ("signature", "owner", "tags")  # members that rebuilding an item needs


@dataclass(frozen=True, slots=True)
class VerifiedCode:
    """Verified bytes.

    Attributes:
        tags: tags of the transaction.
        packed: everything needed to verify it again, for `unpack()`.
        owner: address of the signer.
    """

    id: str
    tags: tuple[Tag, ...]
    data: bytes = field(repr=False)
    packed: bytes = field(repr=False)
    owner: str = ""

    @property
    def name(self) -> str:
        return next((tag.value for tag in self.tags if tag.name == "Name"), "")


def verify_item(id: str, node: Mapping[str, Any], data: bytes) -> VerifiedCode:
    """A data item as code, from GraphQL's entry of it and its data. Raises as `rebuild_item`."""
    built = rebuild_item(id, node, data)
    return VerifiedCode(id, built.tags, data, built.raw, built.owner_address)


def rebuild_item(id: str, node: Mapping[str, Any], data: bytes) -> DataItem:
    """A data item, verified, from GraphQL's entry of it and its data.

    Raises:
        NotVerifiedError: something is missing or does not fit; the text says what.
        AoError: stage "message", a tag cannot be encoded.
    """
    signature = _octets(node, "signature", node.get("signature"))
    owner = node.get("owner")
    key = _octets(node, "owner's key", owner.get("key") if isinstance(owner, Mapping) else None)
    tags = _tags(node.get("tags"))
    anchor, target = _anchor(node.get("anchor")), words(node.get("recipient"))
    if len(_unb64url(target)) not in (0, ADDRESS_LENGTH):
        raise NotVerifiedError("its recipient is no address")
    # GraphQL does not report the signature type, so each kind with these lengths is tried.
    for number, kind in KINDS.items():
        if (kind.signature, kind.owner) != (len(signature), len(key)):
            continue
        built = DataItem(number, signature, key, target, anchor, tags, encode_tags(tags), data=data)
        if built.id != id:
            raise NotVerifiedError("its signature belongs to another id")
        if built.verify():
            return built
    raise NotVerifiedError("its owner has not signed what came")


def verify_transaction(id: str, header: Mapping[str, Any], data: bytes) -> VerifiedCode:
    """A base layer transaction, from its header and data. Raises NotVerifiedError."""
    check_transaction(id, header, data)
    kept = {name: value for name, value in header.items() if name != "data"}
    tags = tuple(
        Tag(*(text(unb64url(tag[part])) for part in ("name", "value")))
        for tag in header.get("tags") or []
    )
    owner = address_of(unb64url(words(header.get("owner"))))
    return VerifiedCode(id, tags, data, json.dumps(kept).encode() + b"\n" + data, owner)


def unpack(id: str, packed: bytes) -> VerifiedCode:
    """Packed code, verified again. Raises NotVerifiedError."""
    if packed.startswith(b"{"):
        head, _, data = packed.partition(b"\n")
        try:
            header = jsontext.parse(head)
        except ValueError:
            raise NotVerifiedError("the file is damaged") from None
        return verify_transaction(id, header, data)
    try:
        kept = DataItem.parse(packed)
    except ProtocolError as error:
        raise NotVerifiedError(error.what) from None
    if kept.id != id or not kept.verify():
        raise NotVerifiedError("the file is damaged")
    return VerifiedCode(id, kept.tags, kept.data, packed, kept.owner_address)


def _octets(node: Mapping[str, Any], what: str, value: object) -> bytes:
    try:
        found = unb64url(value) if isinstance(value, str) else b""
    except ValueError:  # some gateways write "<not-found>"
        found = b""
    if not found:
        has = ", ".join(name for name in node if node[name] and name in WHOLE)
        raise NotVerifiedError(
            f"the gateway does not report its {what} (of {', '.join(WHOLE)}: {has})"
        )
    return found


def _tags(value: object) -> tuple[Tag, ...]:
    if not isinstance(value, list) or not all(isinstance(tag, Mapping) for tag in value):
        raise NotVerifiedError("the gateway does not report its tags")
    return tuple(Tag(words(tag.get("name")), words(tag.get("value"))) for tag in value)


def _anchor(value: object) -> bytes:
    """An anchor of 32 bytes, which gateways write raw or in base64url."""
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
