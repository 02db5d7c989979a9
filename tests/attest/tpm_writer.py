"""Writes TPM structures and event logs, for tests. Each writer can also write what is wrong."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from aoshell.attest.tpm.structures import ENDORSEMENT, SHA256, qualified_name

SIZES = {0x04: 20, 0x0B: 32, 0x0C: 48, 0x0D: 64, 0x12: 32}
_NAMES = {0x04: "sha1", 0x0B: "sha256", 0x0C: "sha384", 0x0D: "sha512"}
_CURVES = {"secp256r1": 3, "secp384r1": 4, "secp521r1": 5}

GLOBAL = UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SECURITY = UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
X509 = UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
HASHED = UUID("c1c41626-504c-4092-aca9-41f936934328")
END_OF_PATH = b"\x7f\xff\x04\0"
OWNER = UUID("11111111-2222-3333-4444-555555555555")


def sized(data: bytes) -> bytes:
    """A TPM2B."""
    return struct.pack(">H", len(data)) + data


def public_area(
    key: RSAPublicKey | EllipticCurvePublicKey,
    attributes: int,
    policy: bytes = b"",
    symmetric: tuple[int, int, int] | None = None,
    scheme: tuple[int, int] | None = None,
    name_alg: int = SHA256,
) -> bytes:
    """A TPMT_PUBLIC."""
    is_rsa = isinstance(key, RSAPublicKey)
    head = struct.pack(">HHI", 0x0001 if is_rsa else 0x0023, name_alg, attributes) + sized(policy)
    head += struct.pack(">HHH", *symmetric) if symmetric else b"\x00\x10"
    head += struct.pack(">HH", *scheme) if scheme else b"\x00\x10"
    if isinstance(key, RSAPublicKey):
        numbers = key.public_numbers()
        exponent = 0 if numbers.e == 65537 else numbers.e
        modulus = numbers.n.to_bytes(key.key_size // 8, "big")
        return head + struct.pack(">HI", key.key_size, exponent) + sized(modulus)
    point, size = key.public_numbers(), (key.key_size + 7) // 8
    head += struct.pack(">HH", _CURVES[key.curve.name], 0x0010)
    return head + sized(point.x.to_bytes(size, "big")) + sized(point.y.to_bytes(size, "big"))


@dataclass
class QuoteDraft:
    """What a TPMS_ATTEST says. Any of it may be wrong."""

    name: bytes
    nonce: bytes
    pcr_digest: bytes
    selection: Sequence[tuple[int, Iterable[int]]]
    hierarchy: int = ENDORSEMENT
    magic: int = 0xFF544347
    type: int = 0x8018
    clock: int = 5000
    reset_count: int = 3
    restart_count: int = 0
    safe: int = 1
    firmware_version: int = 2315977366801874944
    bitmap: int = 3

    def write(self) -> bytes:
        signer = qualified_name(self.name, self.hierarchy) if self.name else b""
        head = struct.pack(">IH", self.magic, self.type) + sized(signer) + sized(self.nonce)
        times = struct.pack(
            ">QIIBQ",
            *(self.clock, self.reset_count, self.restart_count, self.safe, self.firmware_version),
        )
        banks = struct.pack(">I", len(self.selection))
        for bank, pcrs in self.selection:
            bits = sum(1 << pcr for pcr in pcrs).to_bytes(self.bitmap, "little")
            banks += struct.pack(">HB", bank, self.bitmap) + bits
        return head + times + banks + sized(self.pcr_digest)


@dataclass
class LogDraft:
    """A TCG2 event log that is being written. `extended` is what its events make of the PCRs."""

    banks: Sequence[int] = (0x04, SHA256)
    vendor: bytes = b""
    body: bytes = b""
    extended: list[tuple[int, bytes]] = field(default_factory=list)

    def header(self, signature: bytes = b"Spec ID Event03\0", count: int | None = None) -> bytes:
        data = signature + struct.pack("<IBBBB", 0, 0, 2, 0, 2)
        data += struct.pack("<I", len(self.banks) if count is None else count)
        for bank in self.banks:
            data += struct.pack("<HH", bank, SIZES.get(bank, 32))
        data += bytes((len(self.vendor),)) + self.vendor
        return struct.pack("<II20sI", 0, 3, bytes(20), len(data)) + data

    def add(
        self, pcr: int, kind: int, data: bytes, hashed: bytes | None = None, digest: bytes = b""
    ) -> LogDraft:
        """Adds an event.

        Args:
            hashed: what its digests are of, if not of the data.
            digest: the one of SHA-256, whatever it is of.
        """
        body = struct.pack("<III", pcr, kind, len(self.banks))
        of = data if hashed is None else hashed
        for bank in self.banks:
            made = hashlib.new(_NAMES[bank], of).digest() if bank in _NAMES else bytes(32)
            made = digest if digest and bank == SHA256 else made
            body += struct.pack("<H", bank) + made
            if bank == SHA256 and kind != 3:
                self.extended.append((pcr, made))
        self.body += body + struct.pack("<I", len(data)) + data
        return self

    def write(self) -> bytes:
        return self.header() + self.body

    def pcrs(self, start: int = 0) -> dict[int, bytes]:
        """The values that the events lead to; `start` is the locality."""
        values: dict[int, bytes] = {0: start.to_bytes(32, "big")}
        for pcr, digest in self.extended:
            values[pcr] = hashlib.sha256(values.get(pcr, bytes(32)) + digest).digest()
        return values


def variable(name: str, content: bytes, owner: UUID = GLOBAL) -> bytes:
    """A UEFI_VARIABLE_DATA."""
    encoded = name.encode("utf-16-le")
    return owner.bytes_le + struct.pack("<QQ", len(name), len(content)) + encoded + content


def signature_list(kind: UUID, *entries: bytes, owner: UUID = OWNER) -> bytes:
    """An EFI_SIGNATURE_LIST of entries of one size."""
    size = 16 + len(entries[0])
    head = kind.bytes_le + struct.pack("<III", 28 + size * len(entries), 0, size)
    for entry in entries:
        head += owner.bytes_le + entry
    return head


def image_load(path: bytes = END_OF_PATH) -> bytes:
    """A UEFI_IMAGE_LOAD_EVENT: where a program was loaded, and from which device path."""
    return struct.pack("<QQQQ", 0x1000, 0x2000, 0, len(path)) + path


def load_option(description: str, more: bytes = b"") -> bytes:
    """An EFI_LOAD_OPTION; `more` is what its program is given."""
    path = struct.pack("<IH", 1, len(END_OF_PATH))
    return path + f"{description}\0".encode("utf-16-le") + END_OF_PATH + more


def boot_log(
    secure_boot: bytes = b"\x01",
    lists: Mapping[str, bytes] | None = None,
    programs: Sequence[bytes] = (b"the image", b"the kernel in it"),
    sections: Mapping[str, bytes] | None = None,
    banks: Sequence[int] = (0x04, SHA256),
) -> LogDraft:
    """The log of a machine that starts an image, as its firmware and systemd's stub write it."""
    lists = lists or {
        "PK": signature_list(X509, b"platform key"),
        "KEK": signature_list(X509, b"key exchange key"),
        "db": signature_list(X509, b"signer of images"),
        "dbx": signature_list(HASHED, *(bytes([at]) * 32 for at in range(3))),
    }
    log = LogDraft(banks)
    log.add(0, 0x08, "firmware 1.0\0".encode("utf-16-le"))
    log.add(0, 0x80000008, bytes(16), hashed=b"a volume of firmware")
    log.add(7, 0x80000001, variable("SecureBoot", secure_boot))
    for name, content in lists.items():
        owner = SECURITY if name.startswith("db") else GLOBAL
        log.add(7, 0x80000001, variable(name, content, owner))
    log.add(7, 4, bytes(4))
    log.add(1, 0x80000002, variable("Boot0000", load_option("Linux")))
    log.add(4, 0x80000007, b"Calling EFI Application from Boot Option")
    for pcr in (0, 1, 2, 3, 4, 5, 6):
        log.add(pcr, 4, bytes(4))
    log.add(4, 0x80000003, image_load(), hashed=programs[0])
    log.add(7, 0x800000E0, variable("db", OWNER.bytes_le + b"signer of images", SECURITY))
    for name, content in (sections or {".linux": b"kernel", ".cmdline": b"quiet"}).items():
        shown = f"{name}\0".encode("utf-16-le")
        log.add(11, 0x0D, shown, hashed=name.encode() + b"\0")
        log.add(11, 0x0D, shown, hashed=content)
    for program in programs[1:]:
        log.add(4, 0x80000003, image_load(), hashed=program)
    return log
