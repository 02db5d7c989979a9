"""Arweave's deep hash: one digest for bytes and nested lists of them, which no framing can confuse.

A blob is H(H("blob" length) H(bytes)); a list starts with H("list" count) and takes in each member
by H(so far, member's deep hash); H is SHA-384. The length goes into a hash of its own, so that a
blob can be hashed as it passes by. Source: ANS-104, "DataItem signature".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TypeAlias

DeepHashable: TypeAlias = "bytes | Sequence[DeepHashable]"


def deep_hash(value: DeepHashable) -> bytes:
    """The deep hash of bytes, or of a (nested) sequence of them: 48 bytes."""
    if isinstance(value, bytes):
        return _blob(len(value), _sha384(value))
    return hash_list([deep_hash(member) for member in value])


def hash_blob(chunks: Iterable[bytes]) -> bytes:
    """The deep hash of the bytes that the chunks make together, of which it holds one at a time."""
    length, content = 0, hashlib.sha384()
    for chunk in chunks:
        length += len(chunk)
        content.update(chunk)
    return _blob(length, content.digest())


def hash_list(members: Sequence[bytes]) -> bytes:
    """The deep hash of a list, given those of its members."""
    accumulated = _sha384(b"list%d" % len(members))
    for member in members:
        accumulated = _sha384(accumulated + member)
    return accumulated


def _blob(length: int, content: bytes) -> bytes:
    return _sha384(_sha384(b"blob%d" % length) + content)


def _sha384(value: bytes) -> bytes:
    return hashlib.sha384(value).digest()
