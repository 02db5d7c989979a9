"""Structured fields (RFC 9651, which replaces RFC 8941) as text, parsed by http-sf.

http-sf is imported at its first use, so that a shell without signed messages starts faster. Earlier
versions than 1.1 have no `StructuredFieldError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from aoshell.errors import AoError
from aoshell.protocol.encoding import ProtocolError, brief
from aoshell.protocol.message import raw

if TYPE_CHECKING:
    from http_sf.types import BareItemType

Bare: TypeAlias = "BareItemType"
Item: TypeAlias = "tuple[Bare, Mapping[str, Bare]]"

LONGEST_FIELD = 1 << 20  # bytes


def parse_item(value: str, place: str) -> Item:
    """An item with its parameters.

    Raises:
        ProtocolError: `value` is no item. The error names `place` ("header slot").
    """
    found = _parse(value, place, "item")
    return found if isinstance(found, tuple) else (found, {})


def parse_dictionary(value: str, place: str) -> dict[str, Any]:
    """A dictionary: (value, parameters) by key; the value of an inner list is a list of such pairs.

    Raises:
        ProtocolError: `value` is no dictionary, or names a key twice.
    """
    if not value.strip(" "):  # RFC 9651 section 4.2; http-sf before 1.4 refuses an empty dictionary
        return {}
    found: dict[str, Any] = _parse(value, place, "dictionary")
    return found


def parse_list(value: str, place: str) -> list[Any]:
    """A list of (value, parameters) pairs.

    Raises:
        ProtocolError: `value` is no list.
    """
    found: list[Any] = _parse(value, place, "list")
    return found


def quoted(string: str) -> str:
    """A string as RFC 9651 section 4.1.6 writes it.

    Raises:
        AoError: stage "message", for anything but printable ASCII, which it cannot carry.
    """
    if not string.isascii() or not string.isprintable():
        raise AoError(
            f"{brief(string)} cannot be a string of a structured field: only printable ASCII can",
            stage="message",
        )
    return escaped(string)


def escaped(string: str) -> str:
    """Like `quoted()`, for any string: for what is hashed or signed, and never sent."""
    return '"' + string.replace("\\", "\\\\").replace('"', '\\"') + '"'


def parameters(pairs: Iterable[tuple[str, str | int]]) -> str:
    """Parameters as RFC 9651 section 4.1.1.2 writes them, in the order given."""
    return "".join(
        f";{name}={value if isinstance(value, int) else quoted(value)}" for name, value in pairs
    )


def _parse(value: str, place: str, kind: str) -> Any:
    from http_sf import StructuredFieldError, parse

    data = raw(value)
    if len(data) > LONGEST_FIELD:
        raise ProtocolError(f"more than {LONGEST_FIELD} bytes", LONGEST_FIELD, place)

    # RFC 9651 lets the last of two equal keys win. Two readers could then disagree, so refuse both.
    def refuse(key: str, _kind: str) -> None:
        raise ProtocolError(f"the key {brief(key)} occurs twice", 0, place)

    try:
        return parse(data, tltype=kind, on_duplicate_key=refuse)
    except StructuredFieldError as error:
        what = str(error.args[0] if error.args else "malformed").rstrip(".")
        raise ProtocolError(f"no structured {kind}: {what}", error.position or 0, place) from None
    except (ValueError, RecursionError, OverflowError):
        raise ProtocolError(f"no structured {kind}", 0, place) from None
