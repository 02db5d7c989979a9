"""Parses paths of AO-Core into segments, devices and parameters, without their meaning.

    /ID~process@1.0/compute&slot=7/results/output?require-codec=application/json

A segment is a key, or an id, and may name the device that looks it up (`~device@1.0`, also without
a key). `key=value` is a key with a value; `&name=value` are parameters of that step. A name may say
the type of its value (`slot+integer=7`). Keys, names and values are percent-encoded. Source:
HyperBEAM `hb_singleton`, and what clients send.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from aoshell.protocol.encoding import brief
from aoshell.protocol.message import text
from aoshell.serve.asgi.http import RequestError

LONGEST = 1 << 16  # characters of a path as sent; it may hold the tags of a dry run
MOST_SEGMENTS = 64
LONGEST_KEY = 1024  # characters of a key or device, decoded
MOST_PARAMETERS = 256  # of one segment


@dataclass(frozen=True, slots=True)
class Segment:
    """One step of a path.

    Attributes:
        key: the key to look up; "" where only a device is named.
        device: name of the device that looks it up, "" for the value's own device.
        value: the value of `key=value`; None without "=".
        parameters: names, without their types, and values, in order.
    """

    key: str
    device: str = ""
    value: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    def parameter(self, name: str) -> str | None:
        """The value of the first parameter of that name, in whatever case; None without one."""
        lower = name.lower()
        return next((value for key, value in self.parameters if key.lower() == lower), None)

    @property
    def name(self) -> str:
        """The key as AO-Core compares it, in lower case."""
        return self.key.lower()


def parse_path(path: str) -> tuple[Segment, ...]:
    """The segments of a path, percent-encoded as sent; () for the root. Empty ones are left out.

    Raises:
        RequestError: 400 or 414, it exceeds a bound, or has a form that is not supported here.
    """
    if len(path) > LONGEST:
        raise RequestError(414, f"the path has more than {LONGEST:,} characters")
    parts = [part for part in with_tilde(path).split("/") if part]
    if len(parts) > MOST_SEGMENTS:
        raise RequestError(400, f"the path has more than {MOST_SEGMENTS} segments")
    return tuple(map(_segment, parts))


def with_tilde(path: str) -> str:
    """A path in which an encoded `~` (%7E) is `~`; both mean the same (RFC 3986 section 2.3)."""
    return path.replace("%7E", "~").replace("%7e", "~")


def _segment(part: str) -> Segment:
    if part.startswith("("):
        raise RequestError(400, f"a path in brackets is not answered here: {brief(part)}")
    head, *given = part.split("&")
    if len(given) > MOST_PARAMETERS:
        raise RequestError(400, f"a segment has more than {MOST_PARAMETERS} parameters")
    parameters = tuple(_pair(one) for one in given if one)
    name, equals, value = head.partition("=")
    if equals:
        return Segment(_key(untyped(decoded(name))), "", decoded(value), parameters)
    key, _, device = head.partition("~")
    return Segment(_key(decoded(key)), _key(decoded(device)), None, parameters)


def _pair(one: str) -> tuple[str, str]:
    name, _, value = one.partition("=")
    return _key(untyped(decoded(name))), decoded(value)


def _key(key: str) -> str:
    if len(key) > LONGEST_KEY:
        raise RequestError(400, f"a key has more than {LONGEST_KEY:,} characters: {brief(key)}")
    return key


def decoded(part: str) -> str:
    """A part of a path, decoded; it may hold any bytes."""
    return text(unquote_to_bytes(part.encode("latin-1", "replace")))


def untyped(name: str) -> str:
    """The name of a parameter without the type after it (`slot+integer`)."""
    return name.partition("+")[0]


def find_parameter(pairs: Iterable[tuple[str, str]], name: str) -> str | None:
    """The value of the first pair of that name, in whatever case and of whatever type."""
    lower = name.lower()
    return next((value for key, value in pairs if untyped(key).lower() == lower), None)
