"""The values that a path leads to, and how the next key is looked up in them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from aoshell.protocol.encoding import brief
from aoshell.serve.asgi.http import JSON
from aoshell.serve.hyper.answers import NOT_FOUND, RESULT, write_json
from aoshell.serve.hyper.path import Segment

if TYPE_CHECKING:
    from aoshell.serve.hyper.call import Call

JSON_DEVICE, MESSAGE_DEVICE = "json@1.0", "message@1.0"
META, PROCESS, SCHEDULER = "meta@1.0", "process@1.0", "scheduler@1.0"
CRON, RELAY = "cron@1.0", "relay@1.0"
DEVICES = (
    META,
    PROCESS,
    SCHEDULER,
    "push@1.0",
    "query@1.0",
    CRON,
    RELAY,
    JSON_DEVICE,
    "httpsig@1.0",
    MESSAGE_DEVICE,
)
_TRANSPARENT = (MESSAGE_DEVICE, "httpsig@1.0", "structured@1.0")  # give keys as they are
_NUMBER = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


class AnswerError(Exception):
    """A path leads to an error, which is answered as a message.

    Attributes:
        status: HTTP status of the answer.
        fields: keys of the message.
    """

    def __init__(self, status: int, fields: Mapping[str, Any]) -> None:
        super().__init__(str(fields.get("body", "")))
        self.status = status
        self.fields = dict(fields)


def error_answer(status: int, what: str) -> AnswerError:
    """An error whose answer has `what` as its text."""
    return AnswerError(status, {RESULT: "body", "body": what})


def missing() -> AnswerError:
    """The error for a key without a value."""
    return error_answer(404, NOT_FOUND)


def no_device(name: str) -> AnswerError:
    """The error for a device that is not here, or not at this place of a path."""
    if name.lower() in DEVICES:
        what = (
            f"the device ~{name} does not answer at this place of a path on this node (aoshell"
            " serve); what it has of a process is at /PROCESS~process@1.0/…"
        )
    else:
        what = f"the device ~{name[:100]} is not on this node (aoshell serve)"
    return error_answer(404, what)


class Found(Protocol):
    """Something that keys can be looked up in."""

    @property
    def mark(self) -> object:
        """A key for caching answers: equal marks mean equal content. None if the content may
        change."""

    async def step(self, segment: Segment, call: Call) -> Found:
        """The value at a key.

        Raises:
            AnswerError, RequestError: there is none, or it cannot be read.
        """

    async def value(self, call: Call) -> object:
        """This as a plain value. Raises as `step()`."""


class Plain:
    """A value: a map, a list, a text, a number."""

    def __init__(self, value: object, mark: object = None) -> None:
        self._value = value
        self.mark = mark

    async def step(self, segment: Segment, call: Call) -> Found:
        del call
        return Plain(look_up(self._value, segment))

    async def value(self, call: Call) -> object:
        del call
        return self._value


def look_up(value: object, segment: Segment) -> object:
    """The value at a key: lists count from 1, the case of keys does not matter.

    Raises:
        AnswerError: nothing is there.
    """
    if isinstance(value, Mapping):
        if segment.key in value:
            return value[segment.key]
        if segment.name == "keys":
            return list(value)
        for key in value:
            if key.lower() == segment.name:
                return value[key]
    elif isinstance(value, list):
        if _NUMBER.fullmatch(segment.key) and int(segment.key) <= len(value):
            return value[int(segment.key) - 1]
        if segment.name == "keys":
            return [str(number) for number in range(1, len(value) + 1)]
    raise missing()


class LazyKey:
    """The value at a key of something with a mark; it is looked up only when it is used."""

    def __init__(self, found: Found, segment: Segment) -> None:
        self._found = found
        self._segment = segment
        self.mark = (found.mark, segment)

    async def step(self, segment: Segment, call: Call) -> Found:
        return await follow(await self._there(call), segment, call)

    async def value(self, call: Call) -> object:
        return await (await self._there(call)).value(call)

    async def _there(self, call: Call) -> Found:
        return await follow(self._found, self._segment, call)


class Serialized:
    """A value as JSON text, which becomes the body of the answer."""

    def __init__(self, of: Found) -> None:
        self._of = of
        self.mark = None

    async def step(self, segment: Segment, call: Call) -> Found:
        return await Plain(await self.value(call)).step(segment, call)

    async def value(self, call: Call) -> object:
        value = await self._of.value(call)
        return {
            "body": await call.services.checker.run(lambda: write_json(value)),
            "content-type": JSON,
        }


class AsJson:
    """A value under the device json@1.0, which has the key `serialize`."""

    def __init__(self, of: Found) -> None:
        self._of = of
        self.mark = None

    async def step(self, segment: Segment, call: Call) -> Found:
        if segment.name == "serialize":
            return Serialized(self._of)
        return await self._of.step(segment, call)

    async def value(self, call: Call) -> object:
        return await self._of.value(call)


async def follow(found: Found, segment: Segment, call: Call) -> Found:
    """Look up a segment, by the device that it names, else by the value's own.

    Raises:
        AnswerError, RequestError: nothing is there.
    """
    if not segment.device:
        return await found.step(segment, call)
    device = segment.device.lower()
    seen: Found
    if device == JSON_DEVICE:
        seen = AsJson(found)
    elif device in _TRANSPARENT:
        seen = found
    else:
        raise no_device(segment.device)
    return await seen.step(segment, call) if segment.key else seen


def no_such_key(segment: Segment, of: str) -> AnswerError:
    """The error for a key that a device does not have."""
    return error_answer(404, f"{of} has no key {brief(segment.key)} on this node (aoshell serve)")
