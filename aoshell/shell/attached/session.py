"""A session: one process, one node, one wallet. Evaluates lines; prints nothing.

A line of Lua becomes an Eval message, signed by the wallet and scheduled on the attached process.
Its answer is the result of its slot. If the handling suspends there (`receive`, `spawn`), the
answer is the result of the later slot that ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.nodes.values import NotFoundError, ProcessInfo, Receipt, Sent
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Result, Tag, raw
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attached.ahead import SignedAhead
from aoshell.shell.attached.feed import FeedView, Line, short_id
from aoshell.shell.attached.journal import Journal
from aoshell.shell.attached.owners import not_owner
from aoshell.shell.names.identities import OWN, Identities
from aoshell.shell.names.naming import Naming
from aoshell.shell.outcome import Interrupted, LineAnswer
from aoshell.shell.ports.front import Front, Patience
from aoshell.shell.ports.serving import Served, ServeNode
from aoshell.shell.view.errors_view import TYPED

if TYPE_CHECKING:
    from aoshell.shell.attached.past import Past, Recorded
    from aoshell.shell.attestation.judging import Judgement
    from aoshell.shell.ports.forking import Forking

EVAL = Tag("Action", "Eval")
LAST_VALUE = Tag("Last-Value", "_")  # the global that keeps the value of the last line
UNKNOWN = ""  # the owner of a process if its node does not report one

Recorder: TypeAlias = "Callable[[Past], Recorded]"
"""Writes a session as a test (`.record`)."""


class Session:
    """One attached process on one node.

    Args:
        wallet: lines wait until it is loaded.
        front: see `Front`.
        patience: what to wait for after a line.
        network: tags of every process that is made on a remote node.
        wallets: folder of the wallets that `.as` makes; None for none.
        record: makes the test that `.record` writes; None if unsupported.
        serve: serves the node (`.serve`); None if unsupported.
        forking: reads live processes (`.fork`, `.compare`); None if unsupported.

    Attributes:
        texts: of the files that processes run.
        served: the node over HTTP; None if it is not served.
        identities: the wallets that can sign, and the current one.
        naming: names for ids, and ids for names.
        ahead: the signature of the line that is being typed.
        turn: lock of the running line; what runs in the background waits for it.
        watching: the task of `.watch`, which runs in the background.
        visited: ids of the processes that lines and messages went to, in order.
        journal: what no log holds.
        attested: the last result of `.attest`; None before the first.
        attestation: of the attached node, for the toolbar: "attested 12:03", "FAIL", "".
        sent: the receipt of the last line; None until the node gave one.
        last_sent: the newest receipt of this session; None before the first.
        sending: id of the last line's message, "" until it is made.
        computing: the receipt of the last line, until its own slot is computed; else None.
        suspended: whether the last line waits for another message.
        given: receipts of lines that were given up before their own slots were computed.
        looked_back: the last dry run read the state before this slot, because the slot was being
            computed; None if it read the newest state.
        commanded: whether the last line was a dot command.
        doing: what a slow dot command does, its name first; "" for nothing.
        settling: the wait for the consequences of the last line was given up.
        lacking: why no process is attached, if one should be.
        try_again: attaches it, or sets `lacking` again; None if `lacking` is not set.
        wallet_note: shown once while the wallet is made; "" shows nothing.
    """

    def __init__(
        self,
        node: Node,
        wallet: asyncio.Future[Wallet],
        front: Front,
        patience: Patience,
        network: tuple[Tag, ...] = (),
        wallets: Path | None = None,
        record: Recorder | None = None,
        serve: ServeNode | None = None,
        forking: Forking | None = None,
    ) -> None:
        self.node = node
        self.front = front
        self.patience = patience
        self.feed = FeedView(node, front.feed, self._name_of)
        self.process: ProcessInfo | None = None
        self.network = network
        self.sent: Receipt | None = None
        self.last_sent: Receipt | None = None
        self.unanswered: dict[str, str] = {}  # ids of lines given up, by what `.result` takes
        self.sending = ""
        self.computing: Receipt | None = None
        self.suspended = False
        self.given: list[Receipt] = []
        self.looked_back: int | None = None
        self.commanded = False
        self.doing = ""
        self.settling = False
        self.lacking: AoError | None = None
        self.try_again: Callable[[], Awaitable[None]] | None = None
        self.texts = self.feed.texts
        self.wallet_note = ""
        self.identities = Identities(wallet, wallets)
        self.naming = Naming(node, self.identities)
        self.ahead = SignedAhead()
        self.record = record
        self.serve = serve
        self.forking = forking
        self.served: Served | None = None
        self.turn = asyncio.Lock()
        self.watching: asyncio.Task[None] | None = None
        self.visited: dict[str, None] = {}
        self.journal = Journal()
        self.attested: Judgement | None = None
        self.attestation = ""
        self._following = asyncio.create_task(self.feed.follow())

    @property
    def sources(self) -> dict[str, str]:
        """The known texts of the files that the attached process runs."""
        return self.texts.of(self.process.id if self.process else "")

    @property
    def prompt(self) -> str:
        """The prompt of the attached process, untrusted, after the name of another identity."""
        own = self.feed.prompt or "aos> "
        return f"[{self.identity}]{own}" if self.identity else own

    @property
    def identity(self) -> str:
        """The current identity, "" for the wallet that the shell was started with."""
        current = self.identities.current
        if has_id_form(current):
            return f"as {short_id(current)}"
        return "" if current == OWN else current

    @property
    def remote(self) -> bool:
        """Whether the node is somewhere else."""
        return self.node.remote is not None

    @property
    def attached(self) -> ProcessInfo:
        """The attached process.

        Raises:
            AoError: stage "usage", if there is none.
        """
        if self.process is None:
            raise self.lacking or AoError(
                "no process is attached", stage="usage", hint=".ps, then .attach NAME"
            )
        return self.process

    async def evaluate(
        self, code: str, sources: Mapping[str, str] | None = None, *, shown: str | None = None
    ) -> LineAnswer:
        """Evaluate Lua in the attached process.

        Args:
            sources: texts of files in the code, by the name that error messages use.
            shown: what the user typed, for error messages; the code itself by default.

        Raises:
            AoError: the message could not be made or sent.
        """
        await self.refuse_uncompilable(code, sources)
        self.sources.update(sources or {})
        known = self.sources | {TYPED: code if shown is None else shown}
        item = await self._signed(code)
        if shown and shown != code and not sources:
            self.journal.typed[item.id] = shown
        return await self._exchange(self.attached.id, item, known)

    async def refuse_uncompilable(
        self, code: str, sources: Mapping[str, str] | None, process: ProcessInfo | None = None
    ) -> None:
        """Raise AoError for Lua that is known not to compile in the process."""
        remote = self.node.remote
        if remote is None or not await remote.runs_luerl((process or self.attached).id):
            return
        from aoshell.shell.attached import luerl

        if sources:
            luerl.refuse_files(sources)
        else:
            luerl.refuse_line(code)

    async def post(self, process: str, tags: tuple[Tag, ...], data: bytes) -> LineAnswer:
        """Send a message of the current identity to a process, attached or not.

        Raises:
            AoError: the message could not be made or sent.
        """
        item = await self.sign(process, tags, data)
        if self.remote:
            with suppress(AoError):  # then its later results are not shown
                await self.node.watch(process)
        return await self._exchange(process, item, self.texts.of(process))

    async def _exchange(self, process: str, item: Sent, sources: Mapping[str, str]) -> LineAnswer:
        self.sending, self.suspended = item.id, False
        line, answered = self.feed.expect(item.id), False
        try:
            # Awaited here: an extra task would cost as much time as a process takes to answer.
            receipt = self.sent = self.computing = await self.node.send(process, item)
            self.last_sent = receipt
            self.visited.setdefault(process)
            own = await self._own(receipt)
            self.computing = None
            self._keep_prompt(own)
            answered = True
            if not own.ok:
                sources = {**await self.texts.wanted(process, own.error), **sources}
            answer = LineAnswer(receipt, own, sources=sources, author=self.identity)
            if own.suspended and self.patience is not Patience.OWN:
                self.front.partial(own)
                self.feed.release()
                self.suspended = True
                later = await self._end_of(line, receipt)
                answer = replace(answer, later=later, waiting=later is None)
            return answer
        finally:
            self.computing = None
            self.feed.forget(line, answered=answered)
            if self.sent and not answered:
                self.given.append(self.sent)
                self.unanswered |= {str(self.sent.place): item.id, item.id: item.id}

    async def _own(self, receipt: Receipt) -> Result:
        """The result of a line's own message, which has arrived."""
        try:
            return await self.node.result(receipt.process, receipt.place)
        except AoError as error:
            again = f".result {receipt.place} asks for the result of this line again"
            hint = f"{error.hint}; {again}" if error.hint else again
            raise AoError(error.what, stage=error.stage, hint=hint) from error

    async def settle(self, *, anyway: bool = False) -> None:
        """With `Patience.SETTLED`, wait until all that the last line caused is done and shown.

        Args:
            anyway: wait with any patience.
        """
        if not self.sent or not (anyway or self.patience is Patience.SETTLED):
            return
        try:
            await self.node.settled(self.sent.id)
        except asyncio.CancelledError:
            self.settling = True
            raise
        await self.feed.caught_up()
        self.feed.due()

    @property
    def given_up(self) -> Interrupted:
        """The outcome of a line that was given up."""
        remote = self.node.remote
        sending = self.sending if remote and remote.has_left(self.sending) else ""
        return Interrupted(
            self.sent,
            sending,
            bool(self.node.local),
            self.settling,
            self.commanded,
            suspended=self.suspended,
        )

    async def stop(self) -> bool:
        """Stop computing the lines that were given up; if there are none, end the background task.

        Returns:
            False if neither runs any more.
        """
        return bool(await self.stop_lines()) or await self.end_watch()

    async def stop_lines(self) -> Sequence[Receipt]:
        """Stop computing the last line and all that were given up.

        Returns:
            Those that had not ended, oldest first; none of a remote node, where none can be
            stopped.
        """
        lines, node, stopped = [*self.given, self.sent], self.node.local, list[Receipt]()
        self.given = []
        # The newest first: no other one begins meanwhile.
        for line in reversed(lines):
            if line is None or line.slot is None or node is None:
                continue
            # By now another message may have the slot of a line that was taken back.
            if await self.is_in_log(line) and await node.cancel(line.process, line.slot):
                stopped.insert(0, line)
        return stopped

    async def is_in_log(self, line: Receipt) -> bool:
        """Whether a line with a slot was neither taken back nor deleted with its process."""
        if line.slot is None:
            return False
        try:
            found = await self.node.schedule(line.process, line.slot, line.slot)
        except NotFoundError:
            return False
        return any(message.id == line.id for message in found)

    async def end_watch(self) -> bool:
        """End the background task; False if there is none."""
        task, self.watching = self.watching, None
        if task is None or task.done():
            return False
        task.cancel()
        await asyncio.wait({task})
        return True

    async def attach(self, info: ProcessInfo) -> None:
        """Make a process the one that lines go to."""
        self.process = info
        name = info.name or short_id(info.id)
        self.feed.attach(info.id, info.name)
        self.feed.prompt = info.prompt or f"{name}> "
        try:
            await self.node.watch(info.id)
        except AoError as error:
            self.front.note(f"what arrives at {name} is not shown: {error}")

    async def wallet(self) -> Wallet:
        """The wallet of the current identity; waits until it is loaded.

        Raises:
            AoError: stage "wallet".
        """
        if self.wallet_note and not self.identities.ready:
            self.front.note(self.wallet_note)
            self.wallet_note = ""
        return await self.identities.wallet()

    async def sign(self, target: str, tags: tuple[Tag, ...], data: bytes) -> Sent:
        """A message, or the definition of a process, signed by the current wallet (`Node.sign`)."""
        # Not in a thread: the switch there and back costs more than the screen would gain.
        return await self.node.sign(await self.wallet(), target, tags, data)

    async def _name_of(self, id: str) -> str:
        return (await self.naming.of([id])).get(id, "")

    async def followed(self) -> None:
        """Wait until the events of the node end."""
        await self._following

    async def close(self) -> None:
        """End the subscription. The node stays open; whoever opened it closes it."""
        served, self.served = self.served, None
        if served is not None:
            await served.close()
        await self.end_watch()
        self.feed.flush()
        self._following.cancel()
        with suppress(asyncio.CancelledError, AoError):  # cancelled by the line above
            await self._following

    async def sign_ahead(self, code: str) -> None:
        """Begin to sign Lua that `evaluate` may get next; not for a remote node.

        Raises:
            AoError: it could not be sent.
        """
        if self.node.local and self.process and self.identities.ready:
            wallet = await self.wallet()
            await self.ahead.make(wallet, partial(self._signed_by, self.process.id, code))

    async def _signed(self, code: str) -> Sent:
        process, wallet = self.attached, await self.wallet()
        # The user chose another identity on purpose, so the line is sent even if the process
        # refuses it.
        if process.owner not in (wallet.address, UNKNOWN) and not self.identity:
            raise await not_owner(self.node, self.identities, process)
        return await self._signed_by(process.id, code, await self.ahead.prepared(wallet))

    async def _signed_by(self, process: str, code: str, wallet: Wallet) -> Sent:
        # Published environments do not know `LAST_VALUE`.
        tags = (EVAL,) if self.remote else (EVAL, LAST_VALUE)
        return await self.node.sign(wallet, process, tags, raw(code))

    async def _end_of(self, line: Line, receipt: Receipt) -> Result | None:
        """The result that ends a suspended handling; None if nothing is left that could end it."""
        if self.patience is Patience.SETTLED:
            settled: asyncio.Future[None] = asyncio.ensure_future(self.node.settled(receipt.id))
            either: set[asyncio.Future[Any]] = {line.resumed, settled}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                settled.cancel()
        else:
            await asyncio.wait({line.resumed})
        await self.feed.caught_up()
        if not line.resumed.done():
            return None
        self._keep_prompt(line.resumed.result())
        return line.resumed.result()

    def _keep_prompt(self, result: Result) -> None:
        if result.prompt and result.process == self.feed.attached:
            self.feed.prompt = result.prompt
