"""Parses certificates: AMD's (ARK → ASK or ASVK → VCEK or VLEK), and those of TPMs.

    ARK     the root: signs itself, ASK and ASVK; one for each product, pinned by its fingerprint
    ASK     signs VCEKs, one for each chip and TCB
    ASVK    signs VLEKs, which a cloud provider loads into its chips
    VEK     VCEK or VLEK: signs reports; its extensions name chip, TCB and product

Sources: RFC 5280, RFC 5480 for keys on P-384, AMD 57230. Parsing checks the form only; what the
fields must be say `amd_profile` and the checks, or `tpm.ek_certificate` and `tpm.ek_path`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from aoshell.attest.errors import EvidenceError
from aoshell.attest.x509 import algorithms, der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

LARGEST = 16 << 10  # bytes of one certificate; AMD's have up to 1.7 KB

Attributes: TypeAlias = tuple[tuple[str, str], ...]
"""(OID, value) pairs that stand together in a name, in their order; nearly always one."""

Name: TypeAlias = tuple[Attributes, ...]
"""A distinguished name. Which kind of string holds a value does not matter (RFC 5280 section
7.1)."""

COMMON_NAME = "2.5.4.3"
_AMD: Name = (
    (("2.5.4.11", "Engineering"),),
    (("2.5.4.6", "US"),),
    (("2.5.4.7", "Santa Clara"),),
    (("2.5.4.8", "CA"),),
    (("2.5.4.10", "Advanced Micro Devices"),),
)

_RSA, _EC, _P384 = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.3.132.0.34"
EXPONENT = 65537
RSA_BITS = 4096
POINT = 97  # bytes of an uncompressed point of P-384: 4, x, y (RFC 5480 section 2.2)


def amd_name(common_name: str) -> Name:
    """The full name of an AMD certificate with that common name."""
    return (*_AMD, ((COMMON_NAME, common_name),))


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
    def parse(
        cls, octets: bytes, what: str = "certificate", *, written_defaults: bool = False
    ) -> Certificate:
        """Parses DER; `what` names it in errors, `written_defaults` is as for `DerReader`.

        Raises:
            EvidenceError: CERT_PARSE.
        """
        if len(octets) > LARGEST:
            raise EvidenceError(
                "CERT_PARSE", f"{what}: it has {len(octets)} bytes, more than {LARGEST}"
            )
        signed = SignedDer.parse(octets, what)
        whole = der.DerReader(signed.content, what, written_defaults=written_defaults)
        reader = whole.inside(der.SEQUENCE)
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
    found = [value for part in name for oid, value in part if oid == COMMON_NAME]
    return found[0] if len(found) == 1 else ""


def read_name(reader: der.DerReader) -> Name:
    """Reads the Name that comes next. The order inside of its sets is left as it is: Nuvoton does
    not sort them, as DER asks."""
    return tuple(_read_attributes(part) for part in reader.inside(der.SEQUENCE).each(der.SET))


def _read_attributes(reader: der.DerReader) -> Attributes:
    pairs = []
    for attribute in reader.each(der.SEQUENCE):
        pairs.append((attribute.oid(), attribute.text()))
        attribute.end()
    if not pairs:
        raise reader.refuse("a part of a name without a value")
    return tuple(pairs)


def read_extensions(reader: der.DerReader) -> tuple[Extension, ...]:
    """Reads the extensions in the rest of a reader."""
    extensions = []
    for one in reader.inside(der.SEQUENCE).each(der.SEQUENCE):
        extensions.append(Extension(one.oid(), one.boolean(), one.take(der.OCTETS)))
        one.end()
    reader.end()
    return tuple(extensions)


def check_signature(signed: SignedDer, algorithm: bytes, issuer: Certificate, error: str) -> None:
    """Checks that the issuer's key made a signature, by the one algorithm that AMD uses.

    Args:
        algorithm: the one in the signed part.
        error: the name of the error if the signature does not fit.

    Raises:
        EvidenceError: `error`, or CERT_ALGORITHM.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa

    # The algorithm stands outside of the signed part and again inside, and both must be the same
    # (RFC 5280 section 4.1.1.2): else somebody could change the outer one.
    if signed.algorithm not in algorithms.PSS_SHA384 or algorithm != signed.algorithm:
        what = "the signature is not RSA-PSS with SHA-384 and 48 bytes of salt"
        raise EvidenceError("CERT_ALGORITHM", what)
    modulus, exponent = rsa_numbers(issuer)
    if modulus.bit_length() != RSA_BITS or exponent != EXPONENT:
        what = f"the key of {issuer.common_name!r} is not RSA-{RSA_BITS} with e = {EXPONENT}"
        raise EvidenceError("CERT_ALGORITHM", what)
    try:
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        key = None
    by = algorithms.ALGORITHMS[algorithm]
    if key is None or not algorithms.verify(by, key, signed.signature, signed.content):
        what = f"the signature was not made by the key of {issuer.common_name!r}"
        raise EvidenceError(error, what)


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
