"""Forks a live process into a home: reads its log, stores it, and waits until it is computed.

Once a fork is completely read and checked, one transaction writes it; until then the home has
nothing of it. What was read stays in the cache, so an interrupted fork continues where it stopped.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from contextlib import suppress

from aoshell.errors import AoError, UsageError
from aoshell.forks.cache import LogCache, cache_key
from aoshell.forks.crons import past_crons
from aoshell.forks.log import REPORT_EVERY, Tell, read_definition, read_log
from aoshell.forks.making import find_code, make_fork
from aoshell.forks.messages import ForeignMessage
from aoshell.forks.remote import ForeignMemory, Remote, cache_folder
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.local.log.rows import AS_NODE
from aoshell.nodes.remote.http.client import ConnectionLostError
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import brief, has_id_form
from aoshell.shell.ports.forking import TakenFork


def parse_place(text: str) -> tuple[str, int | None]:
    """The id and the slot of PROCESS[@SLOT]. Raises UsageError."""
    process, slot = parse_slot(text)
    if not has_id_form(process):
        raise UsageError(
            f"{brief(process)} is not the id of a process (43 characters)",
            hint="PROCESS, or PROCESS@SLOT",
        )
    return process, slot


def parse_slot(text: str) -> tuple[str, int | None]:
    """The name or id, and the slot, of PROCESS[@SLOT]. Raises UsageError."""
    process, separator, slot = text.partition("@")
    if not process:
        raise UsageError("a process is missing", hint="PROCESS, or PROCESS@SLOT")
    if separator and not (slot.isascii() and slot.isdecimal() and len(slot) < 16):
        raise UsageError(
            f"{brief(slot) if slot else 'nothing'} is not a slot",
            hint="a number, as in PROCESS@8412",
        )
    return process, int(slot) if separator else None


async def take_from(
    node: Node,
    settings: Settings,
    source: str,
    place: str,
    name: str,
    tell: Tell,
    gateway: str = "",
    *,
    replay: bool = False,
) -> TakenFork:
    """As `take`, from the network that a URL or profile names.

    Args:
        gateway: URL of the gateway that the user named, "" for none.
    """
    parse_place(place)
    remote = Remote.named(source, settings, gateway)
    try:
        return await take(node, settings, remote, place, name, tell, replay=replay)
    finally:
        await remote.close()


async def take(
    node: Node,
    settings: Settings,
    remote: Remote,
    place: str,
    name: str,
    tell: Tell,
    *,
    replay: bool = False,
) -> TakenFork:
    """Fork a process.

    Args:
        place: PROCESS[@SLOT].
        name: of the process here.
        tell: shows the progress.
        replay: compute all slots here, even if there is a memory.

    Raises:
        UsageError: the place is invalid, or the name is taken.
        AoError: the fork failed, and the home has nothing of it.
    """
    process, slot = parse_place(place)
    await check_new(node, process, name)
    first = await read_definition(remote, process)
    return await take_defined(node, settings, remote, first, slot, name, tell, replay=replay)


async def take_defined(
    node: Node,
    settings: Settings,
    remote: Remote,
    first: ForeignMessage,
    slot: int | None,
    name: str,
    tell: Tell,
    *,
    replay: bool,
) -> TakenFork:
    """As `take`, for a process whose definition was read. Its id and name must be new here."""
    process = first.assigned.process
    assert node.local is not None and first.message is not None
    code = await find_code(remote, first.message, node.local.limits)
    memory = None
    if code.kind == "wasm" and not replay:
        memory = await _find_memory(remote, process, first.message.tag("Module"), slot, tell)
    begin = memory.slot if memory else 0
    notes = await _of_source(remote, process, begin)
    cache = LogCache(cache_folder(settings), remote.source, cache_key(process, begin))
    log = await read_log(
        remote, cache, process, slot, tell, begin, as_node=code.module_facts == AS_NODE
    )
    if memory is not None:
        log = dataclasses.replace(log, messages=(first, *log.messages))
    crons = await past_crons(remote, log, code.kind == "wasm", memory, tell)
    now, address = int(time.time() * 1000), (await node.info()).address
    made = await asyncio.to_thread(
        make_fork, log, code, name, now, address, memory=memory, crons=crons
    )
    await node.local.restore(made.data, name, unique=True)
    await wait_until_computed(node, process, made.slot, tell)
    return TakenFork(await node.find(process), (*notes, *made.notes))


async def _of_source(remote: Remote, process: str, begin: int) -> tuple[str, ...]:
    """A note if the process is a fork at its source, too.

    Args:
        begin: the first slot that is read.

    Raises:
        AoError: its log begins later.
    """
    fork = await remote.forked(process)
    if fork is None:
        return ()
    if fork.memory > begin:
        raise AoError(
            f"{remote.source} has {process} as a fork that begins with a memory after slot"
            f" {fork.memory}, and no log before that",
            stage="fork",
            hint=f"fork it from its own source: {fork.source}",
        )
    return (
        f"{remote.source} has it as a fork itself, of {fork.source} up to slot {fork.slot}: it"
        " alone vouches for that",
    )


async def _find_memory(
    remote: Remote, process: str, module: str, slot: int | None, tell: Tell
) -> ForeignMemory | None:
    """The newest memory at or before a slot: of the compute unit, else of a trusted checkpoint."""
    newest = await remote.newest(process)
    last = slot if slot is not None else newest
    if not last:
        return None
    try:
        found = await remote.state(process)
    except ConnectionLostError as error:
        tell(f"no memory from its compute unit: {error.what}")
        found = None
    if found is not None and 0 < found.slot <= last:
        return found
    return await remote.checkpoint(process, module, last)


async def check_new(node: Node, process: str, name: str) -> None:
    """Raise AoError if the id or the name is taken: a home holds one fork of an id."""
    for reference in (process, name):
        with suppress(NotFoundError):
            found = await node.find(reference)
            if process == found.id:
                raise AoError(
                    f"process {process} is in this home already, as {found.name or 'no name'}",
                    stage="fork",
                    hint=f"at the prompt, .delete {found.name or found.id} first: a home holds one"
                    " fork of an id",
                )
            if name == found.name:
                raise UsageError(f"{name} exists already", hint="choose a new name")


async def wait_until_computed(node: Node, process: str, slot: int, tell: Tell) -> None:
    """Wait until all slots are computed. Cancelling only ends the wait."""
    waiting = asyncio.ensure_future(node.result(process, slot))
    start = time.monotonic()
    try:
        while not (await asyncio.wait([waiting], timeout=REPORT_EVERY))[0]:
            done = (await node.find(process)).computed
            left = (time.monotonic() - start) / max(1, done) * (slot + 1 - done)
            tell(f"{done:,} of {slot + 1:,} slots computed, {left:.0f} s left")
        await waiting
    finally:
        waiting.cancel()
