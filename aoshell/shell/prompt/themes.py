"""Colours of the prompt: Lua as it is typed, the menus, and the line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompt_toolkit.styles import BaseStyle

# What can be coloured, by the classes that are drawn. The first words are for users.
COLOURS: dict[str, tuple[str, ...]] = {
    "keyword": ("lua.keyword", "command"),
    "constant": ("lua.constant",),
    "string": ("lua.string",),
    "number": ("lua.number",),
    "comment": ("lua.comment",),
    "builtin": ("lua.builtin",),
    "name": ("lua.reference",),
    "toolbar": ("toolbar",),
    "signature": ("signature",),
    "suggestion": ("auto-suggestion",),
    "bracket": ("matching-bracket.cursor", "matching-bracket.other"),
    "menu": ("completion-menu", "completion-menu.completion", "picker"),
    "chosen": ("completion-menu.completion.current", "picker.current"),
    "hidden": ("hidden",),
}

# The terminal's own palette, which its user can read.
_DARK = {
    "keyword": "ansimagenta",
    "constant": "ansicyan",
    "string": "ansigreen",
    "number": "ansicyan",
    "comment": "ansibrightblack",
    "builtin": "ansiblue",
    "name": "ansiyellow",
    "toolbar": "ansibrightblack",
    "signature": "ansicyan",
    "suggestion": "ansibrightblack",
    "bracket": "bold underline",
    "menu": "",
    "chosen": "reverse",
    "hidden": "reverse",
}
_LIGHT = {
    **_DARK,
    "constant": "ansiblue",
    "string": "#006000",
    "number": "ansiblue",
    "name": "#805000",
    "comment": "#707070",
    "toolbar": "#606060",
    "signature": "ansiblue",
    "suggestion": "#909090",
}
_PLAIN = {
    **dict.fromkeys(COLOURS, ""),
    "bracket": "bold",
    "chosen": "reverse",
    "hidden": "reverse",
}
THEMES: dict[str, dict[str, str]] = {"dark": _DARK, "light": _LIGHT, "plain": _PLAIN}

# prompt_toolkit's menus are grey boxes; these stand on the terminal's own ground.
_FIXED = {
    "completion-menu.meta.completion": "noinherit",
    "completion-menu.meta.completion.current": "noinherit",
    "scrollbar.background": "noinherit",
    "scrollbar.button": "noinherit reverse",
}


def make_style(theme: str, changes: Mapping[str, str]) -> BaseStyle:
    """The style of a theme with changes to it.

    Args:
        theme: one of `THEMES`.
        changes: colours by the names of `COLOURS`, as `colour_problem` finds nothing wrong with.
    """
    from prompt_toolkit.styles import Style

    rules = dict(_FIXED)
    for name, colour in {**THEMES[theme], **changes}.items():
        rules |= dict.fromkeys(COLOURS[name], f"noinherit {colour}")
    return Style.from_dict(rules)


def colour_problem(colour: object) -> str:
    """Why a value is no colour, "" where it is one."""
    if not isinstance(colour, str):
        return f"{colour!r} is no text"
    from prompt_toolkit.styles import Style

    try:
        Style.from_dict({"x": colour})
    except ValueError as error:
        return str(error)
    return ""
