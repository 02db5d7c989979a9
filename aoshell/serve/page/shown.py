"""Texts of others as a page can show them: nothing in them moves, hides or reorders what is there.

The page shows them as text and never as markup; here is what text itself could do.
"""

from __future__ import annotations

import re

_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_REPLACED = {
    # Bytes that are no UTF-8, and what no text of Unicode has alone.
    **dict.fromkeys(range(0xD800, 0xE000), "\ufffd"),
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    0x7F: "\u2421",
    **dict.fromkeys(range(0x80, 0xA0), "\ufffd"),
    # They change the direction of what follows, or join lines where none are seen.
    **dict.fromkeys(
        (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x2028, 0x2029),
        "\ufffd",
    ),
}


def shown(text: str, longest: int) -> str:
    """A text of several lines, cut; "…" says that it was."""
    head = text[: longest * 2]  # what is left out below is little of it
    plain = _SEQUENCES.sub("", head).replace("\r\n", "\n").translate(_REPLACED)
    return plain if len(plain) <= longest and head == text else plain[:longest] + "…"


def line(text: str, longest: int) -> str:
    """The same on one line."""
    return shown(text[: longest * 4].strip(), longest).replace("\n", " ⏎ ").replace("\t", " ")
