"""A test's own node and its processes, as coroutines.

`aoshell.testing.testbed.sync` has the same without `await`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from aoshell.blueprints import SHIPPED, blueprint_path
from aoshell.errors import AoError, UsageError
from aoshell.nodes.local.history import transfer
from aoshell.nodes.values import LogEntry, Undelivered, envelope
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, Tag, raw, tags_of, text
from aoshell.protocol.tag_names import AS_SENT
from aoshell.shell.code.bundle import bind_module
from aoshell.shell.code.files import read_file
from aoshell.shell.view.errors_view import split_error
from aoshell.testing.code import values
from aoshell.testing.code.invariants import holding_code, name_of, read_invariants
from aoshell.testing.code.references import ME, with_ids
from aoshell.testing.code.sources import ModuleSource, Source, read_source
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.testbed.answers import (
    Answer,
    EvalFailed,
    Mail,
    make_answer,
    tag_text,
    tags_from,
)
from aoshell.testing.testbed.clock import AsyncClock, TestedNode
from aoshell.testing.testbed.identity import OWNER, Identity
from aoshell.testing.testbed.stopping import stopped_with_us

EXPORT = 64 << 20  # bytes of the largest exported process
_ENTRIES = 100_000  # most entries of a log that are read
_EVAL = Tag("Action", "Eval")


Tags = Mapping[str, object] | Sequence[tuple[str, object]]
"""Tags by name, or pairs: in these a name may occur twice."""


class AsyncNode:
    """A local node in its own folder. Made by `open_node`.

    Attributes:
        address: 43 characters base64url; processes trust it to deliver messages.
        owner: the identity that owns processes by default.
        clock: the node's time.
        local: the node itself (`nodes.base.Node`), for everything that this class lacks.
        folder: where relative file names start.
    """

    def __init__(
        self,
        local: TestedNode,
        address: str,
        folder: Path | None,
        anchors: Iterator[bytes],
        coverage: Coverage | None = None,
    ) -> None:
        self.local = local
        self.address = address
        self.folder = folder
        self.owner = Identity(OWNER)
        self.clock = AsyncClock(self)
        self.sources: dict[str, str] = {}
        self._known = {self.owner.address: ME}  # names by address
        self._anchors = anchors
        self._coverage = coverage

    # Processes --------------------------------------------------------------------------------

    async def spawn(
        self,
        /,
        source: Source = b"",
        *,
        name: str = "",
        as_: Identity | None = None,
        module: str = "aos",
        data: str | bytes = b"",
        tags: Tags | str | None = None,
        **named: object,
    ) -> AsyncProcess:
        """Spawn a process with the handlers in `source`, by default with aos only.

        Args:
            source: a file ("token.lua", "counter.wasm", a Path) or Lua source.
            as_: its owner, by default the node's `owner`.
            module: its module if there is no source: an id, or a published name.
            data: its Data.
            tags, named: its tags; in keywords `_` stands for `-`: `Cron_Interval="5-minutes"`.
                `tags="as-sent"`: its handlers also get tags under their original names, as in aos
                2.0.1.

        Raises:
            AoError: the source cannot be read, or raised an error while it was loaded.
        """
        program = self._read(source)
        made = (await self.local.upload(program.data)).id if program.data else module
        owner = as_ or self.owner
        head = [
            ("Module", made),
            ("Authority", self.address),
            *([("Name", name)] if name else []),
        ]
        given = _tags(_kept_names(tags) if isinstance(tags, str) else tags, named)
        item = self._signed(owner, "", "Process", (*tags_of(head), *given), data)
        await self.local.spawn(item, name)
        first = await self.local.result(item.id, 0)
        await self.idle()
        if not first.ok:
            what = split_error(first.error)[1] or first.outcome
            raise AoError(f"the process could not be made: {what}", stage="spawn")
        return AsyncProcess(self, item.id, owner)

    def process(self, id: str, owner: Identity | None = None) -> AsyncProcess:
        """A process by its id, such as one that another process has spawned."""
        return AsyncProcess(self, id, owner or self.owner)

    async def mock(
        self, address: str | Identity, source: Source, name: str = "mock"
    ) -> AsyncProcess:
        """Stand in for a process on another node: `source` handles the messages to it.

        Raises:
            AoError: the address is invalid or taken, or the source cannot be read.
        """
        program = self._read(source)
        info = await self.local.workbench.mock(str(address), program.data, name)
        await self.idle()
        return AsyncProcess(self, info.id, self.owner)

    async def publish(self, source: Source, name: str = "") -> str:
        """Store code as a module. Processes can be spawned from it by its id or name.

        Returns:
            Its id, 43 characters base64url.

        Raises:
            AoError: the source cannot be read, or is not code.
        """
        program = self._read(source)
        return (await self.local.upload(program.data, name)).id

    async def restore(
        self, file: Path, names: Mapping[str, Identity] | None = None, owner: Identity | None = None
    ) -> AsyncProcess:
        """Import a process that `.export` wrote.

        Args:
            names: address → the identity that replaces it everywhere in the export.
            owner: the identity that evaluates in it, by default the one that replaces its owner.

        Raises:
        AoError: the file cannot be read or is not an export; or the node has the process
            already.
        """
        data = read_file((self.folder or Path()) / file, EXPORT)
        stand = {address: str(identity) for address, identity in (names or {}).items()}
        info = await self.local.restore(transfer.rename_addresses(data, stand))
        await self.idle()
        known = {identity.address: identity for identity in (names or {}).values()}
        return AsyncProcess(self, info.id, owner or known.get(info.owner, self.owner))

    async def processes(self) -> list[AsyncProcess]:
        """All processes, oldest first, including those that processes have spawned."""
        return [self.process(info.id) for info in reversed(await self.local.processes())]

    # Messages ---------------------------------------------------------------------------------

    async def inbox(self, identity: Identity) -> list[Mail]:
        """What processes have sent to an identity, oldest first."""
        return [mail for mail in await self.sent() if mail.target == identity.address]

    async def sent(self) -> list[Mail]:
        """What processes have sent, oldest first."""
        found: list[tuple[int, Mail]] = []
        for process in await self.processes():
            for entry in await process.entries():
                sent = entry.result.messages if entry.result and entry.result.ok else ()
                assigned = entry.message.assignment
                at = assigned.order if assigned else 0
                found += [(at, Mail.posted(process.id, item)) for item in sent]
        return [mail for _at, mail in sorted(found, key=lambda pair: pair[0])]

    async def undelivered(self) -> list[Undelivered]:
        """Messages to an address that is no process and no identity of this test."""
        kept = await self.local.undelivered()
        return [item for item in kept if item.message.target not in self._known]

    async def idle(self) -> None:
        """Wait until nothing is left to compute."""
        await self.local.idle()

    def knows(self, identity: Identity) -> None:
        """Count messages to this identity as delivered from now on."""
        self._known.setdefault(identity.address, identity.name)

    @property
    def people(self) -> dict[str, str]:
        """The addresses of the identities of this test by name; the owner is `ME`."""
        return {name: address for address, name in self._known.items()}

    async def close(self) -> None:
        """End its workers and release its folder."""
        await self.local.close()

    def _read(self, source: Source, *, in_wasm: bool = False) -> ModuleSource:
        """The code of a source; errors show its lines from now on. Raises AoError.

        Args:
            in_wasm: a WebAssembly process will evaluate it.
        """
        found = read_source(source, self.folder)
        self.sources.update(found.files)
        if self._coverage is not None:
            self._coverage.know(found, in_wasm=in_wasm)
        return found

    async def _read_for(self, process: str, source: Source) -> ModuleSource:
        """The code of a source that a process will evaluate. Raises AoError."""
        if self._coverage is None:
            return self._read(source)
        module = await self.local.fetch((await self.local.find(process)).module)
        return self._read(source, in_wasm=module.kind == "wasm")

    def _signed(
        self,
        identity: Identity,
        target: str,
        kind: str,
        tags: Sequence[Tag],
        data: str | bytes,
    ) -> DataItem:
        self.knows(identity)
        body = raw(data) if isinstance(data, str) else data
        limits = self.local.limits.network
        named = (*envelope(kind), *tags)
        return DataItem.sign(identity, target, named, body, next(self._anchors), limits=limits)


class AsyncProcess:
    """A process on a test's node.

    Attributes:
        id: 43 characters base64url; `str()` of a process is its id.
        owner: the identity that may evaluate in it.
    """

    def __init__(self, node: AsyncNode, id: str, owner: Identity) -> None:
        self.node = node
        self.id = id
        self.owner = owner

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"Process({self.id!r})"

    async def send(
        self,
        /,
        action: str = "",
        data: str | bytes = b"",
        *,
        as_: Identity | None = None,
        tags: Tags | None = None,
        **named: object,
    ) -> Answer:
        """Send a message. Returns the answer once everything that it caused is done.

        Cancelling stops computing the message.

        Args:
            as_: the sender, by default the process's owner.
            tags, named: its tags besides Action; in keywords `_` stands for `-`.
        """
        sender = as_ or self.owner
        given = _tags(tags, ({"Action": action} if action else {}) | named)
        item = self.node._signed(sender, self.id, "Message", given, data)
        receipt = await self.node.local.send(self.id, item)
        async with stopped_with_us(self.node.local, receipt):
            own = await self.node.local.result(self.id, receipt.place)
            await self.node.idle()
        later = await self._end_of(item.id, own.slot) if own.suspended else None
        return make_answer(item.id, sender.address, own, later, self.node.sources)

    async def eval(self, code: str, *, as_: Identity | None = None) -> Answer:
        """Evaluate Lua in the process. In it, `@name` stands for a process's id or an identity's
        address.

        Raises:
            AoError: there is no such name.
            EvalFailed: the code raised an error, or exceeded a limit.
        """
        return await self._eval(await with_ids(code, self.node.local, self.node.people), as_)

    async def _eval(self, code: str, as_: Identity | None = None) -> Answer:
        came_to = await self.send("Eval", code, as_=as_, tags={"Last-Value": "_"})
        if not came_to.ok:
            raise EvalFailed(came_to.error or came_to.outcome)
        return came_to

    async def load(self, source: Source) -> Answer:
        """Evaluate a file, what it requires, and `MyModule = ID`, as `.load` does.

        Raises:
            AoError: the source cannot be read.
            EvalFailed: it raised an error, or overran a limit.
        """
        program = await self.node._read_for(self.id, source)
        module = await self.node.local.upload(program.data, "")
        return await self._eval(text(bind_module(program.data, module.id)))

    async def blueprint(self, name: str | Path) -> Answer:
        """Evaluate a blueprint that comes with aoshell, or a file as one (`.load-blueprint`).

        Raises:
            AoError: there is no such blueprint or file.
            EvalFailed: it raised an error, or overran a limit.
        """
        file = name if isinstance(name, Path) else blueprint_path(name, SHIPPED)
        program = await self.node._read_for(self.id, file)
        return await self._eval(text(program.data))

    async def invariants(self, file: Path | str) -> Answer:
        """From now on, messages that break an invariant in a file fail (docs/fuzz.md).

        Raises:
            AoError: the file cannot be read.
            EvalFailed: it raised an error.
        """
        path = (self.node.folder or Path()) / file
        source, name = read_invariants(path), text(name_of(path))
        self.node.sources[name] = text(source)
        return await self._eval(holding_code(source, name))

    async def fork(self, slot: int | None = None, name: str = "") -> AsyncProcess:
        """A new process with the state of this one, now or after a slot."""
        twin = await self.node.local.workbench.fork(self.id, slot, name or f"fork of {self.id}")
        return AsyncProcess(self.node, twin.id, self.owner)

    async def spawned(self) -> list[AsyncProcess]:
        """The processes that it has spawned, oldest first."""
        found = reversed(await self.node.local.processes())
        return [self.node.process(info.id) for info in found if info.owner == self.id]

    async def dryrun(
        self,
        /,
        action: str = "",
        data: str | bytes = b"",
        *,
        as_: Identity | None = None,
        tags: Tags | None = None,
        **named: object,
    ) -> Answer:
        """As `send`, but the state does not change, and messages of the process are not
        delivered."""
        sender = (as_ or self.owner).address
        given = _tags(tags, ({"Action": action} if action else {}) | named)
        result = await self._dry(sender, given, raw(data) if isinstance(data, str) else data)
        return make_answer("", sender, result, None, self.node.sources)

    async def value(self, expression: str) -> Any:
        """The value of a Lua expression in the process, whose state does not change.

        Tables 1…n and empty tables become lists, other tables dicts; functions and the like text.

        Raises:
            EvalFailed: the expression raised an error.
        """
        asked = await with_ids(expression, self.node.local, self.node.people)
        return values.parse_value(await self.written(asked))

    async def written(self, expression: str) -> str:
        """As `value`, in the text form of `lua/value.lua`."""
        owner = (await self.node.local.find(self.id)).owner
        result = await self._dry(owner, (_EVAL,), raw(values.value_query(expression)))
        if not result.ok:
            raise EvalFailed(split_error(result.error)[1] or result.outcome)
        return result.output

    # What it did -------------------------------------------------------------------------------

    async def entries(self) -> Sequence[LogEntry]:
        """Its log: messages with their results, cron messages included."""
        return await self.node.local.results(self.id, limit=_ENTRIES)

    async def inbox(self) -> list[Mail]:
        """The messages in its Inbox, which no handler took, without its own definition."""
        found = await self.value(_INBOX)
        assert isinstance(found, list)
        return [_unhandled(item) for item in found]

    async def outbox(self) -> list[Mail]:
        """All that it has sent, oldest first."""
        results = [entry.result for entry in await self.entries()]
        return [
            Mail.posted(self.id, item)
            for result in results
            if result and result.ok
            for item in result.messages
        ]

    async def prints(self) -> list[str]:
        """The output of its messages, one text for each message with output, without colours."""
        results = [entry.result for entry in await self.entries() if entry.result]
        answers = (make_answer("", "", result, None, {}) for result in results)
        return [item.output for item in answers if item.output]

    async def errors(self) -> list[str]:
        """Why its messages failed, one text for each failed message."""
        results = [entry.result for entry in await self.entries() if entry.result]
        answers = (make_answer("", "", result, None, {}) for result in results if not result.ok)
        return [item.error or item.outcome for item in answers]

    # Its queue --------------------------------------------------------------------------------

    async def pause(self) -> None:
        """Hold messages from other processes in a queue."""
        await self.node.local.workbench.pause(self.id, True)

    async def resume(self) -> None:
        """Deliver the queue, and stop holding messages."""
        await self.node.local.workbench.pause(self.id, False)
        await self.node.idle()

    async def queued(self) -> list[Mail]:
        """The messages in its queue, oldest first."""
        waiting = await self.node.local.workbench.queued(self.id)
        return [Mail.received(item.message) for item in waiting]

    async def step(self, index: int = 0) -> None:
        """Deliver one message of the queue. Raises UsageError if it does not exist."""
        await self.node.local.workbench.step(self.id, index)
        await self.node.idle()

    async def tick(self) -> int:
        """Send its cron messages now, due or not; returns their number. Raises UsageError: it has
        no cron."""
        count = await self.node.local.workbench.tick(self.id)
        await self.node.idle()
        return count

    async def replay(self, back: int = 1) -> Answer:
        """Deliver a message again with its id in another slot, like a second assignment.

        Args:
            back: which message, counting those not from the process itself: 1 is the newest, 2 the
                one before it.

        Raises:
            UsageError: there is no such message.
        """
        entries = [one.message for one in await self.entries()]
        sent = [one for one in entries[1:] if one.id and one.from_ != self.id]
        network = self.node.local.network
        if not 1 <= back <= len(sent) or network is None:
            raise UsageError(
                f"there is no message {back} to deliver once more",
                hint="1 is the newest that came to the process, 2 the one before it",
            )
        message = sent[-back]
        receipt = await network.assign(self.id, message.id)
        async with stopped_with_us(self.node.local, receipt):
            own = await self.node.local.result(self.id, receipt.place)
            await self.node.idle()
        return make_answer(message.id, message.from_, own, None, self.node.sources)

    # ------------------------------------------------------------------------------------------

    async def _dry(self, sender: str, tags: Sequence[Tag], data: bytes) -> Result:
        named = (*envelope("Message"), *tags, Tag("Read-Only", "true"))
        return await self.node.local.dryrun(
            self.id, Message("", sender, sender, self.id, named, data)
        )

    async def _end_of(self, message_id: str, slot: int) -> Result | None:
        for entry in await self.node.local.results(self.id, slot, _ENTRIES):
            if entry.result and message_id in entry.result.resumed:
                return entry.result
        return None


_INBOX = """(function()
  local found = {}
  for _, msg in ipairs(Inbox) do
    if not (msg.Tags and msg.Tags.Type == "Process" and msg.Id == ao.id) then
      local tags = {}
      for _, tag in ipairs(msg.TagArray or {}) do tags[#tags + 1] = {tag.name, tag.value} end
      found[#found + 1] = {msg.From, msg.Target, tags, tostring(msg.Data or ""), msg.Id or ""}
    end
  end
  return found
end)()"""


def _unhandled(item: object) -> Mail:
    assert isinstance(item, list)
    sender, target, tags, data, id = item
    return Mail(str(sender), str(target), dict(tags), str(data), id=str(id))


def _kept_names(mode: str) -> Tags:
    """The tags of a definition that decide how its handlers get tags. Raises UsageError."""
    if mode != AS_SENT.value:
        raise UsageError(f'tags = "{mode}" is not known', hint='give a table, or "as-sent"')
    return {AS_SENT.name: AS_SENT.value}


def _tags(tags: Tags | None, named: Mapping[str, object]) -> tuple[Tag, ...]:
    pairs = tags.items() if isinstance(tags, Mapping) else tags or ()
    by_keyword = tags_from(named)
    given = [(name, tag_text(value)) for name, value in pairs if name not in by_keyword]
    return tags_of([*given, *by_keyword.items()])
