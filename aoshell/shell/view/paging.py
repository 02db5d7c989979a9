"""Cuts long answers: a terminal shows the first screen, and how much is left."""

from __future__ import annotations

import re

from aoshell.shell.view.text import SGR, columns_of, width_of, without_colours

SCREENS = 2  # answers of up to so many screens are shown whole
_LEFT = 3  # rows of the screen left free for what follows
_RESET = "\x1b[0m"
_PARTS = re.compile(f"({SGR.pattern})")  # cuts a text, and keeps the colours


def first_screen(text: str, columns: int, rows: int) -> tuple[str, str]:
    """The beginning of a text that is too long for a terminal, and how much is left, as words.

    Args:
        text: as it would be written; its only controls are colours.

    Returns:
        The whole text and "" if it takes no more than `SCREENS`.
    """
    if _taken(text, columns, SCREENS * rows) <= SCREENS * rows:
        return text, ""
    room, shown = max(1, rows - _LEFT), list[str]()
    lines = text.removesuffix("\n").split("\n")
    for at, line in enumerate(lines):
        taken = _rows(line, columns, room)
        if taken > room:
            if at == 0:
                begin = _cut(line, columns * room)
                left = f"{len(without_colours(line)) - len(without_colours(begin)):,} characters"
                return begin + _end_of_colours(begin) + "\n", left
            break
        room -= taken
        shown.append(line)
    gone, begin = len(lines) - len(shown), "\n".join(shown)
    return begin + _end_of_colours(begin) + "\n", f"{gone:,} lines" if gone > 1 else "1 line"


def last_rows(text: str, columns: int, rows: int) -> str:
    """The last lines of a text that fit into so many rows; "" if the last line does not fit."""
    found: list[str] = []
    for line in reversed(text.removesuffix("\n").split("\n")):
        taken = _rows(line, columns, rows)
        if taken > rows:
            break
        rows -= taken
        found.append(line)
    shown = "\n".join(reversed(found))
    return shown + _end_of_colours(shown) + "\n" if found else ""


def _taken(text: str, columns: int, most: int) -> int:
    """Rows of a text; stops counting above `most`."""
    rows, lines = 0, text.count("\n")
    if lines > most:
        return lines
    for line in text.removesuffix("\n").split("\n"):
        rows += _rows(line, columns, most)
        if rows > most:
            break
    return rows


def _rows(line: str, columns: int, most: int) -> int:
    plain = without_colours(line)
    # No character takes more than two columns, and few take none.
    width = width_of(plain[: columns * (most + 1)].expandtabs())
    return max(1, -(-width // columns))


def _cut(line: str, width: int) -> str:
    parts: list[str] = []
    for at, part in enumerate(_PARTS.split(line)):
        if at % 2:
            parts.append(part)
            continue
        for end, character in enumerate(part):
            width -= columns_of(character)
            if width < 0:
                return "".join([*parts, part[:end]])
        parts.append(part)
    return "".join(parts)


def _end_of_colours(text: str) -> str:
    return _RESET if "\x1b" in text else ""
