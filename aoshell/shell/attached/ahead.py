"""The signature of a line that may be sent, made while nobody waits for it.

It is in memory only, until another takes its place, the text changes, or a line is run. It is given
once, and only to who is asked to sign exactly the bytes that it is for.
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
    """A wallet that has signed one message already; it signs every other one as ever."""

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
        """Begin to sign, in a thread, what `sign` asks a wallet to sign, if it does.

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
        """Nobody will send it."""
        self._kept = None

    async def prepared(self, wallet: Wallet) -> Wallet:
        """A wallet that need not sign again what it has signed ahead; waits while it does."""
        kept, self._kept = self._kept, None
        if kept is None or kept[0] is not wallet:
            return wallet
        try:
            return PreparedWallet(wallet, kept[1], await kept[2])
        except AoError:  # it is raised again where the line is signed
            return wallet
