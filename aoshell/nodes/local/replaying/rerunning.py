"""Computes a log again, with code that the owner evaluates between two slots.

A separate worker computes it, and nothing is written. It begins with the newest checkpoint before
the code, else with the memory of a fork, else with the definition.
"""

from __future__ import annotations

import hashlib

from aoshell.errors import AoError
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.checkpoint import Checkpoint
from aoshell.nodes.local.log.reading import START
from aoshell.nodes.local.log.rows import Computed, Logged, ProcessRow, mark_of
from aoshell.nodes.local.replaying.replay import Replay
from aoshell.nodes.values import Place, Rerun, envelope
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Message, Result, Tag


async def rerun(engine: Engine, row: ProcessRow, slot: int, code: bytes, last: int) -> Rerun:
    """The results of the slots after `slot`, if the owner evaluates code there.

    Args:
        slot: the code is evaluated after this slot.
        last: the last slot that is computed.

    Raises:
        UsageError: the state after the slot is not known.
        AoError: stage "load", the code fails; stage "compute", it cannot be computed.
    """
    engine.origins.check_computed_here(row, slot)
    await engine.settling.wait_for_result(row.number, last)
    base = newest_base(engine, row, slot)
    loaded = await engine.loader.make_code(row)
    known = (base[0]._replace(seq=2 * base[0].seq), base[1]) if base else None
    replay = Replay(engine.supervisor, engine.modules, engine.limits, row, loaded, known)
    after = Place(base[1].slot, base[1].tick) if base else START
    before = _apart(base[1]) if base else None
    found: list[Result] = []
    begun = False
    try:
        for logged, computed in engine.store.entries(row.number, after):
            if logged.slot > last or computed is None:
                break
            if not begun and before is not None and (logged.slot, logged.tick) > (slot, 0):
                await _evaluate(replay, row, before, code)
                begun = True
            before = _apart(logged)
            if begun:
                found.append(await _computed(replay, row, before))
            else:
                await replay.past(before, computed)
        if not begun and before is not None:
            await _evaluate(replay, row, before, code)
    finally:
        replay.close()
    return Rerun(base[1].slot if base else -1, tuple(found))


def owners_eval(row: ProcessRow, before: Logged, code: bytes) -> Logged:
    """An Eval of the owner, placed like a cron message after another message."""
    tags = (*envelope("Message"), Tag("Action", "Eval"))
    identity = b64url(hashlib.sha256(before.id.encode() + code).digest())
    message = Message(identity, row.owner, row.owner, row.id, tags, code)
    body = form.dump_wire(form.from_message(message))
    return before._replace(tick=1, id=identity, signed=None, body=body)


def _apart(logged: Logged) -> Logged:
    """A message whose number is doubled, which leaves room for one after it."""
    return logged._replace(seq=2 * logged.seq)


async def _evaluate(replay: Replay, row: ProcessRow, before: Logged, code: bytes) -> None:
    placed = owners_eval(row, before, code)._replace(seq=before.seq + 1)
    outcome, flat = await replay.compute(placed)
    if outcome != "ok":
        why = form.widen(flat.error) if isinstance(flat.error, str) else outcome
        raise AoError(
            f"the code fails when it is loaded after slot {before.slot}: {why}",
            stage="load",
            hint="nothing was compared",
        )


async def _computed(replay: Replay, row: ProcessRow, logged: Logged) -> Result:
    outcome, flat = await replay.compute(logged)
    computed = Computed(logged.seq, outcome, 0.0, 0, 0, 0, b"")
    return form.to_result(row.id, logged, computed, flat, form.load_wire(logged.body))


def newest_base(engine: Engine, row: ProcessRow, slot: int) -> tuple[Checkpoint, Logged] | None:
    """The newest good checkpoint at or before a slot, with its last message; else the memory that a
    fork begins with; None for neither."""
    for checkpoint in engine.checkpoints.up_to(row.id, row.environment, slot):
        last = engine.store.computed_at(checkpoint.seq)
        is_its = (
            last is not None and last.process == row.number and mark_of(last) == checkpoint.mark
        )
        if last is not None and is_its and (last.slot, last.tick) <= (slot, 0):
            return checkpoint, last
    return engine.origins.base_of(row)
