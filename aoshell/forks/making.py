"""Turns a log into an exported process, which `.import` can read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from aoshell.errors import AoError, UsageError
from aoshell.forks.crons import INTERVAL, NO_CRONS, CronMessage, PastCrons
from aoshell.forks.log import ForeignLog
from aoshell.forks.messages import ForeignMessage
from aoshell.forks.remote import ForeignMemory, Remote
from aoshell.nodes.local.forked.memories import pack
from aoshell.nodes.local.history import records, transfer
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import (
    AS_NODE,
    OF_NODE,
    OF_UNIT,
    Computed,
    Logged,
    Origin,
    ProcessRow,
)
from aoshell.nodes.local.processes import cron
from aoshell.nodes.local.processes.aliases import BUILT_IN
from aoshell.nodes.local.processes.authority import AUTO, fixed_authority
from aoshell.nodes.local.processes.modules import WASM_MAGIC
from aoshell.nodes.local.replaying.rerunning import owners_eval
from aoshell.nodes.remote.arweave.verified import VerifiedCode
from aoshell.nodes.values import Limits
from aoshell.protocol.encoding import b64url, has_id_form
from aoshell.protocol.message import Message, Tag, printable
from aoshell.sandbox import environment, luerl

LARGEST_MEMORY = 4 << 30  # bytes that a forked guest may grow to, even if its module allows more
_UNITS = {"kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30}
_LIMIT = re.compile(r"([1-9][0-9]{0,6})-(kb|mb|gb)")
_LUERL = (
    "its node runs it in luerl, and here it runs in Lua 5.3 with the functions of luerl: texts of"
    " errors, integers beyond 64 bits and random numbers may differ; .compare tells"
)
_STACK, _WASM_DEVICE = "stack@1.0", "wasm-64@1.0"
_DEVICE = re.compile(r"[a-z0-9-]{1,40}@[0-9]{1,3}\.[0-9]{1,3}[a-z]?")
BY_LUA = ("lua@5.3a", "patch@1.0")
_BY_WASM = ("genesis-wasm@1.0", "wasi@1.0", "json-iface@1.0", _WASM_DEVICE, "multipass@1.0")
_WASM64 = (
    "its node runs it by wasm-64@1.0 and writes messages in a JSON of its own: here it is called as"
    " compute units call it, from slot 0, so results may differ; the node's snapshots of its memory"
    " are not used, as nothing has shown that such a guest goes on here; .compare tells"
)
_WEAVE_DRIVE = ("Availability-Type", "Extension")


@dataclass(frozen=True, slots=True)
class ForkedCode:
    """The code of a forked process.

    Attributes:
        module: id of the code here; that of the environment if nothing else is loaded.
        kind: "lua", "wasm" or "environment".
        data: b"" for the environment.
        module_facts: what compute units say of the module, as JSON; `AS_NODE` for Lua that a
            HyperBEAM node runs.
        memory: bytes that its guest may grow to.
        notes: sentences for people.
    """

    module: str
    kind: str
    data: bytes
    module_facts: str
    memory: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inserted:
    """Lua that the owner of a process evaluates between two slots of its log."""

    after_slot: int
    code: bytes


@dataclass(frozen=True, slots=True)
class MadeFork:
    """A fork that is ready for a home: an exported process, and notes for a person."""

    data: bytes
    slot: int
    notes: tuple[str, ...]


async def find_code(remote: Remote, definition: Message, limits: Limits) -> ForkedCode:
    """The code of a process, verified.

    Raises:
        AoError: it is missing, does not match its id, or needs something that no home has.
    """
    by_node = remote.is_hyperbeam
    wanted = definition.tag("Module") or (definition.tag("Image") if by_node else "")
    _refuse_weave_drive(definition.tags)
    if not has_id_form(wanted):
        return _environment(f"its module is {wanted!r}")
    if wanted == environment.built_in()[0]:
        return _environment("")
    try:
        code = await remote.module(wanted)
    except AoError:
        if wanted in BUILT_IN and await remote.is_own():
            return _environment(f"{remote.source} runs its built-in environment for it")
        raise
    if not code.data.startswith(WASM_MAGIC):
        found = _lua(code, by_node)
        return replace(found, notes=(*found.notes, *left_out(definition, BY_LUA)))
    _refuse_weave_drive(code.tags)
    memory, notes = _memory(code, limits)
    notes += left_out(definition, _BY_WASM) if by_node else ()
    facts = {
        "Id": wanted,
        "Owner": code.owner,
        "Tags": [{"name": tag.name, "value": tag.value} for tag in code.tags],
    }
    text = json.dumps(facts, ensure_ascii=False, separators=(",", ":"))
    return ForkedCode(environment.module_id(code.data), "wasm", code.data, text, memory, notes)


def left_out(definition: Message, here: Collection[str]) -> tuple[str, ...]:
    """A note on the devices of a HyperBEAM node that a process does not have here.

    Args:
        here: devices that work the same here.
    """
    device = definition.tag("Execution-Device")
    named = _DEVICE.findall(definition.tag("Device-Stack") if device == _STACK else device)
    notes = [_WASM64] if _WASM_DEVICE in named else []
    others = [name for name in named if name not in here]
    if others:
        many = "devices that are" if len(others) > 1 else "a device that is"
        notes.append(f"its node runs it with {', '.join(others[:6])}, {many} left out here")
    return tuple(notes)


def _environment(why: str) -> ForkedCode:
    module, _ = environment.built_in()
    notes = (f"{why}: the environment of this aoshell is used",) if why else ()
    return ForkedCode(module, "environment", b"", "", Limits().memory, notes)


def _lua(code: VerifiedCode, by_node: bool) -> ForkedCode:
    """A module in Lua. An environment of another version is JSON that names its sources."""
    if code.data.startswith(b'{".'):
        return _environment("it runs the environment of another version of aoshell")
    module = environment.module_id(code.data)
    facts, notes = (AS_NODE, (_LUERL,)) if by_node else ("", ())
    return ForkedCode(module, "lua", code.data, facts, Limits().memory, notes)


def _memory(code: VerifiedCode, limits: Limits) -> tuple[int, tuple[str, ...]]:
    """Bytes that a guest may grow to. A guest can observe the limit, so its module decides."""
    limit = next((tag.value for tag in code.tags if tag.name == "Memory-Limit"), "")
    found = _LIMIT.fullmatch(limit.lower())
    if found is None:
        return limits.memory, ()
    memory = int(found[1]) * _UNITS[found[2]]
    if memory > LARGEST_MEMORY:
        most = f"{LARGEST_MEMORY >> 30} GB"
        return LARGEST_MEMORY, (f"its module may take {limit} of memory; here it gets {most}",)
    return memory, ()


def _refuse_weave_drive(tags: tuple[Tag, ...]) -> None:
    found = next((tag for tag in tags if tag.name in _WEAVE_DRIVE), None)
    if found is not None:
        raise AoError(
            f"it reads Arweave while it runs (WeaveDrive: {found.name}={found.value[:60]}), and no"
            " home can give it that",
            stage="fork",
            hint="nothing was forked",
        )


def make_fork(
    log: ForeignLog,
    code: ForkedCode,
    name: str,
    now: int,
    node: str,
    *,
    inserted: Inserted | None = None,
    memory: ForeignMemory | None = None,
    crons: PastCrons = NO_CRONS,
) -> MadeFork:
    """A fork with all slots of a log, none of them computed yet.

    Args:
        name: of the process here.
        now: milliseconds since the Unix epoch.
        node: address of the node that gets it.
        inserted: Lua to evaluate between two of its slots, to compare (`forks.changing`).
        memory: the one that the fork begins with; the log has slot 0, then that of the memory.
        crons: its cron messages up to the end of the log.

    Raises:
        AoError: the log does not begin with the definition of the process.
    """
    first, last = log.messages[0].message, log.messages[-1].assigned
    if first is None or first.id != log.process or first.tag("Type", "Process") != "Process":
        raise AoError(
            f"slot 0 of {log.process}, as {log.source} has it, is not its definition",
            stage="schedule",
            hint="nothing was forked",
        )
    flat = [part for tag in first.tags for part in (form.narrow(tag.name), form.narrow(tag.value))]
    notes = [*code.notes, *crons.notes]
    if first.tag(INTERVAL):
        notes.append("its cron messages are no longer sent automatically: .tick sends one")
    own, _ = luerl.module() if code.module_facts == AS_NODE else environment.built_in()
    wanted = first.tag("Module")
    row = ProcessRow(
        number=0,
        id=log.process,
        name=printable(name),
        owner=first.from_,
        module=code.module,
        environment=own,
        created=now,
        cron=_schedules(flat, now),
        memory=code.memory,
        alias=wanted if has_id_form(wanted) and wanted != code.module else "",
        authority=fixed_authority(AUTO, node, flat),
        monitored=0,
    )
    origin = Origin(
        process=0,
        source=log.source,
        slot=last.slot,
        timestamp=last.timestamp,
        height=last.height,
        chain=last.chain,
        epoch=last.epoch,
        unsigned=log.unsigned,
        module=code.module_facts,
    )
    held: list[dict[str, Any]] = []
    if memory is not None:
        if len(memory.data) > code.memory:
            raise AoError(
                f"the memory after slot {memory.slot} has {len(memory.data) >> 20} MB, and its"
                f" module may take {code.memory >> 20} MB",
                stage="fork",
                hint="nothing was forked",
            )
        digest = hashlib.sha256(memory.data).hexdigest()
        origin = origin._replace(memory=digest, memory_slot=memory.slot, vouched=memory.vouched)
        held.append({"memory": [digest, records.text_of(pack(memory.data))]})
    if log.unsigned:
        many = "message is" if log.unsigned == 1 else "messages are"
        notes.append(f"{log.unsigned:,} {many} not signed: {log.source} alone vouches for that")
    notes += _scheduling_notes(log, first)
    found = _records(row, log, code, inserted, crons)
    found[1:1] = held
    if memory is not None:
        _mark_as_held(found, memory.slot)
    parts = transfer.write_process(row, found, forked=origin)
    return MadeFork(b"".join(parts), last.slot, tuple(notes))


def _scheduling_notes(log: ForeignLog, definition: Message) -> list[str]:
    """Notes on who assigned the messages to their slots."""
    notes, signed = [], log.schedulers
    if not log.chained:
        notes.append("its hash chain is not checked: its form is not that of HyperBEAM's scheduler")
    if many := signed.get("", 0):
        who = "1 assignment is" if many == 1 else f"{many:,} assignments are"
        why = "lists them without" if log.hyperbeam else "does not list all that was signed, or no"
        notes.append(f"{who} not checked: {log.source} {why} signatures, so it alone vouches")
    others = {address for address in signed if address and address != definition.tag("Scheduler")}
    if log.hyperbeam and others:
        keys = ", ".join(sorted(others)[:3])
        notes.append(f"assignments are signed by {keys}, whom its definition names no scheduler")
    return notes


def _schedules(tags: list[str], now: int) -> str:
    try:
        found = cron.parse_schedules(tags, now)
    except UsageError:  # units have others, too
        found = []
    return cron.dump_schedules(found)


def _records(
    row: ProcessRow,
    log: ForeignLog,
    code: ForkedCode,
    inserted: Inserted | None,
    crons: PastCrons,
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"process": records.without_defaults(row)}]
    if code.data:
        found.append({"module": [code.module, code.kind, records.text_of(code.data)]})
    if code.module_facts == AS_NODE:
        own, data = luerl.module()
        found.append({"module": [own, "environment", records.text_of(data)]})
    chain, seq = "", 0
    for one in log.messages:
        seq += 1
        logged = _logged(seq, one, chain, code.module_facts)
        chain = logged.chain
        entries = [logged]
        if inserted is not None and logged.slot == inserted.after_slot:
            entries.append(owners_eval(row, logged, inserted.code))
        entries += [_cron_message(row, logged, made) for made in crons.by_slot.get(logged.slot, ())]
        for tick, each in enumerate(entries):
            seq = logged.seq + tick
            numbered = each._replace(seq=seq, root=seq, tick=tick)
            found.append(records.of_entry(numbered, None))
    return found


def _mark_as_held(found: list[dict[str, Any]], slot: int) -> None:
    """Add results for the messages that a memory includes: they are not computed here."""
    body = form.dump_result(form.FlatResult(False, "", "", False, 0, [0, 0]))
    for record in found:
        message = record.get("message")
        if message is not None and (message["slot"], message["tick"]) <= (slot, 0):
            done = Computed(message["seq"], "ok", 0.0, 0, 0, 0, body)
            record["result"] = done._asdict() | {"body": body.decode("latin-1")}


def _cron_message(row: ProcessRow, before: Logged, made: CronMessage) -> Logged:
    message = Message("", row.owner, row.owner, row.id, made.tags, b"")
    body = form.dump_wire(form.from_message(message))
    return before._replace(
        id="", timestamp=made.timestamp, height=made.height, signed=None, body=body
    )


def _logged(seq: int, found: ForeignMessage, before: str, facts: str) -> Logged:
    as_node = facts == AS_NODE and bool(found.as_node)
    signed = found.item.raw if found.item else None
    assigned, message = found.assigned, found.message
    assert message is not None  # `read_log` has fetched those that were assigned by id
    chain = assigned.chain
    if not has_id_form(chain):  # from a node with another form of links
        chain = b64url(hashlib.sha256((before + message.id).encode()).digest())
    return Logged(
        seq=seq,
        process=0,
        slot=assigned.slot,
        tick=0,
        id=message.id,
        cause=None,
        idx=None,
        root=seq,
        ordinal=0,
        timestamp=assigned.timestamp,
        height=assigned.height,
        chain=chain,
        signed=found.as_node if as_node else signed,
        body=form.dump_wire(form.from_message(message)),
        form=OF_NODE if as_node else OF_UNIT if facts not in ("", AS_NODE) else "",
    )
