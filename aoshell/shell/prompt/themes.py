"""Colours of the prompt: Lua as it is typed, the menus, and the line below."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit.styles import BaseStyle

# What can be coloured: the names for users, and the classes that are drawn.
COLOURS: dict[str, tuple[str, ...]] = {
    "keyword": ("lua.keyword", "command"),
    "constant": ("lua.constant",),
    "string": ("lua.string",),
    "number": ("lua.number",),
    "comment": ("lua.comment",),
    "builtin": ("lua.builtin",),
    "name": ("lua.reference",),
    "wrong": ("lua.wrong",),
    "open": ("lua.open",),
    "toolbar": ("toolbar",),
    "signature": ("signature",),
    "suggestion": ("auto-suggestion",),
    "bracket": ("matching-bracket.cursor", "matching-bracket.other"),
    "menu": ("completion-menu", "completion-menu.completion", "picker"),
    "chosen": ("completion-menu.completion.current", "picker.current"),
    "hidden": ("hidden",),
}

# Of the 256 colours, those that all terminals draw alike; a terminal may define the first sixteen.
# Each has a contrast of 4.5:1 (WCAG 2.1, 1.4.3) on the backgrounds of its theme.
_DARK = {
    "keyword": "#d787d7",
    "constant": "#5fd7d7",
    "string": "#87d787",
    "number": "#5fd7d7",
    "comment": "#949494",
    "builtin": "#87afff",
    "name": "#d7af5f",
    "wrong": "#ff8787 underline",
    "open": "underline",
    "toolbar": "#949494",
    "signature": "#5fd7d7",
    "suggestion": "#949494",
    "bracket": "bold underline",
    "menu": "",
    "chosen": "reverse",
    "hidden": "reverse",
}
_LIGHT = {
    **_DARK,
    "keyword": "#8700af",
    "constant": "#005faf",
    "string": "#005f00",
    "number": "#005faf",
    "comment": "#626262",
    "builtin": "#0000d7",
    "name": "#875f00",
    "wrong": "#d70000 underline",
    "toolbar": "#626262",
    "signature": "#005faf",
    "suggestion": "#626262",
}
# Of the 256, only these six have that contrast on black and on white.
_BOTH = {
    **_DARK,
    "keyword": "#875fd7",
    "constant": "#af5f5f",
    "string": "#00875f",
    "number": "#af5f5f",
    "comment": "#767676",
    "builtin": "#5f5fff",
    "name": "#d700af",
    "wrong": "#d700af underline",
    "toolbar": "#767676",
    "signature": "#5f5fff",
    "suggestion": "#767676",
}
_PLAIN = {
    **dict.fromkeys(COLOURS, ""),
    "wrong": "underline",
    "open": "underline",
    "bracket": "bold",
    "chosen": "reverse",
    "hidden": "reverse",
}
THEMES: dict[str, dict[str, str]] = {
    "dark": _DARK,
    "light": _LIGHT,
    "both": _BOTH,
    "plain": _PLAIN,
}
AUTO = "auto"
"""Not a theme: that of the terminal's ground where the terminal tells it, else "both"."""
_LIGHT_GROUNDS = frozenset({"7", "15"})

# prompt_toolkit's menus are grey boxes; these have the terminal's own background.
_FIXED = {
    "completion-menu.meta.completion": "noinherit",
    "completion-menu.meta.completion.current": "noinherit",
    "scrollbar.background": "noinherit",
    "scrollbar.button": "noinherit reverse",
}


def make_style(theme: str, changes: Mapping[str, str]) -> BaseStyle:
    """The style of a theme with changes to it.

    Args:
        theme: one of `THEMES`, or `AUTO`.
        changes: colours by the names of `COLOURS`, valid by `colour_problem`.
    """
    from prompt_toolkit.styles import Style

    rules = dict(_FIXED)
    for name, colour in {**colours_of(theme), **changes}.items():
        rules |= dict.fromkeys(COLOURS[name], f"noinherit {colour}")
    return Style.from_dict(rules)


def colours_of(theme: str) -> Mapping[str, str]:
    """The colours of a theme, or of the one that `AUTO` chooses, by the names of `COLOURS`."""
    return THEMES[_told_by_terminal() if theme == AUTO else theme]


def _told_by_terminal() -> str:
    """The theme for the background in COLORFGBG, such as "15;0" (rxvt, konsole and others)."""
    _, semicolon, ground = os.environ.get("COLORFGBG", "").rpartition(";")
    if not semicolon or not ground.isdecimal():
        return "both"
    return "light" if ground in _LIGHT_GROUNDS else "dark"


def colour_problem(colour: object) -> str:
    """Why a value is not a colour, "" if it is one."""
    if not isinstance(colour, str):
        return f"{colour!r} is no text"
    from prompt_toolkit.styles import Style

    try:
        Style.from_dict({"x": colour})
    except ValueError as error:
        return str(error)
    return ""
