"""Messages and results in the form in which they are stored and handed to workers.

A stored message is the JSON list `[id, from, owner, target, data, anchor, pushed_for, name, value,
…]`; a result is the list of `aoshell.sandbox.lua`. Text is latin-1, a character a byte (see
`aoshell.sandbox.frames`). This module is the only place that knows both these lists and the
dataclasses of `aoshell.protocol.message`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from aoshell.nodes.local.log.rows import Computed, Logged
from aoshell.nodes.values import LogEntry
from aoshell.protocol.message import Assignment, Message, Outgoing, Result, Tag
from aoshell.sandbox.frames import FrameError, is_count, is_text, pack

Wire = list[Any]

ID, FROM, OWNER, TARGET, DATA, ANCHOR, PUSHED_FOR, TAGS = range(8)


def dump(value: Wire) -> bytes:
    """A list as stored bytes."""
    return pack(value)


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


def printable(text: str) -> str:
    """Text for the eye and the database: bytes that are no UTF-8 become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


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


class _Doubter:
    """Goes over a result that is not believed yet. Raises FrameError where it is none."""

    def __init__(self, result: Wire) -> None:
        self._result = result
        self._at = 0

    def take(self, fits: Callable[[Any], bool], count: int = 1) -> Any:
        """The last of the next `count` values, all of which must fit."""
        part = self._result[self._at : self._at + count]
        if len(part) != count or not all(map(fits, part)):
            raise FrameError("no worker answers that")
        self._at += count
        return part[-1] if part else None

    def take_texts(self, each: int = 1) -> None:
        """A count, and that many times `each` texts."""
        self.take(is_text, each * self.take(is_count))

    def end(self) -> None:
        if self._at != len(self._result):
            raise FrameError("a worker's answer goes on behind its end")


def check_result(failed: bool, result: Wire) -> None:
    """Raise Unbelievable where what a worker answers is no result."""
    if not failed and _sends_nothing(result):
        return
    doubt = _Doubter(result)
    doubt.take(is_text if failed else _is_bool)
    doubt.take(is_text, 2)
    doubt.take(_is_bool)
    doubt.take_texts()
    if not failed:
        for _ in range(doubt.take(is_count)):
            doubt.take(_is_bool)
            doubt.take(lambda target: target is False or is_text(target))
            doubt.take(is_text, 2)
            doubt.take_texts(each=2)
        for _ in range(doubt.take(is_count)):
            doubt.take(is_text)
            doubt.take_texts()
    doubt.end()


_TYPES_OF_NOTHING = [bool, str, str, bool, int, int, int]


def _sends_nothing(result: Wire) -> bool:
    """Whether it is a good result without an outbox, as most are."""
    if list(map(type, result)) != _TYPES_OF_NOTHING or any((result[0], *result[4:])):
        return False
    return is_text(result[1]) and is_text(result[2])


def _is_bool(value: object) -> bool:
    return type(value) is bool


def assignment(process: str, logged: Logged) -> Assignment:
    """Where a stored message was placed."""
    return Assignment(
        process,
        logged.slot,
        logged.tick,
        logged.timestamp,
        logged.height,
        logged.chain,
        logged.seq,
    )


def to_entry(
    process: str, logged: Logged, computed: Computed | None, result: Wire | None
) -> LogEntry:
    """A message and its result; `result` is the loaded body of `computed`."""
    message = to_message(load(logged.body), assignment(process, logged))
    if computed is None or result is None:
        return LogEntry(message, None)
    return LogEntry(message, to_result(process, logged, computed, result))


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
        gas=computed.gas,
    )
