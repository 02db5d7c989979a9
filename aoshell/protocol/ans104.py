"""ANS-104 data items: the signed form of AO's messages.

An item on the wire, integers little-endian:

    signature type      2 bytes
    signature, owner    lengths by type (`protocol.keys`; Arweave: 512 and 512)
    target              1 byte, and 32 more where it is 1
    anchor              1 byte, and 32 more where it is 1
    number of tags      8 bytes
    length of tags      8 bytes
    tags                an Avro array of {name: bytes, value: bytes}
    data                the rest

The signature is over the deep hash of these fields, the tags as encoded. One list of tags has
several encodings, so an item keeps the one it was read with: `DataItem.raw` returns every accepted
input byte for byte. The id is SHA-256 of the signature. Source: ANS-104 (arweave-standards), with
Avro 1.11 for the tags.

`protocol.bundle` handles items within items, `protocol.stream` items too large for memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.avro import AvroReader, Source, decode_tags, encode_tags, octets
from aoshell.protocol.deephash import deep_hash, hash_list
from aoshell.protocol.encoding import ProtocolError, b64url, brief, unb64url
from aoshell.protocol.keys import KINDS, REFUSED, KeyType, Signer
from aoshell.protocol.message import MAX_TAG_NAME, MAX_TAG_VALUE, MAX_TAGS, Tag

__all__ = [
    *("ADDRESS_LENGTH", "RELAYED_TAGS", "DataItem", "Header", "check_limits", "check_relayed"),
    "deep_hash",
]

ADDRESS_LENGTH = 32
RELAYED_TAGS = 4096
"""Bytes of encoded tags that the messenger units and bundlers of the legacy network accept."""

Fields: TypeAlias = "tuple[int, bytes, bytes, str, bytes, tuple[Tag, ...], bytes]"
"""The fields of a `Header`, in its order, to make one of."""

# ANS-104 "DataItem signature": what is signed begins with the name and the version of the format.
_PREFIX = tuple(deep_hash(constant) for constant in (b"dataitem", b"1"))


@dataclass(frozen=True, slots=True)
class Header:
    """All fields of a data item but its data.

    Attributes:
        type: number of the owner's kind of key: 1 Arweave, 2 ed25519, 3 Ethereum, 4 Solana.
        signature: perhaps not verified (see `signs()`). Arweave: 512 bytes.
        owner: public key of the signer. Arweave: its RSA modulus, 512 bytes.
        target: address it is sent to, 43 characters base64url, or "".
        anchor: 32 bytes, or b"".
        tags: in order.
        encoded_tags: the tags as they were signed (one list has several Avro encodings).
    """

    type: int
    signature: bytes = field(repr=False)
    owner: bytes = field(repr=False)
    target: str
    anchor: bytes
    tags: tuple[Tag, ...]
    encoded_tags: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """b64url(SHA-256(signature)), 43 characters."""
        return b64url(hashlib.sha256(self.signature).digest())

    @property
    def owner_address(self) -> str:
        """Address of the signer: 43 characters base64url; for Ethereum "0x" and 40 digits."""
        return KINDS[self.type].address(self.owner)

    @property
    def head(self) -> bytes:
        """The header on the wire."""
        target = unb64url(self.target)
        return b"".join(
            (
                self.type.to_bytes(2, "little"),
                *(self.signature, self.owner),
                *(b"\1" + part if part else b"\0" for part in (target, self.anchor)),
                *(len(f).to_bytes(8, "little") for f in (self.tags, self.encoded_tags)),
                self.encoded_tags,
            )
        )

    def signs(self, data: bytes) -> bool:
        """Whether the owner signed this header with the data whose deep hash is `data`."""
        target = unb64url(self.target)
        digest = _digest(self.type, self.owner, target, self.anchor, self.encoded_tags, data)
        return KINDS[self.type].verify(self.owner, digest, self.signature)


@dataclass(frozen=True, slots=True)
class DataItem(Header):
    """One data item. Made by `parse()` or `sign()`.

    Attributes:
        data: the body.
    """

    data: bytes

    @classmethod
    def parse(cls, raw: bytes) -> DataItem:
        """The item in `raw`. Its signature is not verified.

        Raises:
            ProtocolError: the bytes are no data item, or its signature type is not supported.
        """
        return cls.read(AvroReader(raw))

    @classmethod
    def read(cls, reader: AvroReader) -> DataItem:
        """Like `parse()`, for an item that ends where the reader ends."""
        return cls(*read_fields(reader), reader.take(reader.left, "data"))

    @classmethod
    def sign(
        cls,
        wallet: Signer,
        target: str = "",
        tags: Iterable[Tag] = (),
        data: bytes = b"",
        anchor: bytes = b"",
        *,
        limits: bool = True,
    ) -> DataItem:
        """A new item. The salt of an RSA signature is random, so each call gives another id.

        Args:
            wallet: a Wallet, or another signer.
            target: 43 characters base64url, or "".
            anchor: 32 bytes, or b"".
            limits: enforce the network's limits on tags.

        Raises:
            AoError: stage "message", when a field cannot be encoded or exceeds a limit; stage
                "wallet", when an RSA wallet is not RSA-4096, the only size that data items have.
        """
        return cls(*sign_fields(wallet, deep_hash(data), target, tags, anchor, limits), data)

    @property
    def raw(self) -> bytes:
        """The item on the wire."""
        return self.head + self.data

    def verify(self) -> bool:
        """Whether the owner signed exactly this item."""
        return self.signs(deep_hash(self.data))


def read_fields(source: Source) -> Fields:
    """The fields at the beginning of a source, the signature not verified; raises as `parse()`."""
    number, kind = _kind(source)
    signature = source.take(kind.signature, "signature")
    owner = source.take(kind.owner, "owner")
    target = _optional(source, "target")
    anchor = _optional(source, "anchor")
    count_at = source.position
    count = source.integer(8, "number of tags")
    length = source.integer(8, "length of tags")
    tags_at = source.position
    encoded = source.take(length, "tags")
    tags = decode_tags(encoded, tags_at)
    if len(tags) != count:
        raise ProtocolError(f"{count} tags announced, {len(tags)} found", count_at)
    return number, signature, owner, b64url(target), anchor, tags, encoded


def sign_fields(
    wallet: Signer, data: bytes, target: str, tags: Iterable[Tag], anchor: bytes, limits: bool
) -> Fields:
    """The fields of a new item; `data` is the deep hash of its data. Else as `DataItem.sign()`."""
    kind = KINDS[wallet.type]
    if len(wallet.owner) != kind.owner:
        raise AoError(
            f"the wallet has {len(wallet.owner) * 8} bits, and data items take RSA-4096 only",
            stage="wallet",
            hint="choose another with --wallet FILE",
        )
    if anchor and len(anchor) != ADDRESS_LENGTH:
        raise AoError(f"an anchor has 32 bytes, this one {len(anchor)}", stage="message")
    tags = tuple(tags)
    if limits:
        check_limits(tags)
    recipient, encoded = _address(target), encode_tags(tags)
    digest = _digest(wallet.type, wallet.owner, recipient, anchor, encoded, data)
    return wallet.type, wallet.sign(digest), wallet.owner, target, anchor, tags, encoded


def check_relayed(header: Header) -> None:
    """Refuse an item that the legacy network's messenger units and bundlers would refuse.

    They verify with libraries that call an item with more than `RELAYED_TAGS` bytes of encoded
    tags invalid. HyperBEAM and the local node have no such limit.

    Raises:
        AoError: stage "message", when its tags are longer.
    """
    if (length := len(header.encoded_tags)) > RELAYED_TAGS:
        what = f"the message has {length:,} bytes of tags in all"
        raise _too_much(
            what, f"{RELAYED_TAGS:,} bytes", "put it into Data, which has no such limit"
        )


def _kind(source: Source) -> tuple[int, KeyType]:
    """Number and kind of the owner's key. Raises ProtocolError for a kind not supported."""
    at = source.position
    number = source.integer(2, "signature type")
    if kind := KINDS.get(number):
        return number, kind
    name = f" ({REFUSED[number]})" if number in REFUSED else ""
    known = ", ".join(f"{number} ({kind.name})" for number, kind in KINDS.items())
    raise ProtocolError(f"signature type {number}{name} is not supported, only {known}", at)


def _optional(source: Source, what: str) -> bytes:
    at = source.position
    present = source.integer(1, what)
    if present > 1:
        raise ProtocolError(f"{what}: presence byte {present} is neither 0 nor 1", at)
    return source.take(ADDRESS_LENGTH, what) if present else b""


def check_limits(tags: Sequence[Tag]) -> None:
    """Refuse tags that the network would refuse.

    Raises:
        AoError: stage "message", when there are too many, or a name or value is too long.
    """
    hint = "put it into Data, which has no such limit (--no-limits lets it pass locally)"
    if len(tags) > MAX_TAGS:
        raise _too_much(f"the message has {len(tags)} tags", f"{MAX_TAGS} tags", hint)
    for tag in tags:
        for part, string, most in (
            ("name", tag.name, MAX_TAG_NAME),
            ("value", tag.value, MAX_TAG_VALUE),
        ):
            if (length := len(octets(string))) > most:
                what = f"tag {brief(tag.name)} has a {part} of {length:,} bytes"
                raise _too_much(what, f"{most:,} bytes", hint)


def _too_much(what: str, limit: str, hint: str) -> AoError:
    return AoError(f"{what}, the network's limit is {limit}", stage="message", hint=hint)


def _address(target: str) -> bytes:
    try:
        address = unb64url(target)
    except ValueError:
        address = b"?"
    if len(address) not in (0, ADDRESS_LENGTH):
        raise AoError(
            f"the target {brief(target)} is no address",
            stage="message",
            hint="an address has 43 characters of A-Z, a-z, 0-9, - and _",
        )
    return address


def _digest(
    kind: int, owner: bytes, target: bytes, anchor: bytes, tags: bytes, data: bytes
) -> bytes:
    """What is signed: the deep hash of an item's fields, given the deep hash of its data.

    The order is that of ANS-104: "dataitem", "1", signature type in decimal digits, owner, target,
    anchor, tags as encoded, data.
    """
    fields = (b"%d" % kind, owner, target, anchor, tags)
    return hash_list([*_PREFIX, *map(deep_hash, fields), data])
