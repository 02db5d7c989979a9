"""Uploads of Arweave base layer transactions: whole, or a header and then its chunks.

Source: the HTTP API of Arweave nodes, as arweave-js uses it (`POST /tx`, `POST /chunk`). Each chunk
has a proof: its path from the root of the data's Merkle tree. The header's signature covers the
root.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aoshell.bounded import jsontext
from aoshell.bounded.sizes import size
from aoshell.nodes.remote.arweave.transactions import (
    LARGEST_CHUNK,
    NOTE,
    NotVerifiedError,
    check_header,
    check_transaction,
    joined,
)
from aoshell.nodes.transaction import Transaction
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.serve.asgi.http import RequestError

LARGEST_DATA = 64 << 20  # bytes of one transaction that comes in chunks
LARGEST_OPEN = 128 << 20  # bytes of all incomplete uploads; the oldest are dropped
MOST_OPEN = 64  # incomplete uploads
LONGEST_PROOF = 96 * 40 + 64  # bytes: a tree of 40 levels
DEEPEST = 16  # levels of the JSON of a request
_HASH = 32

# The members of a header that are kept.
_MEMBERS = (
    *("format", "last_tx", "owner", "tags", "target", "quantity", "data_size", "data_root"),
    *("reward", "signature"),
)


@dataclass(slots=True)
class _Open:
    """An incomplete upload, and the headers that have signed its root."""

    size: int
    headers: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id
    chunks: dict[int, bytes] = field(default_factory=dict)  # by offset

    @property
    def length(self) -> int:
        return sum(map(len, self.chunks.values()))


class Uploads:
    """All incomplete uploads. Its methods may be called from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = OrderedDict[str, _Open]()  # by root and size of the data

    def take(self, body: bytes) -> list[Transaction]:
        """The transaction in a body, verified; [] if its chunks are still to come.

        Raises:
            RequestError: 400, it is no valid transaction; 413, its data is too large.
        """
        header = _json(body)
        data, id = _bytes(header, "data"), _id(header)
        kept = {name: header[name] for name in _MEMBERS if name in header}
        if str(header.get("quantity", "0")) != "0":
            raise RequestError(400, "no wallet has AR here, so none can be sent")
        try:
            if data or str(header.get("data_size", "0")) == "0" or header.get("format") != 2:
                check_transaction(id, header, data)
                return [Transaction(id, kept, data)]
            check_header(id, header)
        except NotVerifiedError as error:
            raise RequestError(400, f"transaction {id} is not verified: {error}") from None
        with self._lock:
            self._begin(id, kept)
        return []

    def add(self, body: bytes) -> list[Transaction]:
        """Take a chunk; returns the transactions that it completes.

        Raises:
            RequestError: 400, there is no header for it, or its proof does not fit the root.
        """
        given = _json(body)
        with self._lock:
            return self._add(given)

    def _add(self, given: Mapping[str, Any]) -> list[Transaction]:
        root, chunk = _bytes(given, "data_root"), _bytes(given, "chunk")
        key = _key(given)
        waiting = self._open.get(key)
        if waiting is None:
            raise RequestError(400, "data_root_not_found: POST /tx with its header comes first")
        offset, proof = _number(given, "offset"), _bytes(given, "data_path")
        try:
            start = check_chunk(root, waiting.size, offset, chunk, proof)
        except NotVerifiedError as error:
            raise RequestError(400, f"invalid_proof: {error}") from None
        waiting.chunks[start] = chunk
        self._make_room()
        if waiting.length < waiting.size:
            return []
        del self._open[key]
        data = b"".join(waiting.chunks[at] for at in sorted(waiting.chunks))
        return [Transaction(id, header, data) for id, header in waiting.headers.items()]

    def _begin(self, id: str, header: dict[str, Any]) -> None:
        length = _number(header, "data_size")
        if length > LARGEST_DATA:
            raise RequestError(413, f"a transaction has at most {size(LARGEST_DATA)} of data here")
        waiting = self._open.setdefault(_key(header), _Open(length))
        if len(waiting.headers) < MOST_OPEN:
            waiting.headers[id] = header
        self._make_room()

    def _make_room(self) -> None:
        while len(self._open) > MOST_OPEN or (
            len(self._open) > 1 and sum(one.length for one in self._open.values()) > LARGEST_OPEN
        ):
            self._open.popitem(last=False)


def check_chunk(root: bytes, length: int, offset: int, chunk: bytes, proof: bytes) -> int:
    """Check a chunk's proof. Returns where the chunk begins in the data, in bytes.

    Args:
        root: root of the data's Merkle tree.
        length: bytes of the whole data.
        offset: of any byte in the chunk.

    Raises:
        NotVerifiedError: the proof does not fit this chunk and this root.
    """
    if len(proof) > LONGEST_PROOF or len(chunk) > LARGEST_CHUNK:
        raise NotVerifiedError("the chunk or its proof is too long")
    first, end, id = 0, length, root
    while len(proof) > _HASH + NOTE:
        left, right, note = proof[:_HASH], proof[_HASH : 2 * _HASH], proof[2 * _HASH :][:NOTE]
        if joined(left, right, note) != id:
            raise NotVerifiedError("a step of the proof does not fit the one before")
        middle = int.from_bytes(note, "big")
        if offset < middle:
            id, end = left, min(end, middle)
        else:
            id, first = right, max(first, middle)
        proof = proof[2 * _HASH + NOTE :]
    digest, note = proof[:_HASH], proof[_HASH:]
    if len(note) != NOTE or joined(digest, note) != id:
        raise NotVerifiedError("the end of the proof does not fit the step before")
    end = min(end, int.from_bytes(note, "big"))
    if hashlib.sha256(chunk).digest() != digest or len(chunk) != end - first:
        raise NotVerifiedError("the chunk is another one")
    return first


def _json(body: bytes) -> Mapping[str, Any]:
    try:
        value = jsontext.parse(body, deepest=DEEPEST)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RequestError(400, "the body is no JSON object")
    return value


def _key(given: Mapping[str, Any]) -> str:
    return f"{given.get('data_root')} {given.get('data_size')}"


def _id(header: Mapping[str, Any]) -> str:
    """The id that follows from a header's signature. Raises RequestError if it names another."""
    id = b64url(hashlib.sha256(_bytes(header, "signature")).digest())
    if header.get("id", id) != id:
        raise RequestError(400, "the id of the transaction is not the hash of its signature")
    return id


def _bytes(given: Mapping[str, Any], name: str) -> bytes:
    try:
        return unb64url(given.get(name) or "")
    except (ValueError, TypeError, AttributeError):
        raise RequestError(400, f"{name} is no base64url") from None


def _number(given: Mapping[str, Any], name: str) -> int:
    text = str(given.get(name))
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise RequestError(400, f"{name} is no number of bytes")
    return int(text)
