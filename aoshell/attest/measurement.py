"""Computes the launch measurement again from the hashes that a HyperBEAM node reports.

Before a guest starts, the SNP firmware extends a digest of 48 bytes (LD) by each of its pages: the
new LD is SHA-384 of PAGE_INFO, which holds the old LD, a digest of the page, its kind and its
address (AMD 56860 section 8.17.2). `firmware` is LD behind the pages of the firmware image. Then
come the sections that the image asks for, in the order of its metadata; one of them is the table of
hashes that QEMU fills in. Last comes a VMSA page for each processor.

That order belongs to the firmware image, and the digest says which image it is. `LAYOUTS` has the
ones that genuine reports have confirmed. The VMSA depends on the hypervisor as well; only QEMU's is
confirmed.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha384
from typing import Any
from uuid import UUID

from aoshell.attest.errors import EvidenceError, InconclusiveError

PAGE = 0x1000
MOST_VCPUS = 1024
QEMU = 1

_NORMAL, _VMSA, _ZERO, _SECRETS, _CPUID = 1, 2, 3, 5, 6
_VMSA_ADDRESS = 0xFFFF_FFFF_F000
_BOOT_EIP = 0xFFFF_FFF0

# CPUID signatures of QEMU's processor models, by the number that the `sev` crate gives the model.
_EPYC, _ROME, _MILAN, _GENOA = 0x800F12, 0x830F10, 0xA00F11, 0xA10F10
_SIGNATURES = {
    **dict.fromkeys((0, 1, 3, 4, 5), _EPYC),
    **dict.fromkeys((6, 7, 8, 9), _ROME),
    **dict.fromkeys((10, 11, 12), _MILAN),
    **dict.fromkeys((13, 14), _GENOA),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """What a firmware image has measured behind itself.

    Attributes:
        sections: (kind, address, size) in order; the page of hashes is of kind 1.
        table: where in its page the table of hashes is.
        ap_eip: where processors but the first start.
    """

    sections: tuple[tuple[int, int, int], ...]
    table: int
    ap_eip: int


OVMF_1_55 = Layout(
    (
        (_ZERO, 0x800000, 0x9000),
        (_ZERO, 0x80A000, 0x3000),
        (_SECRETS, 0x80D000, PAGE),
        (_CPUID, 0x80E000, PAGE),
        (_NORMAL, 0x80F000, PAGE),
        (_ZERO, 0x810000, 0x10000),
    ),
    table=0xC00,
    ap_eip=0x80B004,
)

LAYOUTS: Mapping[str, Layout] = {
    "b8c5d4082d5738db6b0fb0294174992738645df70c44cdecf7fad3a62244b788"
    "e7e408c582ee48a74b289f3acec78510": OVMF_1_55,
}
"""Layouts by the digest of the firmware, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class LocalHashes:
    """What a node says it was launched from.

    Attributes:
        firmware: launch digest behind the firmware's pages, 48 bytes.
        kernel, initrd, append: SHA-256 of the files, and of the command line with its NUL.
        vcpus: how many processors.
        vcpu_type, vmm_type: numbers of the `sev` crate.
        guest_features: SEV_FEATURES of the VMSA.
    """

    firmware: bytes
    kernel: bytes
    initrd: bytes
    append: bytes
    vcpus: int
    vcpu_type: int
    vmm_type: int
    guest_features: int

    @classmethod
    def read(cls, message: object) -> LocalHashes:
        """Reads a map as nodes send it, with dashes or underscores in its keys.

        Raises:
            EvidenceError: LOCAL_HASHES.
        """
        if not isinstance(message, Mapping):
            raise _bad("a map is expected")
        values: dict[str, object] = {}
        for key, value in message.items():
            name = str(key).replace("-", "_")
            if name in values:
                raise _bad(f"{name} occurs in two spellings")
            values[name] = value
        if odd := sorted(values.keys() ^ MEMBERS):
            raise _bad(f"{', '.join(map(repr, odd))}: missing or unknown")
        read: dict[str, Any] = {name: _number(name, values[name]) for name in _RANGES}
        read |= {name: _digest(name, values[name]) for name in _SIZES}
        if read["vcpu_type"] not in _SIGNATURES:
            raise _bad(f"there is no vcpu_type {read['vcpu_type']}")
        return cls(**read)

    def as_json(self) -> dict[str, str | int]:
        """As nodes send them."""
        return {name: getattr(self, name).hex() for name in _SIZES} | {
            name: getattr(self, name) for name in _RANGES
        }


_RANGES = {
    "vcpus": (1, MOST_VCPUS),
    "vcpu_type": (0, 255),
    "vmm_type": (1, 3),
    "guest_features": (0, (1 << 64) - 1),
}
_SIZES = {"firmware": 48, "kernel": 32, "initrd": 32, "append": 32}
MEMBERS = frozenset((*_RANGES, *_SIZES))


def _number(name: str, value: object) -> int:
    least, most = _RANGES[name]
    text = str(value)  # of whatever: "True" or "1.0" is refused by its form
    if not re.fullmatch("[0-9]{1,20}", text) or not least <= int(text) <= most:
        raise _bad(f"{name} is not a number from {least} to {most}")
    return int(text)


def _digest(name: str, value: object) -> bytes:
    size = _SIZES[name]
    if not isinstance(value, str) or not re.fullmatch(f"[0-9A-Fa-f]{{{2 * size}}}", value):
        raise _bad(f"{name} is not {2 * size} hexadecimal digits")
    return bytes.fromhex(value)


def _bad(why: str) -> EvidenceError:
    return EvidenceError("LOCAL_HASHES", f"the node's local-hashes: {why}")


def compute_measurement(hashes: LocalHashes) -> bytes:
    """The measurement of a guest with these hashes, 48 bytes.

    Raises:
        InconclusiveError: SOFTWARE_UNKNOWN: the layout of the firmware or hypervisor is unknown.
    """
    layout = LAYOUTS.get(hashes.firmware.hex())
    if layout is None or hashes.vmm_type != QEMU:
        what = "firmware" if layout is None else "hypervisor"
        raise InconclusiveError(
            "SOFTWARE_UNKNOWN",
            f"the measurement cannot be computed: this {what} is unknown",
            "trust the measurement itself: .trust NAME",
        )
    digest = hashes.firmware
    table = sha384(_hashes_page(layout, hashes)).digest()
    for kind, address, size in layout.sections:
        for at in range(address, address + size, PAGE):
            digest = _extend(digest, kind, at, table if kind == _NORMAL else bytes(48))
    vmsas = [sha384(_vmsa(eip, hashes)).digest() for eip in (_BOOT_EIP, layout.ap_eip)]
    for number in range(hashes.vcpus):
        digest = _extend(digest, _VMSA, _VMSA_ADDRESS, vmsas[min(number, 1)])
    return digest


def _extend(digest: bytes, kind: int, address: int, contents: bytes) -> bytes:
    """PAGE_INFO: digest, contents, its own length, kind, no IMI, no permissions, address."""
    return sha384(digest + contents + struct.pack("<HBBIQ", 0x70, kind, 0, 0, address)).digest()


_TABLE = UUID("9438d606-4f22-4cc9-b479-a793d411fd21")
_ENTRIES = {  # in the order in which QEMU writes them
    "append": UUID("97d02dd8-bd20-4c94-aa78-e7714d36ab2a"),
    "initrd": UUID("44baf731-3a2f-4bd7-9af1-41e29169781d"),
    "kernel": UUID("4de79437-abd2-427f-b835-d5b172d2045b"),
}


def _hashes_page(layout: Layout, hashes: LocalHashes) -> bytes:
    def entry(guid: UUID, content: bytes) -> bytes:
        return guid.bytes_le + struct.pack("<H", 18 + len(content)) + content

    entries = b"".join(entry(guid, getattr(hashes, name)) for name, guid in _ENTRIES.items())
    return (bytes(layout.table) + entry(_TABLE, entries)).ljust(PAGE, b"\0")


# The VMSA of a processor as KVM and QEMU set it up for its first instruction (AMD APM volume 2,
# table B-4): offset and content of what is not zero, without what depends on the guest.
_SEGMENT = "<HHIQ"  # selector, attributes, limit, base
_DATA, _NO_ATTRIBUTES, _LDT, _TASK, _CODE = 0x93, 0, 0x82, 0x8B, 0x9B
_SEGMENTS = (
    *((at, _DATA) for at in (0x00, 0x20, 0x30, 0x40, 0x50)),  # es, ss, ds, fs, gs
    *((at, _NO_ATTRIBUTES) for at in (0x60, 0x80)),  # gdtr, idtr
    *((0x70, _LDT), (0x90, _TASK)),
)
_REGISTERS = (
    (0x0D0, "<Q", 0x1000),  # EFER: SVME
    (0x148, "<Q", 0x40),  # CR4: MCE
    (0x158, "<Q", 0x10),  # CR0
    (0x160, "<Q", 0x400),  # DR7
    (0x168, "<Q", 0xFFFF0FF0),  # DR6
    (0x170, "<Q", 0x2),  # RFLAGS
    (0x268, "<Q", 0x0007040600070406),  # PAT
    (0x3E8, "<Q", 0x1),  # XCR0
    (0x408, "<I", 0x1F80),  # MXCSR
    (0x410, "<H", 0x37F),  # FCW
)


def _vmsa(eip: int, hashes: LocalHashes) -> bytes:
    page = bytearray(PAGE)
    for at, attributes in _SEGMENTS:
        struct.pack_into(_SEGMENT, page, at, 0, attributes, 0xFFFF, 0)
    struct.pack_into(_SEGMENT, page, 0x10, 0xF000, _CODE, 0xFFFF, eip & 0xFFFF0000)
    registers: Iterable[tuple[int, str, int]] = (
        *_REGISTERS,
        (0x178, "<Q", eip & 0xFFFF),  # RIP
        (0x310, "<Q", _SIGNATURES[hashes.vcpu_type]),  # RDX: the processor's CPUID signature
        (0x3B0, "<Q", hashes.guest_features),
    )
    for at, form, value in registers:
        struct.pack_into(form, page, at, value)
    return bytes(page)
