"""Copies of processes: .fork and .compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aoshell.bounded.files import path_of
from aoshell.errors import UnsupportedError, UsageError
from aoshell.shell.attached.session import Session
from aoshell.shell.code.files import read_file
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_state
from aoshell.shell.commands.processes import local_verbs, ready_note, record_deed
from aoshell.shell.commands.table import STATE
from aoshell.shell.commands.workbench import workbench_of
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.forking import (
    EXPLAINED,
    ORDER,
    POSITION,
    Changed,
    Comparison,
    ForkedNetwork,
    Forking,
    network_text,
)
from aoshell.shell.table import Table
from aoshell.shell.view.values import process_value


@command("fork")
async def fork(session: Session, given: Given) -> CommandOutput:
    """Copy a process of this node or bring a live process home.

    A process of this home is copied in its newest state, or that after a slot: the copy has its own
    id and goes on independently.

    With a URL or a profile, or legacy for the public network, a live process is brought home: its
    log is read, checked and computed here. It keeps its id, so nothing that is sent to it here is
    signed: lines and .send state their owner only. What its past slots sent is not sent again, and
    what later ones send reaches processes of this home only. A WASM process begins with the newest
    memory that its compute unit or a trusted checkpoint has; with --replay all slots are computed
    here. --with brings more processes home, by names or ids, each with @SLOT or without: what one
    sends from then on reaches the others. A process that cannot be forked is named, and the others
    stay.
    """
    source, place, name = given["SOURCE"], given[STATE], given["NAME"]
    if source and place:
        places = read_places(place, given["--with"] if given.has("--with") else None)
        return await _fork_live(session, source, places, name, given.has("--replay"))
    for flag in ("--replay", "--with"):
        if given.has(flag):
            raise usage_error("fork", f"{flag} is for a live process: URL PROCESS as NAME")
    state = await find_state(session, source or place)
    process = state.process
    info = await workbench_of(session).fork(process.id, state.slot, name)
    number = -1 if state.slot is None else state.slot
    record_deed(session, "fork", process=info.id, source=process.id, name=info.name, number=number)
    return CommandOutput(process_value(info), text=info.id, note=ready_note(info))


async def _fork_live(
    session: Session, source: str, places: Sequence[str], name: str, replay: bool
) -> CommandOutput:
    local_verbs(session)
    network = await forking_of(session).fork(
        session.node, source, places, name, session.front.feed, replay=replay
    )
    found = [one.process for one in network.taken]
    for process in found:
        record_deed(session, "", f"the fork {process.name} of a live process ({source})")
    note = "\n".join((network_text(network), ready_note(found[0])))
    ids = [process.id if len(places) == 1 else f"{process.id} {process.name}" for process in found]
    value, ok = network_value(network, places), not network.failed
    return CommandOutput(value, text="\n".join(ids), note=note, ok=ok)


def read_places(place: str, others: str | None) -> tuple[str, ...]:
    """The processes to fork: the first one, and those of --with. Raises UsageError."""
    if others is None:
        return (place,)
    return (place, *(one.strip() for one in others.split(",")))


def network_value(network: ForkedNetwork, places: Sequence[str]) -> object:
    """Forks for `--json`: one process alone, or what became of each of several."""
    found = [process_value(one.process) for one in network.taken]
    if len(places) == 1:
        return found[0]
    failed = [
        {"process": one.place, "stage": one.error.stage, "error": str(one.error)}
        for one in network.failed
    ]
    return {"forks": found, "failed": failed}


def forking_of(session: Session) -> Forking:
    """What reads live processes. Raises UnsupportedError: the session cannot."""
    if session.forking is None:
        raise UnsupportedError("this session reads no live processes", hint="start it with aoshell")
    return session.forking


@command("compare")
async def compare(session: Session, given: Given) -> CommandOutput:
    """Compare the results of a fork with those of its network, slot by slot.

    --module FILE runs the same log with another module, --load FILE has the owner evaluate Lua
    after slot 0, --load FILE@SLOT after another: what would it have changed? That is computed in a
    temporary home, and nothing here changes. Without these, the stored results are compared. `at`
    names the network if the URL of the fork has no results.
    """
    local_verbs(session)
    first, _, last = given["RANGE"].partition("..")
    comparison = await forking_of(session).compare(
        session.node,
        session.attached,
        given["SOURCE"],
        int(first or 0),
        int(last or first) if first else None,
        read_changed(given["--module"], given["--load"]),
        session.front.feed,
    )
    return CommandOutput(
        comparison_value(comparison),
        text=comparison_text(comparison),
        table=comparison_table(comparison),
        note="\n".join(comparison.notes),
        ok=comparison.same,
    )


def read_changed(module: str, load: str) -> Changed:
    """The other code that the values of --module and --load ask for.

    Raises:
        UsageError: both are given.
        AoError: stage "load": the file cannot be read.
    """
    if module and load:
        raise UsageError("--module and --load both change the code", hint="give one of them")
    if module:
        return Changed(module=_readable(module))
    name, separator, slot = load.rpartition("@")
    if separator and slot.isdecimal() and len(slot) < 16:
        return Changed(load=_readable(name), after_slot=int(slot))
    return Changed(load=_readable(load)) if load else Changed()


def _readable(name: str) -> Path:
    """The file of a name; one that cannot be read is refused before the network is asked."""
    path = path_of(name)
    read_file(path)
    return path


def comparison_value(comparison: Comparison) -> dict[str, object]:
    """A comparison for `--json`."""
    return {
        "process": comparison.process,
        "source": comparison.source,
        "first": comparison.first,
        "last": comparison.last,
        "equal": comparison.equal,
        "same": comparison.same,
        "different": [
            {"slot": one.slot, "kind": one.kind, "there": one.there, "here": one.here}
            for one in comparison.different
        ],
        "uncompared": [{"slot": slot, "reason": reason} for slot, reason in comparison.uncompared],
    }


def comparison_table(comparison: Comparison) -> Table | None:
    """Differences by kind; None if there are none."""
    kinds = dict.fromkeys(one.kind for one in comparison.different)
    rows = []
    for kind in kinds:
        slots = [one.slot for one in comparison.different if one.kind == kind]
        rows.append((kind, str(len(slots)), str(slots[0])))
    columns = ("DIFFERS IN", "SLOTS", "FIRST")
    return Table(columns, tuple(rows), frozenset({"SLOTS", "FIRST"})) if rows else None


def comparison_text(comparison: Comparison) -> str:
    """A comparison for people, with the first difference."""
    slots = comparison.last - comparison.first + 1
    many = "slot is" if comparison.equal == 1 else "slots are"
    lines = [f"{comparison.equal:,} of {slots:,} {many} as {comparison.source} has them"]
    for slot, reason in comparison.uncompared[:1]:
        more = len(comparison.uncompared) - 1
        others = f", and {more} more" if more else ""
        lines.append(f"slot {slot} is not compared{others}: {reason}")
    real = [one for one in comparison.different if one.kind not in EXPLAINED]
    for one in (real or list(comparison.different))[:1]:
        lines += [f"first difference: slot {one.slot}, {one.kind}", f"  there: {one.there!r}"]
        lines.append(f"  here:  {one.here!r}")
    if real:
        lines.append(f".why {real[0].slot} tells which handlers were asked here")
    elif comparison.different:
        if any(one.kind == ORDER for one in comparison.different):
            lines.append("only order and addresses differ: Lua's hash seed decides these")
        if any(one.kind == POSITION for one in comparison.different):
            lines.append("errors say here where they were raised, which HyperBEAM does not tell")
    return "\n".join(lines)
