"""Arweave wallets: signing, and verifying signatures.

A wallet is an RSA key in a JSON Web Key (RFC 7517, RFC 7518 section 6.3) with e = 65537. Arweave
generates 4096 bits. The owner is the modulus, the address is SHA-256 of the owner. Signatures are
RSA-PSS (RFC 8017 section 8.1) with SHA-256; in HTTP messages with SHA-512 (RFC 9421 section 3.3.1).

Importing `cryptography` takes tens of milliseconds, so it is imported at its first use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import lcm
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.encoding import b64url, unb64url

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

EXPONENT = 65537
GENERATED_BITS = 4096
SMALLEST_BITS = 2048
LARGEST_BITS = 8192  # bounds the time to verify a signature by a key that somebody else chose

Digest: TypeAlias = Literal["sha256", "sha512"]

_NUMBERS = ("n", "e", "d", "p", "q", "dp", "dq", "qi")


@dataclass(frozen=True, eq=False)
class Wallet:
    """An RSA private key. Make one with `generate()` or `from_jwk()`.

    Attributes:
        type: number of its kind of key among those that sign data items (`protocol.keys`).
        numbers: the JWK's members n, e, d, p, q, dp, dq, qi. Secret, so never in a repr.
    """

    type: ClassVar[int] = 1
    numbers: Mapping[str, int] = field(repr=False)

    @classmethod
    def generate(cls) -> Wallet:
        """A new RSA-4096 key. Takes a few tenths of a second to several seconds."""
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=EXPONENT, key_size=GENERATED_BITS)
        private = key.private_numbers()
        public = private.public_numbers
        values = (
            *(public.n, public.e, private.d, private.p, private.q),
            *(private.dmp1, private.dmq1, private.iqmp),
        )
        return cls(dict(zip(_NUMBERS, values, strict=True)))

    @classmethod
    def from_jwk(cls, jwk: object) -> Wallet:
        """The wallet in a decoded JSON value.

        Raises:
            AoError: stage "wallet", when it is no private RSA key of 2048…8192 bits with e = 65537,
                or when its numbers do not belong together. The error never quotes the value, which
                is secret.
        """
        if not isinstance(jwk, Mapping) or jwk.get("kty") != "RSA":
            raise _no_wallet("it is no JSON Web Key of type RSA")
        numbers = {name: _number(jwk, name) for name in _NUMBERS}
        _check(numbers)
        return cls(numbers)

    def jwk(self) -> dict[str, str]:
        """The key as a JSON Web Key, secret parts included."""
        return {"kty": "RSA"} | {name: b64url(_octets(self.numbers[name])) for name in _NUMBERS}

    @cached_property
    def owner(self) -> bytes:
        """The modulus, big-endian: 512 bytes for RSA-4096."""
        return _octets(self.numbers["n"])

    @cached_property
    def address(self) -> str:
        """b64url(SHA-256(modulus)), 43 characters."""
        return address_of(self.owner)

    def sign(self, message: bytes, digest: Digest = "sha256") -> bytes:
        """An RSA-PSS signature as long as the modulus, its salt as long as the digest."""
        from cryptography.hazmat.primitives.asymmetric import padding

        algorithm = _algorithm(digest)
        pss = padding.PSS(padding.MGF1(algorithm), algorithm.digest_size)
        return self._key.sign(message, pss, algorithm)

    @cached_property
    def _key(self) -> RSAPrivateKey:
        from cryptography.hazmat.primitives.asymmetric import rsa

        n, e, d, p, q, dp, dq, qi = (self.numbers[name] for name in _NUMBERS)
        private = rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n))
        # Full validation would test p and q for primality, 0.3 s at each start. `_check` has found
        # that the numbers belong together, which those of a damaged file do not.
        return private.private_key(unsafe_skip_rsa_key_validation=True)


def address_of(owner: bytes) -> str:
    """The address of a public key (of RSA its modulus), 43 characters base64url."""
    return b64url(hashlib.sha256(owner).digest())


def verify(owner: bytes, message: bytes, signature: bytes, digest: Digest = "sha256") -> bool:
    """Whether `signature` over `message` was made by the key with modulus `owner`.

    RSA-PSS with a salt of any length: Arweave's clients have written several, and its nodes
    accept all. Raises nothing; False for an owner that is no usable modulus.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    modulus = int.from_bytes(owner, "big")
    if not SMALLEST_BITS <= modulus.bit_length() <= LARGEST_BITS:
        return False
    algorithm = _algorithm(digest)
    pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.AUTO)
    try:
        key = rsa.RSAPublicNumbers(EXPONENT, modulus).public_key()
        key.verify(signature, message, pss, algorithm)
    except (InvalidSignature, ValueError):
        return False
    return True


def _algorithm(digest: Digest) -> HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256() if digest == "sha256" else hashes.SHA512()


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _number(jwk: Mapping[object, object], name: str) -> int:
    text = jwk.get(name)
    if text is None:
        kind = "it is a public key only" if name == "d" else f"its member {name!r} is missing"
        raise _no_wallet(kind)
    try:
        number = int.from_bytes(unb64url(text), "big") if isinstance(text, str) else 0
    except ValueError:
        number = 0
    if not number:
        raise _no_wallet(f"its member {name!r} is no base64url number")
    return number


def _check(numbers: Mapping[str, int]) -> None:
    n, e, d, p, q, dp, dq, qi = (numbers[name] for name in _NUMBERS)
    if e != EXPONENT:
        raise _no_wallet("its exponent is not 65537, which Arweave requires")
    if not SMALLEST_BITS <= n.bit_length() <= LARGEST_BITS:
        raise _no_wallet(f"its modulus has {n.bit_length()} bits, outside 2048…8192")
    together = (
        n == p * q
        and p > 1 < q
        and d * e % lcm(p - 1, q - 1) == 1
        and (dp, dq) == (d % (p - 1), d % (q - 1))
        and qi < p
        and qi * q % p == 1
    )
    if not together:
        raise _no_wallet("its numbers do not belong together: the key is damaged")


def _no_wallet(why: str) -> AoError:
    return AoError(
        f"this is no Arweave wallet: {why}",
        stage="wallet",
        hint="a wallet is a JSON file with the members kty, n, e, d, p, q, dp, dq and qi, "
        "as aos keeps one in ~/.aos.json",
    )
