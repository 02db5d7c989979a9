"""ANS-104 data items: the signed envelope in which messages travel.

An item on the wire, integers little-endian:

    signature type      2 bytes
    signature, owner    lengths by type (Arweave: 512 and 512)
    target              1 byte, and 32 more where it is 1
    anchor              1 byte, and 32 more where it is 1
    number of tags      8 bytes
    length of tags      8 bytes
    tags                an Avro array of {name: bytes, value: bytes}
    data                the rest

What is signed is the deep hash of these fields, the tags as encoded; so an item keeps the encoding
it came with, and `DataItem.raw` gives back each accepted input byte for byte. The id is SHA-256 of
the signature. Source: ANS-104 (arweave-standards), with Avro 1.11 for the tags.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.encoding import ProtocolError, b64url, brief, unb64url
from aoshell.protocol.message import MAX_TAG_NAME, MAX_TAG_VALUE, MAX_TAGS, Tag, raw, text
from aoshell.protocol.wallet import Wallet, address_of, verify

ARWEAVE = 1
SIGNATURE_LENGTH = 512
OWNER_LENGTH = 512
ADDRESS_LENGTH = 32

_FOREIGN = {
    2: "ed25519",
    3: "Ethereum",
    4: "Solana",
    5: "Aptos",
    6: "Aptos multi-signature",
    7: "typed Ethereum",
    101: "Kyve",
}

DeepHashable: TypeAlias = "bytes | Sequence[DeepHashable]"


@dataclass(frozen=True, slots=True)
class DataItem:
    """One data item, signed by an Arweave wallet. Made by `parse()` or `sign()`.

    Attributes:
        signature: 512 bytes; says nothing until `verify()` was true.
        owner: RSA modulus of the signer, 512 bytes.
        target: address it is sent to, 43 characters base64url, or "".
        anchor: 32 bytes, or b"".
        tags: in order.
        data: the body.
        encoded_tags: the tags as they were signed (one list has more than one Avro encoding).
    """

    signature: bytes = field(repr=False)
    owner: bytes = field(repr=False)
    target: str
    anchor: bytes
    tags: tuple[Tag, ...]
    data: bytes
    encoded_tags: bytes = field(repr=False)

    @classmethod
    def parse(cls, raw: bytes) -> DataItem:
        """The item in `raw`, its signature not yet checked.

        Raises:
            ProtocolError: the bytes are no data item, or one of a signature type not known here.
        """
        reader = _Reader(raw)
        _check_type(reader.integer(2, "signature type"))
        signature = reader.take(SIGNATURE_LENGTH, "signature")
        owner = reader.take(OWNER_LENGTH, "owner")
        target = reader.optional("target")
        anchor = reader.optional("anchor")
        count_at = reader.at
        count = reader.integer(8, "number of tags")
        length = reader.integer(8, "length of tags")
        tags_at = reader.at
        encoded = reader.take(length, "tags")
        tags = _decode_tags(_Reader(raw, tags_at, reader.at)) if encoded else ()
        if len(tags) != count:
            raise ProtocolError(f"{count} tags announced, {len(tags)} found", count_at)
        data = raw[reader.at :]
        return cls(signature, owner, b64url(target), anchor, tags, data, encoded)

    @classmethod
    def sign(
        cls,
        wallet: Wallet,
        target: str = "",
        tags: Iterable[Tag] = (),
        data: bytes = b"",
        anchor: bytes = b"",
        *,
        limits: bool = True,
    ) -> DataItem:
        """A new item. The salt of the signature is random, so each has an id of its own.

        Args:
            target: 43 characters base64url, or "".
            anchor: 32 bytes, or b"".
            limits: hold the network's limits on tags.

        Raises:
            AoError: stage "message", when a field cannot be carried or a limit is exceeded; stage
                "wallet", when the wallet is not RSA-4096, the one size that data items know.
        """
        if len(wallet.owner) != OWNER_LENGTH:
            raise AoError(
                f"the wallet has {len(wallet.owner) * 8} bits, and data items take RSA-4096 only",
                stage="wallet",
                hint="choose another with --wallet FILE",
            )
        if anchor and len(anchor) != ADDRESS_LENGTH:
            raise AoError(f"an anchor has 32 bytes, this one {len(anchor)}", stage="message")
        tags = tuple(tags)
        if limits:
            _check_limits(tags)
        recipient, encoded = _address(target), _encode_tags(tags)
        signature = wallet.sign(_digest(wallet.owner, recipient, anchor, encoded, data))
        return cls(signature, wallet.owner, target, anchor, tags, data, encoded)

    @property
    def id(self) -> str:
        """b64url(SHA-256(signature)), 43 characters."""
        return b64url(hashlib.sha256(self.signature).digest())

    @property
    def owner_address(self) -> str:
        """Address of the signer, 43 characters base64url."""
        return address_of(self.owner)

    @property
    def raw(self) -> bytes:
        """The item on the wire."""
        head = ARWEAVE.to_bytes(2, "little") + self.signature + self.owner
        target = unb64url(self.target)
        sizes = len(self.tags).to_bytes(8, "little") + len(self.encoded_tags).to_bytes(8, "little")
        optional = _optional(target) + _optional(self.anchor)
        return b"".join((head, optional, sizes, self.encoded_tags, self.data))

    def verify(self) -> bool:
        """Whether the owner signed exactly this item."""
        target = unb64url(self.target)
        digest = _digest(self.owner, target, self.anchor, self.encoded_tags, self.data)
        return verify(self.owner, digest, self.signature)


def deep_hash(value: DeepHashable) -> bytes:
    """Arweave's deep hash of bytes, or of a (nested) sequence of them: 48 bytes, SHA-384.

    A blob is H(H("blob" length) H(bytes)); a list starts with H("list" count) and takes in each
    member by H(so far, member's deep hash). Source: ANS-104, "DataItem signature".
    """
    if isinstance(value, bytes):
        return _sha384(_sha384(b"blob%d" % len(value)) + _sha384(value))
    accumulated = _sha384(b"list%d" % len(value))
    for member in value:
        accumulated = _sha384(accumulated + deep_hash(member))
    return accumulated


class _Reader:
    """A position in bytes; each reading names what it was after when there is too little."""

    __slots__ = ("at", "end", "raw")

    def __init__(self, raw: bytes, at: int = 0, end: int | None = None) -> None:
        self.raw = raw
        self.at = at
        self.end = len(raw) if end is None else end

    def take(self, length: int, what: str) -> bytes:
        start = self.at
        if length > self.end - start:
            left = self.end - start
            raise ProtocolError(f"{what}: {length} bytes expected, {left} left", start)
        self.at = start + length
        return self.raw[start : self.at]

    def integer(self, length: int, what: str) -> int:
        return int.from_bytes(self.take(length, what), "little")

    def optional(self, what: str) -> bytes:
        present = self.integer(1, what)
        if present > 1:
            raise ProtocolError(f"{what}: presence byte {present} is neither 0 nor 1", self.at - 1)
        return self.take(ADDRESS_LENGTH, what) if present else b""

    def long(self, what: str) -> int:
        """An Avro long: 64 bits, zigzag, seven bits a byte, least significant first."""
        start, number, shift = self.at, 0, 0
        while shift < 70:
            if self.at >= self.end:
                raise ProtocolError(f"{what}: a number breaks off", start)
            byte = self.raw[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if number >> 64:
                    break
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise ProtocolError(f"{what}: a number exceeds 64 bits", start)

    def string(self, what: str) -> str:
        start = self.at
        length = self.long(what)
        if length < 0:
            raise ProtocolError(f"{what}: negative length {length}", start)
        return text(self.take(length, what))


def _check_type(number: int) -> None:
    if number == ARWEAVE:
        return
    name = _FOREIGN.get(number)
    known = f" ({name})" if name else ""
    raise ProtocolError(f"signature type {number}{known} is not supported, only 1 (Arweave)", 0)


def _decode_tags(reader: _Reader) -> tuple[Tag, ...]:
    """Tags from an Avro array, which must fill the reader: blocks, then a count of zero.

    A block's count is negative where the block's length in bytes follows it.
    """
    tags: list[Tag] = []
    while count := reader.long("number of tags in a block"):
        size_at = reader.at
        size = reader.long("length of a block") if count < 0 else None
        start = reader.at
        for _ in range(abs(count)):
            tags.append(Tag(reader.string("tag name"), reader.string("tag value")))
        if size is not None and size != reader.at - start:
            raise ProtocolError(f"a block of {reader.at - start} bytes says {size}", size_at)
    if reader.at != reader.end:
        raise ProtocolError(f"{reader.end - reader.at} bytes behind the tags", reader.at)
    return tuple(tags)


def _encode_tags(tags: Sequence[Tag]) -> bytes:
    """One Avro block, as other signers write it; nothing at all for no tags."""
    if not tags:
        return b""
    parts = [_long(len(tags))]
    for tag in tags:
        for string in (_raw(tag.name), _raw(tag.value)):
            parts += (_long(len(string)), string)
    parts.append(_long(0))
    return b"".join(parts)


def _long(number: int) -> bytes:
    """A natural number as an Avro long."""
    number <<= 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _raw(string: str) -> bytes:
    try:
        return raw(string)
    except UnicodeEncodeError:
        raise AoError(
            f"a tag holds half a surrogate pair, which has no bytes: {brief(string)}",
            stage="message",
        ) from None


def _check_limits(tags: Sequence[Tag]) -> None:
    if len(tags) > MAX_TAGS:
        raise _too_much(f"the message has {len(tags)} tags", f"{MAX_TAGS} tags")
    for tag in tags:
        for part, string, most in (
            ("name", tag.name, MAX_TAG_NAME),
            ("value", tag.value, MAX_TAG_VALUE),
        ):
            if (length := len(_raw(string))) > most:
                what = f"tag {brief(tag.name)} has a {part} of {length:,} bytes"
                raise _too_much(what, f"{most:,} bytes")


def _too_much(what: str, limit: str) -> AoError:
    return AoError(
        f"{what}, the network's limit is {limit}",
        stage="message",
        hint="put it into Data, which has no such limit (--no-limits lets it pass locally)",
    )


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


def _optional(value: bytes) -> bytes:
    return b"\1" + value if value else b"\0"


def _digest(owner: bytes, target: bytes, anchor: bytes, tags: bytes, data: bytes) -> bytes:
    kind = b"%d" % ARWEAVE
    return deep_hash((b"dataitem", b"1", kind, owner, target, anchor, tags, data))


def _sha384(value: bytes) -> bytes:
    return hashlib.sha384(value).digest()
