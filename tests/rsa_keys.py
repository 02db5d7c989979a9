"""RSA keys for tests. Primes take seconds to make, so workers and keys of a run share them."""

from __future__ import annotations

import fcntl
import json
import math
import os
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from aoshell.protocol.wallet import EXPONENT, GENERATED_BITS, SMALLEST_BITS, Digest, Wallet


class RsaKeys:
    """Keys by number: made where they are asked for first, the same ones all through a run.

    They have 4096 bits, as Arweave's. Number 0 is the user's wallet, 1 anybody else's; from 2 on
    they belong to no wallet.
    """

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        base = factory.getbasetemp()
        self._folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        self._known: dict[tuple[int, int], Wallet] = {}

    def wallet(self, number: int) -> Wallet:
        return self._wallet(number, GENERATED_BITS)

    def quick_wallet(self, number: int = 0) -> Wallet:
        """One with the fewest bits that are taken: it signs five times as fast.

        For what is signed over HTTP; no key for data items, which have room for 4096 bits only.
        Number 0 is a node's, which signs each answer, and 1 a user's.
        """
        return self._wallet(number, SMALLEST_BITS)

    def key(self, number: int) -> rsa.RSAPrivateKey:
        return self.wallet(number)._key

    def _wallet(self, number: int, bits: int) -> Wallet:
        if (number, bits) not in self._known:
            with (self._folder / "primes.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._known[number, bits] = _of(*self._primes(number, bits))
        return self._known[number, bits]

    def _primes(self, number: int, bits: int) -> tuple[int, int]:
        """The pair of primes of a key, no two keys the same. Makes what is missing."""
        file = self._folder / f"primes-{bits}.json"
        known: list[int] = json.loads(file.read_text()) if file.exists() else []
        pairs = [(low, high) for high in range(1, number + 2) for low in range(high)]
        low, high = pairs[number]
        while len(known) <= high:
            made = rsa.generate_private_key(EXPONENT, bits).private_numbers()
            known += [made.p, made.q]
            file.write_text(json.dumps(known))
        return known[low], known[high]


def _of(p: int, q: int) -> Wallet:
    """The key with these primes."""
    e, n = EXPONENT, p * q
    d = pow(e, -1, math.lcm(p - 1, q - 1))
    dp, dq, qi = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return Wallet({"n": n, "e": e, "d": d, "p": p, "q": q, "dp": dp, "dq": dq, "qi": qi})


@dataclass(frozen=True, eq=False)
class RepeatingWallet(Wallet):
    """Signs each text once, as for a node that gives the same answer again."""

    _known: dict[tuple[bytes, Digest], bytes] = field(default_factory=dict, repr=False)

    def sign(self, message: bytes, digest: Digest = "sha256") -> bytes:
        if (message, digest) not in self._known:
            self._known[message, digest] = super().sign(message, digest)
        return self._known[message, digest]


@pytest.fixture(scope="session")
def wallet(rsa_keys: RsaKeys) -> Wallet:
    """The user's, for tests whose user signs over HTTP only: they import this fixture."""
    return rsa_keys.quick_wallet(1)
