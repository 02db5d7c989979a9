"""Parses JSON that others wrote. Bounds are checked before the first object is made.

A list of two characters takes 56 bytes once it is parsed, an object of six takes 240. So the
brackets, commas and colons of a text show how much memory it may take; its length does not. They
are counted without parsing, at some 200 MB a second, and only in texts that can hold too many.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from aoshell.bounded.sizes import size

LARGEST = 64 << 20  # bytes of UTF-8, or characters where it is text already
MOST = 4_000_000  # brackets, commas and colons outside strings; some 350 MB as objects
DEEPEST = 128  # levels of lists and objects
LONGEST_NUMBER = 100  # digits

_ALL = set(range(256))
_NO_MARK = bytes(_ALL - set(b'"[{,:'))
_NO_BRACKET = bytes(_ALL - set(b'"[]{}'))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_STRING = re.compile(rb'"[^"]*"')


class JsonLimitError(ValueError):
    """JSON exceeds a bound; the text says which and completes "the answer …"."""


def parse(
    data: bytes | str,
    *,
    largest: int = LARGEST,
    deepest: int = DEEPEST,
    strict: bool = True,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The value of a JSON text.

    Args:
        strict: refuse control characters in strings.
        pairs: makes an object of its members; by default the last member of a name counts.

    Raises:
        JsonLimitError: it exceeds a bound, or has a number too large for a float.
        json.JSONDecodeError: it is not JSON (RFC 8259; NaN and Infinity are not).
        UnicodeDecodeError: it is not text.
        ValueError: the base of all of these.
    """
    check_bounds(data, largest, deepest)
    if isinstance(data, bytes):
        data = data.decode(json.detect_encoding(data), "surrogatepass")
    try:
        if strict and pairs is None:
            return _DECODER.decode(data)
        return _decoder(strict, pairs).decode(data)
    except RecursionError:  # brackets that do not match can be deeper than they nest
        raise JsonLimitError(f"is nested deeper than {deepest} levels") from None


def check_bounds(data: bytes | str, largest: int = LARGEST, deepest: int = DEEPEST) -> None:
    """Raise JsonLimitError if a text is too large, has too many values or nests too deep."""
    if len(data) > largest:
        raise JsonLimitError(f"has more than {size(largest)}")
    if len(data) > MOST and len(_outside(data, _NO_MARK)) > MOST:
        raise JsonLimitError(f"has more than {MOST:,} brackets, commas and colons")
    if _openings(data) > deepest and _is_deeper(_outside(data, _NO_BRACKET), deepest):
        raise JsonLimitError(f"is nested deeper than {deepest} levels")


def _openings(data: bytes | str) -> int:
    if isinstance(data, bytes):
        return data.count(b"[") + data.count(b"{")
    return data.count("[") + data.count("{")


def _outside(data: bytes | str, dropped: bytes) -> bytes:
    """The bytes outside strings, without those in `dropped`."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    # Drop pairs of backslashes, as each stands for one. Then drop quotes that a backslash escapes.
    data = data.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, dropped)
    if data.count(b'"') > 4 * MOST + 4:  # each string has a comma or a colon beside it
        raise JsonLimitError(f"has more than {2 * MOST:,} strings")
    # Two quotes side by side do not change whether the rest is inside a string.
    return _STRING.sub(b"", data.replace(b'""', b""))


def _is_deeper(left: bytes, deepest: int) -> bool:
    """Whether brackets nest deeper: each round removes the innermost pairs."""
    left = left.translate(_ONE_KIND)
    for _ in range(deepest):
        if not left:
            return False
        fewer = left.replace(b"[]", b"")
        if len(fewer) == len(left):
            return False  # they do not match: the parser reports that
        left = fewer
    return bool(left)


def _whole(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise JsonLimitError(f"has a number of more than {LONGEST_NUMBER} digits")
    return int(digits)


def _fraction(digits: str) -> float:
    if len(digits) > LONGEST_NUMBER:
        raise JsonLimitError(f"has a number of more than {LONGEST_NUMBER} digits")
    number = float(digits)
    if not math.isfinite(number):
        raise JsonLimitError("has a number too large to be kept")
    return number


def _no_number(name: str) -> float:
    raise json.JSONDecodeError(f"{name} is no JSON", name, 0)


def _decoder(
    strict: bool, pairs: Callable[[list[tuple[str, Any]]], Any] | None
) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=pairs,
        parse_int=_whole,
        parse_float=_fraction,
        parse_constant=_no_number,
        strict=strict,
    )


_DECODER = _decoder(True, None)
