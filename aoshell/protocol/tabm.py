"""TABM, "type-annotated binary message": the form between all codecs of HyperBEAM.

A TABM is a map from keys to binaries and to further maps. The types of binaries are in the binary
`ao-types` beside them (see `structured`). Here binaries are `str`, decoded as UTF-8 with
`surrogateescape`. Two more forms of the same content:

- flat: one level, a path of keys joined by "/" for each binary (HyperBEAM's `flat@1.0`);
- JSON: the map as an object, keys in order, no spaces (`json@1.0`).

A map may be replaced by a link: the key `key+link` with the map's id, instead of `key` with the map
itself. `rebuild` computes ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.protocol.encoding import ProtocolError, brief, has_id_form
from aoshell.protocol.message import raw, text

Tabm: TypeAlias = "dict[str, str | Tabm]"

DEEPEST = 64  # levels of nesting
MOST_MAPS = 200_000  # made of the paths of one body; each takes some 400 bytes of memory
LINK = "+link"
COMMITMENTS = "commitments"
TYPES = "ao-types"

_UPPER = re.compile("[A-Z]")


def normal_key(key: str) -> str:
    """A key as HyperBEAM keeps it: ASCII in lower case, unless it is an id."""
    if has_id_form(key):
        return key
    return _UPPER.sub(lambda letter: letter[0].lower(), key)


def header_case(key: str) -> str:
    """A key as the name of a tag, as `dev_json_iface` of HyperBEAM writes it: `Some-Key`."""
    words = (word for word in normal_key(key).split("-") if word)
    return "-".join(word[:1].upper() + word[1:] for word in words)


def in_order(keys: Iterable[str]) -> list[str]:
    """Keys sorted by their bytes. Python's order differs for bytes that are not UTF-8."""
    keys = list(keys)
    if all(map(str.isascii, keys)):
        return sorted(keys)
    return sorted(keys, key=raw)


def flatten(tabm: Mapping[str, str | Tabm]) -> dict[str, str]:
    """The flat form, in which empty maps are lost.

    Raises:
        AoError: stage "message", for a key with a "/", which separates keys in the flat form.
    """
    return dict(_paths(tabm, ""))


def _paths(tabm: Mapping[str, str | Tabm], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in tabm.items():
        if "/" in key:
            raise AoError(f"the key {brief(key)} holds a /, which separates keys", stage="message")
        if isinstance(value, str):
            yield prefix + key, value
        else:
            yield from _paths(value, f"{prefix}{key}/")


def unflatten(flat: Iterable[tuple[str, str | Tabm]], place: str = "") -> Tabm:
    """The TABM of paths and their values. A value that is a map is merged with what is there.

    Raises:
        ProtocolError: a path has an empty key, is too deep, or is both a binary and a map.
    """
    top: Tabm = {}
    made = 0
    for path, value in flat:
        parts = path.split("/")
        if len(parts) > DEEPEST or not all(parts):
            why = "is nested too deep" if all(parts) else "has an empty key in it"
            raise ProtocolError(f"the path {brief(path)} {why}", 0, place)
        at = top
        for key in parts[:-1]:
            made += key not in at
            at = _inner(at, key, path, place)
        if made > MOST_MAPS:
            raise ProtocolError(f"the paths lead through more than {MOST_MAPS} maps", 0, place)
        _inject(at, parts[-1], value, path, place)
    return top


def _inner(at: Tabm, key: str, path: str, place: str) -> Tabm:
    inner = at.setdefault(key, {})
    if isinstance(inner, str):
        raise ProtocolError(f"the path {brief(path)} leads through a value", 0, place)
    return inner


def _inject(at: Tabm, key: str, value: str | Tabm, path: str, place: str) -> None:
    there = at.get(key)
    if there is None:
        at[key] = value
    elif isinstance(there, dict) and isinstance(value, dict) and not there.keys() & value.keys():
        there.update(value)
    else:
        raise ProtocolError(f"the path {brief(path)} occurs twice", 0, place)


def to_json(tabm: Mapping[str, str | Tabm]) -> bytes:
    """The JSON form, keys in order.

    Raises:
        AoError: stage "message", for bytes that are not UTF-8, which JSON cannot carry.
    """
    try:
        return _dump(tabm).encode()
    except UnicodeEncodeError:
        raise AoError(
            "JSON carries UTF-8 only, this message has other bytes", stage="message"
        ) from None


def _dump(tabm: Mapping[str, str | Tabm]) -> str:
    members = (
        f"{json.dumps(key, ensure_ascii=False)}:"
        + (json.dumps(value, ensure_ascii=False) if isinstance(value, str) else _dump(value))
        for key, value in ((key, tabm[key]) for key in in_order(tabm))
    )
    return "{" + ",".join(members) + "}"


def from_json(data: bytes) -> Tabm:
    """The TABM in its JSON form.

    Raises:
        ProtocolError: it is not JSON, not an object of strings and objects, has a key twice, or is
            nested too deep.
    """
    try:
        value = jsontext.parse(data, pairs=_once)
    except json.JSONDecodeError as error:
        raise ProtocolError(f"no JSON: {error.msg}", len(error.doc[: error.pos].encode())) from None
    except UnicodeDecodeError:
        raise ProtocolError("no JSON that can be read here", 0) from None
    except jsontext.JsonLimitError as error:
        raise ProtocolError(f"the JSON {error}", 0) from None
    return _checked(value, 0)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ProtocolError("an object names a key twice", 0)
    return members


def _checked(value: object, depth: int) -> Tabm:
    if not isinstance(value, dict) or depth > DEEPEST:
        why = "nested too deep" if depth > DEEPEST else "not an object"
        raise ProtocolError(f"the JSON of a message is {why}", 0)
    checked: Tabm = {}
    for key, member in value.items():
        try:
            checked[key] = (
                text(raw(member)) if isinstance(member, str) else _checked(member, depth + 1)
            )
            raw(key)
        except UnicodeEncodeError:
            raise ProtocolError(f"half a surrogate pair at the key {brief(key)}", 0) from None
    return checked
