"""Converts messages and results to and from the lists that the log stores and workers use.

A stored message is the JSON list `[id, from, owner, target, data, anchor, pushed_for, name, value,
…]`; a result is the list of `aoshell.sandbox.lua`, here `FlatResult`. Text is latin-1, a character
a byte (see `aoshell.sandbox.frames`). This module is the only place that knows both these lists and
the dataclasses of `aoshell.protocol.message`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from aoshell.nodes.local.log.rows import Computed, Kept, Logged
from aoshell.nodes.values import LogEntry, Undelivered
from aoshell.protocol.message import Assignment, Message, Outgoing, Result, Tag
from aoshell.sandbox.frames import FrameError, is_count, is_text
from aoshell.sandbox.packing import pack_list, unpack

Wire = list[Any]

ID, FROM, OWNER, TARGET, DATA, ANCHOR, PUSHED_FOR, TAGS = range(8)


def dump_wire(value: Wire) -> bytes:
    """A list as stored bytes."""
    return pack_list(value)


def load_wire(body: bytes) -> Wire:
    """The inverse of `dump_wire`."""
    wire: Wire = unpack(body)
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


def find_tag(tags: Wire, name: str) -> str:
    """The first value of a tag in a list name, value, …; "" where there is none."""
    for at in range(0, len(tags), 2):
        if tags[at] == name:
            return str(tags[at + 1])
    return ""


class FlatResult(NamedTuple):
    """A result. Workers and the log have it as one flat list of all fields.

    Attributes:
        error: a text; False if nothing failed; None if it was stopped and the node adds the text.
        ended: how many suspended handlings ended.
        rest: their ids, then the outbox, then what an Eval returned; see `Outbox`.
    """

    error: str | bool | None
    output: str
    prompt: str
    suspended: bool
    ended: int
    rest: list[Any]

    @classmethod
    def of(cls, values: Sequence[Any]) -> FlatResult:
        """A result from a flat list, unchecked. Raises FrameError if the list is too short."""
        try:
            error, output, prompt, suspended, ended, *rest = values
        except ValueError:
            raise FrameError("a result is too short") from None
        return cls(error, output, prompt, suspended, ended, rest)

    @property
    def values(self) -> list[Any]:
        """The flat list."""
        return [*self[:-1], *self.rest]


def failed_result(error: str, printed: str = "") -> FlatResult:
    """The result of a failed message, which sends nothing."""
    return FlatResult(error, printed, "", False, 0, [])


def dump_result(result: FlatResult) -> bytes:
    """A result as stored bytes."""
    return dump_wire(result.values)


def load_result(body: bytes) -> FlatResult:
    """The inverse of `dump_result`."""
    return FlatResult.of(load_wire(body))


class Outbox:
    """The part of a result about other messages, and what an Eval returned.

    Attributes:
        resumed: ids of messages whose suspended handling ended.
        messages: (spawn, target or None, data, anchor, [name, value, …]) each.
        assignments: (message id, [process id, …]) each.
        returned: what an Eval returned; "" if the environment does not report it.
    """

    def __init__(self, result: FlatResult) -> None:
        at, rest = result.ended, result.rest
        self.resumed: list[str] = rest[:at]
        self.messages: list[tuple[bool, str | None, str, str, list[str]]] = []
        self.assignments: list[tuple[str, list[str]]] = []
        self.returned = ""
        if len(rest) == at:  # a failed message has no outbox
            return
        for _ in range(rest[at]):
            spawn, target, data, anchor, tags = rest[at + 1 : at + 6]
            at += 5
            pairs = rest[at + 1 : at + 1 + 2 * tags]
            at += 2 * tags
            self.messages.append((spawn, target or None, data, anchor, pairs))
        at += 1
        for _ in range(rest[at]):
            message, processes = rest[at + 1 : at + 3]
            at += 2
            self.assignments.append((message, rest[at + 1 : at + 1 + processes]))
            at += processes
        self.returned = "".join(rest[at + 1 :])


def without_returned(result: FlatResult) -> FlatResult:
    """A result without what an Eval returned."""
    return result._replace(rest=result.rest[:-1]) if Outbox(result).returned else result


class _ResultChecker:
    """Checks the values of a result one after the other. Raises FrameError if one does not fit."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values
        self._at = 0

    def take(self, fits: Callable[[Any], bool], count: int = 1) -> Any:
        """Check the next `count` values, and return the last of them."""
        part = self._values[self._at : self._at + count]
        if len(part) != count or not all(map(fits, part)):
            raise FrameError("no worker answers that")
        self._at += count
        return part[-1] if part else None

    def take_texts(self, each: int = 1) -> None:
        """Check a count, and that many times `each` texts."""
        self.take(is_text, each * self.take(is_count))

    def take_text_at_end(self) -> None:
        """Check a text, if any value is left."""
        if self._at < len(self._values):
            self.take(is_text)

    def end(self) -> None:
        if self._at != len(self._values):
            raise FrameError("a worker's answer goes on after its end")


def check_result(failed: bool, result: FlatResult) -> None:
    """Raise FrameError if a worker's answer is not a result."""
    if not failed and _sends_nothing(result):
        return
    checker = _ResultChecker(result.values)
    checker.take(is_text if failed else lambda error: error is False)
    checker.take(is_text, 2)
    checker.take(_is_bool)
    checker.take_texts()
    if not failed:
        for _ in range(checker.take(is_count)):
            checker.take(_is_bool)
            checker.take(lambda target: target is False or is_text(target))
            checker.take(is_text, 2)
            checker.take_texts(each=2)
        for _ in range(checker.take(is_count)):
            checker.take(is_text)
            checker.take_texts()
        checker.take_text_at_end()
    checker.end()


def _sends_nothing(result: FlatResult) -> bool:
    """Whether this is a valid result without an outbox; a short cut, as most are so."""
    error, output, prompt, suspended, ended, rest = result
    if error is not False or type(suspended) is not bool or type(ended) is not int or ended:
        return False
    if rest != [0, 0] or list(map(type, rest)) != [int, int]:
        return False
    return is_text(output) and is_text(prompt)


def _is_bool(value: object) -> bool:
    return type(value) is bool


def to_assignment(process: str, logged: Logged) -> Assignment:
    """The place of a stored message in its log."""
    return Assignment(
        process,
        logged.slot,
        logged.tick,
        logged.timestamp,
        logged.height,
        logged.chain,
        logged.seq,
        logged.client,
    )


def to_entry(
    process: str, logged: Logged, computed: Computed | None, result: FlatResult | None
) -> LogEntry:
    """A message and its result; `result` is the loaded body of `computed`."""
    wire = load_wire(logged.body)
    message = to_message(wire, to_assignment(process, logged))
    if computed is None or result is None:
        return LogEntry(message, None)
    return LogEntry(message, to_result(process, logged, computed, result, wire))


def load_entry(process: str, logged: Logged, computed: Computed | None) -> LogEntry:
    """A message and its result, from stored rows."""
    return to_entry(process, logged, computed, load_result(computed.body) if computed else None)


def to_undelivered(sender: str, slot: int, kept: Kept) -> Undelivered:
    """An undelivered message, which the process `sender` sent in `slot`."""
    message = to_message(load_wire(kept.body), None)
    return Undelivered(sender, slot, kept.idx, kept.reason, message)


def to_result(
    process: str, logged: Logged, computed: Computed, flat: FlatResult, wire: Wire
) -> Result:
    """A stored result as a `Result`; `wire` is its message."""
    outbox = Outbox(flat)
    # One check of the whole body saves one for each text; a line may send thousands of messages.
    wide = str if computed.body and computed.body.isascii() else widen
    tag = lru_cache(maxsize=None)(Tag)  # most of these messages have the same tags
    messages = []
    for spawn, target, data, anchor, pairs in outbox.messages:
        tags = tuple(map(tag, map(wide, pairs[::2]), map(wide, pairs[1::2])))
        messages.append(
            Outgoing(wide(target or ""), tags, data.encode("latin-1"), wide(anchor), spawn)
        )
    return Result(
        process=process,
        slot=logged.slot,
        tick=logged.tick,
        outcome=computed.outcome,
        output=widen(flat.output),
        prompt=widen(flat.prompt),
        error=widen(str(flat.error or "")),
        messages=tuple(messages),
        assignments=tuple((widen(m), tuple(map(widen, p))) for m, p in outbox.assignments),
        suspended=flat.suspended,
        resumed=tuple(outbox.resumed),
        milliseconds=computed.milliseconds,
        memory=computed.memory,
        gas=computed.gas,
        # As in aos: the output of an Eval is for its sender, all other output for those who watch.
        print=find_tag(wire[TAGS:], "Action") != "Eval",
        returned=widen(outbox.returned),
    )
