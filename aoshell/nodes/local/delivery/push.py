"""Delivers an outbox: each message goes to the log of its target, or is kept.

All of it is written in one `Batch` with the outbox's result. The node, not the process, sets the
sender of a message, as the legacy network's MU and HyperBEAM's `dev_push` do: tags of a process
that claim a sender are removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from aoshell.bounded import jsontext
from aoshell.errors import UsageError
from aoshell.nodes.local.log.form import (
    ANCHOR,
    ID,
    OWNER,
    TAGS,
    TARGET,
    Outbox,
    Wire,
    dump_wire,
    find_tag,
    load_wire,
)
from aoshell.nodes.local.log.rows import (
    FETCHING,
    HELD,
    LOST,
    NETWORK,
    QUEUED,
    Batch,
    Kept,
    Logged,
    ProcessRow,
)
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.authority import AUTO, fixed_authority
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.values import Limits
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import MAX_TAG_NAME, MAX_TAG_VALUE, MAX_TAGS

# Tags that only the node sets; those of a process are removed.
_TRUTH = frozenset(
    ["Data-Protocol", "Variant", "Type", "From-Process", "From-Module", "Assignments", "Pushed-For"]
)
FORGED = frozenset(["From", "Owner"])

ADDRESS_LENGTH = 43
LONGEST_NAME = 256  # characters; a longer target is not looked up as the name of a process
ASSIGNMENTS_TEXT = 16 << 10  # characters of a tag Assignments; a longer one is ignored


@dataclass(slots=True)
class Pushed:
    """What became of one outbox."""

    scheduled: list[tuple[Logged, Wire]] = field(default_factory=list)
    spawned: list[ProcessRow] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


NOTHING = Pushed()


class Pusher:
    """Turns outboxes into scheduled messages.

    Args:
        address: address of the node, by default the owner of what processes send.
        counts: messages caused so far, by the seq of the root; `Pusher` updates it.
        is_wallet: whether an address belongs to a known wallet.
        can_fetch: whether a module that is not here may be found on the network.
        is_paused: whether messages of others to a process wait in its queue.
        is_foreign: whether a message was scheduled elsewhere; what it sends was delivered there.
    """

    def __init__(
        self,
        address: str,
        store: Store,
        scheduler: Scheduler,
        modules: Modules,
        processes: ProcessRows,
        counts: dict[int, int],
        *,
        get_limits: Callable[[], Limits],
        is_wallet: Callable[[str], bool],
        can_fetch: Callable[[str], bool],
        is_paused: Callable[[ProcessRow], bool],
        is_foreign: Callable[[Logged], bool],
    ) -> None:
        self.address = address
        self.store = store
        self.scheduler = scheduler
        self.modules = modules
        self.processes = processes
        self.counts = counts
        self.get_limits = get_limits
        self.is_wallet = is_wallet
        self.can_fetch = can_fetch
        self.is_paused = is_paused
        self.is_foreign = is_foreign

    def push(self, sender: ProcessRow, cause: Logged, root: str, outbox: Outbox) -> Pushed:
        """Schedule everything in an outbox; nothing if the message was scheduled elsewhere.

        Args:
            cause: the message whose outbox it is.
            root: id of the root message, for Pushed-For.
        """
        if not (outbox.messages or outbox.assignments) or self.is_foreign(cause):
            return NOTHING
        run = _Push(self, sender, cause, root, Pushed())
        for spawn, target, data, anchor, tags in outbox.messages:
            if spawn:
                run.spawn(data, anchor, tags)
            else:
                run.message(target, data, anchor, tags)
        for message, processes in outbox.assignments:
            run.assignment(message, processes)
        return run.pushed

    def release(self, sender: ProcessRow, cause: Logged, root: str, kept: Kept) -> Pushed:
        """Deliver a kept message, or spawn the process that waited for its module."""
        run = _Push(self, sender, cause, root, Pushed(), start=kept.idx)
        if kept.held == FETCHING:
            run.make(load_wire(kept.body), fetched=True)
        else:
            run.deliver(kept.target, load_wire(kept.body), queued=kept.held == QUEUED)
        return run.pushed


class _Push:
    """The delivery of one outbox. Positions count deliveries: a spawn takes two."""

    def __init__(
        self,
        pusher: Pusher,
        sender: ProcessRow,
        cause: Logged,
        root: str,
        pushed: Pushed,
        start: int = 0,
    ) -> None:
        self._pusher = pusher
        self._sender = sender
        self._cause = cause
        self._root = root
        self._idx = start
        self.pushed = pushed

    def message(self, target: str | None, data: str, anchor: str, tags: list[str]) -> None:
        processes = _assigned(tags)
        is_patch = not target and _is_patch(tags)
        tags = self._truthful(tags, "Message")
        wire = self._wire(target or "", data, anchor, tags)
        if is_patch:
            self._idx += 1  # not a message: the computing node has applied the patch to the state
        else:
            self.deliver(target or "", wire)
        for process in processes:
            self._assign(process, wire, wire[ID], sent=True)

    def deliver(self, target: str, wire: Wire, *, queued: bool = False) -> None:
        """Schedule a message on its target, or keep it.

        Args:
            queued: whether it comes from the queue of a paused process.
        """
        reason = self._refusal(target, wire[TAGS:])
        process = None if reason else self._pusher.processes.find(target)
        if process is not None and not queued and self._pusher.is_paused(process):
            self._keep(wire, "it waits in the queue", QUEUED, process.id)
        elif process is not None:
            self._schedule(process, self._owned(process, wire))
        elif reason:
            self._keep(wire, reason)
        elif not self._pusher.is_wallet(target):
            self._keep(
                wire,
                "no process with this id is on this node, and no wallet known here has it"
                if len(target) == ADDRESS_LENGTH
                else self._no_address(target),
            )
        else:
            self._idx += 1

    def _no_address(self, target: str) -> str:
        """Why a target that is no address gets nothing; it may be the name of a process."""
        rows = self._pusher.store.processes_named(target) if len(target) <= LONGEST_NAME else []
        if ids := [row.id for row in rows]:
            return f"the target is a name, and must be an id: {target} is {' or '.join(ids[:4])}"
        return "the target is no address (43 characters of base64url)"

    def spawn(self, data: str, anchor: str, tags: list[str]) -> None:
        self.make(self._wire("", data, anchor, self._truthful(tags, "Process")))

    def make(self, wire: Wire, *, fetched: bool = False) -> None:
        """Spawn a process from its definition.

        Args:
            fetched: whether a fetch of its module has ended; if it is missing then, that failed.
        """
        request, wanted = wire[TAGS:], find_tag(wire[TAGS:], "Module")
        reason = self._refusal("spawn", request)
        network = self._sender.chain == NETWORK
        module = self._pusher.modules.look_for(wanted, network=network)
        if not reason and not module:
            if not fetched and self._pusher.can_fetch(wanted):
                self._keep(wire, f"module {wanted} is being fetched", FETCHING)
                self._idx += 1  # leave the answer's place free, as ids are made from places
                return
            reason = f"no module {wanted!r} is on this node: .publish it first"
        if reason:
            self._refuse_spawn(wire, reason)
            return
        node, parent, authority = self._pusher.address, self._sender.authority, ""
        if network or parent:  # a loaded process trusts its old node, and so must its child
            authority = fixed_authority(AUTO, node, request, parent)
        try:
            # As on the network, a child belongs to the process that spawned it. It has the form of
            # its parent.
            row = self._pusher.processes.create(
                wire[ID],
                module,
                owner=self._sender.id,
                tags=request,
                authority=authority,
                network=network,
            )
        except UsageError as error:  # a bad Cron-Interval
            self._refuse_spawn(wire, error.what)
            return
        self.pushed.spawned.append(row)
        wire[TARGET] = wire[ID]
        self._schedule(row, self._owned(row, wire))
        self._answer(wire, ["Process", wire[ID], "Action", "Spawned"])

    def _refuse_spawn(self, wire: Wire, reason: str) -> None:
        """Keep a spawn that cannot be done; answer Spawn-Error, as a handler may wait for it."""
        self._keep(wire, reason)
        self._answer(wire, ["Error", reason, "Action", "Spawn-Error"])

    def _answer(self, request: Wire, tags: list[str]) -> None:
        """Answer the sender of a spawn."""
        whole = [*request[TAGS:], *tags]
        answer = self._wire(self._sender.id, "", request[ANCHOR], whole)
        self._schedule(self._sender, self._owned(self._sender, answer))

    def assignment(self, message_id: str, processes: list[str]) -> None:
        found = self._pusher.store.by_id(message_id) if message_id else None
        message = None if found is None else load_wire(found.body)
        sent = found is not None and found.cause is not None
        for target in processes:
            self._assign(target, message, message_id, sent=sent)

    def _assign(
        self, target: str, message: Wire | None, message_id: str, *, sent: bool = False
    ) -> None:
        process = self._pusher.processes.find(target)
        if message is None or process is None:
            missing = "message" if message is None else "process"
            wire = self._wire(target, "", "", ["Assign", message_id])
            self._keep(wire, f"the {missing} of an assignment is not on this node")
        else:
            self._schedule(process, self._owned(process, message) if sent else message)

    def _truthful(self, tags: list[str], kind: str) -> list[str]:
        kept = [
            text
            for at in range(0, len(tags), 2)
            if tags[at] not in _TRUTH and tags[at] not in FORGED
            for text in tags[at : at + 2]
        ]
        root = ["Pushed-For", self._root] if self._root else []  # a cron message has no id
        return [
            "Data-Protocol", "ao", "Variant", "ao.TN.1", "Type", kind,
            *kept,
            "From-Process", self._sender.id,
            "From-Module", self._sender.alias or self._sender.module, *root,
        ]  # fmt: skip

    def _wire(self, target: str, data: str, anchor: str, tags: list[str]) -> Wire:
        place = [self._sender.id, self._cause.slot, self._cause.tick, self._idx]
        content = dump_wire([*place, target, data, anchor, tags])
        message_id = b64url(hashlib.sha256(content).digest())
        owner = self._pusher.address
        return [message_id, self._sender.id, owner, target, data, anchor, self._root, *tags]

    def _owned(self, process: ProcessRow, wire: Wire) -> Wire:
        return owned(process, wire, self._pusher.address)

    def _refusal(self, target: str, tags: list[str]) -> str:
        if not target:
            return "it names no Target"
        if not self._pusher.get_limits().network:
            return ""
        if len(tags) // 2 > MAX_TAGS:
            return f"it has {len(tags) // 2} tags, the network allows {MAX_TAGS}"
        for at in range(0, len(tags), 2):
            if len(tags[at]) > MAX_TAG_NAME:
                return f"a tag's name is longer than the {MAX_TAG_NAME} bytes the network allows"
            if len(tags[at + 1]) > MAX_TAG_VALUE:
                size = f"{len(tags[at + 1])} bytes, the network allows {MAX_TAG_VALUE}"
                return f"the value of tag {tags[at]} has {size}"
        return ""

    def _schedule(self, process: ProcessRow, wire: Wire) -> None:
        counts, root = self._pusher.counts, self._cause.root
        count = counts.get(root, self._cause.ordinal)
        bound = self._pusher.get_limits().pushes
        if count >= bound:
            reason = f"one message has caused {count} others, the bound is {bound}"
            self._keep(wire, reason, HELD, process.id)
            return
        counts[root] = count + 1
        logged = self._pusher.scheduler.assign(
            process.number,
            wire[ID],
            dump_wire(wire),
            cause=self._cause,
            idx=self._idx,
            ordinal=count + 1,
        )
        self._idx += 1
        self.pushed.scheduled.append((logged, wire))

    def _keep(self, wire: Wire, reason: str, held: int = LOST, target: str = "") -> None:
        # An assigned message is kept for a process other than its Target.
        target = target or wire[TARGET]
        kept = Kept(self._cause.seq, self._idx, reason, held, target, wire[ID], dump_wire(wire))
        self._idx += 1
        self.pushed.kept.append(kept)


def owned(process: ProcessRow, wire: Wire, node: str) -> Wire:
    """A message of a process, with the owner that the target trusts.

    The owner depends on the target: another process's definition may name anybody.
    """
    owner = process.authority or node
    return wire if wire[OWNER] == owner else [*wire[:OWNER], owner, *wire[OWNER + 1 :]]


def _assigned(tags: list[str]) -> list[str]:
    """The processes in a tag Assignments, a JSON list as on the legacy network."""
    value = find_tag(tags, "Assignments")
    if not value.startswith("[") or len(value) > ASSIGNMENTS_TEXT:
        return []
    try:
        found = jsontext.parse(value, largest=ASSIGNMENTS_TEXT)
    except ValueError:
        return []
    return list(dict.fromkeys(name for name in found if isinstance(name, str)))


def _is_patch(tags: list[str]) -> bool:
    names = {tags[at].lower(): tags[at + 1] for at in range(0, len(tags), 2)}
    return names.get("device") == "patch@1.0" or names.get("method") == "PATCH"


def add_pushed(batch: Batch, pushed: Pushed) -> None:
    """Add what became of an outbox to the transaction of its result."""
    batch.processes += pushed.spawned
    batch.log += [logged for logged, _wire in pushed.scheduled]
    batch.kept += pushed.kept
