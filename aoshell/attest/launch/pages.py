"""Computes the launch measurement of an SEV-SNP guest.

Before a guest starts, the SNP firmware extends a digest of 48 bytes (LD) by each of its pages: the
new LD is SHA-384 of PAGE_INFO, which holds the old LD, a digest of the page, its kind and its
address (AMD 56860 section 8.17.2). QEMU gives it the pages in this order: the firmware image; the
sections that the image asks for, in the order of its metadata, one of them for the table of hashes
that QEMU fills in; and a VMSA page for each processor.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha384
from typing import NamedTuple
from uuid import UUID

from aoshell.attest.launch import vmsa

PAGE = 0x1000  # bytes
FIRMWARE_END = 1 << 32  # the address after a firmware image
MOST_VCPUS = 1024

_VMSA_ADDRESS = 0xFFFF_FFFF_F000
_UNHASHED = bytes(48)  # stands for the content of a page whose content is not measured


class PageKind(IntEnum):
    """Kinds of pages, as PAGE_INFO has them."""

    NORMAL = 1
    VMSA = 2
    ZERO = 3
    SECRETS = 5
    CPUID = 6


class FirmwareSection(NamedTuple):
    """Memory that a firmware image asks for. The NORMAL one is for the table of hashes: without a
    kernel its pages are ZERO."""

    kind: PageKind
    address: int
    size: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What is measured after the pages of a firmware image.

    Attributes:
        sections: in order; at most one is NORMAL.
        ap_eip: where processors but the first start.
        table: where in the NORMAL section the table of hashes is; None if it takes no hashes.
    """

    sections: tuple[FirmwareSection, ...]
    ap_eip: int
    table: int | None


@dataclass(frozen=True, slots=True)
class BootHashes:
    """SHA-256 of what QEMU boots: of the files, and of the command line with its NUL."""

    kernel: bytes
    initrd: bytes
    append: bytes


def measure_firmware(image: bytes) -> bytes:
    """LD after the pages of a firmware image, whose size is a multiple of `PAGE`."""
    digest, begin = bytes(48), FIRMWARE_END - len(image)
    for at in range(0, len(image), PAGE):
        page = sha384(image[at : at + PAGE]).digest()
        digest = _extend(digest, PageKind.NORMAL, begin + at, page)
    return digest


def measure(
    firmware: bytes, layout: Layout, boot: BootHashes | None, processor: vmsa.Processor
) -> Iterator[bytes]:
    """The measurement of a guest with one processor, then with two, and so on without end.

    Args:
        firmware: LD after the pages of the firmware image.
        boot: None if QEMU boots no kernel, or does not measure it (`kernel-hashes=off`). Otherwise
            the layout has a place for it.
    """
    digest = firmware
    for section in layout.sections:
        digest = _extend_section(digest, section, layout, boot)
    first, other = (
        sha384(vmsa.page(eip, processor)).digest() for eip in (vmsa.BOOT_EIP, layout.ap_eip)
    )
    digest = _extend(digest, PageKind.VMSA, _VMSA_ADDRESS, first)
    while True:
        yield digest
        digest = _extend(digest, PageKind.VMSA, _VMSA_ADDRESS, other)


def _extend_section(
    digest: bytes, section: FirmwareSection, layout: Layout, boot: BootHashes | None
) -> bytes:
    kind, address, size = section
    content = b""
    if kind == PageKind.NORMAL and boot is not None and layout.table is not None:
        content = (bytes(layout.table) + _table(boot)).ljust(size, b"\0")
    elif kind == PageKind.NORMAL:
        kind = PageKind.ZERO
    for at in range(0, size, PAGE):
        page = sha384(content[at : at + PAGE]).digest() if content else _UNHASHED
        digest = _extend(digest, kind, address + at, page)
    return digest


def _extend(digest: bytes, kind: PageKind, address: int, page: bytes) -> bytes:
    """PAGE_INFO: LD, page, its own length, kind, no IMI, no permissions, address."""
    return sha384(digest + page + struct.pack("<HBBIQ", 0x70, kind, 0, 0, address)).digest()


TABLE_SIZE = 176  # bytes: 168, and zeros up to a multiple of 16
_TABLE = UUID("9438d606-4f22-4cc9-b479-a793d411fd21")
_ENTRIES = {  # in the order in which QEMU writes them
    "append": UUID("97d02dd8-bd20-4c94-aa78-e7714d36ab2a"),
    "initrd": UUID("44baf731-3a2f-4bd7-9af1-41e29169781d"),
    "kernel": UUID("4de79437-abd2-427f-b835-d5b172d2045b"),
}


def _table(boot: BootHashes) -> bytes:
    def entry(guid: UUID, content: bytes) -> bytes:
        return guid.bytes_le + struct.pack("<H", 18 + len(content)) + content

    entries = b"".join(entry(guid, getattr(boot, name)) for name, guid in _ENTRIES.items())
    return entry(_TABLE, entries)
