"""Makes firmware images that have what SEV-SNP needs of OVMF, and nothing else."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

FOOTER = "96b582de-1fb2-45f7-baea-a366c55a082d"
METADATA = "dc886566-984a-4798-a75e-5585a7bf67cc"
HASHES = "7255371f-3a3b-4b04-927b-1da6efa8d454"
RESET = "00f771de-1a7e-4fcb-890e-68c77e2fb44e"
OTHER = "e47a6535-984a-4798-865e-4685a7bf8ec2"  # of TDX

MEMORY, SECRETS, CPUID, SVSM, KERNEL = 1, 2, 3, 4, 0x10

# (address, size, type), as OvmfPkg/AmdSev has had them since 2024.
AMD_SEV = (
    (0x800000, 0x9000, MEMORY),
    (0x80A000, 0x3000, MEMORY),
    (0x80D000, 0x1000, SECRETS),
    (0x80E000, 0x1000, CPUID),
    (0x80F000, 0x1000, SVSM),
    (0x810000, 0x1000, KERNEL),
    (0x811000, 0xF000, MEMORY),
)
# As OvmfPkg/OvmfPkgX64, which takes no hashes.
PLAIN = (*AMD_SEV[:4], (0x80F000, 0x11000, MEMORY))


def block(guid: str, content: bytes, size: int | None = None) -> bytes:
    """A block of the table: its content, its size (the true one unless given), its GUID."""
    whole = len(content) + 18 if size is None else size
    return content + struct.pack("<H", whole) + UUID(guid).bytes_le


@dataclass(frozen=True)
class Image:
    """An image; each of its parts can be wrong.

    Attributes:
        pages: its size.
        sections: as in the list.
        header: of the list: magic, size, version, number of sections; None for the true ones.
        list_at: where the list is, in bytes before the end.
        table: address and size of the place for hashes.
        blocks: contents by GUID, which replace the true ones or stand besides; None leaves one out.
        more: bytes at the begin of the table, which belong to no block.
        size: of the table, which its footer names; None for the true one.
    """

    pages: int = 2
    sections: Sequence[tuple[int, int, int]] = AMD_SEV
    header: tuple[bytes, int, int, int] | None = None
    list_at: int = 0x600
    table: tuple[int, int] = (0x810C00, 0x400)
    ap_eip: int = 0x80B004
    blocks: Mapping[str, bytes | None] = field(default_factory=dict)
    more: bytes = b""
    size: int | None = None

    def but(self, **parts: Any) -> Image:
        return replace(self, **parts)

    def bytes(self) -> bytes:
        filling = hashlib.shake_128(b"firmware").digest(self.pages * 0x1000)
        image = bytearray(filling)
        count = len(self.sections)
        header = self.header or (b"ASEV", 16 + 12 * count, 1, count)
        listed = struct.pack("<4sIII", *header)
        listed += b"".join(struct.pack("<III", *one) for one in self.sections)
        begin = len(image) - self.list_at
        image[begin : begin + len(listed)] = listed
        blocks = {
            OTHER: bytes(4),
            METADATA: struct.pack("<I", self.list_at),
            HASHES: struct.pack("<II", *self.table),
            RESET: struct.pack("<I", self.ap_eip),
            **self.blocks,
        }
        there = (block(guid, one) for guid, one in blocks.items() if one is not None)
        table = self.more + b"".join(there)
        table += block(FOOTER, b"", len(table) + 18 if self.size is None else self.size)
        image[len(image) - 32 - len(table) : len(image) - 32] = table
        return bytes(image)


GOOD = Image()
