"""Parses AMD's certificates (ARK → ASK or ASVK → VCEK or VLEK), and verifies their signatures.

    ARK     the root: signs itself, ASK and ASVK; one for each product, pinned by its fingerprint
    ASK     signs VCEKs, one for each chip and TCB
    ASVK    signs VLEKs, which a cloud provider loads into its chips
    VEK     VCEK or VLEK: signs reports; its extensions name chip, TCB and product

Sources: RFC 5280, RFC 4055 for RSA-PSS, RFC 5480 for keys on P-384, AMD 57230. Parsing checks the
form only; `amd_profile` and the checks say what the fields must be.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aoshell.attest.errors import EvidenceError
from aoshell.attest.x509 import der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

LARGEST = 16 << 10  # bytes of one certificate; AMD's have up to 1.7 KB

Name: TypeAlias = tuple[tuple[str, str], ...]
"""A distinguished name: (attribute as OID, value) pairs in order."""

COMMON_NAME = "2.5.4.3"
_AMD: Name = (
    ("2.5.4.11", "Engineering"),
    ("2.5.4.6", "US"),
    ("2.5.4.7", "Santa Clara"),
    ("2.5.4.8", "CA"),
    ("2.5.4.10", "Advanced Micro Devices"),
)

_RSA, _EC, _P384 = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.3.132.0.34"
EXPONENT = 65537
RSA_BITS = 4096
POINT = 97  # bytes of an uncompressed point of P-384: 4, x, y (RFC 5480 section 2.2)


def amd_name(common_name: str) -> Name:
    """The full name of an AMD certificate with that common name."""
    return (*_AMD, (COMMON_NAME, common_name))


@dataclass(frozen=True, slots=True)
class Extension:
    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class SignedDer:
    """The outer structure of a certificate or a CRL (RFC 5280 sections 4.1 and 5.1).

    Attributes:
        der: all of it.
        content: the signed part, as it came: it is verified without encoding it again.
        algorithm: AlgorithmIdentifier of the signature, in DER.
        signature: raw.
    """

    der: bytes
    content: bytes
    algorithm: bytes
    signature: bytes

    @classmethod
    def parse(cls, octets: bytes, what: str) -> SignedDer:
        """Parses DER; `what` names it in errors. Raises EvidenceError: CERT_PARSE."""
        outer = der.DerReader(octets, what)
        inner = outer.inside(der.SEQUENCE)
        outer.end()
        content = inner.element(der.SEQUENCE)[0]
        algorithm = inner.element(der.SEQUENCE)[0]
        signature = inner.bits()
        inner.end()
        return cls(bytes(octets), content, algorithm, signature)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The fields of a certificate, not checked.

    Attributes:
        version: 1 to 3.
        algorithm: AlgorithmIdentifier in the signed part, in DER.
        not_before, not_after: seconds since the Unix epoch, both included.
        key: SubjectPublicKeyInfo in DER.
        extensions: in order; an OID may occur twice.
    """

    signed: SignedDer
    version: int
    serial: int
    algorithm: bytes
    issuer: Name
    subject: Name
    not_before: int
    not_after: int
    key: bytes
    extensions: tuple[Extension, ...]

    @classmethod
    def parse(cls, octets: bytes, what: str = "certificate") -> Certificate:
        """Parses DER; `what` names it in errors.

        Raises:
            EvidenceError: CERT_PARSE.
        """
        if len(octets) > LARGEST:
            raise EvidenceError(
                "CERT_PARSE", f"{what}: it has {len(octets)} bytes, more than {LARGEST}"
            )
        signed = SignedDer.parse(octets, what)
        reader = der.DerReader(signed.content, what).inside(der.SEQUENCE)
        version = reader.inside(0xA0).integer() + 1 if reader.peek() == 0xA0 else 1
        serial = reader.integer()
        algorithm = reader.element(der.SEQUENCE)[0]
        issuer = read_name(reader)
        validity = reader.inside(der.SEQUENCE)
        not_before, not_after = validity.time(), validity.time()
        validity.end()
        subject = read_name(reader)
        key = reader.element(der.SEQUENCE)[0]
        extensions = read_extensions(reader.inside(0xA3)) if reader else ()
        reader.end()
        return cls(
            signed,
            version,
            serial,
            algorithm,
            issuer,
            subject,
            not_before,
            not_after,
            key,
            extensions,
        )

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the DER, in hexadecimal."""
        return hashlib.sha256(self.signed.der).hexdigest()

    @property
    def common_name(self) -> str:
        """The subject's common name, "" if there is none."""
        return common_name(self.subject)

    def extension(self, oid: str) -> Extension | None:
        """The extension of that OID.

        Raises:
            EvidenceError: CERT_EXTENSION: it occurs more than once (RFC 5280 section 4.2).
        """
        found = [extension for extension in self.extensions if extension.oid == oid]
        if len(found) > 1:
            raise EvidenceError("CERT_EXTENSION", f"the extension {oid} occurs {len(found)} times")
        return found[0] if found else None


def common_name(name: Name) -> str:
    """The common name in a name, "" if there is none, or more than one."""
    found = [value for oid, value in name if oid == COMMON_NAME]
    return found[0] if len(found) == 1 else ""


def read_name(reader: der.DerReader) -> Name:
    """Reads the Name that comes next, with one attribute in each of its sets."""
    parts = []
    for attributes in reader.inside(der.SEQUENCE).each(der.SET):
        attribute = attributes.inside(der.SEQUENCE)
        attributes.end()
        parts.append((attribute.oid(), attribute.text()))
        attribute.end()
    return tuple(parts)


def read_extensions(reader: der.DerReader) -> tuple[Extension, ...]:
    """Reads the extensions in the rest of a reader."""
    extensions = []
    for one in reader.inside(der.SEQUENCE).each(der.SEQUENCE):
        extensions.append(Extension(one.oid(), one.boolean(), one.take(der.OCTETS)))
        one.end()
    reader.end()
    return tuple(extensions)


def _make(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes((tag, len(content))) + content


def _pss_identifiers() -> frozenset[bytes]:
    """The AlgorithmIdentifiers of RSA-PSS with SHA-384, MGF1 with SHA-384 and 48 bytes of salt, in
    all forms that RFC 4055 permits (sections 2.1 and 3.1): the hash's parameters NULL or absent,
    the trailer field present or not. AMD's certificates use more than one."""
    pss, mgf1 = bytes.fromhex("06092a864886f70d01010a"), bytes.fromhex("06092a864886f70d010108")
    sha384, salt = bytes.fromhex("0609608648016503040202"), bytes.fromhex("020130")
    forms = []
    for parameters in (b"\x05\0", b""):
        hashed = _make(der.SEQUENCE, sha384, parameters)
        common = (
            _make(0xA0, hashed),
            _make(0xA1, _make(der.SEQUENCE, mgf1, hashed)),
            _make(0xA2, salt),
        )
        for trailer in (b"", bytes.fromhex("a303020101")):
            forms.append(_make(der.SEQUENCE, pss, _make(der.SEQUENCE, *common, trailer)))
    return frozenset(forms)


PSS_SHA384 = _pss_identifiers()


def check_signature(signed: SignedDer, algorithm: bytes, issuer: Certificate, error: str) -> None:
    """Checks that the issuer's key made a signature, by the one algorithm that AMD uses.

    Args:
        algorithm: the one in the signed part.
        error: the name of the error if the signature does not fit.

    Raises:
        EvidenceError: `error`, or CERT_ALGORITHM.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    # The algorithm stands outside of the signed part and again inside, and both must be the same
    # (RFC 5280 section 4.1.1.2): else somebody could change the outer one.
    if signed.algorithm not in PSS_SHA384 or algorithm != signed.algorithm:
        what = "the signature is not RSA-PSS with SHA-384 and 48 bytes of salt"
        raise EvidenceError("CERT_ALGORITHM", what)
    modulus, exponent = rsa_numbers(issuer)
    if modulus.bit_length() != RSA_BITS or exponent != EXPONENT:
        what = f"the key of {issuer.common_name!r} is not RSA-{RSA_BITS} with e = {EXPONENT}"
        raise EvidenceError("CERT_ALGORITHM", what)
    pss = padding.PSS(padding.MGF1(hashes.SHA384()), 48)
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        key.verify(signed.signature, signed.content, pss, hashes.SHA384())
    except (InvalidSignature, ValueError):
        what = f"the signature was not made by the key of {issuer.common_name!r}"
        raise EvidenceError(error, what) from None


def rsa_numbers(certificate: Certificate) -> tuple[int, int]:
    """(modulus, exponent) of an RSA key; (0, 0) for another kind of key.

    Raises:
        EvidenceError: CERT_PARSE: the key is malformed.
    """
    oid, _, octets = _key(certificate)
    if oid != _RSA:
        return 0, 0
    numbers = der.DerReader(octets, "RSA key").inside(der.SEQUENCE)
    modulus, exponent = numbers.integer(), numbers.integer()
    numbers.end()
    return modulus, exponent


def ec_key(certificate: Certificate) -> EllipticCurvePublicKey:
    """The key of a certificate, on P-384.

    Raises:
        EvidenceError: CERT_KEY_TYPE: another kind of key, or not a point of the curve.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    oid, curve, octets = _key(certificate)
    if oid != _EC or curve != _P384:
        raise EvidenceError("CERT_KEY_TYPE", "the key is not an elliptic-curve key on P-384")
    if len(octets) != POINT:
        raise EvidenceError("CERT_KEY_TYPE", "the key is not an uncompressed point of P-384")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), octets)
    except ValueError:
        raise EvidenceError("CERT_KEY_TYPE", "the key is not a point of P-384") from None


def _key(certificate: Certificate) -> tuple[str, str, bytes]:
    """(OID of its kind, OID of the curve or "", the key itself)."""
    reader = der.DerReader(certificate.key, "public key").inside(der.SEQUENCE)
    kind = reader.inside(der.SEQUENCE)
    octets = reader.bits()
    reader.end()
    oid = kind.oid()
    return oid, kind.oid() if kind.peek() == der.OID else "", octets
