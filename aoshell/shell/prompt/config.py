"""The table `[shell]` of the config file: preferences for the prompt.

    [shell]
    editing = "vi"          # or "emacs"
    theme = "light"         # or "dark", "both", "plain"; "auto" asks the terminal's environment
    toolbar = false
    menu = false            # the menu opens with Tab only
    marks = false           # wrong Lua is not marked while it is typed
    pager = true            # answers longer than the screen go through $PAGER
    colours = { keyword = "ansiblue bold" }

A wrong entry is reported and the default applies: the prompt opens in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from aoshell.errors import AoError, UsageError
from aoshell.home.configfile import line_of, read_config
from aoshell.shell.prompt.themes import AUTO, COLOURS, THEMES, colour_problem, colours_of

CHOICES: dict[str, tuple[object, ...]] = {
    "editing": ("emacs", "vi"),
    "theme": (AUTO, *THEMES),
    "toolbar": (True, False),
    "pager": (True, False),
    "menu": (True, False),
    "marks": (True, False),
}


COLOUR = "colours."  # before the name of a colour, in `.set`


@dataclass(frozen=True, slots=True)
class Preferences:
    """How the user wants the prompt.

    Attributes:
        colours: changes to the theme, by the names of `themes.COLOURS`.
        problems: sentences about entries that are ignored, and why.
        menu: whether it also opens by itself.
        marks: whether wrong Lua is marked while it is typed.
    """

    editing: str = "emacs"
    theme: str = AUTO
    toolbar: bool = True
    pager: bool = False
    colours: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    menu: bool = True
    marks: bool = True


def load_preferences(path: Path) -> Preferences:
    """Read the preferences; defaults apply to those that are missing or wrong."""
    try:
        table = read_config(path).get("shell", {})
    except AoError as error:
        return Preferences(problems=(str(error),))
    if not isinstance(table, dict):
        return Preferences(problems=(_problem(path, "", "shell", "is no table", "[shell]"),))
    problems: list[str] = []
    found: dict[str, object] = {}
    for key, value in table.items():
        allowed = CHOICES.get(key)
        if key == "colours":
            found[key] = _colours(path, value, problems)
        elif allowed is None:
            known = ", ".join((*CHOICES, "colours"))
            problems.append(_problem(path, "shell", key, "is not known there", known))
        elif not any(value is one or (isinstance(one, str) and value == one) for one in allowed):
            shown = " or ".join(_toml(one) for one in allowed)
            problems.append(_problem(path, "shell", key, f"it cannot be {_toml(value)}", shown))
        else:
            found[key] = value
    return replace(Preferences(problems=tuple(problems)), **found)  # type: ignore[arg-type]  # checked above


# For this session ---------------------------------------------------------------------------------


def names() -> list[str]:
    """The names of all settings."""
    return [*CHOICES, *(f"{COLOUR}{name}" for name in COLOURS)]


def words(name: str) -> list[str]:
    """The possible values of a setting; [] for a colour."""
    return list(map(_word, CHOICES.get(name, ())))


def shown(preferences: Preferences) -> list[tuple[str, str, str]]:
    """Each setting: its name, its value, and what it may be."""
    rows = [(name, _word(getattr(preferences, name)), " or ".join(words(name))) for name in CHOICES]
    theme = colours_of(preferences.theme)
    return [
        *rows,
        *(
            (f"{COLOUR}{name}", preferences.colours.get(name, theme[name]) or "-", "a colour")
            for name in COLOURS
        ),
    ]


def changed(preferences: Preferences, name: str, text: str) -> tuple[Preferences, str]:
    """The preferences with one of them changed, and the change as a line of the config file.

    Raises:
        UsageError: there is no such setting, or it cannot have this value.
    """
    if name.startswith(COLOUR):
        return _coloured(preferences, name.removeprefix(COLOUR), text)
    if name not in CHOICES:
        known = ", ".join((*CHOICES, f"{COLOUR}NAME"))
        raise UsageError(f"there is no setting {name}", hint=known)
    value = next((one for one in CHOICES[name] if _word(one) == text), None)
    if value is None:
        raise UsageError(f"{name} cannot be {text}", hint=" or ".join(words(name)))
    changes: dict[str, Any] = {name: value}
    return replace(preferences, **changes), f"{name} = {_toml(value)}"


def _coloured(preferences: Preferences, name: str, text: str) -> tuple[Preferences, str]:
    if name not in COLOURS:
        raise UsageError(f"{COLOUR}{name} colours nothing", hint=", ".join(COLOURS))
    colour = text.strip("\"'")
    if wrong := colour_problem(colour):
        raise UsageError(wrong, hint="#ff8800 bold, or ansiblue")
    colours = {**preferences.colours, name: colour}
    return replace(preferences, colours=colours), f"{COLOUR}{name} = {_toml(colour)}"


def _word(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _colours(path: Path, value: object, problems: list[str]) -> dict[str, str]:
    if not isinstance(value, dict):
        problems.append(_problem(path, "shell", "colours", "is no table", "[shell.colours]"))
        return {}
    good: dict[str, str] = {}
    for name, colour in value.items():
        wrong = colour_problem(colour)
        if name not in COLOURS:
            known = ", ".join(COLOURS)
            problems.append(_problem(path, "shell.colours", name, "colours nothing", known))
        elif wrong:
            problems.append(
                _problem(path, "shell.colours", name, wrong, '"#ff8800 bold", "ansiblue"')
            )
        else:
            good[name] = colour
    return good


def _problem(path: Path, table: str, key: str, what: str, allowed: str) -> str:
    line = line_of(path, table, key)
    place = f"{path}, line {line}" if line else str(path)
    name = f"[{table}] {key}" if table else key
    return f"config: {place}: {name}: {what}; the default holds\n  → allowed: {allowed}"


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
