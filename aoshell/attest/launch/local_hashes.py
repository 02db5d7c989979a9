"""Computes the launch measurement again from the hashes that a HyperBEAM node reports.

`firmware` is LD after the pages of the firmware image (see `pages`). The following pages depend on
the image, which the digest identifies. `LAYOUTS` has the images that genuine reports have
confirmed. The VMSA depends on the hypervisor as well; only QEMU's is confirmed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.launch.pages import (
    MOST_VCPUS,
    BootHashes,
    FirmwareSection,
    Layout,
    PageKind,
    measure,
)
from aoshell.attest.launch.vmsa import GENOA, MILAN, NAPLES, ROME, Processor

QEMU = 1

# CPUID signatures of QEMU's processor models, by the number that the `sev` crate gives the model.
_SIGNATURES = {
    **dict.fromkeys((0, 1, 3, 4, 5), NAPLES),
    **dict.fromkeys((6, 7, 8, 9), ROME),
    **dict.fromkeys((10, 11, 12), MILAN),
    **dict.fromkeys((13, 14), GENOA),
}

OVMF_1_55 = Layout(
    (
        FirmwareSection(PageKind.ZERO, 0x800000, 0x9000),
        FirmwareSection(PageKind.ZERO, 0x80A000, 0x3000),
        FirmwareSection(PageKind.SECRETS, 0x80D000, 0x1000),
        FirmwareSection(PageKind.CPUID, 0x80E000, 0x1000),
        FirmwareSection(PageKind.NORMAL, 0x80F000, 0x1000),
        FirmwareSection(PageKind.ZERO, 0x810000, 0x10000),
    ),
    ap_eip=0x80B004,
    table=0xC00,
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
        firmware: launch digest after the firmware's pages, 48 bytes.
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
    boot = BootHashes(hashes.kernel, hashes.initrd, hashes.append)
    processor = Processor(_SIGNATURES[hashes.vcpu_type], hashes.guest_features)
    measurements = measure(hashes.firmware, layout, boot, processor)
    return next(islice(measurements, hashes.vcpus - 1, None))
