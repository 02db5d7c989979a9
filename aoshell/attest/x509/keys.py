"""The keys of certificates that sign others, or that a TPM holds: RSA and three curves (RFC 3279,
RFC 5480)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from aoshell.attest.errors import EvidenceError
from aoshell.attest.x509 import der
from aoshell.attest.x509.certificates import Certificate

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

PublicKey: TypeAlias = "RSAPublicKey | EllipticCurvePublicKey"

SMALLEST, LARGEST = 2048, 8192  # bits of an RSA modulus; a larger one takes long to compute with
_LARGEST_EXPONENT = 1 << 32

_RSA, _EC = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
_NULL = b"\x05\0"


def public_key(certificate: Certificate) -> PublicKey:
    """The key in a certificate. Raises as `read_public_key()`."""
    return read_public_key(certificate.key)


def read_public_key(octets: bytes) -> PublicKey:
    """The key in a SubjectPublicKeyInfo.

    Raises:
        EvidenceError: CERT_KEY_TYPE: another kind of key, or one that cannot be; CERT_PARSE.
    """
    reader = der.DerReader(octets, "public key")
    outer = reader.inside(der.SEQUENCE)
    reader.end()
    kind, key = outer.inside(der.SEQUENCE), outer.bits()
    outer.end()
    oid = kind.oid()
    if oid == _RSA and kind.rest() == _NULL:
        return _rsa_key(key)
    if oid == _EC and kind.peek() == der.OID:
        curve = kind.oid()
        kind.end()
        return _ec_key(curve, key)
    raise EvidenceError("CERT_KEY_TYPE", "the key is neither RSA nor on a known curve")


def _rsa_key(octets: bytes) -> RSAPublicKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    reader = der.DerReader(octets, "RSA key")
    numbers = reader.inside(der.SEQUENCE)
    reader.end()
    modulus, exponent = numbers.integer(), numbers.integer()
    numbers.end()
    bits = modulus.bit_length()
    if not SMALLEST <= bits <= LARGEST or exponent >= _LARGEST_EXPONENT:
        what = f"the RSA key has {bits} bits; {SMALLEST} to {LARGEST} are accepted"
        raise EvidenceError("CERT_KEY_TYPE", what)
    try:
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        raise EvidenceError("CERT_KEY_TYPE", "the RSA key cannot be one") from None


def _ec_key(curve: str, octets: bytes) -> EllipticCurvePublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    curves: dict[str, ec.EllipticCurve] = {
        "1.2.840.10045.3.1.7": ec.SECP256R1(),
        "1.3.132.0.34": ec.SECP384R1(),
        "1.3.132.0.35": ec.SECP521R1(),
    }
    known = curves.get(curve)
    if known is None or octets[:1] != b"\x04":
        raise EvidenceError("CERT_KEY_TYPE", "the key is not a point of P-256, P-384 or P-521")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(known, octets)
    except ValueError:
        raise EvidenceError("CERT_KEY_TYPE", f"the key is not a point of {known.name}") from None
