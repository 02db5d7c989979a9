"""Results of evaluations, from the JSON of both networks.

The JSON is `{Output: {data, prompt}, Messages, Spawns, Assignments, GasUsed}`, or `{Error}` after a
failure. Missing members count as empty; a map with only other members is no result. Modules in Lua
leave numbers where text is expected; these become text. Any other wrong shape is refused. Source:
answers of `ao` servers/cu.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from aoshell.errors import AoError
from aoshell.protocol.encoding import brief
from aoshell.protocol.message import Outgoing, Result, Tag

_T = TypeVar("_T")
_MEMBERS = frozenset(["Assignments", "Error", "GasUsed", "Messages", "Output", "Spawns"])


def from_json(
    process: str, slot: int, value: object, milliseconds: float, where: str = "", *, tick: int = 0
) -> Result:
    """A result from decoded JSON.

    Args:
        slot: -1 if not known.
        milliseconds: time until the answer came.
        where: the endpoint, for errors.
        tick: as in `Result`.

    Raises:
        AoError: stage "compute", the value is no result.
    """
    try:
        return _result(process, slot, tick, _map(value, "the result"), milliseconds)
    except _ShapeError as error:
        raise AoError(
            f"{where or 'the node'} gave a malformed result of {process}: {error}",
            stage="compute",
            hint="is that the right endpoint? .doctor looks",
        ) from None


def words(value: object) -> str:
    """A JSON value as text: a string as it is, null as "", anything else as JSON.

    Half a surrogate pair, which no bytes stand for, becomes U+FFFD.
    """
    if value is None:
        return ""
    string = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        string.encode("utf-8")
    except UnicodeEncodeError:
        string = string.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return string


class _ShapeError(Exception):
    """A value has a wrong shape; the text says what is wrong with it."""


def _result(
    process: str, slot: int, tick: int, value: Mapping[str, Any], milliseconds: float
) -> Result:
    if value and not _MEMBERS & value.keys():  # a page of results, for example
        raise _ShapeError("no member of a result is in it")
    error = _error(value.get("Error"))
    output, prompt = _output(value.get("Output"))
    messages = _list(value.get("Messages"), "Messages", _outgoing)
    spawns = _list(value.get("Spawns"), "Spawns", lambda each: _outgoing(each, spawn=True))
    return Result(
        process=process,
        slot=slot,
        tick=tick,
        outcome="error" if error else "ok",
        output=output,
        prompt=prompt,
        error=error,
        messages=(*messages, *spawns),
        assignments=_list(value.get("Assignments"), "Assignments", _assignment),
        suspended=False,
        resumed=(),
        milliseconds=milliseconds,
        memory=0,
        gas=_gas(value.get("GasUsed")),
        print=_is_printed(value.get("Output")),
    )


def _error(value: object) -> str:
    """The text of the error. In Lua, false and an empty table mean no error."""
    return words(value) if value else ""


def _output(value: object) -> tuple[str, str]:
    """The output and the prompt. Older modules nest both once more, in `data`."""
    if not isinstance(value, Mapping):
        return ("" if value == [] else words(value)), ""
    data, prompt = value.get("data"), value.get("prompt")
    if isinstance(data, Mapping) and "output" in data:
        data, prompt = data["output"], prompt or data.get("prompt")
    return words(data), words(prompt)


def _is_printed(value: object) -> bool:
    return isinstance(value, Mapping) and value.get("print") is True


def _outgoing(value: object, spawn: bool = False) -> Outgoing:
    each = _map(value, "a message")
    return Outgoing(
        target=words(each.get("Target")),
        tags=_tags(each.get("Tags")),
        data=words(each.get("Data")).encode("utf-8"),
        anchor=words(each.get("Anchor")),
        spawn=spawn,
    )


def _tags(value: object) -> tuple[Tag, ...]:
    """Tags, written as a list of {name, value} or as a map."""
    if isinstance(value, Mapping):
        return tuple(Tag(words(name), words(each)) for name, each in value.items())
    return _list(value, "Tags", _tag)


def _tag(value: object) -> Tag:
    each = _map(value, "a tag")
    if not isinstance(each.get("name"), str):
        raise _ShapeError(f"a tag has no name: {brief(words(value))}")
    return Tag(words(each["name"]), words(each.get("value")))


def _assignment(value: object) -> tuple[str, tuple[str, ...]]:
    each = _map(value, "an assignment")
    return words(each.get("Message")), _list(each.get("Processes"), "Processes", words)


def _gas(value: Any) -> int:
    try:
        return max(0, int(value or 0))
    except (TypeError, ValueError, OverflowError):
        return 0


def _map(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _ShapeError(f"{what} is {brief(words(value))}, no map")
    return value


def _list(value: object, what: str, each: Callable[[Any], _T]) -> tuple[_T, ...]:
    """A list. Lua may write an empty one as an empty map."""
    if value is None or value == {}:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise _ShapeError(f"{what} is {brief(words(value))}, no list")
    return tuple(map(each, value))
