"""Makes untrusted text fit for a terminal."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from itertools import groupby, islice

_SGR = re.compile(r"\x1b\[[0-9;]*m")
_RESET = "\x1b[0m"
HIDDEN = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Marks that turn the direction of text (Unicode UAX #9) or break lines unseen (U+2028, U+2029).

They would let a line look like another one.
"""
# Controls (C0, DEL, C1), bytes that are no UTF-8, and what is hidden.
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{''.join(sorted(HIDDEN))}]")
_LONGEST_PROMPT = 200
_LIST_ROOM = 30  # columns of a list's last column; with less it stands below the first
_LIST_GAPS = 2  # of a line; behind them a gap is part of the text
_LIST_GAP = re.compile(r"\S {2,}(?=\S)")


def clean(untrusted: str, *, colour: bool) -> str:
    """The text with controls escaped, but for \\n, \\t and SGR colours, which may be left out."""
    parts = _SGR.split(untrusted)
    safe = [_UNSAFE.sub(_escaped, part) for part in parts]
    if not colour or len(parts) == 1:
        return "".join(safe)
    codes = _SGR.findall(untrusted)
    mixed = "".join(part + code for part, code in zip(safe, [*codes, ""], strict=True))
    # A colour without an end would run into the prompt.
    return mixed if codes[-1] in (_RESET, "\x1b[m") else mixed + _RESET


def clean_prompt(untrusted: str, *, colour: bool) -> str:
    """A prompt of a process as one line of bounded length."""
    line = clean(untrusted, colour=colour).replace("\n", " ").replace("\t", " ")
    return line if len(line) <= _LONGEST_PROMPT else "aos> "


def clean_line(untrusted: str) -> str:
    """Text on one line, without colours."""
    return clean(untrusted, colour=False).replace("\n", "\\n").replace("\t", "\\t")


def wrapped(prose: str, columns: int) -> str:
    """Prose without lines that are wider than a screen, broken between words.

    Paragraphs are filled anew. What stands behind a gap, as in a list, goes on below itself.
    """
    lines: list[str] = []
    for is_paragraph, group in groupby(prose.split("\n"), _is_of_a_paragraph):
        found = list(group)
        if is_paragraph and any(len(line) > columns for line in found):
            found = [" ".join(found)]
        for line in found:
            lines += [line] if len(line) <= columns else _broken(line, columns)
    return "\n".join(lines)


def wrapped_rows(text: str, columns: int) -> str:
    """Text whose lines stand for themselves, broken as `wrapped()` does. In the row of a table its
    last cell goes on below itself."""
    lines = (_broken(line, columns) if len(line) > columns else [line] for line in text.split("\n"))
    return "\n".join(part for line in lines for part in line)


def _is_of_a_paragraph(line: str) -> bool:
    return line != "" and line[0] != " " and not _LIST_GAP.search(line)


def _broken(line: str, columns: int) -> list[str]:
    from textwrap import wrap

    gaps = [*islice(_LIST_GAP.finditer(line), _LIST_GAPS)]
    gap = gaps[-1] if gaps else None
    indent = " " * (gap.end() if gap else len(line) - len(line.lstrip()))
    if gap and columns - gap.end() < _LIST_ROOM:
        indent = " " * 4
        line = line[: gap.start() + 1] + "\n" + indent + line[gap.end() :]
    return [
        part
        for whole in line.split("\n")
        for part in wrap(
            whole,
            columns,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]


def width_of(line: str) -> int:
    """The columns that a line takes on a terminal."""
    return len(line) if line.isascii() else sum(map(columns_of, line))


def columns_of(character: str) -> int:
    """The columns that a character takes on a terminal."""
    wide = unicodedata.east_asian_width(character) in "WF"
    return 1 + wide - (unicodedata.combining(character) != 0)


def format_time(milliseconds: int) -> str:
    """A point in time in the user's zone, "-" where it is not known."""
    if milliseconds <= 0:
        return "-"
    import time

    with suppress(ValueError, OverflowError, OSError):
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(milliseconds / 1000))
    return "-"


def format_size(count: int) -> str:
    """A number of bytes for a person, "-" for none."""
    if not count:
        return "-"
    value, units = float(count), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    while value >= 1024 and unit != "GB":
        value, unit = value / 1024, next(units)
    return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"


def _escaped(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
