"""Messages and results in the form in which they are stored and handed to workers.

A stored message is the JSON list `[id, from, owner, target, data, anchor, pushed_for, name, value,
…]`; a result is the list of `aoshell.sandbox.lua`. Text is latin-1, a character a byte (see
`aoshell.sandbox.frames`). This module is the only place that knows both these lists and the
dataclasses of `aoshell.protocol.message`.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from aoshell.nodes.base import Entry
from aoshell.nodes.local.store import Computed, Logged
from aoshell.protocol.message import Assignment, Message, Outgoing, Result, Tag

Wire = list[Any]

ID, FROM, OWNER, TARGET, DATA, ANCHOR, PUSHED_FOR, TAGS = range(8)


def dump(value: Wire) -> bytes:
    """A list as stored bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("latin-1")


def load(body: bytes) -> Wire:
    """The inverse of `dump`."""
    wire: Wire = json.loads(body.decode("latin-1"))
    return wire


def narrow(text: str) -> str:
    """Our text (UTF-8 with surrogateescape) as one character a byte."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def widen(text: str) -> str:
    """The inverse of `narrow`."""
    if text.isascii():
        return text
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def b64url(digest: bytes) -> str:
    """A 32-byte digest as an id, 43 characters."""
    return urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def from_message(message: Message) -> Wire:
    """A message as a wire list."""
    wire = [
        message.id,
        narrow(message.from_),
        message.owner,
        narrow(message.target),
        message.data.decode("latin-1"),
        narrow(message.anchor),
        message.pushed_for,
    ]
    for tag in message.tags:
        wire += (narrow(tag.name), narrow(tag.value))
    return wire


def to_message(wire: Wire, assignment: Assignment | None) -> Message:
    """A wire list as a message."""
    tags = iter(wire[TAGS:])
    return Message(
        id=wire[ID],
        owner=wire[OWNER],
        from_=widen(wire[FROM]),
        target=widen(wire[TARGET]),
        tags=tuple(Tag(widen(name), widen(value)) for name, value in zip(tags, tags, strict=True)),
        data=wire[DATA].encode("latin-1"),
        anchor=widen(wire[ANCHOR]),
        pushed_for=wire[PUSHED_FOR],
        assignment=assignment,
    )


def tag(tags: Wire, name: str) -> str:
    """The first value of a tag in a list name, value, …; "" where there is none."""
    for at in range(0, len(tags), 2):
        if tags[at] == name:
            return str(tags[at + 1])
    return ""


class Outbox:
    """The part of a result behind its output, read once in order.

    Attributes:
        resumed: ids of messages whose suspended handling ended.
        messages: (spawn, target or None, data, anchor, [name, value, …]) each.
        assignments: (message id, [process id, …]) each.
    """

    def __init__(self, result: Wire) -> None:
        count = result[4]
        at = 5 + count
        self.resumed: list[str] = result[5:at]
        self.messages: list[tuple[bool, str | None, str, str, list[str]]] = []
        self.assignments: list[tuple[str, list[str]]] = []
        if len(result) == at:  # a failed message has no outbox
            return
        for _ in range(result[at]):
            spawn, target, data, anchor, tags = result[at + 1 : at + 6]
            at += 5
            pairs = result[at + 1 : at + 1 + 2 * tags]
            at += 2 * tags
            self.messages.append((spawn, target or None, data, anchor, pairs))
        at += 1
        for _ in range(result[at]):
            message, processes = result[at + 1 : at + 3]
            at += 2
            self.assignments.append((message, result[at + 1 : at + 1 + processes]))
            at += processes


def assignment(process: str, logged: Logged) -> Assignment:
    """Where a stored message was placed."""
    return Assignment(
        process, logged.slot, logged.tick, logged.timestamp, logged.height, logged.chain
    )


def to_entry(process: str, logged: Logged, computed: Computed | None, result: Wire | None) -> Entry:
    """A message and its result; `result` is the loaded body of `computed`."""
    message = to_message(load(logged.body), assignment(process, logged))
    if computed is None or result is None:
        return Entry(message, None)
    return Entry(message, to_result(process, logged, computed, result))


def to_result(process: str, logged: Logged, computed: Computed, wire: Wire) -> Result:
    """A stored result as a `Result`."""
    outbox = Outbox(wire)
    messages = []
    for spawn, target, data, anchor, pairs in outbox.messages:
        items = iter(pairs)
        tags = tuple(Tag(widen(n), widen(v)) for n, v in zip(items, items, strict=True))
        messages.append(
            Outgoing(widen(target or ""), tags, data.encode("latin-1"), widen(anchor), spawn)
        )
    return Result(
        process=process,
        slot=logged.slot,
        tick=logged.tick,
        outcome=computed.outcome,
        output=widen(wire[1]),
        prompt=widen(wire[2]),
        error=widen(wire[0] or ""),
        messages=tuple(messages),
        assignments=tuple((widen(m), tuple(map(widen, p))) for m, p in outbox.assignments),
        suspended=bool(wire[3]),
        resumed=tuple(outbox.resumed),
        milliseconds=computed.milliseconds,
        memory=computed.memory,
    )
