"""Keys of kinds with which aoshell does not sign: made here, to judge what it verifies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import ClassVar

from Crypto.Hash import keccak
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aoshell.protocol.keys import KINDS

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1's


@dataclass(frozen=True)
class Ed25519:
    """Signs as type 2."""

    type: ClassVar[int] = 2
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def owner(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def address(self) -> str:
        return KINDS[self.type].address(self.owner)

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message)


class Solana(Ed25519):
    """Signs as type 4."""

    type: ClassVar[int] = 4

    def sign(self, message: bytes) -> bytes:
        return self.key.sign(message.hex().encode("ascii"))


@dataclass(frozen=True)
class Ethereum:
    """Signs as type 3. ECDSA by hand: what recovers the key is the parity of the nonce's point."""

    type: ClassVar[int] = 3
    secret: int = 0x4F3EDF983AC636A65A842CE7C78D9AA706D3B113BCE9C46F30D7D21715B23B1D

    @property
    def owner(self) -> bytes:
        x, y = point(self.secret)
        return b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")

    def sign(self, message: bytes) -> bytes:
        framed = b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message
        digest = keccak.new(digest_bits=256, data=framed).digest()
        nonce = int.from_bytes(hashlib.sha512(digest).digest(), "big") % N
        r, y = point(nonce)
        s = pow(nonce, -1, N) * (int.from_bytes(digest, "big") + r * self.secret) % N
        odd = y % 2
        if s > N // 2:
            s, odd = N - s, 1 - odd
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([27 + odd])


def point(secret: int) -> tuple[int, int]:
    numbers = ec.derive_private_key(secret, ec.SECP256K1()).public_key().public_numbers()
    return numbers.x, numbers.y
