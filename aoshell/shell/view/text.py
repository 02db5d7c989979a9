"""Makes untrusted text fit for a terminal."""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from itertools import groupby, islice, takewhile

SGR = re.compile(r"\x1b\[[0-9;]*m")
"""A colour, as terminals take it."""
_RESET = "\x1b[0m"
HIDDEN = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Marks that turn the direction of text (Unicode UAX #9) or break lines unseen (U+2028, U+2029).

They would let a line look like another one.
"""
# Controls (C0, DEL, C1), bytes that are not UTF-8, and hidden characters.
_UNSAFE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff{''.join(sorted(HIDDEN))}]")
_LONGEST_PROMPT = 200
_LIST_ROOM = 30  # least columns of a list's last column; if narrower it goes below the first
_LIST_GAPS = 2  # gaps of a line; later gaps are part of the text
_LIST_GAP = re.compile(r"\S {2,}(?=\S)")
_BELOW = 4  # columns before a cell that is shown below its row
_LEAD = re.compile(r"[\s│├└─]*(?:→ )?")
_BRANCHES = str.maketrans({"├": "│", "└": " ", "─": " ", "→": " "})  # for the lines below
_WORD = re.compile(r"( *)([^ ]+)")
_GUTTER = re.compile(r"\s*\d* │ ")
_CODE = re.compile(r"\s*\d+ │ ")
_NAME = re.compile(r"[^│]* │ ")  # of a process, or blanks below it, before what the feed shows
# A source line and a caret under it, after a gutter; the feed puts a name before both.
_EXCERPT = re.compile(
    r"^(?P<gutter>.*?\d │ )(?P<code>.*)\n(?P<blank>.*?│ )(?P<pad> *)\^$", re.MULTILINE
)
_NARROWEST = 4  # least columns for text after a gutter or an indentation
_NO_COLUMN = frozenset({"Mn", "Me", "Cf"})  # categories of Unicode: marks, and format characters


def clean(untrusted: str, *, colour: bool) -> str:
    """The text with controls escaped, except \\n and \\t; SGR colours are kept or removed."""
    parts = SGR.split(untrusted)
    safe = [_UNSAFE.sub(_escaped, part) for part in parts]
    if not colour or len(parts) == 1:
        return "".join(safe)
    codes = SGR.findall(untrusted)
    mixed = "".join(part + code for part, code in zip(safe, [*codes, ""], strict=True))
    # A colour without an end would run into the prompt.
    return mixed if codes[-1] in (_RESET, "\x1b[m") else mixed + _RESET


def without_colours(text: str) -> str:
    """A text without its colours."""
    return SGR.sub("", text) if "\x1b" in text else text


def clean_prompt(untrusted: str, *, colour: bool) -> str:
    """A prompt of a process as one line of bounded length."""
    line = clean(untrusted, colour=colour).replace("\n", " ").replace("\t", " ")
    return line if len(line) <= _LONGEST_PROMPT else "aos> "


def clean_line(untrusted: str) -> str:
    """Text on one line, without colours."""
    return clean(untrusted, colour=False).replace("\n", "\\n").replace("\t", "\\t")


def wrapped(prose: str, columns: int) -> str:
    """Prose broken between words, so that no line is wider than a screen.

    Paragraphs are filled again. Text after a gap, as in a list, continues below itself.
    """
    lines: list[str] = []
    for is_paragraph, group in groupby(prose.split("\n"), _is_of_a_paragraph):
        found = list(group)
        if is_paragraph and any(_width(line) > columns for line in found):
            found = [" ".join(found)]
        for line in found:
            lines += _broken(line, columns)
    return "\n".join(lines)


def wrapped_rows(text: str, columns: int) -> str:
    """Text whose lines are separate, broken as by `wrapped()`. The last cell of a table's row
    continues below itself."""
    return "\n".join(part for line in text.split("\n") for part in _broken(line, columns))


def wrapped_sentences(text: str, columns: int) -> str:
    """Sentences of the shell, broken between words; a line with a gutter is code and is not
    broken."""
    lines = ([line] if _GUTTER.match(line) else _broken(line, columns) for line in text.split("\n"))
    return "\n".join(part for line in lines for part in line)


def wrapped_feed(text: str, columns: int) -> str:
    """What arrived, broken between words, beside the name before it; code is not broken."""
    return "\n".join(part for line in text.split("\n") for part in _beside_name(line, columns))


def _beside_name(line: str, columns: int) -> list[str]:
    name = _NAME.match(line)
    before = name[0] if name else ""
    rest, used = line[len(before) :], _width(before)
    if _width(line) <= columns or _CODE.match(line) or _GUTTER.match(rest):
        return [line]
    first, *others = _broken(rest, max(columns - used, _NARROWEST))
    below = " " * (used - len("│ ")) + "│ " if before else ""
    return [before + first, *(below + part for part in others)]


def _is_of_a_paragraph(line: str) -> bool:
    return line != "" and line[0] != " " and not _LIST_GAP.search(line)


def _broken(line: str, columns: int) -> list[str]:
    """A line in parts that fit on a screen."""
    if _width(line) <= columns:
        return [line]
    lead = _LEAD.match(line)
    gaps = [*islice(_LIST_GAP.finditer(line, lead.end() if lead else 0), _LIST_GAPS)]
    gap = gaps[-1] if gaps else None
    if gap is None:
        return _filled(line, columns)
    indent = _width(line[: gap.end()])
    if columns - indent >= _LIST_ROOM:
        return _filled(line, columns, indent)
    below = " " * _BELOW + line[gap.end() :]
    return [*_filled(line[: gap.start() + 1], columns, _BELOW), *_filled(below, columns, _BELOW)]


def _filled(line: str, columns: int, indent: int | None = None) -> list[str]:
    """A line, broken between words. A word that is wider than the screen stays whole.

    Args:
        indent: of the lines below; that of the text in the line by default.
    """
    lead = _LEAD.match(line)
    begin = lead[0] if lead else ""
    under = begin.translate(_BRANCHES) if indent is None else " " * indent
    under = under[: columns - _NARROWEST]
    lines, now, used = list[str](), begin, width_of(begin)
    for gap, word in _WORD.findall(line[len(begin) :]):
        width = _width(word)
        if used + len(gap) + width > columns and now.strip(" │├└─→"):
            lines.append(now)
            now, used = under + word, len(under) + width
        else:
            now, used = now + gap + word, used + len(gap) + width
    return [*lines, now]


def _width(text: str) -> int:
    """The columns of a text that may have colours."""
    return width_of(without_colours(text))


def width_of(line: str) -> int:
    """The columns that a line takes on a terminal."""
    return len(line) if line.isascii() else sum(map(columns_of, line))


def columns_of(character: str) -> int:
    """The columns that a character takes on a terminal."""
    if character.isascii():
        return 1
    if unicodedata.category(character) in _NO_COLUMN or "\u1160" <= character <= "\u11ff":
        return character == "\u00ad"
    return 1 + (unicodedata.east_asian_width(character) in "WF")


def fitted_excerpts(text: str, columns: int) -> str:
    """A text whose source lines are scrolled so that their carets are on the screen."""
    return _EXCERPT.sub(lambda found: _scrolled(found, columns), text)


def _scrolled(found: re.Match[str], columns: int) -> str:
    gutter, code, caret = found["gutter"], found["code"], width_of(found["pad"])
    room = columns - width_of(gutter)
    if width_of(gutter) != width_of(found["blank"]) or width_of(code) <= room or room < _NARROWEST:
        return found[0]
    start = max(0, min(caret - room * 2 // 3, width_of(code) - room))
    shown, at = "", 0
    for character in code:
        wide = columns_of(character)
        if start <= at and at + wide <= start + room and (wide or shown):
            shown += character
        elif at < start < at + wide:
            shown += " " * (at + wide - start)  # half of it is cut
        at += wide
    if start > 0:
        shown = _replaced(shown, 0)
    if at > start + room:
        shown = _replaced(shown, -1)
    return f"{gutter}{shown}\n{found['blank']}{' ' * (caret - start)}^"


def _replaced(text: str, at: int) -> str:
    """A text whose first or last character, with its marks, is replaced by an ellipsis."""
    found = (_first if at == 0 else _last)(text)
    mark = "…" + " " * (width_of(found) - 1)
    return mark + text[len(found) :] if at == 0 else text[: -len(found)] + mark


def _first(text: str) -> str:
    return text[0] + "".join(takewhile(lambda one: not columns_of(one), text[1:]))


def _last(text: str) -> str:
    marks = "".join(takewhile(lambda one: not columns_of(one), reversed(text)))
    return text[-1 - len(marks) :]


def format_time(milliseconds: int) -> str:
    """A time in the user's zone, "-" if it is not known."""
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
