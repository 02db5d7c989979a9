"""Commitments of messages that were sent as ANS-104 data items: rebuilds the item and verifies it.

HyperBEAM keeps the signature and the modulus of such an item, and the original tags
(`original-tags`) if they do not follow from the keys of the message. In items that HyperBEAM makes
itself, the data may be the value at `body`; the tag `ao-data-key` marks these. HyperBEAM puts
values too long for tags into an item within the item; these are not rebuilt.
"""

from __future__ import annotations

from collections.abc import Iterator

from aoshell.errors import AoError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.avro import encode_tags
from aoshell.protocol.commitment import Commitment
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.message import Tag, raw
from aoshell.protocol.tabm import Tabm, normal_key

DEVICE = "ans104@1.0"

_ARWEAVE = 1
_ANCHOR_LENGTH = 32
_FIELDS = ("owner", "signature", "last_tx", "target", "data")
_DATA_KEY = "ao-data-key"


def signs_item(commitment: Commitment, source: Tabm, message: Tabm) -> Tabm | None:
    """The part of a message that its data item covers; None if no item fits the signature.

    Args:
        source: the map that the commitment was read from, with its `original-tags`.
    """
    tags = _tags(commitment, source, message)
    names = {normal_key(tag.name) for tag in tags or ()}
    data_key = "body" if _DATA_KEY in names else "data"
    target, data = ("" if n in names else message.get(n, "") for n in ("target", data_key))
    if tags is None or not isinstance(target, str) or not isinstance(data, str):
        return None
    for anchor in _anchors(message):
        item = DataItem(
            *(_ARWEAVE, commitment.signature, commitment.owner, target, anchor, tags),
            *(encode_tags(tags), raw(data)),
        )
        if _verifies(item):
            covered = names | {"target", data_key, "anchor", "last_tx"}
            return {key: value for key, value in message.items() if key in covered}
    return None


def _verifies(item: DataItem) -> bool:
    try:
        return item.verify()
    except (AoError, ValueError):  # a target that is no address
        return False


def _anchors(message: Tabm) -> Iterator[bytes]:
    """Possible anchors: the message keeps it under one of two names, raw or in base64url."""
    kept = message.get("anchor", message.get("last_tx", ""))
    if isinstance(kept, str):
        yield raw(kept)
        try:
            decoded = unb64url(kept)
        except ValueError:
            return
        if len(decoded) == _ANCHOR_LENGTH:
            yield decoded


def _tags(commitment: Commitment, source: Tabm, message: Tabm) -> tuple[Tag, ...] | None:
    given = source.get("original-tags")
    if isinstance(given, dict):
        return _given(given, message)
    named = _DATA_KEY in commitment.committed
    keys = [key for key in commitment.committed if key not in (*_FIELDS, *["body"] * named)]
    values = ["body" if key == _DATA_KEY else message.get(key) for key in keys]
    if not all(isinstance(value, str) for value in values):
        return None
    return tuple(Tag(key, str(value)) for key, value in zip(keys, values, strict=True))


def _given(given: Tabm, message: Tabm) -> tuple[Tag, ...] | None:
    tags: list[Tag] = []
    for number in range(1, len(given) + 1):
        tag = given.get(str(number))
        if not isinstance(tag, dict):
            return None
        name, value = tag.get("name"), tag.get("value")
        if not isinstance(name, str) or not isinstance(value, str):
            return None
        if message.get(normal_key(name)) != value:
            return None
        tags.append(Tag(name, value))
    return tuple(tags)
