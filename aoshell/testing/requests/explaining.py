"""Explains the outcomes of a test's messages, with the test's own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.replaying.rehearsal import Rehearsed
from aoshell.nodes.values import LogEntry
from aoshell.protocol.tag_names import title_case
from aoshell.shell.help.explaining import (
    ask_why,
    explanation,
    other_names,
    read_facts,
    refuse_stopped,
)
from aoshell.testing.code.references import ME
from aoshell.testing.testbed.answers import make_answer
from aoshell.testing.testbed.node import AsyncNode, AsyncProcess

_REFUSED = ("Message is not trusted! From: ", "Assignment is not trusted! From: ")
LOOKED = 0.5  # seconds of processor time to observe a message that does not end
# A trial reports where it computes after this call within the message (`sandbox.lua`).
_PLACES = """local evaluate = Handlers.evaluate
Handlers.evaluate = function(msg, env)
  package.loaded[".places"]()
  return evaluate(msg, env)
end"""
_MOST = 20  # newest failed messages that are explained


async def explain(process: AsyncProcess, slot: int) -> list[str]:
    """Which handlers were asked, what they answered, and what to do next, as lines.

    The message is handled once more in the state before it; the result is discarded.

    Returns:
        [] if that is not known.
    """
    local = process.node.local
    with suppress(AoError):
        recorded = await local.result(process.id, slot)
        refuse_stopped(recorded, str(slot))
        message = (await local.schedule(process.id, slot, slot))[0]
        found = await local.workbench.at(process.id, slot - 1, ask_why(message))
        facts = read_facts(found, str(slot))
        lines = [*explanation(facts, recorded), *other_names(facts, message)]
        if not facts.get("refused"):
            lines.append(_next_step(facts))
        return [_named(line, process.node) for line in lines]
    return []


def _next_step(facts: Mapping[str, Any]) -> str:
    ran = [one["name"] for one in facts.get("asked") or () if one.get("verdict")]
    own = [name for name in ran if not name.startswith("_")]
    if own:
        return f"→ {own[-1]} ran: msg.reply {{ … }} or Send {{ … }} in it sends a message"
    return "→ fix the tag of the message, or the pattern of the handler that should take it"


async def where_it_computes(process: AsyncProcess, slot: int) -> str:
    """The line where a message that exceeded a time limit computes, as "FILE:LINE".

    It is computed once more for that, on a temporary copy.

    Returns:
        "" if that is not known.
    """
    # Imported here: few tests ask for it.
    from aoshell.nodes.local.log import form

    local = process.node.local
    if not isinstance(local, LocalNode):
        return ""
    with suppress(AoError):
        message = (await local.schedule(process.id, slot, slot))[0]
        rehearsal = await local.rehearse(process.id, local.limits)
        try:
            again = Rehearsed(
                *(message.id, message.from_, message.owner),
                tuple(form.narrow(part) for tag in message.tags for part in (tag.name, tag.value)),
                *(message.data.decode("latin-1"), 0, True),
            )
            await rehearsal.prepare(_PLACES)
            (done,) = await rehearsal.perform([again], LOOKED)
        finally:
            rehearsal.close()
        return done.line if done.outcome == "time" else ""
    return ""


async def find_troubles(node: AsyncNode) -> list[dict[str, Any]]:
    """The messages that failed, were not trusted, or have a tag that the code reads by another
    name; the newest first: process, slot, text."""
    found: list[tuple[int, dict[str, Any]]] = []
    keeping = {one.id for one in await node.local.processes() if one.tags_as_sent}
    for process in await node.processes():
        for entry in await process.entries():
            assigned = entry.message.assignment
            why = _trouble(entry)
            if not why and process.id not in keeping:
                why = _renamed(entry, node.sources)
            if why and assigned is not None:
                what = entry.message.tag("Action") or "a message without Action"
                text = _named(f"{what} {why}", node)
                about = {"process": process.id, "slot": assigned.slot, "text": text}
                found.append((assigned.order, about))
    return [about for _at, about in sorted(found, key=lambda pair: -pair[0])[:_MOST]]


def _trouble(entry: LogEntry) -> str:
    result = entry.result
    if result is None:
        return ""
    if not result.ok:
        return f"failed: {make_answer('', '', result, None, {}).error or result.outcome}"
    if result.output.startswith(_REFUSED):
        return (
            f"was not trusted: it came from {entry.message.from_}, and {entry.message.owner}"
            " signed it, who is not among ao.authorities"
        )
    return ""


def _renamed(entry: LogEntry, sources: Mapping[str, str]) -> str:
    """A note on a tag whose name aos has changed, and that the test's code reads by its original
    name."""
    for name in dict.fromkeys(tag.name for tag in entry.message.tags):
        if title_case(name) == name:
            continue
        looked_for = re.compile(rf"""[.'"]{re.escape(name)}\b""")
        if any(looked_for.search(text) for text in sources.values()):
            return (
                f"had the tag {name}: handlers find it as {title_case(name)}, or as it came in a"
                ' process made with { tags = "as-sent" }'
            )
    return ""


def _named(text: str, node: AsyncNode) -> str:
    for name, address in node.people.items():
        text = text.replace(f'"{address}"', f"@{name}")  # as `eval` takes it
        text = text.replace(address, "t.owner" if name == ME else name)
    return text.replace(node.address, "the node of this test")
