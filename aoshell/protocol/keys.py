"""The kinds of keys that sign data items: their lengths, how to verify them, their addresses.

    type  kind      signature  owner                       what the key signs, for a message
    1     Arweave   512        RSA-4096 modulus            the message: RSA-PSS, SHA-256
    2     ed25519   64         public key, 32              the message
    3     Ethereum  65         secp256k1 point, 04 x y     its EIP-191 form, by Keccak-256: r s v
    4     Solana    64         ed25519 public key, 32      its bytes in lower-case hexadecimal

An owner's address is SHA-256 of the owner. Ethereum has addresses of its own (EIP-55). Sources:
ANS-104, RFC 8032 for ed25519, SEC 1 for ECDSA; what Ethereum and Solana keys sign, and their
addresses, as AO's units and the clients of the network do it.

`verify` takes the bytes as received and never raises, whatever they are. An item's id is the digest
of its signature, so each kind accepts one form of a signature only: with a second form, anybody
could send an item again under another id.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from aoshell.protocol import wallet

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

# The field and the order of the group of secp256k1 (SEC 2), and the field of Curve25519 (RFC 7748).
_P = 2**256 - 2**32 - 977
_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_P25519 = 2**255 - 19

# How many keys are remembered as not of small order. A log has thousands of signatures of one
# scheduler, and checking its key takes as long as verifying one of them.
KNOWN = 256


class Signer(Protocol):
    """Anything that can sign data items; `Wallet` is one.

    Attributes:
        type: number of its kind of key, one of `KINDS`.
        owner: the public key, of the length that the kind has.
    """

    @property
    def type(self) -> int: ...

    @property
    def owner(self) -> bytes: ...

    def sign(self, message: bytes) -> bytes:
        """A signature that `verify` of its kind accepts."""


class KeyType(NamedTuple):
    """A kind of key.

    Attributes:
        name: for people.
        signature, owner: lengths in bytes.
        address: returns the address of an owner of that length.
        verify: whether `owner` has signed `message` with `signature`, in this order; never raises.
    """

    name: str
    signature: int
    owner: int
    address: Callable[[bytes], str]
    verify: Callable[[bytes, bytes, bytes], bool]


def ethereum_address(owner: bytes) -> str:
    """The address of an uncompressed secp256k1 key: "0x" and 40 digits, checksummed by EIP-55."""
    digits = _keccak(owner[1:])[-20:].hex()
    checks = _keccak(digits.encode()).hex()
    cased = (d.upper() if check >= "8" else d for d, check in zip(digits, checks, strict=False))
    return "0x" + "".join(cased)


def _ed25519(owner: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        _refuse_small_order(owner)
        Ed25519PublicKey.from_public_bytes(owner).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(KNOWN)
def _refuse_small_order(owner: bytes) -> None:
    """Raise ValueError for the few keys for which one fixed signature fits many messages.

    RFC 8032 does not exclude these points of small order. 32 zero bytes are one, and would "sign"
    every fourth item. In the coordinate of X25519, u = (1 + y) / (1 - y), a key exchange with such
    a point gives zero, which `exchange` refuses, whatever the private key (RFC 7748 section 6.1).
    """
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    y = int.from_bytes(owner, "little") % 2**255
    u = (1 + y) * pow(1 - y, -1, _P25519) % _P25519
    point = X25519PublicKey.from_public_bytes(u.to_bytes(32, "little"))
    X25519PrivateKey.from_private_bytes(bytes(32)).exchange(point)


def _solana(owner: bytes, message: bytes, signature: bytes) -> bool:
    return _ed25519(owner, message.hex().encode(), signature)


def _ethereum(owner: bytes, message: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    digest = _keccak(b"\x19Ethereum Signed Message:\n%d%b" % (len(message), message))
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    v = int.from_bytes(signature[64:], "big")
    # If (r, s) verifies, so does (r, -s): EIP-2 accepts the lower s only. v is 27 or 28.
    if len(owner) != 65 or owner[0] != 4 or len(signature) != 65 or 2 * s > _N or v not in (27, 28):
        return False
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), owner)
        scheme = ec.ECDSA(utils.Prehashed(hashes.SHA256()))  # any digest of 32 bytes
        key.verify(utils.encode_dss_signature(r, s), digest, scheme)
        return _recovers(key, int.from_bytes(digest, "big"), r, s, odd=v == 28)
    except (InvalidSignature, ValueError):
        return False


def _recovers(key: EllipticCurvePublicKey, digest: int, r: int, s: int, odd: bool) -> bool:
    """Whether a valid (r, s) belongs to the point R with abscissa r whose ordinate is `odd`.

    ECDSA itself accepts both ordinates, so v could be changed without this check (SEC 1 section
    4.1.6). R = A + B, with A = digest/s · G and B = r/s · key. A key exchange gives the abscissa of
    B, which R - A must have; for the other point with abscissa r it differs.
    """
    from cryptography.hazmat.primitives.asymmetric import ec

    inverse, curve = pow(s, -1, _N), ec.SECP256K1()
    a = ec.derive_private_key(digest * inverse % _N, curve).public_key().public_numbers()
    b = ec.derive_private_key(r * inverse % _N, curve).exchange(ec.ECDH(), key)
    y = pow(r**3 + 7, (_P + 1) // 4, _P)
    if y % 2 != odd:
        y = _P - y
    slope = (y + a.y) * pow(r - a.x, -1, _P)
    return (slope**2 - r - a.x) % _P == int.from_bytes(b, "big")


def _keccak(value: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it: SHA-3 before FIPS 202 changed its padding.

    `hashlib` and `cryptography` have the padding of FIPS 202 only.
    """
    from Crypto.Hash import keccak

    return keccak.new(digest_bits=256, data=value).digest()


KINDS = {
    1: KeyType("Arweave", 512, 512, wallet.address_of, wallet.verify),
    2: KeyType("ed25519", 64, 32, wallet.address_of, _ed25519),
    3: KeyType("Ethereum", 65, 65, ethereum_address, _ethereum),
    4: KeyType("Solana", 64, 32, wallet.address_of, _solana),
}
"""The kinds that are verified, by the number of their type."""

REFUSED = {
    5: "Aptos",
    6: "Aptos multi-signature",
    7: "typed Ethereum",
    101: "Kyve",
}
"""Kinds that exist elsewhere. Errors refuse them by name."""
