"""Results in the JSON of a compute unit, and the cursors of its pages.

Sources: servers/cu of permaweb/ao (routes, domain/lib/gatherResults.js), process.lua of aos, and
what aoconnect and aos read of it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from aoshell.bounded import jsontext
from aoshell.nodes.values import LogEntry, Place
from aoshell.protocol.message import Outgoing, Result, Tag, printable
from aoshell.serve.asgi.http import RequestError

LONGEST_CURSOR = 1024  # characters
ASC, DESC = "ASC", "DESC"


def result_of(entry: LogEntry) -> dict[str, Any]:
    """The answer of `GET /result` for a computed message."""
    assert entry.result is not None
    return to_cu(entry.result)


def to_cu(result: Result) -> dict[str, Any]:
    """A result as compute units give it."""
    if not result.ok:
        return {
            "Error": printable(result.error or result.outcome),
            "Messages": [],
            "Spawns": [],
            "Assignments": [],
            "Output": [],
            "GasUsed": result.gas,
        }
    output: dict[str, Any] = {"data": printable(result.output), "prompt": printable(result.prompt)}
    if result.print:  # aos shows it in its feed
        output["print"] = True
    return {
        "Output": output,
        "Messages": [_sent(one) for one in result.messages if not one.spawn],
        "Spawns": [_sent(one) for one in result.messages if one.spawn],
        "Assignments": [
            {"Message": printable(id), "Processes": [printable(process) for process in processes]}
            for id, processes in result.assignments
        ],
        "GasUsed": result.gas,
    }


def _sent(sent: Outgoing) -> dict[str, Any]:
    target = {} if sent.spawn else {"Target": printable(sent.target)}
    return target | {
        "Anchor": printable(sent.anchor),
        "Tags": tags_in_json(sent.tags),
        "Data": sent.data.decode("utf-8", "replace"),
    }


def tags_in_json(tags: Iterable[Tag]) -> list[dict[str, str]]:
    """Tags as the units and gateways of the network write them."""
    return [{"name": printable(tag.name), "value": printable(tag.value)} for tag in tags]


def tags_from_json(given: object) -> tuple[Tag, ...]:
    """The inverse of `tags_in_json`.

    Raises:
        RequestError: 400, it is not a list of this form.
    """
    tags = []
    for one in given if isinstance(given, list) else [None]:
        match one:
            case {"name": str(name), "value": str(value)}:
                tags.append(Tag(name, value))
            case _:
                raise RequestError(400, 'tags are a list of objects {"name": text, "value": text}')
    return tuple(tags)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins or ends: a place, or a time.

    Attributes:
        place: a place in the log; None where it is a time.
        time: milliseconds since the Unix epoch; None where it is a place.
        sort: "ASC", "DESC", or "" if the cursor names no order.
    """

    place: Place | None = None
    time: int | None = None
    sort: str = ""


def write_cursor(entry: LogEntry, sort: str) -> str:
    """The cursor of a result. aos decodes it, and reads `ordinate`."""
    placed = entry.message.placed
    fields = {
        "timestamp": placed.timestamp,
        "ordinate": str(placed.slot),
        "cron": str(placed.tick) if placed.tick else None,
        "sort": sort,
    }
    return base64.b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode()


def read_cursor(text: str) -> Cursor:
    """A cursor that `write_cursor` wrote, or a number: a time.

    Raises:
        RequestError: 400, it is neither.
    """
    if text.isdecimal() and len(text) < 16:
        return Cursor(time=int(text))
    try:
        if len(text) > LONGEST_CURSOR:
            raise ValueError
        padded = text + "=" * (-len(text) % 4)
        fields = jsontext.parse(base64.b64decode(padded, validate=True))
        tick = fields.get("cron") or 0
        place = Place(_number(fields["ordinate"]), _number(tick))
        sort = str(fields.get("sort") or "").upper()
        if sort not in ("", ASC, DESC):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
        raise RequestError(
            400, "the cursor is neither one of this node nor a time in milliseconds"
        ) from None
    return Cursor(place, None, sort)


def _number(value: object) -> int:
    text = str(value)
    if not text.isdecimal() or len(text) > 15:
        raise ValueError
    return int(text)
