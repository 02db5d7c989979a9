"""An SEV-SNP attestation report: 1184 bytes, of which the first 672 are signed.

`Report.parse()` takes any 1184 bytes; the checks say what they must be. The offsets are those of
AMD 56860 (SEV-SNP firmware ABI), table ATTESTATION_REPORT. Numbers are little-endian. A report that
came as JSON is turned into these bytes first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aoshell.attest.errors import EvidenceError
from aoshell.attest.products import LEGACY_TCB, TURIN_TCB, Product, product_by_cpuid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

SIZE = 0x4A0
SIGNED = 0x2A0
_COUNTED = 1 << 20  # bytes; of a file that is much longer only the beginning is read
VERSIONS = (2, 3, 4, 5)

VCEK, VLEK, NO_KEY = 0, 1, 7

GUEST_BITS = {
    "smt": 16,
    "migration": 18,
    "debug": 19,
    "single-socket": 20,
    "cxl": 21,
    "aes-256": 22,
    "rapl-disabled": 23,
    "ciphertext-hiding": 24,
    "page-swap-disabled": 25,
}
"""Bits of the guest policy (AMD 56860 section 4.3): what a guest allows its host ("smt",
"migration", "debug", "cxl") or demands of it."""

ALWAYS_ONE = 17  # of the guest policy

PLATFORM_BITS = {
    "smt": 0,
    "tsme": 1,
    "ecc": 2,
    "rapl-disabled": 3,
    "ciphertext-hiding": 4,
    "alias-check": 5,
    "tio": 7,
}

# (begin, end) of what must be zero in every version. The last follows the signature, not signed.
_RESERVED = (
    (0x04C, 0x050),
    (0x18B, 0x1A0),
    (0x1EB, 0x1EC),
    (0x1EF, 0x1F0),
    (0x208, 0x2A0),
    (0x330, 0x4A0),
)
_CPUID = (0x188, 0x18B)
_MITIGATIONS = (0x1F8, 0x208)
_TCBS = {"current": 0x038, "reported": 0x180, "committed": 0x1E0, "launch": 0x1F0}


@dataclass(frozen=True, slots=True)
class Version:
    """A firmware version, ordered."""

    major: int
    minor: int
    build: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.build}"

    def __lt__(self, other: Version) -> bool:
        return (self.major, self.minor, self.build) < (other.major, other.minor, other.build)


@dataclass(frozen=True, slots=True)
class Tcb:
    """Security versions of firmware, by component. A TCB as a whole has no order."""

    parts: Mapping[str, int]

    def below(self, floor: Mapping[str, int]) -> list[str]:
        """The components that are lower than in `floor`, as "snp 8 < 22"."""
        return [
            f"{name} {self.parts.get(name, 0)} < {least}"
            for name, least in floor.items()
            if self.parts.get(name, 0) < least
        ]

    def __str__(self) -> str:
        return " ".join(f"{name} {value}" for name, value in self.parts.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The fields of a report. Nothing is checked. Byte strings are as in the report.

    Attributes:
        raw: all 1184 bytes.
        version: of the report's layout, 2 to 5 in those that are known.
        policy, platform: bits, see `GUEST_BITS`, `PLATFORM_BITS`.
        key_info: bit 0 AUTHOR_KEY_EN, bit 1 MASK_CHIP_KEY, bits 2 to 4 the signing key.
        tcb: "current", "reported", "committed", "launch".
        current, committed: firmware versions.
        launch_mitigations, current_mitigations: bits; 0 before version 5.
        cpuid: (family, model, stepping), zeros before version 3.
        product: None if the report does not say (version 2), or if it is unknown.
    """

    raw: bytes
    version: int
    guest_svn: int
    policy: int
    family_id: bytes
    image_id: bytes
    vmpl: int
    signature_algorithm: int
    platform: int
    key_info: int
    report_data: bytes
    measurement: bytes
    host_data: bytes
    id_key_digest: bytes
    author_key_digest: bytes
    report_id: bytes
    report_id_ma: bytes
    cpuid: tuple[int, int, int]
    chip_id: bytes
    tcb: Mapping[str, Tcb]
    current: Version
    committed: Version
    launch_mitigations: int
    current_mitigations: int
    product: Product | None

    @classmethod
    def parse(cls, raw: bytes) -> Report:
        """The fields of a report.

        Raises:
            EvidenceError: REPORT_SIZE.
        """
        if len(raw) != SIZE:
            what = f"a report has {SIZE} bytes, this has {_count(raw)}"
            raise EvidenceError("REPORT_SIZE", what, "docs/attest.md lists the forms that are read")

        def number(at: int, size: int) -> int:
            return int.from_bytes(raw[at : at + size], "little")

        version = number(0, 4)
        family, model, stepping = raw[slice(*_CPUID)]
        layout = _layout(version, family)
        return cls(
            raw=bytes(raw),
            version=version,
            guest_svn=number(0x004, 4),
            policy=number(0x008, 8),
            family_id=raw[0x010:0x020],
            image_id=raw[0x020:0x030],
            vmpl=number(0x030, 4),
            signature_algorithm=number(0x034, 4),
            platform=number(0x040, 8),
            key_info=number(0x048, 4),
            report_data=raw[0x050:0x090],
            measurement=raw[0x090:0x0C0],
            host_data=raw[0x0C0:0x0E0],
            id_key_digest=raw[0x0E0:0x110],
            author_key_digest=raw[0x110:0x140],
            report_id=raw[0x140:0x160],
            report_id_ma=raw[0x160:0x180],
            cpuid=(family, model, stepping),
            chip_id=raw[0x1A0:0x1E0],
            tcb={
                name: Tcb({part: raw[at + byte] for part, byte in layout.items()})
                for name, at in _TCBS.items()
            },
            current=Version(raw[0x1EA], raw[0x1E9], raw[0x1E8]),
            committed=Version(raw[0x1EE], raw[0x1ED], raw[0x1EC]),
            launch_mitigations=number(0x1F8, 8),
            current_mitigations=number(0x200, 8),
            product=product_by_cpuid(family, model) if version > 2 else None,
        )

    @property
    def id(self) -> str:
        """SHA-256 of the signed bytes, in hexadecimal. The signature is left out: anyone can turn a
        valid signature into another valid one."""
        return hashlib.sha256(self.raw[:SIGNED]).hexdigest()

    @property
    def signing_key(self) -> int:
        return self.key_info >> 2 & 7

    @property
    def signature(self) -> tuple[int, int]:
        """(R, S), up to 576 bits each, unchecked."""
        r, s = self.raw[0x2A0:0x2E8], self.raw[0x2E8:0x330]
        return int.from_bytes(r, "little"), int.from_bytes(s, "little")

    def is_signed_by(self, key: EllipticCurvePublicKey) -> bool:
        """Whether a key has signed the first 672 bytes, as they came."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, utils

        signature = utils.encode_dss_signature(*self.signature)
        try:
            key.verify(signature, self.raw[:SIGNED], ec.ECDSA(hashes.SHA384()))
        except InvalidSignature:
            return False
        return True

    @property
    def has_short_chip(self) -> bool:
        """Whether the chip's id has 8 bytes, as Turin's do."""
        return any(self.chip_id[:8]) and not any(self.chip_id[8:])

    def allows(self, name: str) -> bool:
        """Whether the bit of that name (`GUEST_BITS`) is set in the guest policy."""
        return bool(self.policy >> GUEST_BITS[name] & 1)

    def reserved(self) -> list[int]:
        """Offsets of bytes that are not zero but must be, in this version and product."""
        ranges = [*_RESERVED]
        if self.version < 3:
            ranges.append(_CPUID)
        if self.version < 5:
            ranges.append(_MITIGATIONS)
        # Only where the layout of the TCB is known; `product` refuses the other reports.
        if self.product or (self.version < 3 and not self.has_short_chip):
            layout = _layout(self.version, self.cpuid[0]).values()
            unused = [byte for byte in range(8) if byte not in layout]
            ranges += [(at + byte, at + byte + 1) for at in _TCBS.values() for byte in unused]
        return sorted(at for begin, end in ranges for at in range(begin, end) if self.raw[at])

    def as_json(self) -> dict[str, object]:
        """The fields as `--json` prints them: numbers, names of set bits, and hexadecimal."""
        return {
            "version": self.version,
            "product": self.product.name if self.product else None,
            "cpuid": bytes(self.cpuid).hex(),
            "guest_svn": self.guest_svn,
            "policy": hex(self.policy),
            "abi": f"{self.policy >> 8 & 0xFF}.{self.policy & 0xFF}",
            "guest": bit_names(self.policy, GUEST_BITS),
            "platform": hex(self.platform),
            "vmpl": self.vmpl,
            "signing_key": {VCEK: "VCEK", VLEK: "VLEK", NO_KEY: "none"}.get(self.signing_key),
            "tcb": {name: dict(tcb.parts) for name, tcb in self.tcb.items()},
            "firmware": {"current": str(self.current), "committed": str(self.committed)},
            "mitigations": {
                "launch": hex(self.launch_mitigations),
                "current": hex(self.current_mitigations),
            },
        } | {name: getattr(self, name).hex() for name in _IN_HEX}


_IN_HEX = (
    "report_data",
    "measurement",
    "host_data",
    "family_id",
    "image_id",
    "id_key_digest",
    "author_key_digest",
    "report_id",
    "report_id_ma",
    "chip_id",
)


def _layout(version: int, family: int) -> Mapping[str, int]:
    """The byte of each TCB component. Reports of version 2 do not say, and are from before
    Turin."""
    return TURIN_TCB if version > 2 and family >= 0x1A else LEGACY_TCB


def _count(data: bytes) -> str:
    return str(len(data)) if len(data) <= _COUNTED else f"more than {_COUNTED}"


def bit_names(bits: int, names: Mapping[str, int]) -> list[str]:
    """Names of the set bits."""
    return [name for name, bit in names.items() if bits >> bit & 1]


def unknown_bits(bits: int, names: Mapping[str, int]) -> list[int]:
    """Set bits without a name."""
    return [bit for bit in range(64) if bits >> bit & 1 and bit not in names.values()]
