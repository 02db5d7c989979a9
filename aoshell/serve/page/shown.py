"""Makes texts of others safe to show: nothing in them can move, hide or reorder other text.

The page shows them as text, never as markup; this module handles what plain text can still do.
"""

from __future__ import annotations

import re

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_REPLACED = {
    # Lone surrogates, which also stand for bytes that are no UTF-8.
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # Marks that change the direction of text, and separators of lines that are not visible.
    **dict.fromkeys(
        (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029),
        "\ufffd",
    ),
}


def shown(text: str, longest: int) -> str:
    """A text of several lines, cut to `longest` characters; "…" marks the cut."""
    head = text[: longest * 2]  # enough, as little is left out below
    plain = _SEQUENCES.sub("", head).replace("\r\n", "\n").translate(_REPLACED)
    return plain if len(plain) <= longest and head == text else plain[:longest] + "…"


def line(text: str, longest: int) -> str:
    """As `shown`, on one line."""
    return shown(text[: longest * 4].strip(), longest).replace("\n", " ⏎ ").replace("\t", " ")
