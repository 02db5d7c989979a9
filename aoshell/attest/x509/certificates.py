"""AMD's certificates: ARK → ASK or ASVK → VCEK or VLEK, taken apart, and their signatures.

    ARK     signs itself and everything below it: one a product, pinned by its fingerprint
    ASK     signs VCEKs, one for each chip and TCB
    ASVK    signs VLEKs, which a cloud provider loads into its chips
    VEK     VCEK or VLEK: signs reports; its extensions name chip, TCB and product

Sources: RFC 5280, RFC 4055 for RSA-PSS; AMD 57230 for the profile. Parsing only takes apart;
`profile` and the checks say what the parts must be.
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
POINT = 97


def amd_name(common_name: str) -> Name:
    """The name that AMD's certificates have, but for the last part."""
    return (*_AMD, (COMMON_NAME, common_name))


@dataclass(frozen=True, slots=True)
class Extension:
    oid: str
    critical: bool
    value: bytes


@dataclass(frozen=True, slots=True)
class SignedDer:
    """What somebody signed: a certificate or a CRL, in DER.

    Attributes:
        der: all of it.
        content: the signed part.
        algorithm: AlgorithmIdentifier of the signature, in DER.
        signature: raw.
    """

    der: bytes
    content: bytes
    algorithm: bytes
    signature: bytes

    @classmethod
    def parse(cls, octets: bytes, what: str) -> SignedDer:
        """Raises EvidenceError: CERT_PARSE."""
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
    """A certificate, taken apart and not checked.

    Attributes:
        version: 1…3.
        algorithm: AlgorithmIdentifier in the signed part, in DER.
        not_before, not_after: seconds since the Unix epoch, both still valid.
        key: SubjectPublicKeyInfo in DER.
        extensions: in order, an OID possibly twice.
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
        """Takes DER apart.

        Raises:
            EvidenceError: CERT_PARSE.
        """
        if len(octets) > LARGEST:
            raise EvidenceError("CERT_PARSE", f"{what}: {len(octets)} bytes, at most {LARGEST}")
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
        """The subject's, "" where there is none."""
        return common_name(self.subject)

    def extension(self, oid: str) -> Extension | None:
        """The extension of that OID.

        Raises:
            EvidenceError: CERT_EXTENSION, where it is there more than once.
        """
        found = [extension for extension in self.extensions if extension.oid == oid]
        if len(found) > 1:
            raise EvidenceError("CERT_EXTENSION", f"the extension {oid} occurs {len(found)} times")
        return found[0] if found else None


def common_name(name: Name) -> str:
    """The common name in a name, "" where there is none, or more than one."""
    found = [value for oid, value in name if oid == COMMON_NAME]
    return found[0] if len(found) == 1 else ""


def read_name(reader: der.DerReader) -> Name:
    """The Name that comes next, one attribute in each of its sets."""
    parts = []
    for attributes in reader.inside(der.SEQUENCE).each(der.SET):
        attribute = attributes.inside(der.SEQUENCE)
        attributes.end()
        parts.append((attribute.oid(), attribute.text()))
        attribute.end()
    return tuple(parts)


def read_extensions(reader: der.DerReader) -> tuple[Extension, ...]:
    """The extensions in what is left of a reader."""
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
    """RSA-PSS with SHA-384, MGF1 with SHA-384 and 48 bytes of salt, in the forms that RFC 4055
    permits: parameters of the hash NULL or absent, the trailer field spelled out or not."""
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
    """That the issuer's key signed it, in the one way that AMD uses.

    Args:
        algorithm: what the signed part says of the algorithm.
        error: the name of the error where the signature does not fit.

    Raises:
        EvidenceError: `error`, or CERT_ALGORITHM.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    if signed.algorithm not in PSS_SHA384 or algorithm != signed.algorithm:
        what = "signed otherwise than by RSA-PSS with SHA-384 and 48 bytes of salt"
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
        what = f"the key of {issuer.common_name!r} did not make this signature"
        raise EvidenceError(error, what) from None


def rsa_numbers(certificate: Certificate) -> tuple[int, int]:
    """(modulus, exponent) of its key; (0, 0) for a key of another kind.

    Raises:
        EvidenceError: CERT_PARSE, for a broken key.
    """
    oid, _, octets = _key(certificate)
    if oid != _RSA:
        return 0, 0
    numbers = der.DerReader(octets, "RSA key").inside(der.SEQUENCE)
    modulus, exponent = numbers.integer(), numbers.integer()
    numbers.end()
    return modulus, exponent


def ec_key(certificate: Certificate) -> EllipticCurvePublicKey:
    """Its key, on P-384.

    Raises:
        EvidenceError: CERT_KEY_TYPE, for a key of another kind or no point of the curve.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    oid, curve, octets = _key(certificate)
    if oid != _EC or curve != _P384:
        raise EvidenceError("CERT_KEY_TYPE", "the key is not an elliptic one on P-384")
    if len(octets) != POINT:
        raise EvidenceError("CERT_KEY_TYPE", "the key is no uncompressed point of P-384")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), octets)
    except ValueError:
        raise EvidenceError("CERT_KEY_TYPE", "the key is no point of P-384") from None


def _key(certificate: Certificate) -> tuple[str, str, bytes]:
    """(OID of its kind, OID of the curve or "", the key itself)."""
    reader = der.DerReader(certificate.key, "public key").inside(der.SEQUENCE)
    kind = reader.inside(der.SEQUENCE)
    octets = reader.bits()
    reader.end()
    oid = kind.oid()
    return oid, kind.oid() if kind.peek() == der.OID else "", octets
