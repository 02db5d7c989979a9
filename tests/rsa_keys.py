"""RSA-4096 keys for tests. Each takes seconds to make, so all workers of a run share them."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from aoshell.protocol.wallet import Wallet


class RsaKeys:
    """Keys by number: made where they are asked for first, the same ones all through a run.

    Number 0 is the user's wallet, 1 anybody else's; from 2 on they belong to no wallet.
    """

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        base = factory.getbasetemp()
        self._folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        self._known: dict[int, Wallet] = {}

    def wallet(self, number: int) -> Wallet:
        if number not in self._known:
            with (self._folder / f"key-{number}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._known[number] = _kept(self._folder / f"key-{number}.json")
        return self._known[number]

    def key(self, number: int) -> rsa.RSAPrivateKey:
        return self.wallet(number)._key


def _kept(file: Path) -> Wallet:
    if not file.exists():
        file.write_text(json.dumps(Wallet.generate().jwk()))
    return Wallet.from_jwk(json.loads(file.read_text()))
