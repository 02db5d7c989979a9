"""The page's data as JSON values. Long texts and lists are cut, and marked as cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

from aoshell.nodes.glances import HopPage, Use
from aoshell.nodes.values import Hop, LogEntry, Place, ProcessInfo
from aoshell.protocol.message import Outgoing, Result, Tag, text
from aoshell.serve.page.shown import line, shown

LONGEST_NAME = 256  # characters of a name, an address, an action
LONGEST_LINE = 160  # of an output in a list
LONGEST_TEXT = 64 << 10  # of data, an output, an error
LONGEST_STATE = 256 << 10  # of what a process exposes
LONGEST_VALUE = 4096  # of a tag
MOST_TAGS = 200  # of a message
MOST_SENT = 100  # messages of an outbox, and as many assignments

Value: TypeAlias = dict[str, Any]


def write_place(place: Place) -> str:
    """A place as the page writes it: "12", or "12.3" for a cron message after slot 12."""
    return f"{place.slot}.{place.tick}" if place.tick else str(place.slot)


def process_value(info: ProcessInfo) -> Value:
    """A process, without facts about this machine, such as paths and sizes on disk."""
    return {
        "id": info.id,
        "name": line(info.name, LONGEST_NAME),
        "owner": line(info.owner, LONGEST_NAME),
        "module": line(info.alias or info.module, LONGEST_NAME),
        "authority": line(info.authority, LONGEST_NAME),
        "slots": info.slots,
        "computed": info.computed,
        "memory": info.memory,
        "waiting": info.waiting,
        "created": info.created,
        "client": info.network,
    }


def row_value(entry: LogEntry) -> Value:
    """A message as a row of a list."""
    message, placed = entry.message, entry.message.placed
    row: Value = {
        "at": write_place(Place(placed.slot, placed.tick)),
        "id": line(message.id, LONGEST_NAME),
        "time": placed.timestamp,
        "from": line(message.from_, LONGEST_NAME),
        "action": line(message.tag("Action") or _kind(entry), LONGEST_NAME),
        "outcome": None,
    }
    if entry.result is not None:
        row |= _cost(entry.result)
        row["output"] = line(entry.result.error or entry.result.output, LONGEST_LINE)
    return row


def _kind(entry: LogEntry) -> str:
    if entry.message.placed.tick:
        return "Cron"
    return "" if entry.message.placed.slot else "Process"


def _cost(result: Result) -> Value:
    return {
        "outcome": result.outcome,
        "ms": round(result.milliseconds, 3),
        "memory": result.memory,
        "gas": result.gas,
        "sent": len(result.messages),
        "suspended": result.suspended,
    }


def message_value(entry: LogEntry) -> Value:
    """A message with its whole result."""
    message, placed = entry.message, entry.message.placed
    found = row_value(entry) | {
        "owner": line(message.owner, LONGEST_NAME),
        "target": line(message.target, LONGEST_NAME),
        "anchor": line(message.anchor, LONGEST_NAME),
        "root": line(message.pushed_for, LONGEST_NAME),
        "height": placed.block_height,
        "tags": _tags(message.tags),
        "data": data_value(message.data),
    }
    if entry.result is not None:
        found["result"] = _result(entry.result)
    return found


def _result(result: Result) -> Value:
    return {
        "output": shown(result.output, LONGEST_TEXT),
        "error": shown(result.error, LONGEST_TEXT),
        "prompt": line(result.prompt, LONGEST_NAME),
        "messages": [_sent(one) for one in result.messages[:MOST_SENT]],
        "assignments": [
            {"message": line(id, LONGEST_NAME), "processes": line(", ".join(to), LONGEST_VALUE)}
            for id, to in result.assignments[:MOST_SENT]
        ],
        "resumed": [line(id, LONGEST_NAME) for id in result.resumed[:MOST_SENT]],
    }


def _sent(sent: Outgoing) -> Value:
    tags = {tag.name: tag.value for tag in reversed(sent.tags)}
    return {
        "spawn": sent.spawn,
        "target": line(sent.target, LONGEST_NAME),
        "action": line(tags.get("Action", ""), LONGEST_NAME),
        "tags": len(sent.tags),
        "data": line(text(sent.data[: LONGEST_LINE * 4]), LONGEST_LINE),
        "size": len(sent.data),
    }


def _tags(tags: Sequence[Tag]) -> Value:
    pairs = [[line(t.name, LONGEST_NAME), shown(t.value, LONGEST_VALUE)] for t in tags[:MOST_TAGS]]
    return {"pairs": pairs, "more": max(0, len(tags) - MOST_TAGS)}


def data_value(data: bytes) -> Value:
    """The data of a message: its beginning as text, or a mark that it is not text."""
    head = data[: LONGEST_TEXT + 4]
    try:
        given = head.decode()
    except UnicodeDecodeError as error:
        if len(data) == len(head) or error.start < len(head) - 4:
            return {"size": len(data), "text": None, "cut": False}
        given = head[: error.start].decode()  # drop a character that was cut in two
    return {
        "size": len(data),
        "text": shown(given, LONGEST_TEXT),
        "cut": len(data) > len(head) or len(given) > LONGEST_TEXT,
    }


def trace_value(page: HopPage) -> Value:
    """What a root caused: each hop has the index of the hop that caused it."""
    return {"hops": [_hop(hop) for hop in page.hops], "more": page.more}


def _hop(hop: Hop) -> Value:
    found: Value = {"process": hop.process, "cause": hop.cause}
    if hop.entry is not None:
        return found | row_value(hop.entry)
    assert hop.kept is not None
    message = hop.kept.message
    return found | {
        "action": line(message.tag("Action"), LONGEST_NAME),
        "target": line(message.target, LONGEST_NAME),
        "kept": line(hop.kept.reason, LONGEST_LINE),
    }


def state_value(state: object) -> str:
    """What a process exposes, as text."""
    if isinstance(state, str):
        return shown(state, LONGEST_STATE)
    return shown(json.dumps(state, indent=2, ensure_ascii=False), LONGEST_STATE)


def use_value(parts: Sequence[Use]) -> list[list[float]]:
    """What slots used: [first slot, last slot, milliseconds, bytes, gas, number of failures]."""
    return [
        [one.first, one.last, round(one.milliseconds, 3), one.memory, one.gas, one.failed]
        for one in parts
    ]
