"""Identities that sign messages in tests."""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aoshell.protocol.keys import KINDS, Signer

OWNER = "owner"  # the identity that owns processes by default
_ED25519 = 2  # signature type of ANS-104


class Identity:
    """An identity that signs messages.

    Its key is derived from its name: the same name has the same address in every test and every
    run, and no key is generated. Anybody can derive it, so it protects nothing outside of tests.

    Args:
        name: what its key is derived from.
        signer: a key to use instead, such as a `Wallet`.
    """

    def __init__(self, name: str, signer: Signer | None = None) -> None:
        self.name = name
        self._signer = signer or _derived(name)

    @property
    def type(self) -> int:
        """Signature type of its key (ANS-104)."""
        return self._signer.type

    @property
    def owner(self) -> bytes:
        """The public key."""
        return self._signer.owner

    def sign(self, message: bytes) -> bytes:
        """A signature by its key."""
        return self._signer.sign(message)

    @cached_property
    def address(self) -> str:
        """43 characters base64url: the digest of the public key."""
        return KINDS[self.type].address(self.owner)

    def __str__(self) -> str:
        return self.address

    def __repr__(self) -> str:
        return f"Identity({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and other.owner == self.owner

    def __hash__(self) -> int:
        return hash(self.owner)


@lru_cache(maxsize=1000)  # tests name the same few again and again
def _derived(name: str) -> Signer:
    return _Derived(name)


class _Derived:
    """A key derived from a name. Ed25519: an RSA key takes seconds to make."""

    type = _ED25519

    def __init__(self, name: str) -> None:
        seed = hashlib.sha256(b"an identity of aoshell's tests: " + name.encode()).digest()
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.owner = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message)
