"""Finds the processes, states and messages that words of dot commands name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aoshell.errors import UsageError
from aoshell.nodes.values import Hop, NotFoundError, ProcessInfo, Receipt
from aoshell.protocol.encoding import brief, has_id_form
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.questions import global_hint
from aoshell.shell.attached.session import Session
from aoshell.shell.names.naming import SHORTEST, plain_reference

_SLOT = re.compile(r"[0-9]{1,15}")  # no slot is larger
_WITH_SLOT = re.compile(rf"(.+)@({_SLOT.pattern})\Z", re.DOTALL)
_LOOKED_AT = 200  # newest slots of a remote process in which a message is looked for


@dataclass(frozen=True, slots=True)
class StatePlace:
    """A process, and the slot whose state is meant; None for its newest state."""

    process: ProcessInfo
    slot: int | None = None

    @property
    def name(self) -> str:
        """For people."""
        shown = named_id(self.process.id, self.process.name)
        return shown if self.slot is None else f"{shown} slot {self.slot}"


@dataclass(frozen=True, slots=True)
class LogPlace:
    """A message in the log of a process."""

    process: ProcessInfo
    slot: int


async def find_process(session: Session, reference: str) -> ProcessInfo:
    """The process that a word of a dot command names: its name, `@name`, or the beginning of its
    id, as `Node.find`.

    Raises:
        UsageError: the word looks like a flag, or is the name of an identity.
        NotFoundError: there is none; the hint names the most similar one.
        AoError: that is not known.
    """
    name = plain_reference(reference)
    try:
        return await session.node.find(name)
    except NotFoundError as error:
        if reference.startswith("-") and not has_id_form(reference):
            raise UsageError(
                f"{brief(reference)} is no flag of this command, and no process here has that name",
                hint=".ps lists those there are; .help COMMAND describes a command",
            ) from error
        if name in session.identities.names():
            raise UsageError(
                f"{name} is an identity, and no process here has that name",
                hint=f".as {name} signs as it; .ps lists the processes",
            ) from error
        hint = await global_hint(session, name, ".rename ID as {}")
        hint = hint or await session.naming.nearest(name, plain=True)
        raise NotFoundError(error.what, stage=error.stage, hint=hint or error.hint) from error


async def process_or_attached(session: Session, reference: str) -> ProcessInfo:
    """The process that a word names; without a word the attached one. Raises as `find_process`."""
    return await find_process(session, reference) if reference else session.attached


async def find_state(session: Session, reference: str) -> StatePlace:
    """A process with a slot or without: PROCESS, PROCESS@SLOT, or SLOT of the attached process.

    Raises:
        UsageError: it has no such slot.
        AoError: as `find_process`.
    """
    if not reference:
        return StatePlace(session.attached)
    if _SLOT.fullmatch(reference):
        state = StatePlace(session.attached, int(reference))
    elif found := _WITH_SLOT.match(reference):
        state = StatePlace(await find_process(session, found[1]), int(found[2]))
    else:
        return StatePlace(await find_process(session, reference))
    await _check_slot(session, state)
    return state


async def _check_slot(session: Session, state: StatePlace) -> None:
    slots = await session.node.slots(state.process.id)
    if state.slot is not None and state.slot >= slots:
        name = named_id(state.process.id, state.process.name)
        raise UsageError(
            f"{name} has no slot {state.slot}",
            hint=f"its newest is {slots - 1}; .messages lists them",
        )


async def find_place(session: Session, reference: str) -> LogPlace:
    """A message: SLOT, PROCESS@SLOT, PROCESS (its newest), or the beginning of an id.

    Without a reference it is the last event (`_last`).

    Raises:
        UsageError: there is no such slot; or nothing has that name or id.
        AoError: that is not known.
    """
    if not reference:
        return await _last(session)
    is_id = not _SLOT.fullmatch(reference) and not _WITH_SLOT.match(reference)
    if is_id and (found := await _message(session, plain_reference(reference))):
        return found
    try:
        state = await find_state(session, reference)
    except NotFoundError as error:
        what = f"no process and no message here is called {brief(plain_reference(reference))}"
        raise UsageError(what, hint=f"{error.hint}; .messages lists slots and ids") from error
    if state.slot is None:
        return LogPlace(state.process, max(0, await session.node.slots(state.process.id) - 1))
    return LogPlace(state.process, state.slot)


async def _message(session: Session, begin: str) -> LogPlace | None:
    """The message whose id begins so; None if there is none, or a process is meant."""
    if len(begin) < SHORTEST:
        return None
    if session.node.local is None:
        return await _remote_message(session, begin)
    found = await session.node.local.workbench.find_messages(begin)
    found = [one for one in found if one.slot]  # slot 0 has the id of the process
    if not found:
        return None
    ids = dict.fromkeys(one.id for one in found)
    if len(ids) > 1:
        raise UsageError(
            f"{len(ids)} messages have ids that begin with {begin}",
            hint=f"give more of it: {', '.join([*ids][:4])}",
        )
    here = [one for one in found if one.process == session.attached.id]
    one = (here or found)[0]
    return LogPlace(await session.node.find(one.process), one.slot or 0)


async def _remote_message(session: Session, begin: str) -> LogPlace | None:
    """The same, among the newest slots of the attached process on a remote node."""
    process, known = session.attached, await session.node.processes()
    if any(info.name == begin or info.id.startswith(begin) for info in known):
        return None
    last = await session.node.slots(process.id) - 1
    for message in await session.node.schedule(process.id, max(1, last - _LOOKED_AT), last):
        if message.id.startswith(begin) and message.assignment:
            return LogPlace(process, message.assignment.slot)
    return None


async def _last(session: Session) -> LogPlace:
    """The last event: what arrived since the last line; else, of all that this line caused, the
    newest failure or the newest message; else the newest slot of the attached process.
    """
    if arrived := await _arrived(session):
        return arrived
    sent = await last_sent(session)
    if sent is None:
        return LogPlace(session.attached, max(0, await session.node.slots(session.attached.id) - 1))
    hops = await session.node.local.workbench.trace(sent.id) if session.node.local else ()
    if found := _newest(hops):
        return LogPlace(await session.node.find(found[0]), found[1])
    slot = (await session.node.result(sent.process, sent.place)).slot
    return LogPlace(await session.node.find(sent.process), slot)


async def last_sent(session: Session) -> Receipt | None:
    """The newest receipt of this session; None where its message is not in the log any more."""
    sent = session.last_sent
    if sent is None or sent.slot is None or session.node.local is None:
        return sent
    return sent if await session.is_in_log(sent) else None


async def _arrived(session: Session) -> LogPlace | None:
    """What was shown last and no line of this session caused; None where that was taken back."""
    if session.feed.arrived is None:
        return None
    process, slot = session.feed.arrived
    try:
        found = await session.node.find(process)
        return LogPlace(found, slot) if slot < await session.node.slots(process) else None
    except NotFoundError:
        return None


def _newest(hops: Sequence[Hop]) -> tuple[str, int] | None:
    """Process and slot of the newest hop that failed, else of the newest."""
    found = [
        (bool(hop.entry.result and not hop.entry.result.ok), hop.entry.message.assignment)
        for hop in hops
        if hop.entry
    ]
    placed = [(failed, one.order, one.process, one.slot) for failed, one in found if one]
    return max(placed)[2:] if placed else None
