"""`.compare` and `aoshell compare`: compares a fork, or a live process, with its network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aoshell.errors import AoError, UsageError
from aoshell.forks.cache import LogCache, cache_key
from aoshell.forks.changing import read_code, results_of
from aoshell.forks.comparing import compare_log
from aoshell.forks.crons import past_crons
from aoshell.forks.log import ForeignLog, Tell, read_log
from aoshell.forks.making import find_code
from aoshell.forks.remote import Remote, cache_folder
from aoshell.forks.taking import parse_place
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.values import Limits, ProcessInfo
from aoshell.protocol.message import Result
from aoshell.shell.ports.forking import Changed, Comparison

_PAGE = 500  # results that are read at once


async def compare_fork(
    node: Node,
    settings: Settings,
    process: ProcessInfo,
    source: str,
    first: int,
    last: int | None,
    changed: Changed,
    tell: Tell,
) -> Comparison:
    """See `shell.ports.forking.Forking.compare`."""
    origin = process.origin
    if origin is None:
        raise AoError(
            f"{process.name or process.id} was made here, and lives nowhere else",
            stage="compare",
            hint=".fork URL PROCESS as NAME brings a live process home",
        )
    last = origin.slot if last is None else last
    notes: tuple[str, ...] = ()
    if origin.memory >= 0 and changed.module is None:  # slots in the memory were not computed here
        first = max(first, origin.memory + 1)
        notes = (f"up to slot {origin.memory} its memory is what {origin.vouched} says",)
    if not 0 <= first <= last <= origin.slot:
        raise UsageError(
            f"slots {first} to {last} are not all of {origin.source}",
            hint=f"those up to {origin.slot} are",
        )
    remote = Remote.named(source or origin.source, settings)
    try:
        assert node.local is not None
        begin = max(0, origin.memory) if changed.module is None else 0
        as_node = changed.module is not None  # only then are its messages computed
        log = await _log(remote, settings, process.id, origin.slot, tell, begin, as_node=as_node)
        if changed.module is not None:
            results, notes = await _computed(remote, log, changed, node.local.limits, tell)
            notes = (*notes, "computed from slot 0 on: no state of another module is stored")
        else:
            results = await _stored(node, process.id, first, last)
        if changed.load is not None:
            rerun, began = await _loaded(node, process.id, changed, last)
            results, notes = {**results, **rerun}, (*notes, began)
        return await _compared(remote, log, results, first, last, notes, tell)
    finally:
        await remote.close()


async def compare_live(
    settings: Settings, source: str, place: str, changed: Changed, gateway: str, tell: Tell
) -> Comparison:
    """Compare a live process, computed here in a temporary home.

    Args:
        place: PROCESS[@SLOT].
        gateway: URL of the gateway that the user named, "" for none.

    Raises:
        AoError: it cannot be read or computed, or the network does not answer.
    """
    process, slot = parse_place(place)
    remote = Remote.named(source, settings, gateway)
    try:
        # Its code is known by its log only.
        log = await _log(remote, settings, process, slot, tell, as_node=True)
        results, notes = await _computed(remote, log, changed, Limits(), tell)
        last = log.messages[-1].assigned.slot
        return await _compared(remote, log, results, 0, last, notes, tell)
    finally:
        await remote.close()


async def _log(
    remote: Remote,
    settings: Settings,
    process: str,
    slot: int | None,
    tell: Tell,
    begin: int = 0,
    *,
    as_node: bool,
) -> ForeignLog:
    cache = LogCache(cache_folder(settings), remote.source, cache_key(process, begin))
    return await read_log(remote, cache, process, slot, tell, begin, as_node=as_node)


async def _computed(
    remote: Remote, log: ForeignLog, changed: Changed, limits: Limits, tell: Tell
) -> tuple[Mapping[int, Result], tuple[str, ...]]:
    definition = log.messages[0].message
    assert definition is not None
    code = await find_code(remote, definition, limits)
    crons = await past_crons(remote, log, code.kind == "wasm", None, tell)
    results = await results_of(log, code, crons, changed, limits, tell)
    return results, (*code.notes, *crons.notes)


async def _loaded(
    node: Node, process: str, changed: Changed, last: int
) -> tuple[Mapping[int, Result], str]:
    """The results of a fork with inserted Lua, and a note on where computing began."""
    assert node.local is not None and changed.load is not None
    if not 0 <= changed.after_slot <= last:
        raise UsageError(
            f"there is no slot {changed.after_slot} to load it after", hint=f"0 to {last}"
        )
    code = await asyncio.to_thread(read_code, changed.load)
    again = await node.local.workbench.rerun(process, changed.after_slot, code, last)
    began = f"after slot {again.begin}, whose state is stored" if again.begin >= 0 else "at slot 0"
    found = {one.slot: one for one in again.results if not one.tick}
    return found, f"computed again, beginning {began}"


async def _stored(node: Node, process: str, first: int, last: int) -> Mapping[int, Result]:
    """The results that a fork has, by slot."""
    found: dict[int, Result] = {}
    after = first - 1
    while after < last and (entries := await node.results(process, after, _PAGE)):
        for entry in entries:
            if entry.result is not None and not entry.result.tick:
                found[entry.result.slot] = entry.result
        after = entries[-1].message.placed.slot
    return found


async def _compared(
    remote: Remote,
    log: ForeignLog,
    results: Mapping[int, Result],
    first: int,
    last: int,
    notes: tuple[str, ...],
    tell: Tell,
) -> Comparison:
    messages = [one for one in log.messages if first <= one.assigned.slot <= last]
    equal, different, uncompared = await compare_log(remote, messages, results, tell)
    if len(uncompared) == len(messages):
        raise AoError(
            f"{remote.source} gives no result of {log.process}: {uncompared[0][1]}",
            stage="compare",
            hint="name a network with a compute unit: a URL or a profile",
        )
    return Comparison(log.process, remote.source, first, last, equal, different, uncompared, notes)
