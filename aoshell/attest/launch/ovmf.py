"""Reads what SEV-SNP needs to know of an OVMF firmware image.

At the end of an image is a table of blocks, each with a GUID; it is read backwards. Three blocks
count here: where processors start (SEV_ES_RESET_BLOCK), where the list of memory sections is
(OVMF_SEV_META_DATA), and where the guest looks for hashes of its kernel (SEV_HASH_TABLE_RV).
Sources: edk2, OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm and X64/OvmfSevMetadata.asm; QEMU,
hw/i386/pc_sysfw_ovmf.c and target/i386/sev.c.

An image is refused if QEMU would take the first of two, or read beyond what the image declares.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from aoshell.attest.launch.pages import (
    FIRMWARE_END,
    PAGE,
    TABLE_SIZE,
    BootHashes,
    FirmwareSection,
    Layout,
    PageKind,
    measure,
    measure_firmware,
)
from aoshell.attest.launch.vmsa import Processor
from aoshell.errors import AoError

LARGEST = 16 << 20  # bytes: QEMU takes no more
MOST_SECTIONS = 64
LARGEST_SECTIONS = 64 << 20  # bytes, of all sections together

_ENTRY = struct.Struct("<H16s")  # after the content of a block: size of all, GUID
_BEHIND_TABLE = 32  # bytes: the reset vector
_FOOTER = UUID("96b582de-1fb2-45f7-baea-a366c55a082d")
_METADATA = UUID("dc886566-984a-4798-a75e-5585a7bf67cc")
_HASHES = UUID("7255371f-3a3b-4b04-927b-1da6efa8d454")
_RESET = UUID("00f771de-1a7e-4fcb-890e-68c77e2fb44e")

_HEADER = struct.Struct("<4sIII")  # ASEV, size of all, version, number of sections
_SECTION = struct.Struct("<III")  # address, size, type
_KINDS = {  # by type: memory for OVMF, secrets, CPUID, a page of the SVSM, hashes of the kernel
    1: PageKind.ZERO,
    2: PageKind.SECRETS,
    3: PageKind.CPUID,
    4: PageKind.ZERO,
    0x10: PageKind.NORMAL,
}


class FirmwareError(AoError):
    """A firmware image cannot be used for SEV-SNP, or not with a kernel.

    Args:
        name: of the file.
        why: completes "the file …".
        hint: what to do next.
    """

    def __init__(self, name: str, why: str, hint: str = "") -> None:
        hint = hint or "give the file that QEMU gets with -bios"
        super().__init__(f"{name} {why}", stage="attest", hint=hint)


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware image.

    Attributes:
        name: of its file.
        digest: LD after its pages, 48 bytes.
        layout: what is measured after its pages.
    """

    name: str
    digest: bytes
    layout: Layout

    def measure(self, boot: BootHashes | None, processor: Processor) -> Iterator[bytes]:
        """The measurement of a guest with one processor, then with two, and so on without end.

        Args:
            boot: None if QEMU boots no kernel, or does not measure it.

        Raises:
            FirmwareError: it has no place for hashes of a kernel.
        """
        if boot is not None and self.layout.table is None:
            raise FirmwareError(
                self.name,
                "takes no hashes of a kernel, so a kernel would not be measured",
                "OVMF from OvmfPkg/AmdSev takes them; without --kernel the firmware is measured",
            )
        return measure(self.digest, self.layout, boot, processor)


def read_firmware(image: bytes, name: str) -> Firmware:
    """Reads and measures a firmware image.

    Args:
        name: of its file, for errors.

    Raises:
        FirmwareError: it is no OVMF image for SEV-SNP.
    """
    if not image:
        raise FirmwareError(name, "is empty")
    if len(image) > LARGEST:
        raise FirmwareError(name, f"has {len(image)} bytes, more than {LARGEST}")
    if len(image) % PAGE:
        raise FirmwareError(name, f"has {len(image)} bytes, which is no whole number of pages")
    blocks = _read_blocks(image, name)
    sections = _read_sections(image, name, blocks)
    table = _read_table_address(name, blocks, sections)
    (ap_eip,) = struct.unpack("<I", _block(blocks, _RESET, 4, name))
    if not ap_eip:
        raise FirmwareError(name, "does not say where processors start")
    return Firmware(name, measure_firmware(image), Layout(sections, ap_eip, table))


def _read_blocks(image: bytes, name: str) -> Mapping[UUID, bytes]:
    """The contents of all blocks in the table at the end of an image, by GUID."""
    end = len(image) - _BEHIND_TABLE - _ENTRY.size
    size, guid = _ENTRY.unpack_from(image, end)
    if UUID(bytes_le=guid) != _FOOTER:
        raise FirmwareError(name, "is no OVMF firmware: there is no table of OVMF at its end")
    begin = end + _ENTRY.size - size
    if not 0 <= begin <= end:
        raise FirmwareError(name, "has a table that is larger than the file, or than itself")
    blocks: dict[UUID, bytes] = {}
    while end > begin:
        if end - begin < _ENTRY.size:
            raise FirmwareError(name, "has a table with bytes that belong to no block")
        size, guid = _ENTRY.unpack_from(image, end - _ENTRY.size)
        if not _ENTRY.size <= size <= end - begin:
            raise FirmwareError(name, "has a block that is larger than its table, or than itself")
        key = UUID(bytes_le=guid)
        if key in blocks:
            raise FirmwareError(name, f"has the block {key} twice")
        blocks[key] = image[end - size : end - _ENTRY.size]
        end -= size
    return blocks


def _block(blocks: Mapping[UUID, bytes], guid: UUID, size: int, name: str) -> bytes:
    content = blocks.get(guid)
    if content is None:
        raise FirmwareError(
            name, "is OVMF without SEV-SNP", "build OVMF of 2022 or later, for x86-64"
        )
    if len(content) != size:
        raise FirmwareError(name, f"has the block {guid} with {len(content)} bytes, not {size}")
    return content


def _read_sections(
    image: bytes, name: str, blocks: Mapping[UUID, bytes]
) -> tuple[FirmwareSection, ...]:
    (before_end,) = struct.unpack("<I", _block(blocks, _METADATA, 4, name))
    begin = len(image) - before_end
    if not _HEADER.size <= before_end <= len(image):
        raise FirmwareError(name, "points outside itself for its list of sections")
    magic, size, version, count = _HEADER.unpack_from(image, begin)
    if magic != b"ASEV" or version != 1:
        raise FirmwareError(name, "points at something else than a list of sections, version 1")
    if not 1 <= count <= MOST_SECTIONS:
        raise FirmwareError(name, f"has {count} sections; 1 to {MOST_SECTIONS} are expected")
    if size != _HEADER.size + count * _SECTION.size or size > before_end:
        raise FirmwareError(name, f"has a list of {count} sections that says it has {size} bytes")
    listed = image[begin + _HEADER.size : begin + size]
    sections = tuple(_section(name, *values) for values in _SECTION.iter_unpack(listed))
    _check_together(name, sections, FIRMWARE_END - len(image))
    return sections


def _section(name: str, address: int, size: int, number: int) -> FirmwareSection:
    kind = _KINDS.get(number)
    if kind is None:
        raise FirmwareError(
            name, f"has a section of the unknown type {number}: its measurement is unknown"
        )
    if address % PAGE or size % PAGE or not size:
        where = f"{size:#x} bytes at {address:#x}"
        raise FirmwareError(name, f"has a section of no whole number of pages: {where}")
    if kind in (PageKind.SECRETS, PageKind.CPUID) and size != PAGE:
        raise FirmwareError(name, f"has a section of type {number} with more than one page")
    return FirmwareSection(kind, address, size)


def _check_together(name: str, sections: tuple[FirmwareSection, ...], end: int) -> None:
    """Checks sections against each other, and against the address where the image begins."""
    if sum(one.size for one in sections) > LARGEST_SECTIONS:
        raise FirmwareError(name, f"has sections of more than {LARGEST_SECTIONS} bytes")
    if sum(one.kind == PageKind.NORMAL for one in sections) > 1:
        raise FirmwareError(name, "has two sections for hashes of a kernel")
    before = 0
    for _, address, size in sorted(sections, key=lambda one: one.address):
        if address < before:
            raise FirmwareError(name, f"has sections that overlap at {address:#x}")
        before = address + size
    if before > end:
        raise FirmwareError(name, "has a section where the firmware itself is, or above it")


def _read_table_address(
    name: str, blocks: Mapping[UUID, bytes], sections: tuple[FirmwareSection, ...]
) -> int | None:
    """Where in its section the table of hashes is; None if there is no place for it."""
    section = next((one for one in sections if one.kind == PageKind.NORMAL), None)
    if section is None or _HASHES not in blocks:
        return None
    address, size = struct.unpack("<II", _block(blocks, _HASHES, 8, name))
    if not address:
        return None
    at = int(address) - section.address
    # QEMU takes only the address within a page, so a table in a later page would be misplaced.
    if not 0 <= at < PAGE or size < TABLE_SIZE or at + TABLE_SIZE > section.size:
        raise FirmwareError(name, "has a place for hashes of a kernel outside the section for them")
    return at
