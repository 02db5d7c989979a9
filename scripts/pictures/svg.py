"""A terminal's screen as SVG: one text element for each run of characters that look the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 8.4, 19.0  # of a character cell, in pixels at a font size of 14
MARGIN, BAR = 14.0, 30.0  # around the text; the bar of the window above it
_SVG = "{http://www.w3.org/2000/svg}"
GROUND, _TEXT, _EDGE = "#1c1e26", "#d8dae3", "#3a3d4a"
# The palette that pyte names. All have a contrast of 4.5:1 on the background.
PALETTE = {
    "default": _TEXT,
    "black": "#8b90a3",
    "brightblack": "#8b90a3",
    "red": "#ff7a85",
    "brightred": "#ff7a85",
    "green": "#7fd88f",
    "brightgreen": "#7fd88f",
    "brown": "#e6c27a",
    "brightbrown": "#e6c27a",
    "blue": "#8ab4ff",
    "brightblue": "#8ab4ff",
    "magenta": "#d9a0f5",
    "brightmagenta": "#d9a0f5",
    "cyan": "#6fd6d6",
    "brightcyan": "#6fd6d6",
    "white": "#ffffff",
    "brightwhite": "#ffffff",
}


@dataclass(frozen=True, slots=True)
class Look:
    """How characters look: colours as #rrggbb, "" for the default background."""

    colour: str
    ground: str
    bold: bool
    slanted: bool
    underlined: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of the screen; the one after a wide character has no text."""

    text: str
    look: Look


PLAIN = Look(_TEXT, "", False, False, False)


def colour(name: str) -> str:
    """The colour that pyte means: one of its names, or six hexadecimal digits."""
    if name in PALETTE:
        return PALETTE[name]
    return f"#{name}" if re.fullmatch("[0-9a-fA-F]{6}", name) else _TEXT


def draw(rows: Sequence[Sequence[Cell]], title: str) -> str:
    """The picture of a window with such rows."""
    columns = max(map(len, rows))
    wide = columns * WIDTH + 2 * MARGIN
    high = len(rows) * HEIGHT + 2 * MARGIN + BAR
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide:g} {high:g}" '
        f'width="{wide:g}" height="{high:g}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{wide:g}" height="{high:g}" rx="8" fill="{GROUND}" stroke="{_EDGE}"/>',
        f'<text x="{wide / 2:g}" y="20" fill="#8b90a3" text-anchor="middle" class="title" '
        f'font-family="sans-serif" font-size="13">{escape(title)}</text>',
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, '
        '\'DejaVu Sans Mono\', monospace" font-size="14">',
    ]
    for number, row in enumerate(rows):
        lines += _row(row, MARGIN + BAR + number * HEIGHT, number)
    return "\n".join([*lines, "</g>", "</svg>", ""])


def _row(row: Sequence[Cell], top: float, number: int) -> Iterator[str]:
    at = 0
    for look, cells in groupby(row, lambda cell: cell.look):
        run = list(cells)
        if look.ground:
            yield (
                f'<rect x="{MARGIN + at * WIDTH:g}" y="{top:g}" width="{len(run) * WIDTH:g}" '
                f'height="{HEIGHT:g}" fill="{look.ground}"/>'
            )
        for start, piece in _pieces(run):
            text = "".join(cell.text for cell in piece)
            # The length is given, so columns align in any font.
            yield (
                f'<text x="{MARGIN + (at + start) * WIDTH:g}" y="{top + 14:g}" '
                f'data-row="{number}" textLength="{len(piece) * WIDTH:g}" '
                f'lengthAdjust="spacingAndGlyphs" '
                f'fill="{look.colour}"{_style(look)}>{escape(text)}</text>'
            )
        at += len(run)


def _pieces(run: list[Cell]) -> Iterator[tuple[int, list[Cell]]]:
    """Words between spaces, and where they begin: SVG keeps only one space between words."""
    start = 0
    for blank, cells in groupby(run, lambda cell: cell.text == " "):
        piece = list(cells)
        if not blank:
            yield start, piece
        start += len(piece)


def _style(look: Look) -> str:
    styles = (
        (look.bold, ' font-weight="bold"'),
        (look.slanted, ' font-style="italic"'),
        (look.underlined, ' text-decoration="underline"'),
    )
    return "".join(style for on, style in styles if on)


def text_of(picture: str) -> list[str]:
    """The lines that a picture shows, as a terminal would, without spaces at their ends."""
    rows: dict[int, list[tuple[int, str]]] = {}
    for element in ElementTree.fromstring(picture).iter(f"{_SVG}text"):
        if (row := element.get("data-row")) is not None:
            at = round((float(element.get("x", "0")) - MARGIN) / WIDTH)
            rows.setdefault(int(row), []).append((at, element.text or ""))
    lines = []
    for number in range(max(rows, default=-1) + 1):
        line = ""
        for at, text in sorted(rows.get(number, [])):
            line = line.ljust(at) + text
        lines.append(line.rstrip())
    return lines
