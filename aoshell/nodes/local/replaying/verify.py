"""`.verify-log`: compute a log again, from its first message, and compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.reading import START
from aoshell.nodes.local.log.rows import Computed, Logged, ProcessRow
from aoshell.nodes.local.replaying.replay import Again, Entry, Replay
from aoshell.nodes.values import Place

# The end of an error of host/bridge.lua. Logs from before it was added lack it.
ADDED_TEXT = ": a result has 200000 fields at the most, five a message and two a tag"


async def verify_log(engine: Engine, row: ProcessRow) -> list[str]:
    """Differences between a process's results and a new computation, one line each.

    A fork with a memory is computed from there on.

    The outcome of a message that was stopped (`STOPPED`) is not compared: it depends on limits and
    the machine, not only on the log.
    """
    code = await engine.loader.make_code(row)
    base = engine.origins.base_of(row)
    replay = Replay(engine.supervisor, engine.modules, engine.limits, row, code, base, again=True)
    after = Place(base[1].slot, base[1].tick) if base else START
    whole = engine.scheduler.head(row.number).slot - after.slot
    differences: list[str] = []
    try:
        log = _computed(engine.store.entries(row.number, after))
        with engine.work.seen("verify", row.name or row.id[:8], whole) as seen:
            async for again in replay.results(log):
                seen(again.logged.slot - after.slot)
                differences += _found(again)
                if again.outcome != again.computed.outcome:
                    differences.append("the rest was not compared: its state is another one")
                    break
        return differences
    finally:
        replay.close()


def _computed(log: Iterable[tuple[Logged, Computed | None]]) -> Iterator[Entry]:
    """The messages of a log up to the first that has no result yet."""
    for logged, computed in log:
        if computed is None:
            return
        yield logged, computed


def _found(again: Again) -> list[str]:
    """The difference in a message, as a line of text; [] if there is none."""
    logged, computed, outcome, result = again
    if outcome == computed.outcome and form.dump_result(result) == computed.body:
        return []
    stored = form.load_result(computed.body)
    if outcome == "error" and result.error == f"{stored.error}{ADDED_TEXT}":
        stored = stored._replace(error=result.error)
    if not form.Outbox(stored).returned:  # an earlier aoshell did not keep it
        result = form.without_returned(result)
    if (outcome, result) == (computed.outcome, stored):
        return []
    place = f"slot {logged.slot}" + (f" tick {logged.tick}" if logged.tick else "")
    return [f"{place}: {_difference(computed, stored, outcome, result)}"]


def _difference(
    computed: Computed, stored: form.FlatResult, outcome: str, result: form.FlatResult
) -> str:
    if computed.outcome != outcome:
        return f"was {computed.outcome}, is {outcome}"
    names = ("error", "output", "prompt", "suspended")
    for name, old, new in zip(names, stored, result, strict=False):
        if old != new:
            return f"{name} was {old!r:.60}, is {new!r:.60}"
    was, now = form.Outbox(stored).returned, form.Outbox(result).returned
    return f"it returned {was!r:.60}, and now {now!r:.60}" if was != now else "its outbox differs"
