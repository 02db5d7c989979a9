"""Certificate tables, which a host may give its guest with a report.

A table has entries of 24 bytes (GUID, offset, length; numbers are little-endian) up to an entry of
zeros, then the certificates that they point at. Source: AMD 56421 (GHCB) section 4.1.8.1.
"""

from __future__ import annotations

import struct

from aoshell.attest.errors import EvidenceError

LARGEST = 256 << 10  # bytes
MOST_ENTRIES = 16

_ENTRY = struct.Struct("<16sII")
# By GUID, as bytes: to import `uuid`, and `platform` with it, takes 2 ms.
_NAMES = {
    bytes.fromhex("63da758d e664 4564 adc5 f4b93be8accd"): "VCEK",
    bytes.fromhex("a8074bc2 a25a 483e aae6 39c045a0b8a1"): "VLEK",
    bytes.fromhex("4ab7b379 bbac 4fe4 a02f 05aef327c782"): "ASK",
    bytes.fromhex("c0b406a4 a803 4952 9743 3fb6014cd0ae"): "ARK",
    bytes.fromhex("92f81bc3 5811 4d3d 97ff d19f88dc67ea"): "CRL",
}


def looks_like_table(data: bytes) -> bool:
    """Whether a table seems to begin here: its first entry is a known one, or it points after the
    end of a table. A host may list other things than certificates."""
    if len(data) < _ENTRY.size:
        return False
    guid, offset, length = _ENTRY.unpack_from(data)
    points = 2 * _ENTRY.size <= offset < offset + length <= len(data)
    return guid in _NAMES or (any(guid) and points)


def parse_table(data: bytes) -> dict[str, bytes]:
    """Certificates by "VCEK", "VLEK", "ASK", "ARK" and "CRL". Other entries are left out.

    Raises:
        EvidenceError: CERT_TABLE.
    """
    if len(data) > LARGEST:
        raise _refuse(f"has {len(data)} bytes, more than {LARGEST}")
    entries = _entries(data)
    begin = _ENTRY.size * (len(entries) + 1)
    found: dict[str, bytes] = {}
    taken: list[tuple[int, int]] = []
    for guid, offset, length in entries:
        end = offset + length
        if not begin <= offset < end <= len(data):
            raise _refuse("has an entry that points at nothing, or beyond the end")
        if any(offset < other_end and other < end for other, other_end in taken):
            raise _refuse("has entries that overlap")
        taken.append((offset, end))
        name = _NAMES.get(guid)
        if name in found:
            raise _refuse(f"has two entries for {name}")
        if name:
            found[name] = bytes(data[offset:end])
    return found


def _entries(data: bytes) -> list[tuple[bytes, int, int]]:
    entries: list[tuple[bytes, int, int]] = []
    while len(entries) <= MOST_ENTRIES:
        octets = data[_ENTRY.size * len(entries) :][: _ENTRY.size]
        if len(octets) < _ENTRY.size:
            raise _refuse("has no end")
        if not any(octets):
            return entries
        guid, offset, length = _ENTRY.unpack(octets)
        entries.append((guid, offset, length))
    raise _refuse(f"has more than {MOST_ENTRIES} entries")


def _refuse(why: str) -> EvidenceError:
    return EvidenceError("CERT_TABLE", f"the certificate table {why}")
