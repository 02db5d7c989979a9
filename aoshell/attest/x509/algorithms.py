"""The algorithms that sign certificates and CRLs, and one place that verifies with them.

An algorithm is known by its whole AlgorithmIdentifier: each form that a standard permits is in the
table, so no parameter goes unread. Sources: RFC 4055 for RSA, RFC 5758 for ECDSA. SHA-1 is not
among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aoshell.attest.x509 import der

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


@dataclass(frozen=True, slots=True)
class Algorithm:
    """How something is signed.

    Attributes:
        scheme: "RSA-PSS", "RSA" (PKCS#1 v1.5) or "ECDSA".
        bits: of SHA-2, and with RSA-PSS of MGF1 and of the salt as well.
    """

    scheme: str
    bits: int

    def __str__(self) -> str:
        return f"{self.scheme}, SHA-{self.bits}"


_NULL = b"\x05\0"
_HASHES = {256: 1, 384: 2, 512: 3}  # last number of 2.16.840.1.101.3.4.2.x
_PKCS1 = {256: 11, 384: 12, 512: 13}  # of 1.2.840.113549.1.1.x
_ECDSA = {256: 2, 384: 3, 512: 4}  # of 1.2.840.10045.4.3.x
_HASH, _RSA, _EC = (
    bytes.fromhex(form) for form in ("608648016503040200", "2a864886f70d010100", "2a8648ce3d040300")
)
_PSS, _MGF1 = 10, 8  # of 1.2.840.113549.1.1.x


def _make(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes((tag, len(content))) + content


def _oid(form: bytes, last: int) -> bytes:
    return _make(der.OID, form[:-1], bytes((last,)))


def _forms() -> Iterator[tuple[bytes, Algorithm]]:
    for bits in _HASHES:
        yield from ((form, Algorithm("RSA-PSS", bits)) for form in _pss_forms(bits))
        for scheme, oid in (("RSA", _oid(_RSA, _PKCS1[bits])), ("ECDSA", _oid(_EC, _ECDSA[bits]))):
            # The parameters are NULL with RSA and absent with ECDSA. Genuine certificates, among
            # them Intel's root, have the other form.
            for parameters in (_NULL, b""):
                yield _make(der.SEQUENCE, oid, parameters), Algorithm(scheme, bits)


def _pss_forms(bits: int) -> Iterator[bytes]:
    """All forms that RFC 4055 permits (sections 2.1 and 3.1): the hash's parameters NULL or absent,
    the trailer field present or not. AMD's certificates use more than one."""
    salt = _make(0xA2, _make(der.INTEGER, bytes((bits // 8,))))
    for parameters in (_NULL, b""):
        hashed = _make(der.SEQUENCE, _oid(_HASH, _HASHES[bits]), parameters)
        mask = _make(der.SEQUENCE, _oid(_RSA, _MGF1), hashed)
        common = (_make(0xA0, hashed), _make(0xA1, mask), salt)
        for trailer in (b"", bytes.fromhex("a303020101")):
            yield _make(der.SEQUENCE, _oid(_RSA, _PSS), _make(der.SEQUENCE, *common, trailer))


ALGORITHMS: Mapping[bytes, Algorithm] = dict(_forms())
"""By AlgorithmIdentifier in DER."""

PSS_SHA384 = frozenset(form for form, one in ALGORITHMS.items() if one == Algorithm("RSA-PSS", 384))
"""The forms of the one algorithm that AMD uses."""


def verify(
    algorithm: Algorithm,
    key: RSAPublicKey | EllipticCurvePublicKey,
    signature: bytes,
    content: bytes,
) -> bool:
    """Whether a key made a signature by an algorithm; no if the key is not of its kind."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    by_bits: dict[int, hashes.HashAlgorithm] = {
        256: hashes.SHA256(),
        384: hashes.SHA384(),
        512: hashes.SHA512(),
    }
    hashed = by_bits[algorithm.bits]
    try:
        if algorithm.scheme == "ECDSA":
            if not isinstance(key, ec.EllipticCurvePublicKey):
                return False
            key.verify(signature, content, ec.ECDSA(hashed))
        elif not isinstance(key, rsa.RSAPublicKey):
            return False
        elif algorithm.scheme == "RSA-PSS":
            pss = padding.PSS(padding.MGF1(hashed), algorithm.bits // 8)
            key.verify(signature, content, pss, hashed)
        else:
            key.verify(signature, content, padding.PKCS1v15(), hashed)
    except (InvalidSignature, ValueError):
        return False
    return True
