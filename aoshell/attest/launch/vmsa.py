"""The VMSA page of a processor, as KVM and QEMU set it up for its first instruction.

Source: AMD APM volume 2, table B-4; QEMU's models (`builtin_x86_defs` in target/i386/cpu.c).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BOOT_EIP = 0xFFFF_FFF0  # where the first processor starts
SNP_ACTIVE = 1  # of SEV_FEATURES; KVM sets no other unless it is asked to
_SIZE = 0x1000  # bytes


@dataclass(frozen=True, slots=True)
class Processor:
    """What the VMSA of a guest depends on.

    Attributes:
        signature: what CPUID function 1 gives in EAX: family, model and stepping.
        features: SEV_FEATURES.
    """

    signature: int
    features: int


def _signature(family: int, model: int, stepping: int) -> int:
    """Family, model and stepping as CPUID has them (AMD 25481). The family is above 15."""
    return (family - 15) << 20 | (model >> 4) << 16 | 0xF00 | (model & 15) << 4 | stepping


NAPLES = _signature(23, 1, 2)
ROME = _signature(23, 49, 0)
MILAN = _signature(25, 1, 1)
GENOA = _signature(25, 17, 0)
TURIN = _signature(26, 0, 0)

MODELS: Mapping[str, int] = {
    name: signature
    for family, versions, signature in (
        ("EPYC", 5, NAPLES),
        ("EPYC-Rome", 5, ROME),
        ("EPYC-Milan", 3, MILAN),
        ("EPYC-Genoa", 2, GENOA),
        ("EPYC-Turin", 1, TURIN),
    )
    for name in (family, *(f"{family}-v{number}" for number in range(1, versions + 1)))
} | {"EPYC-IBPB": NAPLES}
"""Signatures by the names of QEMU's `-cpu`. Versions of a model differ in other things."""

# Offset and content of what is not zero, without what depends on the guest.
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


def page(eip: int, processor: Processor) -> bytes:
    """The page of a processor whose first instruction is at `eip`."""
    content = bytearray(_SIZE)
    for at, attributes in _SEGMENTS:
        struct.pack_into(_SEGMENT, content, at, 0, attributes, 0xFFFF, 0)
    struct.pack_into(_SEGMENT, content, 0x10, 0xF000, _CODE, 0xFFFF, eip & 0xFFFF0000)
    registers: Iterable[tuple[int, str, int]] = (
        *_REGISTERS,
        (0x178, "<Q", eip & 0xFFFF),  # RIP
        (0x310, "<Q", processor.signature),  # RDX
        (0x3B0, "<Q", processor.features),
    )
    for at, form, value in registers:
        struct.pack_into(form, content, at, value)
    return bytes(content)
