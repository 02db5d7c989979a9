"""Writes values as JSON and bytes, and reads them by their expected types only.

A record is written as the list of its fields. For bytes the JSON has their length; the bytes follow
the JSON, in order. The reader knows the type, so the other side cannot choose a class or call code.
"""

from __future__ import annotations

import functools
import json
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NamedTuple

from aoshell.bounded import jsontext
from aoshell.nodes.joined.faults import JoinError
from aoshell.nodes.joined.frames import LARGEST
from aoshell.nodes.values import Event, LogEntry
from aoshell.protocol.ans104 import DataItem

DEEPEST = 64  # levels of brackets in the JSON of a payload

Blobs = list[bytes]

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)


class Source:
    """The bytes after the JSON of a payload, read in order."""

    def __init__(self, blobs: bytes) -> None:
        self._blobs = blobs
        self._at = 0

    def take(self, length: object) -> bytes:
        """The next bytes."""
        if type(length) is not int or not 0 <= length <= len(self._blobs) - self._at:
            raise JoinError("bytes are missing")
        self._at += length
        return self._blobs[self._at - length : self._at]

    def end(self) -> None:
        """Raise JoinError where bytes are left."""
        if self._at != len(self._blobs):
            raise JoinError("there are bytes that nothing names")


class Form(NamedTuple):
    """How values of a type are written and read; both raise JoinError."""

    write: Callable[[Any, Blobs], Any]
    read: Callable[[Any, Source], Any]


def pack(kind: Any, value: object) -> tuple[bytes, Blobs]:
    """A value of a type as JSON and bytes. Raises JoinError where it is none of that type."""
    blobs: Blobs = []
    return as_text(form_of(kind).write(value, blobs)), blobs


def as_text(written: object) -> bytes:
    """What a form has written, as JSON."""
    # Text that is no Unicode (surrogateescape) passes as it is; `jsontext.parse` reads it so.
    return _ENCODER.encode(written).encode("utf-8", "surrogatepass")


def unpack(kind: Any, text: bytes, blobs: bytes) -> Any:
    """The value of a type. Raises JoinError where the payload has none."""
    try:
        value = jsontext.parse(text, largest=LARGEST, deepest=DEEPEST, strict=False)
    except ValueError as error:
        raise JoinError(f"it is no JSON that is taken: {error}") from None
    source = Source(blobs)
    found = form_of(kind).read(value, source)
    source.end()
    return found


@functools.cache
def form_of(kind: Any) -> Form:
    """The form of a type. Types are those of `nodes.values`, Python's own, and made of these."""
    if kind in _PLAIN:
        return _plain(*_PLAIN[kind])
    if kind in _OWN:
        return _OWN[kind]
    origin, of = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _either(of)
    if origin is tuple and of[-1:] != (...,):
        return _row(tuple, [form_of(one) for one in of])
    if origin in (tuple, list, Sequence):
        return _many(form_of(of[0]), tuple if origin is tuple else list)
    if origin is Mapping:
        pairs = _many(_row(tuple, [form_of(one) for one in of]), dict)
        return Form(
            lambda value, blobs: pairs.write(tuple(_checked(dict, value).items()), blobs),
            pairs.read,
        )
    if names := _fields_of(kind):
        hints = typing.get_type_hints(kind)
        row = _row(kind, [form_of(hints[name]) for name in names])

        def write(value: Any, blobs: Blobs) -> Any:
            _checked(kind, value)
            return row.write([getattr(value, name) for name in names], blobs)

        return Form(write, row.read)
    raise TypeError(f"{kind} has no form")


def _fields_of(kind: Any) -> Sequence[str]:
    """The fields of a record (a data class or a named tuple); empty for other types."""
    if isinstance(kind, type) and is_dataclass(kind):
        return [field.name for field in fields(kind)]
    return getattr(kind, "_fields", ())


def describe(kind: Any) -> str:
    """A text for a type and its parts: types with equal texts have equal forms."""
    if names := _fields_of(kind):
        hints = typing.get_type_hints(kind)
        parts = ", ".join(f"{name}: {describe(hints[name])}" for name in names)
        return f"{kind.__name__}({parts})"
    if of := [describe(one) for one in typing.get_args(kind) if one is not ...]:
        return f"{typing.get_origin(kind)}[{', '.join(of)}]"
    return str(kind)


_PLAIN: dict[Any, tuple[type, ...]] = {
    str: (str,),
    int: (int,),
    bool: (bool,),
    float: (float, int),
    types.NoneType: (types.NoneType,),
    None: (types.NoneType,),
}


def _plain(*kinds: type) -> Form:
    def same(value: Any, _: object) -> Any:
        if type(value) not in kinds:
            raise JoinError(f"{kinds[0].__name__} was expected, and {type(value).__name__} came")
        return value

    return Form(same, same)


def _either(kinds: tuple[Any, ...]) -> Form:
    """One of several types: at most one of them is a record or bytes, the others are plain."""
    plain = tuple(one for kind in kinds if kind in _PLAIN for one in _PLAIN[kind])
    rest = [form_of(kind) for kind in kinds if kind not in _PLAIN]
    if len(rest) > 1:
        raise TypeError(f"{kinds} cannot be told apart")

    def write(value: Any, blobs: Blobs) -> Any:
        if type(value) in plain:
            return value
        return _only(rest, value).write(value, blobs)

    def read(value: Any, source: Source) -> Any:
        if type(value) in plain:
            return value
        return _only(rest, value).read(value, source)

    return Form(write, read)


def _only(rest: list[Form], value: object) -> Form:
    if not rest:
        raise JoinError(f"{type(value).__name__} came where it has no place")
    return rest[0]


def _many(item: Form, kind: Callable[[list[Any]], Any]) -> Form:
    def write(value: Any, blobs: Blobs) -> Any:
        return [item.write(one, blobs) for one in _checked((tuple, list), value)]

    def read(value: Any, source: Source) -> Any:
        return kind([item.read(one, source) for one in _checked(list, value)])

    return Form(write, read)


def _row(make: Callable[..., Any], parts: list[Form]) -> Form:
    def write(value: Any, blobs: Blobs) -> Any:
        if len(value) != len(parts):
            raise JoinError(f"{len(parts)} values were expected, and {len(value)} came")
        return [part.write(one, blobs) for part, one in zip(parts, value, strict=True)]

    def read(value: Any, source: Source) -> Any:
        if len(_checked(list, value)) != len(parts):
            raise JoinError(f"{len(parts)} values were expected, and {len(value)} came")
        found = [part.read(one, source) for part, one in zip(parts, value, strict=True)]
        return tuple(found) if make is tuple else make(*found)

    return Form(write, read)


def _checked(kind: Any, value: object) -> Any:
    if not isinstance(value, kind):
        raise JoinError(f"{type(value).__name__} came where it has no place")
    return value


def _write_bytes(value: Any, blobs: Blobs) -> int:
    if not isinstance(value, bytes):
        raise JoinError(f"bytes were expected, and {type(value).__name__} came")
    blobs.append(value)
    return len(value)


def _write_item(value: Any, blobs: Blobs) -> int:
    return _write_bytes(_checked(DataItem, value).raw, blobs)


def _write_json(value: Any, _: Blobs) -> str:
    """Any JSON value, as its text, so that its depth does not count for the payload."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError) as error:
        raise JoinError(f"it is no JSON: {error}") from None


def _read_json(value: Any, _: Source) -> Any:
    if not isinstance(value, str):
        raise JoinError("JSON was expected")
    try:
        return jsontext.parse(value, strict=False)
    except ValueError as error:
        raise JoinError(f"it is no JSON that is taken: {error}") from None


def _write_event(value: Any, blobs: Blobs) -> Any:
    event = _checked(Event, value)
    head = [event.kind, event.process, event.root, event.detail, event.quiet, event.by]
    return [*head, _ENTRY.write(event.entry, blobs)]


def _read_event(value: Any, source: Source) -> Event:
    kind, process, root, detail, quiet, by, entry = _EVENT.read(value, source)
    return Event(kind, process, root, detail, quiet, entry and (lambda: entry), by)


_BYTES = Form(_write_bytes, lambda value, source: source.take(value))
_OWN: dict[Any, Form] = {
    bytes: _BYTES,
    # The receiver verifies the signature (`verbs`).
    DataItem: Form(_write_item, lambda value, source: DataItem.parse(source.take(value))),
    object: Form(_write_json, _read_json),
    Event: Form(_write_event, _read_event),
}
_ENTRY = form_of(LogEntry | None)
_EVENT = form_of(tuple[str, str, str, str, bool, str, LogEntry | None])
