"""The key of a node: asks for it, remembers it, and compares it each time.

A node gives the address of its key at `/~meta@1.0/info/address`, signed with that key. The first
address cannot be compared with anything. From then on the book has it, and another key is refused
until the user accepts it. Source: HyperBEAM `dev_meta`.
"""

from __future__ import annotations

import asyncio

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.hyperbeam.generation import GENERATIONS, Generation, generation_of
from aoshell.nodes.remote.hyperbeam.signed import examine, why
from aoshell.nodes.remote.memory import Book
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.httpsig import Checked, SignatureStatus

PATH = "/~meta@1.0/info/address"
BUNDLED = {"accept-bundle": "true"}
KEY, GENERATION = "key", "generation"  # kinds of facts in the book
_TAKE = "if you know why it has changed: .verify --new-key takes the new one"


class NodeKey:
    """The key of one node.

    Args:
        client: client of the node.
        book: remembers the key.
    """

    def __init__(self, client: Client, book: Book) -> None:
        self._client = client
        self._book = book
        self._lock = asyncio.Lock()
        self._address = ""
        self._signed = False
        self._generation: Generation | None = None

    @property
    def generation(self) -> Generation:
        """The generation of the node, by its newest signed answer.

        Before the first one, that of an earlier run; for a node that signs nothing, the newest.
        """
        kept = self._book.get(self._client.endpoint, GENERATION, "name")
        known = next((one for one in GENERATIONS if one.name == kept), None)
        return self._generation or known or GENERATIONS[-1]

    @property
    def has_spoken(self) -> bool:
        """Whether an answer of this run has shown the node's generation."""
        return self._generation is not None

    def heard(self, checked: Checked) -> str:
        """Learn from an answer whose signatures fit.

        Returns:
            The name of the node's earlier generation, if that has changed; else "".
        """
        found = generation_of(checked)
        if found is None or found is self._generation:
            return ""
        before, self._generation = self._generation, found
        self._book.put(self._client.endpoint, GENERATION, "name", found.name, learnt_again=True)
        return before.name if before else ""

    def signed_by(self, address: str) -> None:
        """If answers are not verified: regard the signer of an ordinary answer as the node."""
        if not self.known:
            self._address = address

    @property
    def signed(self) -> bool:
        """Whether the last address that the node gave was signed by its key."""
        return self._signed

    @property
    def known(self) -> str:
        """Its address, if it is known from this run or an earlier one; else ""."""
        return self._address or self._kept()

    async def address(self, *, signed: bool) -> str:
        """Its address. There is one request; concurrent calls share its answer.

        Args:
            signed: accept it only if that key has signed it, and then remember it.

        Raises:
            AoError: stage "info", the node gives none; stage "verify", it is not proven, or differs
                from the remembered one.
        """
        async with self._lock:
            if not self._address or (signed and not self._signed):
                address, proven = await self._ask(signed)
                self._compare(address)
                self._take(address, proven, keep=signed)
        return self._address

    async def renew(self) -> str:
        """Accept the present key instead of the remembered one. Raises AoError as `address()`."""
        async with self._lock:
            address, proven = await self._ask(True)
            self._take(address, proven, keep=True)
        return address

    def forget(self) -> None:
        """Forget the generation and this run's address: the next call asks again, and compares with
        the remembered key."""
        self._address, self._signed, self._generation = "", False, None
        self._book.put(self._client.endpoint, GENERATION, "name", "", learnt_again=True)

    def _take(self, address: str, proven: bool, *, keep: bool) -> None:
        self._address, self._signed = address, proven
        if keep:
            self._book.put(self._client.endpoint, KEY, "address", address)

    def _kept(self) -> str:
        return str(self._book.get(self._client.endpoint, KEY, "address") or "")

    def _compare(self, address: str) -> None:
        kept = self._kept()
        if kept and kept != address:
            raise AoError(
                f"{self._client.endpoint} has another key: it was {kept}, and is {address} now",
                stage="verify",
                hint=_TAKE,
            )

    async def _ask(self, signed: bool) -> tuple[str, bool]:
        """The address that the node gives, and whether that address's key has signed it."""
        answer = await self._client.get("info", PATH, headers=BUNDLED)
        if not answer.ok:
            what = f"{answer.by} does not say its address: {answer.status} {answer.summary()}"
            raise AoError(what.rstrip(), stage="info", hint=_KIND)
        checked = examine(answer)
        if checked.outcome is SignatureStatus.BAD:
            what = why(checked.failure, withheld=answer.withheld)
            raise _refused(answer, f"it is refused: {what}")
        proven = checked.outcome is SignatureStatus.VERIFIED
        if signed and not proven:
            raise _refused(answer, "it is not signed")
        self.heard(checked)
        fields = checked.verified if proven else checked.message
        address = str(fields.get("body", fields.get("data", ""))).strip()
        if proven and checked.committers != (address,):
            who = " and ".join(checked.committers)
            raise _refused(answer, f"it is not that of {who}, who has signed it")
        if not has_id_form(address):
            what = f"{answer.by} answers {answer.summary()!r} for its address"
            raise AoError(what, stage="info", hint=_KIND)
        return address, proven


_KIND = "is that a HyperBEAM node? --legacy is for MU, SU and CU"


def _refused(answer: Response, what: str) -> AoError:
    return AoError(
        f"{answer.by} does not prove its address: {what}",
        stage="verify",
        hint="somebody in between may answer; .verify off goes on without a proof",
    )
