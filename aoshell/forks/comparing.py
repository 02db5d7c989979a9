"""Compares the results of a log here with those elsewhere, slot by slot.

It compares Error, Output, prompt, Messages, Spawns and Assignments. It leaves out gas and memory,
which networks measure differently. A difference of the kind "order" is one that depends on the
machine: the order that Lua's hash seed decides (of `pairs`, tags, keys in JSON), or addresses that
`tostring` shows. One of the kind "position" is only in the place of an error, which the Lua of
HyperBEAM does not report.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping, Sequence

from aoshell.errors import AoError
from aoshell.forks.log import REPORT_EVERY, Tell
from aoshell.forks.messages import ForeignMessage
from aoshell.forks.remote import Remote
from aoshell.protocol.message import Outgoing, Result, text
from aoshell.shell.ports.forking import ORDER, POSITION, SlotDifference

AT_ONCE = 8  # results that are asked for at the same time
SHOWN = 400  # characters of a text in a difference
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,16}")
_WORD = re.compile(r"\w+")
_POSITION = re.compile(r"""(\[string "[^"\n]{0,200}"\]|[\w./-]{1,200}):[0-9]{1,9}: """)

_Part = tuple[str, Callable[[Result], str]]


def _sent(result: Result, spawn: bool) -> str:
    return "\n".join(_outgoing(one) for one in result.messages if one.spawn == spawn)


def _outgoing(sent: Outgoing) -> str:
    tags = " ".join(f"{tag.name}={tag.value}" for tag in sent.tags)
    return f"{sent.target or '-'} {sent.anchor or '-'} {tags} {text(sent.data)!r}"


_PARTS: tuple[_Part, ...] = (
    ("error", lambda result: result.error),
    ("output", lambda result: "" if result.error else result.output),
    ("prompt", lambda result: "" if result.error else result.prompt),
    ("messages", lambda result: _sent(result, False)),
    ("spawns", lambda result: _sent(result, True)),
    ("assignments", lambda result: repr(result.assignments) if result.assignments else ""),
)


def difference(slot: int, there: Result, here: Result) -> SlotDifference | None:
    """The first unexplained difference of a slot, else the first explained one; None if equal."""
    explained: SlotDifference | None = None
    for kind, part in _PARTS:
        theirs, ours = part(there), part(here)
        if theirs == ours:
            continue
        if _loose(theirs) == _loose(ours):
            explained = explained or _shown(slot, ORDER, theirs, ours)
        elif not _POSITION.search(theirs) and theirs == _POSITION.sub("", ours):
            explained = explained or _shown(slot, POSITION, theirs, ours)
        else:
            return _shown(slot, kind, theirs, ours)
    return explained


def _loose(value: str) -> list[str]:
    """The parts of a text without addresses, sorted."""
    masked = _ADDRESS.sub("0x", value)
    return [*sorted(_WORD.findall(masked)), *sorted(_WORD.sub("", masked))]


def _shown(slot: int, kind: str, there: str, here: str) -> SlotDifference:
    """A difference; long texts are cut around its first character."""
    at = next((n for n, pair in enumerate(zip(there, here, strict=False)) if len(set(pair)) > 1), 0)
    begin = max(0, at - SHOWN // 4)
    return SlotDifference(slot, kind, there[begin : begin + SHOWN], here[begin : begin + SHOWN])


async def compare_log(
    remote: Remote,
    messages: Sequence[ForeignMessage],
    here: Mapping[int, Result],
    tell: Tell,
) -> tuple[int, tuple[SlotDifference, ...], tuple[tuple[int, str], ...]]:
    """The number of equal slots, the differences, and the slots that could not be compared.

    Args:
        messages: of the slots to compare, as the network scheduled them.
        here: results by slot.
    """
    ends = messages[0].assigned, messages[-1].assigned
    listed = await remote.results(ends[0].process, *ends)
    gate, start = asyncio.Semaphore(AT_ONCE), time.monotonic()
    equal, done, reported_at = 0, 0, start
    different: list[SlotDifference] = []
    uncompared: list[tuple[int, str]] = []

    async def ask(found: ForeignMessage) -> Result | AoError:
        assigned = found.assigned
        if assigned.slot in listed:
            return listed[assigned.slot]
        name = found.message.id if found.message else assigned.message
        async with gate:
            try:
                return await remote.result(assigned.process, assigned.slot, name)
            except AoError as error:
                return error

    asking = [asyncio.ensure_future(ask(found)) for found in messages]
    try:
        for found, answer in zip(messages, asking, strict=True):
            there, slot = await answer, found.assigned.slot
            done += 1
            if isinstance(there, AoError):
                uncompared.append((slot, f"{there.stage}: {there.what}"))
            elif slot not in here:
                uncompared.append((slot, "it has no result here"))
            elif (differs := difference(slot, there, here[slot])) is None:
                equal += 1
            else:
                different.append(differs)
            if time.monotonic() - reported_at > REPORT_EVERY:
                reported_at = time.monotonic()
                left = (reported_at - start) / done * (len(messages) - done)
                tell(f"{done:,} of {len(messages):,} slots compared, {left:.0f} s left")
    finally:
        for task in asking:
            task.cancel()
    return equal, tuple(different), tuple(uncompared)
