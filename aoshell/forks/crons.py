"""Cron messages of the past, made as the network's compute unit makes them.

No scheduler lists them. A unit makes them between two messages of the log, from the tags of the
definition, the times of the messages, and the blocks of Arweave. This module makes those of a unit
that computes the whole log at once. A unit that was asked for a result in between may have computed
some of them twice.

Source: permaweb/ao servers/cu, src/domain/lib/loadMessages.js and evaluate.js, src/effects/
ao-block.js. Times are milliseconds since the Unix epoch; of blocks, whole seconds.
"""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from aoshell.errors import AoError
from aoshell.forks.log import ForeignLog, Tell
from aoshell.forks.messages import Assigned
from aoshell.forks.remote import ForeignMemory, Remote
from aoshell.nodes.local.delivery.push import FORGED
from aoshell.protocol.message import Tag

INTERVAL = "Cron-Interval"
MOST = 200_000  # cron messages of one log
_REMEMBERED = 100  # newest messages by which a unit notices repetitions
_BLOCKS = ("block", "blocks")
_CRON_TAG = re.compile(r"Cron-Tag-(.+)")
_WHOLE = re.compile(r"\s*([+-]?[0-9]+)")
_TIME = re.compile(r"([0-9]*\.?[0-9]+) *([a-z]+)?", re.IGNORECASE)
_MILLISECONDS = {  # by unit of the package ms; messages with other units are never sent
    **dict.fromkeys(("years", "year", "yrs", "yr", "y"), 31_557_600_000),
    **dict.fromkeys(("weeks", "week", "w"), 604_800_000),
    **dict.fromkeys(("days", "day", "d"), 86_400_000),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), 3_600_000),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m"), 60_000),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s"), 1000),
    **dict.fromkeys(("milliseconds", "millisecond", "msecs", "msec", "ms", ""), 1),
}


class InexactCronError(Exception):
    """Cron messages cannot be made as a unit makes them; the text says why."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of Arweave."""

    height: int
    timestamp: int


@dataclass(frozen=True, slots=True)
class CronMessage:
    """A cron message."""

    timestamp: int
    height: int
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class PastCrons:
    """The cron messages of a log, by the slot that they follow.

    Attributes:
        notes: what a person should know.
    """

    by_slot: Mapping[int, Sequence[CronMessage]]
    notes: tuple[str, ...] = ()


NO_CRONS = PastCrons({})


@dataclass(frozen=True, slots=True)
class _Cron:
    """A schedule: every `every` seconds, or blocks."""

    every: int
    blocks: bool
    tags: tuple[Tag, ...]


async def past_crons(
    remote: Remote, log: ForeignLog, is_wasm: bool, memory: ForeignMemory | None, tell: Tell
) -> PastCrons:
    """The cron messages up to the last slot of a log.

    There are none where they cannot be made as the network made them; a note then says why.

    Args:
        is_wasm: whether the process runs WASM.
        memory: the one that the fork begins with; the log has slot 0, then that of the memory.
        tell: shows what takes long.
    """
    first = log.messages[0].message
    assert first is not None
    if not any(tag.name == INTERVAL for tag in first.tags):
        return NO_CRONS
    places: Sequence[Assigned] = [one.assigned for one in log.messages]
    origin = places[0]
    try:
        if memory is not None:
            places = _after_memory(places[1:], memory)
        crons = parse_crons(first.tags)
        if not crons or len(places) < 2:
            return NO_CRONS
        await _check_units(remote, is_wasm)
        tell("the blocks of Arweave are read, for its cron messages")
        blocks = await _blocks(remote, places)
        by_slot = make_crons(crons, origin, places, blocks)
    except InexactCronError as why:
        return PastCrons({}, (_left_out(str(why)),))
    except AoError as error:
        return PastCrons({}, (_left_out(error.what),))
    many = sum(map(len, by_slot.values()))
    note = f"{many:,} cron messages were made as a compute unit makes them: no scheduler lists them"
    return PastCrons(by_slot, (note,) if many else ())


def _after_memory(places: Sequence[Assigned], memory: ForeignMemory) -> Sequence[Assigned]:
    if len(places) > 1 and memory.timestamp != places[0].timestamp:
        raise InexactCronError(
            f"the memory after slot {memory.slot} may contain some of those that follow this slot"
        )
    return places


async def _check_units(remote: Remote, is_wasm: bool) -> None:
    """Raise InexactCronError where no compute unit of the network makes cron messages."""
    if not is_wasm:
        raise InexactCronError("compute units run WASM only")
    if remote.is_hyperbeam:
        raise InexactCronError(f"{remote.source} is a HyperBEAM node, which has no such messages")
    if await remote.is_own():
        raise InexactCronError(f"{remote.source} is aoshell serve, which has a clock of its own")


async def _blocks(remote: Remote, places: Sequence[Assigned]) -> Sequence[Block]:
    lowest, until = places[0].height, places[-1].timestamp // 1000
    found = await remote.gateway.blocks(lowest, until)
    return [Block(height, seconds * 1000) for height, seconds in found]


def _left_out(why: str) -> str:
    return (
        f"it has cron messages, which no scheduler lists; those of the past are left out ({why}),"
        " so its state may differ"
    )


def parse_crons(tags: Sequence[Tag]) -> Sequence[_Cron]:
    """The schedules in the tags of a definition, in the order of a unit: blocks first.

    Raises:
        InexactCronError: no unit computes such a process, or the order of its messages is unknown.
    """
    found: list[tuple[str, list[Tag]]] = []
    for tag in tags:
        named = _CRON_TAG.fullmatch(tag.name)
        if tag.name == INTERVAL:
            found.append((tag.value, []))
        elif named and not found:
            raise InexactCronError(f"{tag.name} comes before any {INTERVAL}")
        elif named and named[1] not in FORGED:
            found[-1][1].append(Tag(named[1], tag.value))
    crons = [_parse_cron(text, tuple(taken)) for text, taken in found]
    if len(crons) > 1 and any(cron.every <= 0 for cron in crons):
        raise InexactCronError("one of its intervals is invalid")
    ready = [cron for cron in crons if cron.every > 0]
    times = sorted((cron for cron in ready if not cron.blocks), key=lambda cron: cron.every)
    return [*(cron for cron in ready if cron.blocks), *times]


def _parse_cron(text: str, tags: tuple[Tag, ...]) -> _Cron:
    """A schedule; `every` is 0 where a unit never sends its message."""
    value, _, rest = text.partition("-")
    value, unit = value.strip(), rest.partition("-")[0].strip()
    if unit in _BLOCKS:
        whole = _WHOLE.match(value)
        return _Cron(abs(int(whole[1])) if whole else 0, True, tags)
    time = _TIME.fullmatch(f"{value} {unit}") if len(value) < 16 else None
    milliseconds = _MILLISECONDS.get((time[2] or "").lower()) if time else None
    if time is None or milliseconds is None:
        return _Cron(0, False, tags)
    every = int(float(time[1]) * milliseconds / 1000)
    if every <= 0:
        raise InexactCronError(f"{text} is shorter than a second, and no compute unit accepts it")
    return _Cron(every, False, tags)


def make_crons(
    crons: Sequence[_Cron],
    origin: Assigned,
    places: Sequence[Assigned],
    blocks: Sequence[Block],
) -> dict[int, list[CronMessage]]:
    """The cron messages between places of a log, by the slot that they follow.

    Args:
        crons: from `parse_crons`.
        origin: slot 0, from which times and heights are counted.
        places: slots that follow each other.
        blocks: from the height of the first place on, in order.

    Raises:
        InexactCronError: there are more than `MOST`.
    """
    found: dict[int, list[CronMessage]] = {}
    recent: deque[tuple[int, int]] = deque(maxlen=_REMEMBERED)
    many = 0
    for left, right in pairwise(places):
        for number, made in _between(crons, origin, left, right, blocks):
            key = (made.timestamp, number)
            if key in recent:
                continue
            recent.append(key)
            many += 1
            if many > MOST:
                raise InexactCronError(f"there are more than {MOST:,}")
            found.setdefault(left.slot, []).append(made)
    return found


def _between(
    crons: Sequence[_Cron],
    origin: Assigned,
    left: Assigned,
    right: Assigned,
    blocks: Sequence[Block],
) -> Iterator[tuple[int, CronMessage]]:
    """The messages between two places, each with the number of its schedule.

    A unit goes from the left time to the right one in steps of a second. At each step it takes one
    block, if any has come, and then sends the messages that are due.
    """
    steps = max(0, (right.timestamp - left.timestamp + 999) // 1000)
    first = left.timestamp // 1000
    came = _steps_of_blocks(blocks, left, right, first, steps)
    due = [
        _steps_of_time(number, cron.every, first - origin.timestamp // 1000, steps)
        for number, cron in enumerate(crons)
        if not cron.blocks
    ]
    height = left.height
    for step, number, block in heapq.merge(came, *due, key=lambda one: (one[0], one[1])):
        if block is None:
            yield number, CronMessage(left.timestamp + 1000 * step, height, crons[number].tags)
            continue
        height = block.height
        passed = height - origin.height
        for number, cron in enumerate(crons):
            if cron.blocks and passed and passed % cron.every == 0:
                yield number, CronMessage(block.timestamp, height, cron.tags)


def _steps_of_blocks(
    blocks: Sequence[Block], left: Assigned, right: Assigned, first: int, steps: int
) -> Iterator[tuple[int, int, Block | None]]:
    """The steps at which blocks come: one a step, in order, none before its time."""
    step = -1
    for block in blocks:
        if left.timestamp < block.timestamp < right.timestamp:
            step = max(step + 1, block.timestamp // 1000 - first)
            if step >= steps:
                return
            yield step, -1, block


def _steps_of_time(
    number: int, every: int, since: int, steps: int
) -> Iterator[tuple[int, int, Block | None]]:
    """The steps at which a schedule is due; `since`: seconds from the origin to the first step."""
    for step in range(-since % every, steps, every):
        if since + step:
            yield step, number, None
