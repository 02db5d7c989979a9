"""Verifies transactions of Arweave's base layer against their ids.

The id is SHA-256 of the signature. Format 1 signs the fields and the data, joined. Format 2 signs
the deep hash of the fields, one of which is `data_root`: the root of a Merkle tree over chunks of
the data. Chunks have 256 KiB; if the last one would have less than 32 KiB, the last two share their
bytes equally. Source: the Arweave protocol, as arweave-js has it (transaction, merkle).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aoshell.protocol.deephash import deep_hash
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.wallet import verify

LARGEST_CHUNK, SMALLEST_CHUNK = 256 * 1024, 32 * 1024  # bytes
NOTE = 32  # bytes of an offset in the tree


class NotVerifiedError(Exception):
    """A transaction does not belong to its id, or cannot be checked; the text says why."""


@dataclass(frozen=True, slots=True)
class _Node:
    """A node of the Merkle tree: its digest, and the offset at which its data ends."""

    id: bytes
    end: int


def check_transaction(id: str, header: Mapping[str, Any], data: bytes) -> None:
    """Check that `header` and `data` are the transaction with this id.

    Args:
        header: from `GET /tx/<id>`; binary members in base64url.

    Raises:
        NotVerifiedError: they are not, or cannot be checked.
    """
    if header.get("format", 1) == 2:
        _check_root(header, data)
    check_header(id, header, data)


def check_header(id: str, header: Mapping[str, Any], data: bytes = b"") -> None:
    """Check that a header is that of the transaction with this id.

    Args:
        data: for format 1, whose signature covers it. In format 2 the signature covers the root of
            the data's tree, so the caller must still check the data.

    Raises:
        NotVerifiedError: it is not, or cannot be checked.
    """
    signature, owner = _bytes(header, "signature"), _bytes(header, "owner")
    if b64url(hashlib.sha256(signature).digest()) != id:
        raise NotVerifiedError("its signature belongs to another id")
    if not owner:
        raise NotVerifiedError("it names no owner (an ECDSA account); only RSA is verified")
    kind = header.get("format", 1)
    if kind == 1:
        signed = _format_1(header, owner, data)
    elif kind == 2:
        signed = _format_2(header, owner)
    else:
        raise NotVerifiedError(f"format {str(kind)[:20]} is not known")
    if not verify(owner, signed, signature):
        raise NotVerifiedError("its owner has not signed this")


def data_root(data: bytes, *, closing: bool = True) -> bytes:
    """The root of the Merkle tree over the chunks of data, 32 bytes.

    Args:
        closing: add an empty chunk if the data fills its last one. Clients differ in this.
    """
    layer = [_leaf(chunk, end) for chunk, end in _chunks(data, closing)]
    while len(layer) > 1:
        # A node without a partner moves up unchanged.
        pairs = [_branch(*layer[at : at + 2]) for at in range(0, len(layer) - 1, 2)]
        layer = pairs + layer[len(layer) - len(layer) % 2 :]
    return layer[0].id


def _check_root(header: Mapping[str, Any], data: bytes) -> None:
    if header.get("data_size") != str(len(data)):
        size = str(header.get("data_size"))[:20]
        raise NotVerifiedError(f"it has {size} bytes of data, {len(data)} came")
    root = _bytes(header, "data_root")
    if not data and not root:
        return
    # Both forms have the same data, and the signature covers the root, so both are safe.
    if root not in (data_root(data), data_root(data, closing=not data)):
        raise NotVerifiedError("its data does not make its data_root")


def _format_1(header: Mapping[str, Any], owner: bytes, data: bytes) -> bytes:
    """The bytes that format 1 signs, in this order and without lengths."""
    target, last = _bytes(header, "target"), _bytes(header, "last_tx")
    quantity, reward = _number(header, "quantity"), _number(header, "reward")
    tags = b"".join(part for tag in _tags(header) for part in tag)
    return b"".join((owner, target, data, quantity, reward, last, tags))


def _format_2(header: Mapping[str, Any], owner: bytes) -> bytes:
    """The bytes that format 2 signs: the deep hash of the fields, in this order."""
    return deep_hash(
        (
            b"2",
            owner,
            _bytes(header, "target"),
            _number(header, "quantity"),
            _number(header, "reward"),
            _bytes(header, "last_tx"),
            _tags(header),
            _number(header, "data_size"),
            _bytes(header, "data_root"),
        )
    )


def _chunks(data: bytes, closing: bool) -> list[tuple[bytes, int]]:
    """The chunks, each with the offset of its end."""
    chunks, start = list[tuple[bytes, int]](), 0
    while (left := len(data) - start) >= LARGEST_CHUNK:
        size = LARGEST_CHUNK
        if 0 < left - size < SMALLEST_CHUNK:
            size = (left + 1) // 2
        chunks.append((data[start : start + size], start + size))
        start += size
    if start < len(data) or closing or not chunks:
        chunks.append((data[start:], len(data)))
    return chunks


def _leaf(chunk: bytes, end: int) -> _Node:
    return _Node(joined(hashlib.sha256(chunk).digest(), _note(end)), end)


def _branch(left: _Node, right: _Node) -> _Node:
    return _Node(joined(left.id, right.id, _note(left.end)), right.end)


def _note(offset: int) -> bytes:
    return offset.to_bytes(NOTE, "big")


def joined(*parts: bytes) -> bytes:
    """The id of a node of the tree: the hash of the hashes of its parts."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.digest()


def _tags(header: Mapping[str, Any]) -> Sequence[tuple[bytes, bytes]]:
    tags = header.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, Mapping) for tag in tags):
        raise NotVerifiedError("its tags are no list of names and values")
    return [(_bytes(tag, "name"), _bytes(tag, "value")) for tag in tags]


def _bytes(header: Mapping[str, Any], name: str) -> bytes:
    value = header.get(name) or ""
    try:
        return unb64url(value)
    except (ValueError, TypeError):
        raise NotVerifiedError(f"its {name} is no base64url") from None


def _number(header: Mapping[str, Any], name: str) -> bytes:
    """A number in the form that is signed: its decimal digits."""
    value = header.get(name, "0")
    if not isinstance(value, str) or not value.isascii() or not value.isdecimal():
        raise NotVerifiedError(f"its {name} is no number")
    return value.encode()
