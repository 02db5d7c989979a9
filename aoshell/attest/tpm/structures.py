"""Public areas of TPM keys, and what a quote signs.

Sources: TPM 2.0 Library Part 2, sections 12.2 (TPMT_PUBLIC), 8.3 (TPMA_OBJECT) and 10.12
(TPMS_ATTEST); Part 1, section 16 (names). Numbers are big-endian; "TPM2B" is a byte string after
its length in two bytes. Each structure has one reading, and no byte is left over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.reader import BytesReader

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ERROR = "TPM_STRUCTURE"

LARGEST_PUBLIC = 2048  # bytes of a TPMT_PUBLIC; one of RSA-4096 has less than 700
LARGEST_QUOTE = 1024  # bytes of a TPMS_ATTEST; a quote has less than 300
LARGEST_DIGEST = 64  # bytes, SHA-512
LARGEST_NAME = 2 + LARGEST_DIGEST
MOST_BANKS = 16  # in a selection of PCRs
PCRS = 24  # that a PC has
BITMAP = PCRS // 8  # bytes of a selection

RSA, ECC = 0x0001, 0x0023
AES = 0x0006
NULL = 0x0010
SHA1, SHA256, SHA384, SHA512 = 0x0004, 0x000B, 0x000C, 0x000D
RSASSA, RSAES, RSAPSS, OAEP = 0x0014, 0x0015, 0x0016, 0x0017
ECDSA, ECDH = 0x0018, 0x0019
CFB = 0x0043

ENDORSEMENT = 0x4000000B  # the handle of the endorsement hierarchy

# A name under SHA-1 would bind nothing, so it is not read.
_HASHES = {SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"}
_SYMMETRIC = {AES: "AES", 0x0013: "SM4", 0x0026: "Camellia"}
_WITHOUT_HASH = {RSA: {RSAES}, ECC: set[int]()}
_WITH_HASH = {RSA: {RSASSA, RSAPSS, OAEP}, ECC: {ECDSA, ECDH, 0x001B, 0x001C, 0x001D}}
_ECDAA = 0x001A  # with a counter behind its hash
_KDFS = {0x0007, 0x0020, 0x0021, 0x0022}
_RSA_BITS = (2048, 3072, 4096)
_CURVES = {0x0003: ("secp256r1", 32), 0x0004: ("secp384r1", 48), 0x0005: ("secp521r1", 66)}
_EXPONENT = 65537

ATTRIBUTES = {
    "fixedTPM": 1,
    "stClear": 2,
    "fixedParent": 4,
    "sensitiveDataOrigin": 5,
    "userWithAuth": 6,
    "adminWithPolicy": 7,
    "firmwareLimited": 8,
    "svnLimited": 9,
    "noDA": 10,
    "encryptedDuplication": 11,
    "restricted": 16,
    "decrypt": 17,
    "sign": 18,
    "x509sign": 19,
}
"""Bits of an object's attributes (TPMA_OBJECT)."""

_MAGIC = 0xFF544347
_QUOTE = 0x8018


def attribute_bits(*names: str) -> int:
    """The attributes that have exactly these bits (`ATTRIBUTES`) set."""
    return sum(1 << ATTRIBUTES[name] for name in names)


def attribute_names(bits: int) -> list[str]:
    """Names of the set bits, "bit 3" for one without a name."""
    names = {bit: name for name, bit in ATTRIBUTES.items()}
    return [names.get(bit, f"bit {bit}") for bit in range(32) if bits >> bit & 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicArea:
    """A TPMT_PUBLIC: a key's public part, and what its TPM lets it do.

    Attributes:
        raw: its bytes, of which the name is made.
        type: `RSA` or `ECC`.
        name_alg: the hash of its name and policy.
        attributes: bits, see `ATTRIBUTES`.
        policy: digest of the policy that its use takes, b"" for none.
        symmetric: (algorithm, bits, mode) by which it protects others, None for none.
        scheme: (algorithm, hash), with 0 for no hash; None if any may be asked for.
        exponent, modulus: of an RSA key, else 0.
        curve, x, y: of an ECC key, else 0.
    """

    raw: bytes
    type: int
    name_alg: int
    attributes: int
    policy: bytes
    symmetric: tuple[int, int, int] | None
    scheme: tuple[int, int] | None
    key_bits: int
    exponent: int = 0
    modulus: int = 0
    curve: int = 0
    x: int = 0
    y: int = 0

    @classmethod
    def parse(cls, raw: bytes, what: str = "a public area") -> PublicArea:
        """The fields of a TPMT_PUBLIC.

        Args:
            what: whose it is, for errors.

        Raises:
            EvidenceError: TPM_STRUCTURE.
        """
        reader = BytesReader(raw, what, ERROR)
        if len(raw) > LARGEST_PUBLIC:
            raise reader.refuse(f"{len(raw)} bytes, where {LARGEST_PUBLIC} is the most")
        kind = reader.number(2)
        if kind not in (RSA, ECC):
            raise reader.refuse(f"a key of type {kind:#06x}, neither RSA nor ECC")
        name_alg = reader.number(2)
        if name_alg not in _HASHES:
            raise reader.refuse(f"a name by hash {name_alg:#06x}, which is not known or too weak")
        attributes = reader.number(4)
        if unnamed := [one for one in attribute_names(attributes) if one.startswith("bit")]:
            raise reader.refuse(f"attributes with {', '.join(unnamed)}, which must be 0")
        policy = reader.sized(LARGEST_DIGEST)
        if len(policy) not in (0, _digest_size(name_alg)):
            raise reader.refuse(f"a policy of {len(policy)} bytes, which its hash does not give")
        common = {
            "raw": bytes(raw),
            "type": kind,
            "name_alg": name_alg,
            "attributes": attributes,
            "policy": policy,
            "symmetric": _symmetric(reader),
            "scheme": _scheme(reader, kind),
        }
        key = _rsa(reader) if kind == RSA else _ecc(reader)
        reader.end()
        return cls(**common, **key)  # type: ignore[arg-type]

    @property
    def name(self) -> bytes:
        """What names the key in its TPM: the hash's number, then the hash of `raw`."""
        return _hashed(self.name_alg, self.raw)

    def is_set(self, name: str) -> bool:
        """Whether the attribute of that name (`ATTRIBUTES`) is set."""
        return bool(self.attributes >> ATTRIBUTES[name] & 1)

    def as_key(self) -> RSAPublicKey | EllipticCurvePublicKey:
        """The key itself.

        Raises:
            EvidenceError: TPM_STRUCTURE: it is no key (a point beside its curve).
        """
        from cryptography.hazmat.primitives.asymmetric import ec, rsa

        try:
            if self.type == RSA:
                return rsa.RSAPublicNumbers(self.exponent, self.modulus).public_key()
            curves = {"secp256r1": ec.SECP256R1, "secp384r1": ec.SECP384R1}
            curve = curves.get(_CURVES[self.curve][0], ec.SECP521R1)()
            return ec.EllipticCurvePublicNumbers(self.x, self.y, curve).public_key()
        except ValueError as error:
            raise EvidenceError(ERROR, f"a public area holds no key: {error}") from None


def read_public(data: bytes, what: str = "a public area") -> PublicArea:
    """The public area in a TPM2B_PUBLIC.

    Args:
        what: whose it is, for errors.

    Raises:
        EvidenceError: TPM_STRUCTURE.
    """
    reader = BytesReader(data, what, ERROR)
    raw = reader.sized(LARGEST_PUBLIC)
    reader.end()
    return PublicArea.parse(raw, what)


def qualified_name(name: bytes, hierarchy: int = ENDORSEMENT) -> bytes:
    """The qualified name of a primary key, which also says below which hierarchy it is.

    Args:
        name: a `PublicArea.name`.
        hierarchy: its handle.
    """
    return _hashed(int.from_bytes(name[:2], "big"), hierarchy.to_bytes(4, "big") + name)


def _hashed(algorithm: int, data: bytes) -> bytes:
    return algorithm.to_bytes(2, "big") + hashlib.new(_HASHES[algorithm], data).digest()


def _digest_size(algorithm: int) -> int:
    return hashlib.new(_HASHES[algorithm]).digest_size


def _symmetric(reader: BytesReader) -> tuple[int, int, int] | None:
    algorithm = reader.number(2)
    if algorithm == NULL:
        return None
    if algorithm not in _SYMMETRIC:
        raise reader.refuse(f"a symmetric algorithm {algorithm:#06x}, which is not known")
    bits, mode = reader.number(2), reader.number(2)
    if bits not in (128, 192, 256):
        raise reader.refuse(f"a symmetric key of {bits} bits")
    return algorithm, bits, mode


def _scheme(reader: BytesReader, kind: int) -> tuple[int, int] | None:
    algorithm = reader.number(2)
    if algorithm == NULL:
        return None
    if algorithm in _WITHOUT_HASH[kind]:
        return algorithm, 0
    if algorithm in _WITH_HASH[kind]:
        return algorithm, reader.number(2)
    if kind == ECC and algorithm == _ECDAA:
        scheme = algorithm, reader.number(2)
        reader.number(2)
        return scheme
    raise reader.refuse(f"a scheme {algorithm:#06x}, which is not known")


def _rsa(reader: BytesReader) -> dict[str, int]:
    bits, exponent = reader.number(2), reader.number(4) or _EXPONENT
    if bits not in _RSA_BITS:
        raise reader.refuse(f"an RSA key of {bits} bits")
    if exponent < 3 or not exponent & 1:
        raise reader.refuse(f"an RSA exponent of {exponent}")
    octets = reader.sized(bits // 8)
    modulus = int.from_bytes(octets, "big")
    if len(octets) != bits // 8 or modulus.bit_length() != bits or not modulus & 1:
        raise reader.refuse(f"a modulus that is none of {bits} bits")
    return {"key_bits": bits, "exponent": exponent, "modulus": modulus}


def _ecc(reader: BytesReader) -> dict[str, int]:
    curve = reader.number(2)
    if curve not in _CURVES:
        raise reader.refuse(f"a curve {curve:#06x}, which is not known")
    kdf = reader.number(2)
    if kdf in _KDFS:
        reader.number(2)
    elif kdf != NULL:
        raise reader.refuse(f"a key derivation {kdf:#06x}, which is not known")
    size = _CURVES[curve][1]
    point = reader.sized(size), reader.sized(size)
    if not all(point):
        raise reader.refuse("a key without a point")
    x, y = (int.from_bytes(octets, "big") for octets in point)
    return {"key_bits": 521 if size == 66 else 8 * size, "curve": curve, "x": x, "y": y}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A TPMS_ATTEST of a quote: what a TPM says of its PCRs, and of itself.

    Attributes:
        qualified_signer: qualified name of the key that signed it.
        extra_data: what the asker gave: the nonce.
        clock: milliseconds that the TPM has been powered.
        reset_count: of resets of the TPM, which each boot makes.
        restart_count: of restarts without a reset (sleep).
        safe: whether no greater `clock` was reported before.
        selection: numbers of the quoted PCRs in ascending order, by bank (`SHA256`).
        pcr_digest: hash over the values of those PCRs.
    """

    qualified_signer: bytes
    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    safe: bool
    firmware_version: int
    selection: Mapping[int, tuple[int, ...]]
    pcr_digest: bytes


def read_quote(data: bytes) -> Quote:
    """The fields of a TPMS_ATTEST, which must be a quote.

    Raises:
        EvidenceError: QUOTE_MAGIC: no TPM made it. QUOTE_TYPE: it is no quote. QUOTE_SELECTION:
            a selection that is none of a PC's PCRs, or two of one bank. QUOTE_TRAILING: bytes
            after its end. TPM_STRUCTURE: anything else.
    """
    reader = BytesReader(data, "the quote", ERROR)
    if len(data) > LARGEST_QUOTE:
        raise reader.refuse(f"{len(data)} bytes, where {LARGEST_QUOTE} is the most")
    if reader.number(4) != _MAGIC:
        raise reader.refuse("it does not begin as what a TPM made does", "QUOTE_MAGIC")
    if (kind := reader.number(2)) != _QUOTE:
        raise reader.refuse(f"type {kind:#06x} is no quote", "QUOTE_TYPE")
    signer, extra = reader.sized(LARGEST_NAME), reader.sized(LARGEST_NAME)
    clock, resets, restarts = reader.number(8), reader.number(4), reader.number(4)
    safe = reader.number(1)
    if safe > 1:
        raise reader.refuse("a truth value that is neither 0 nor 1")
    quote = Quote(
        qualified_signer=signer,
        extra_data=extra,
        clock=clock,
        reset_count=resets,
        restart_count=restarts,
        safe=bool(safe),
        firmware_version=reader.number(8),
        selection=_selection(reader),
        pcr_digest=reader.sized(LARGEST_DIGEST),
    )
    reader.end("QUOTE_TRAILING")
    return quote


def _selection(reader: BytesReader) -> dict[int, tuple[int, ...]]:
    count = reader.number(4)
    if count > MOST_BANKS:
        raise reader.refuse(f"{count} banks, where {MOST_BANKS} is the most")
    banks: dict[int, tuple[int, ...]] = {}
    for _ in range(count):
        bank, size = reader.number(2), reader.number(1)
        if size != BITMAP:
            raise reader.refuse(f"a selection of {size} bytes, not {BITMAP}", "QUOTE_SELECTION")
        if bank in banks:
            raise reader.refuse(f"two selections of bank {bank:#06x}", "QUOTE_SELECTION")
        bits = int.from_bytes(reader.take(size), "little")
        banks[bank] = tuple(pcr for pcr in range(PCRS) if bits >> pcr & 1)
    return banks
