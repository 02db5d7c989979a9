"""The key of a node: asked of it in one place, kept, and compared whenever it is asked again.

A node tells the address of its key at `/~meta@1.0/info/address`, and signs that with the key. Who
asks first has nothing to compare it with; from then on the book has it, and another one is refused
until the user takes it. Source: HyperBEAM `dev_meta`.
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
        client: of the node.
        book: keeps what it signed with.
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
        """Which generation the node is of, as its newest signed answer says.

        That of an earlier run counts until one came; of a node that signs nothing the newest is
        assumed.
        """
        kept = self._book.get(self._client.endpoint, GENERATION, "name")
        known = next((one for one in GENERATIONS if one.name == kept), None)
        return self._generation or known or GENERATIONS[-1]

    @property
    def has_spoken(self) -> bool:
        """Whether an answer of this run has said which generation the node is of."""
        return self._generation is not None

    def heard(self, checked: Checked) -> str:
        """Learn from an answer whose signatures fit.

        Returns:
            The name of the generation that the node was of before, where that has changed; else "".
        """
        found = generation_of(checked)
        if found is None or found is self._generation:
            return ""
        before, self._generation = self._generation, found
        self._book.put(self._client.endpoint, GENERATION, "name", found.name, learnt_again=True)
        return before.name if before else ""

    def signed_by(self, address: str) -> None:
        """Take a signer of an ordinary answer for the node, where answers are not verified."""
        if not self.known:
            self._address = address

    @property
    def signed(self) -> bool:
        """Whether the address that was told last was signed by its key."""
        return self._signed

    @property
    def known(self) -> str:
        """Its address as far as it is known: from this run, or an earlier one; else ""."""
        return self._address or self._kept()

    async def address(self, *, signed: bool) -> str:
        """Its address. It is asked once; who asks meanwhile waits for the same answer.

        Args:
            signed: take it only if that very key has signed it, and keep it from then on.

        Raises:
            AoError: stage "info", it tells none; stage "verify", it is not to be believed, or is
                another than the one that is kept.
        """
        async with self._lock:
            if not self._address or (signed and not self._signed):
                address, proven = await self._ask(signed)
                self._compare(address)
                self._take(address, proven, keep=signed)
        return self._address

    async def renew(self) -> str:
        """Take the key that it has now, whichever it was before. Raises AoError as `address()`."""
        async with self._lock:
            address, proven = await self._ask(True)
            self._take(address, proven, keep=True)
        return address

    def forget(self) -> None:
        """Have it asked again, and compared with the one that is kept; of the generation nothing is
        kept."""
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
        """The address that it tells, and whether the key of that address has signed it."""
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
            raise _refused(answer, "nobody has signed it")
        self.heard(checked)
        said = checked.verified if proven else checked.message
        address = str(said.get("body", said.get("data", ""))).strip()
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
        hint=".verify off goes on without; somebody may stand between",
    )
