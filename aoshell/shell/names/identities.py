"""Identities that sign: the wallet that the shell was started with, and others for experiments.

Identities are wallets in a folder of the home, so each has the same address in every session. An
address of 43 characters is claimed without a key: only forks of live processes and stand-ins accept
unsigned messages with any owner.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from aoshell.errors import AoError, UsageError
from aoshell.home.wallets import ensure_wallet, load_wallet
from aoshell.interrupts import in_background
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.wallet import Digest, Wallet

OWN = "me"


@dataclass(frozen=True, eq=False)
class ClaimedWallet(Wallet):
    """An address without its key: it can be named as an owner, but signs nothing."""

    claimed: str = ""

    @cached_property
    def address(self) -> str:
        return self.claimed

    @cached_property
    def owner(self) -> bytes:
        raise self._no_key()

    def sign(self, message: bytes, digest: Digest = "sha256") -> bytes:
        del message, digest
        raise self._no_key()

    def _no_key(self) -> AoError:
        return AoError(
            f"there is no key of {self.claimed} here, so nothing can be signed as it",
            stage="wallet",
            hint=f"forks and stand-ins take its messages unsigned; .as {OWN} comes back",
        )


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")


class Identities:
    """The identities of a home.

    Args:
        own: returns the wallet that the shell was started with, named `OWN`.
        folder: has a file for each other identity; None for no others.

    Attributes:
        current: the name of the identity that signs.
    """

    def __init__(self, own: asyncio.Future[Wallet], folder: Path | None) -> None:
        self._own = own
        self._folder = folder
        self._known: dict[str, Wallet] = {}
        self.current = OWN

    @property
    def ready(self) -> bool:
        """Whether the current wallet is loaded."""
        return self.current != OWN or self._own.done()

    async def wallet(self) -> Wallet:
        """The current wallet.

        Raises:
            AoError: stage "wallet".
        """
        return await self.named(self.current)

    def names(self) -> list[str]:
        """The names of all identities, `OWN` first."""
        found = self._folder.glob("*.json") if self._folder else ()
        return [OWN, *sorted(file.stem for file in found if _NAME.match(file.stem))]

    def is_known(self, name: str) -> bool:
        """Whether there is such an identity."""
        return name == OWN or has_id_form(name) or self._file(name).is_file()

    async def named(self, name: str) -> Wallet:
        """The wallet of an identity, made if it is new, which takes a second.

        An address is claimed: its wallet signs nothing.

        Raises:
            UsageError: not a valid name.
            AoError: stage "wallet" or "home".
        """
        if name == OWN:
            return await asyncio.shield(self._own)
        if has_id_form(name):
            return ClaimedWallet({}, name)
        if name not in self._known:
            file = self._file(name)
            take = load_wallet if file.is_file() else ensure_wallet
            self._known[name] = await in_background(partial(take, file))
        return self._known[name]

    async def addresses(self) -> dict[str, str]:
        """Names by address, of the identities whose wallets can be read."""
        found = {}
        for name in self.names():
            if name == OWN and not self._own.done():
                continue
            try:
                found[(await self.named(name)).address] = name
            except AoError:
                continue
        return found

    def _file(self, name: str) -> Path:
        if not _NAME.match(name):
            raise UsageError(
                f"{name or 'nothing'} is not a name for an identity",
                hint="up to 32 letters, digits, - and _, as in .as alice",
            )
        if self._folder is None:
            raise AoError("this session has no home for identities", stage="wallet")
        return self._folder / f"{name}.json"
