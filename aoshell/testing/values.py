"""Values of Lua inside a process, read without changing anything."""

from __future__ import annotations

from pathlib import Path

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.protocol.message import raw, text
from aoshell.shell.code.bundle import short_string

DEEPEST = 256  # brackets around a value: `value.lua` writes 100 levels, two for each
_WRITER = Path(__file__).with_name("lua").joinpath("value.lua")


def value_query(expression: str) -> str:
    """Lua whose last line of output says the value of an expression."""
    writer = _WRITER.read_text(encoding="utf-8")
    return f"{writer}\nreturn write({text(short_string(expression))})"


def value_json(output: str) -> str:
    """The value as JSON, out of what `value_query` has put out."""
    return output.rpartition("\n")[2]


def parse_value(output: str) -> object:
    """The value as Python has it.

    A table 1…n is a list, as is an empty one; any other a dict. Functions and the like are text.

    Raises:
        AoError: stage "eval": that is no answer of `value_query`.
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
    """A key that Python can hash; tables as keys become their text."""
    return key if isinstance(key, str | int | float | bool) else text(raw(str(key)))
