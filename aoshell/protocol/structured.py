"""AO's structured types: Python values to TABM and back (HyperBEAM's `structured@1.0`).

| Python            | TABM                                 | type in `ao-types` beside it  |
|-------------------|--------------------------------------|-------------------------------|
| str, bytes        | itself                               | none                          |
| int               | decimal digits                       | integer                       |
| float             | 1.50000000000000000000e+00           | float                         |
| True, False, None | true, false, null                    | atom                          |
| Atom              | its name                             | atom                          |
| dict              | a map                                | none                          |
| list, tuple       | a map from "1", "2"…                 | `.="list"` in the map itself  |

Values are read as str (UTF-8 with `surrogateescape`, as everywhere), int, float, bool, None, Atom,
dict and list. Empty strings, lists and maps are read as such. Older forms are read too, and never
written: `empty-binary`, `empty-list`, `empty-message`, atoms as quoted strings, and lists as one
field of items like `"(ao-type-integer) 1"`.

`ao-types` is a dictionary of RFC 9651 (which replaces RFC 8941) but for its keys. These are keys of
the message, percent-encoded, so they may begin with any character; "." is the map itself. Integers
that are sent are those of RFC 9651 section 3.3.1: at most 15 digits. Nodes write longer ones (the
firmware version of a TPM has 64 bits), so these are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.encoding import ProtocolError, brief
from aoshell.protocol.fields import parse_item, parse_list
from aoshell.protocol.message import raw, text
from aoshell.protocol.tabm import COMMITMENTS, DEEPEST, LINK, TYPES, Tabm, in_order, normal_key


class Atom(str):
    """An Erlang atom: a name, not text. HyperBEAM's true, false and null are bool and None here."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Atom({str(self)!r})"


class LinkedItem(str):
    """The id of a map that a list links to, in place of the map."""

    __slots__ = ()


Value: TypeAlias = "str | bytes | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"

LARGEST_INTEGER = 10**15 - 1  # RFC 9651 section 3.3.1
LARGEST_READ = 2**64 - 1
ITSELF = "."  # the map itself, among the keys in its `ao-types`

_NAMED: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_NAMES = {value: name for name, value in _NAMED.items()}
_ATOM = re.compile(r"[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*", re.ASCII)
_TYPE = re.compile(r'[ \t]*([A-Za-z0-9_.*%+&?/-]+)=(?:"([^"\\]*)"|([A-Za-z-]+))[ \t]*')
_SHORT = re.compile(r"-?[0-9]{1,15}", re.ASCII)  # as RFC 9651 has it: there is no need to parse
_LONG = re.compile(r"-?[0-9]{16,20}", re.ASCII)  # an integer that RFC 9651 does not have
_FLOAT = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,40}(?:e[+-]?[0-9]{1,3})?", re.ASCII)
_PLAIN = re.compile(rb"[^a-z0-9._/?&+-]")


def to_tabm(message: Mapping[str, Value], largest: int = LARGEST_INTEGER) -> Tabm:
    """A message of Python values as TABM, its nested maps included ("bundled").

    Args:
        largest: integer that may be in it; `LARGEST_READ` for what came from a node.

    Raises:
        AoError: stage "message", for what has no TABM: two keys that differ in case only, a number
            out of range, a value of another kind, nesting deeper than 64.
    """
    return _map(message, 0, largest)


def _map(message: Mapping[str, Value], depth: int, largest: int) -> Tabm:
    if depth >= DEEPEST:
        raise AoError(f"the message is nested deeper than {DEEPEST}", stage="message")
    tabm: Tabm = {}
    types: dict[str, str] = {}
    for key, value in message.items():
        name = _key(key)
        if name in tabm:
            raise AoError(f"the key {brief(name)} occurs twice, but for case", stage="message")
        tabm[name], kind = _encoded(value, depth, name, largest)
        if kind:
            types[name] = kind
    if types:
        tabm[TYPES] = write_types(types)
    return tabm


def _key(key: object) -> str:
    if not isinstance(key, str) or not key:
        raise AoError(f"{brief(str(key))} is no key: a key is text", stage="message")
    if key.lower() == TYPES:
        raise AoError(f"{TYPES} is written by the codec, not by hand", stage="message")
    return normal_key(_whole(key, key))


def _encoded(value: Value, depth: int, key: str, largest: int) -> tuple[str | Tabm, str]:
    match value:
        case bool() | None:
            return _NAMES[value], "atom"
        case Atom():
            return _atom(value), "atom"
        case str():
            return _whole(value, key), ""
        case bytes():
            return text(value), ""
        case int():
            return _integer(value, key, largest), "integer"
        case float():
            return _float(value, key), "float"
        case Mapping():
            return _map(value, depth + 1, largest), ""
        case Sequence():
            return _list(value, depth + 1, largest), ""
    kind = type(value).__name__
    raise AoError(f"a {kind} at the key {brief(key)} cannot be sent", stage="message")


def typed(value: object) -> tuple[str, str]:
    """(TABM, type) of a JSON value that is neither list nor map; the type is "" for text.

    Integers may be as long as the node wrote them, unlike those that are sent from here.
    """
    match value:
        case bool() | None:
            return _NAMES[value], "atom"
        case int():
            return str(value), "integer"
        case float():
            return f"{value:.20e}", "float"
    return str(value), ""


def _whole(value: str, key: str) -> str:
    try:
        raw(value)
    except UnicodeEncodeError:
        raise AoError(f"half a surrogate pair at the key {brief(key)}", stage="message") from None
    return value


def _atom(value: Atom) -> str:
    if not _ATOM.fullmatch(value) or value in _NAMED:
        raise AoError(f"{brief(value)} cannot be an atom", stage="message")
    return str(value)


def _integer(value: int, key: str, largest: int) -> str:
    if abs(value) > largest:
        raise AoError(
            f"the integer at the key {brief(key)} has more than {len(str(largest))} digits",
            stage="message",
            hint="send it as text, as AO does with quantities",
        )
    return str(value)


def _float(value: float, key: str) -> str:
    if not math.isfinite(value):
        raise AoError(f"{value} at the key {brief(key)} is no number to send", stage="message")
    return f"{value:.20e}"


def _list(values: Sequence[Value], depth: int, largest: int) -> Tabm:
    tabm = _map({str(number): value for number, value in enumerate(values, 1)}, depth, largest)
    types = {ITSELF: "list"} | (read_types(tabm) if TYPES in tabm else {})
    return tabm | {TYPES: write_types(types)}


def write_types(types: Mapping[str, str]) -> str:
    """`ao-types` for types by key, the keys sorted."""
    return ", ".join(f'{_escape(key)}="{types[key]}"' for key in in_order(types))


def read_types(tabm: Mapping[str, str | Tabm], place: str = f"header {TYPES}") -> dict[str, str]:
    """Types by key, {} where there is no `ao-types`.

    Raises:
        ProtocolError: it is no such dictionary, or has a key twice.
    """
    field = tabm.get(TYPES, "")
    if not isinstance(field, str):
        raise ProtocolError("a map instead of types", 0, place)
    types: dict[str, str] = {}
    at = 0
    while at < len(field):
        member = _TYPE.match(field, at)
        if member is None or field[member.end() : member.end() + 1] not in ("", ","):
            if field == "empty-message":  # how HyperBEAM marks the body part of an empty map
                return {ITSELF: field}
            raise ProtocolError('no dictionary of key="type"', len(raw(field[:at])), place)
        key = _unescape(member[1])
        if key in types:
            raise ProtocolError(f"the key {brief(key)} occurs twice", len(raw(field[:at])), place)
        types[key] = (member[2] or member[3] or "").lower()
        at = member.end() + 1
    return types


def _escape(key: str) -> str:
    return _PLAIN.sub(lambda byte: b"%%%02x" % byte[0][0], raw(key)).decode("ascii")


def _unescape(key: str) -> str:
    if "%" not in key and key.isascii():
        return key
    from urllib.parse import unquote_to_bytes

    return text(unquote_to_bytes(key))


def from_tabm(tabm: Mapping[str, str | Tabm]) -> dict[str, Value]:
    """The Python values of a message. Links stay as they are, commitments are left out.

    Raises:
        ProtocolError: a value is not of its type; `place` names its key.
    """
    value = value_of(tabm)
    return value if isinstance(value, dict) else dict(_numbered(value))


def value_of(tabm: Mapping[str, str | Tabm]) -> Value:
    """The Python value of a map: a list, if it is marked as one. Raises as `from_tabm()`."""
    return _decoded(tabm, "", 0)


def _numbered(value: Value) -> list[tuple[str, Value]]:
    items = value if isinstance(value, list) else []
    return [(str(number), item) for number, item in enumerate(items, 1)]


def _decoded(tabm: Mapping[str, str | Tabm], path: str, depth: int) -> Value:
    if depth > DEEPEST:
        raise ProtocolError(f"nested deeper than {DEEPEST}", 0, f"key {brief(path)}")
    types = read_types(tabm, f"{TYPES} of {brief(path)}" if path else f"header {TYPES}")
    message: dict[str, Value] = {
        key: _EMPTY[kind]() for key, kind in types.items() if kind in _EMPTY and key != ITSELF
    }
    for key, value in tabm.items():
        if key in (TYPES, COMMITMENTS):
            continue
        where = f"{path}/{key}" if path else key
        if isinstance(value, str):
            message[key] = _typed(types.get(key, ""), value, f"key {brief(where)}")
        else:
            message[key] = _decoded(value, where, depth + 1)
            if types.get(key) == "list" and isinstance(message[key], dict):
                message[key] = _in_line(message[key], where)
    return _in_line(message, path) if types.get(ITSELF) == "list" else message


_EMPTY: dict[str, Callable[[], Value]] = {
    "empty-binary": str,
    "empty-list": list,
    "empty-message": dict,
}


def _in_line(message: Value, path: str) -> list[Value]:
    """The list of the items that a map has under "1", "2"…; a link takes the place of its item."""
    assert isinstance(message, dict)
    items = {
        key.removesuffix(LINK): LinkedItem(value) if _is_link(key, value) else value
        for key, value in message.items()
    }
    try:
        return [items[str(number)] for number in range(1, len(message) + 1)]
    except KeyError as missing:
        place = f"key {brief(path)}"
        raise ProtocolError(f"a list without its item {missing.args[0]}", 0, place) from None


def _is_link(key: str, value: Value) -> bool:
    return key.endswith(LINK) and isinstance(value, str)


def _typed(kind: str, value: str, place: str) -> Value:
    match kind:
        case "" | "binary" | "empty-binary":
            return value
        case "integer" if _SHORT.fullmatch(value):
            return int(value)
        case "integer" if _LONG.fullmatch(value):
            return _long(value, place)
        case "integer":
            number, _ = parse_item(value, place)
            if type(number) is not int:
                raise ProtocolError("no integer", 0, place)
            return number
        case "float":
            if not _FLOAT.fullmatch(value):
                raise ProtocolError("no float", 0, place)
            return _finite(float(value), place)
        case "atom":
            return _named(value, place)
        case "list":
            return _old_list(value, place)
    raise ProtocolError(f"the type {brief(kind)} is not known here", 0, place)


def _long(value: str, place: str) -> int:
    number = int(value)
    if abs(number) > LARGEST_READ:
        raise ProtocolError("an integer of more than 64 bits", 0, place)
    return number


def _finite(number: float, place: str) -> float:
    if not math.isfinite(number):
        raise ProtocolError("a float out of range", 0, place)
    return number


def _named(value: str, place: str) -> Value:
    name = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
    if name in _NAMED:
        return _NAMED[name]
    if not _ATOM.fullmatch(name):
        raise ProtocolError("no atom", 0, place)
    return Atom(name)


_OLD_ITEM = re.compile(r"\(ao-type-([a-z-]+)\) (.*)", re.DOTALL)


def _old_list(value: str, place: str) -> Value:
    items: list[Value] = []
    for item, _ in parse_list(value, place) if value else ():
        typed = _OLD_ITEM.fullmatch(item) if isinstance(item, str) else None
        if typed and typed[1] == "list":
            raise ProtocolError("a list in a list, as no version writes it", 0, place)
        if typed:
            items.append(_typed(typed[1], typed[2], place))
        elif isinstance(item, (str, int)):
            items.append(item)
        else:
            raise ProtocolError("a list of other things than AO's types", 0, place)
    return items
