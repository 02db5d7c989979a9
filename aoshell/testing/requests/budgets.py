"""Budgets of a test: limits for each message that is handled while a function runs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.nodes.values import LogEntry, ProcessInfo
from aoshell.protocol.message import Tag
from aoshell.shell.help.explaining import ASKED
from aoshell.testing.testbed.clock import TestedNode

_MOST = 100_000  # messages of one process that are checked
Mark = Mapping[str, int]
"""The last slot of each process, by id, at the beginning of a budget."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The cost of a message.

    Attributes:

        steps: instructions of Lua, or fuel of WebAssembly.
        ms: milliseconds.
    """

    process: ProcessInfo
    entry: LogEntry
    steps: int
    ms: float


async def begin(node: TestedNode) -> Mark:
    """The beginning of a budget."""
    return {info.id: info.slots - 1 for info in await node.processes()}


async def spent_since(node: TestedNode, mark: Mark) -> list[Spent]:
    """The cost of each message handled since then, the most expensive first."""
    found: list[Spent] = []
    for info in await node.processes():
        for entry in await node.results(info.id, mark.get(info.id, -1), _MOST):
            if entry.result is not None:
                result = entry.result
                found.append(Spent(info, entry, result.gas, result.milliseconds))
    return sorted(found, key=lambda one: -one.steps)


async def too_dear(node: TestedNode, spent: list[Spent], most: int) -> str:
    """Why messages that took more than `most` steps fail a test; "" if there are none."""
    dear = [one for one in spent if one.steps > most]
    if not dear:
        return ""
    first = dear[0]
    handlers = await _handlers(node, first)
    lines = [f"{_what(first, handlers)} took {first.steps:,} steps; {most:,} are allowed"]
    if dear[1:]:
        lines.append(f"so did {len(dear) - 1} more: more than {most:,} steps each")
    if handlers:
        lines.append(
            "→ --coverage-report html shows how often each line ran: look for loops over everything"
        )
    lines.append(f"→ if that is expected, allow steps = {first.steps}")
    return "\n".join(lines)


async def too_slow(node: TestedNode, spent: list[Spent], most: float) -> str:
    """A warning about messages that took longer than `most` ms; "" if there are none."""
    slow = sorted((one for one in spent if one.ms > most), key=lambda one: -one.ms)
    if not slow:
        return ""
    handlers = await _handlers(node, slow[0])
    return f"{_what(slow[0], handlers)} took {slow[0].ms:.1f} ms; the limit is {most:g} ms"


def _what(spent: Spent, handlers: list[str]) -> str:
    """A message and its handler, for people."""
    message, process = spent.entry.message, spent.process
    slot = message.assignment.slot if message.assignment else 0
    place = f"slot {slot} of {process.name or process.id}"
    action = message.tag("Action") or message.tag("Type") or "a message"
    if not handlers:
        return f"{action} ({place})"
    return f"the handler {' and '.join(handlers)}, for {action} ({place}),"


async def _handlers(node: TestedNode, spent: Spent) -> list[str]:
    """The handlers that took a message; none if its environment does not report them."""
    message = spent.entry.message
    placed = message.assignment
    if placed is None or placed.slot < 1:
        return []
    with suppress(AoError, ValueError, KeyError, TypeError):
        at = f"{placed.timestamp} {placed.block_height} {placed.slot}"
        asked = replace(message, tags=(*message.tags, Tag(ASKED, at)))
        found = await node.workbench.at(spent.process.id, placed.slot - 1, asked)
        facts = jsontext.parse(found.output, strict=False)
        return [str(one["name"]) for one in facts["asked"] if one.get("verdict")]
    return []
