"""Signs a typed line before Enter, while nobody waits.

The signature stays in memory until another replaces it, the text changes, or a line runs. It is
used once, and only for exactly the bytes that were signed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from aoshell.errors import AoError
from aoshell.interrupts import in_background
from aoshell.protocol.wallet import Digest, Wallet


class AskedWallet(Wallet):
    """Signs nothing, and notes what it is asked to sign."""

    asked: list[tuple[bytes, Digest]]

    def __init__(self, wallet: Wallet) -> None:
        super().__init__(wallet.numbers)
        self.__dict__.update(asked=[])

    def sign(self, message: bytes, digest: Digest = "sha256") -> bytes:
        self.asked.append((message, digest))
        return bytes(len(self.owner))


class PreparedWallet(Wallet):
    """A wallet that has signed one message already; it signs all others when asked."""

    _wallet: Wallet
    _prepared: tuple[bytes, Digest]
    _signature: bytes

    def __init__(self, wallet: Wallet, prepared: tuple[bytes, Digest], signature: bytes) -> None:
        super().__init__(wallet.numbers)
        self.__dict__.update(_wallet=wallet, _prepared=prepared, _signature=signature)

    def sign(self, message: bytes, digest: Digest = "sha256") -> bytes:
        if (message, digest) == self._prepared:
            return self._signature
        return self._wallet.sign(message, digest)


class SignedAhead:
    """At most one signature."""

    def __init__(self) -> None:
        self._kept: tuple[Wallet, tuple[bytes, Digest], asyncio.Future[bytes]] | None = None

    async def make(self, wallet: Wallet, sign: Callable[[Wallet], Awaitable[object]]) -> None:
        """Begin to sign, in a thread, what `sign` asks a wallet to sign, if anything.

        Raises:
            AoError: of `sign`.
        """
        self.forget()
        probe = AskedWallet(wallet)
        await sign(probe)
        if len(probe.asked) == 1:
            made = in_background(partial(wallet.sign, *probe.asked[0]))
            made.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._kept = wallet, probe.asked[0], made

    def forget(self) -> None:
        """Drop the signature: nobody will send the line."""
        self._kept = None

    async def prepared(self, wallet: Wallet) -> Wallet:
        """A wallet that does not sign again what was signed ahead; waits until that is signed."""
        kept, self._kept = self._kept, None
        if kept is None or kept[0] is not wallet:
            return wallet
        try:
            return PreparedWallet(wallet, kept[1], await kept[2])
        except AoError:  # it is raised again where the line is signed
            return wallet
