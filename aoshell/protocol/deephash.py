"""Arweave's deep hash: one digest of bytes and nested lists. Different structures differ in it.

With H for SHA-384, the deep hash of a blob is H(H("blob" length) H(bytes)). That of a list starts
as H("list" count) and becomes H(so far, member's deep hash) with each member, in order. Length and
bytes are hashed apart, so a blob can be hashed while it is read, before its length is known.
Source: ANS-104, "DataItem signature".
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
    """The deep hash of all chunks joined; one chunk is in memory at a time."""
    length, content = 0, hashlib.sha384()
    for chunk in chunks:
        length += len(chunk)
        content.update(chunk)
    return _blob(length, content.digest())


def hash_list(members: Sequence[bytes]) -> bytes:
    """The deep hash of a list, given the deep hashes of its members."""
    accumulated = _sha384(b"list%d" % len(members))
    for member in members:
        accumulated = _sha384(accumulated + member)
    return accumulated


def _blob(length: int, content: bytes) -> bytes:
    return _sha384(_sha384(b"blob%d" % length) + content)


def _sha384(value: bytes) -> bytes:
    return hashlib.sha384(value).digest()
