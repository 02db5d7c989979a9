"""Reads values of Lua in a process, without changing its state."""

from __future__ import annotations

from pathlib import Path

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.protocol.message import raw, text
from aoshell.shell.code.bundle import short_string

DEEPEST = 256  # brackets around a value: `value.lua` writes 100 levels, two brackets for each
_WRITER = Path(__file__).parents[1].joinpath("lua", "value.lua")


def value_query(expression: str) -> str:
    """Lua whose last line of output is the value of an expression."""
    return f"{value_writer()}\nreturn write({text(short_string(expression))})"


def value_writer() -> str:
    """Lua that declares `write(expression)`."""
    return _WRITER.read_text(encoding="utf-8")


def value_json(output: str) -> str:
    """The value as JSON, from the output of `value_query`."""
    return output.rpartition("\n")[2]


def parse_value(output: str) -> object:
    """The value in Python.

    Tables 1…n and empty tables become lists, other tables dicts. Functions and the like become
    text.

    Raises:
        AoError: stage "eval", if it is not the output of `value_query`.
    """
    try:
        return _decoded(jsontext.parse(value_json(output), deepest=DEEPEST, strict=False))
    except (ValueError, RecursionError, TypeError, LookupError) as error:
        raise AoError(
            f"the process cannot be asked: it answers {output[:200]!r}",
            stage="eval",
            hint="does it run the aos environment?",
        ) from error


def _decoded(found: object) -> object:
    if isinstance(found, list):
        return [_decoded(item) for item in found]
    if not isinstance(found, dict):
        return found
    ((kind, inside),) = found.items()
    if kind == "float":
        return float(inside)
    if kind == "other":
        return str(inside)
    pairs = [_decoded(item) for item in inside]
    return {_key(key): item for key, item in zip(pairs[::2], pairs[1::2], strict=True)}


def _key(key: object) -> object:
    """A key that Python can hash; a table becomes its text."""
    return key if isinstance(key, str | int | float | bool) else text(raw(str(key)))
