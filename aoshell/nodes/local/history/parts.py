"""The byte stream of a dumped node: parts, each with its hash, and a hash of everything at the end.

    "aoshell state 1\\n", then parts: kind (1 byte), length (4 bytes, big-endian), SHA-256, bytes

A part of kind `p` (compressed, RFC 1950) or `s` (as it is) holds whole records, each a line of
JSON. Its hash is over its number in the file (8 bytes), its kind and its bytes, so that parts can
be neither left out nor moved. The last part has kind `e` and no bytes, and its hash is over all
bytes before it. Nothing follows it.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from aoshell.bounded import jsontext, zipped
from aoshell.bounded.sizes import size
from aoshell.nodes.local.history.records import LONGEST, demand, most_unpacked

VERSION = 1
MAGIC = b"aoshell state %d\n"
PACKED, STORED, END = b"p", b"s", b"e"

LEVEL = 1  # of compression; higher levels take longer and save only a thirtieth
PART = 1 << 20  # bytes of records with which a part is full
LARGEST_PART = LONGEST + 2 * PART  # bytes of one part, packed or not
LARGEST = 256 << 30  # bytes of all records

_BEGINNING = re.compile(rb"aoshell state ([0-9]{1,9})\n")
_HEAD = struct.Struct(">cI32s")
_NUMBER = struct.Struct(">Q")

Record = Mapping[str, Any]


class NoStateError(ValueError):
    """A file is no dump, or a dump of another version; the text completes "the file …"."""


class TooLargeError(Exception):
    """A record is too large; the text is its size."""


def write_parts(records: Iterable[Record]) -> Iterator[bytes]:
    """The bytes of a dump.

    Raises:
        TooLargeError: a record is larger than `LONGEST`.
    """
    whole = hashlib.sha256()
    written = _Sizes()
    lines = bytearray()
    yield _passed(whole, MAGIC % VERSION)
    number = 0
    for record in records:
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        if len(line) > LONGEST:
            raise TooLargeError(size(len(line)))
        lines += line
        if len(lines) >= PART:
            yield _passed(whole, _part(number, lines, written))
            number += 1
            lines = bytearray()
    if lines:
        yield _passed(whole, _part(number, lines, written))
    yield _HEAD.pack(END, 0, whole.digest())


def _passed(whole: hashlib._Hash, data: bytes) -> bytes:
    whole.update(data)
    return data


def _part(number: int, lines: bytearray, written: _Sizes) -> bytes:
    kind, data = PACKED, zlib.compress(lines, LEVEL)
    if not written.fit(len(lines), len(data)):  # it packs so well that reading would refuse it
        kind, data = STORED, bytes(lines)
    written.add(len(lines), len(data))
    return _HEAD.pack(kind, len(data), _digest(number, kind, data)) + data


def _digest(number: int, kind: bytes, data: bytes) -> bytes:
    return hashlib.sha256(_NUMBER.pack(number) + kind + data).digest()


class _Sizes:
    """Sizes of the parts so far, unpacked and packed, in bytes."""

    def __init__(self) -> None:
        self._unpacked = self._packed = 0

    def fit(self, unpacked: int, packed: int) -> bool:
        """Whether one more part of that packed size may unpack to `unpacked` bytes."""
        return self._unpacked + unpacked <= most_unpacked(self._packed + packed)

    def room(self, packed: int) -> int:
        """Bytes to which one more part of that packed size may unpack."""
        most = min(LARGEST, most_unpacked(self._packed + packed))
        return min(LARGEST_PART, most - self._unpacked)

    def add(self, unpacked: int, packed: int) -> None:
        self._unpacked += unpacked
        self._packed += packed


def read_parts(pieces: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The records of a dump, each as soon as the hash of its part was checked.

    Use them only if this iterator reaches its end: only then is the hash of the whole right.

    Raises:
        NoStateError: it is no dump, or a dump of an unknown version.
        ValueError: it is damaged, or exceeds a bound; the text says how.
    """
    stream = _Stream(pieces)
    _read_beginning(stream)
    read = _Sizes()
    number = 0
    while True:
        before = stream.digest()
        kind, length, digest = _HEAD.unpack(stream.take(_HEAD.size))
        if kind == END:
            demand(length == 0 and digest == before, "its bytes have changed")
            demand(stream.at_end(), "it goes on after its end")
            return
        demand(kind in (PACKED, STORED), f"part {number} is of an unknown kind")
        demand(0 < length <= LARGEST_PART, f"part {number} says that it has {size(length)}")
        data = stream.take(length)
        demand(_digest(number, kind, data) == digest, f"the bytes of part {number} have changed")
        lines = _unpacked(kind, data, read.room(length))
        read.add(len(lines), length)
        data = b""
        yield from _records(lines)
        number += 1


def _read_beginning(stream: _Stream) -> None:
    line = stream.take_line(len(MAGIC) + 9)
    found = _BEGINNING.fullmatch(line)
    if found is None:
        raise NoStateError("is no dump of a node")
    if (version := int(found[1])) != VERSION:
        raise NoStateError(f"has format {version}, and this aoshell reads format {VERSION}")


def _unpacked(kind: bytes, data: bytes, most: int) -> bytes:
    if kind == STORED:
        demand(len(data) <= most, f"its records take more than {size(LARGEST)}")
        return data
    unpacking, lines = zipped.Unpacking(zipped.ZLIB), bytearray()
    try:
        for block in unpacking.feed(data):
            lines += block
            demand(len(lines) <= most, "it unpacks to more than a file of its size may")
        unpacking.end()
    except zipped.DamagedZipError as error:
        raise ValueError(f"its bytes {error}") from None
    return bytes(lines)


def _records(lines: bytes) -> Iterator[dict[str, Any]]:
    demand(lines.endswith(b"\n"), "a record has no end")
    at = 0
    while at < len(lines):
        end = lines.index(b"\n", at)
        demand(end - at < LONGEST, f"a record has more than {size(LONGEST)}")
        record = jsontext.parse(lines[at:end], largest=LONGEST)
        demand(type(record) is dict and len(record) > 0, "a record is not an object")
        yield record
        at = end + 1


class _Stream:
    """Reads bytes from pieces of any size. The caller must bound what it asks for."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = bytearray()
        self._whole = hashlib.sha256()

    def digest(self) -> bytes:
        """SHA-256 of all bytes that were read."""
        return self._whole.copy().digest()

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ValueError if there are fewer."""
        while len(self._rest) < count:
            piece = next(self._pieces, b"")
            demand(bool(piece), "it ends too early")
            self._rest += piece
        return self._taken(count)

    def take_line(self, most: int) -> bytes:
        """The next bytes up to the end of a line, at most `most`, or all that are left."""
        while len(self._rest) < most and b"\n" not in self._rest:
            if not (piece := next(self._pieces, b"")):
                break
            self._rest += piece
        end = self._rest.find(b"\n", 0, most) + 1
        return self._taken(end or min(most, len(self._rest)))

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return not self._rest and not next(self._pieces, b"")

    def _taken(self, count: int) -> bytes:
        taken = bytes(self._rest[:count])
        del self._rest[:count]
        self._whole.update(taken)
        return taken
