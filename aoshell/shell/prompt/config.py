"""The table `[shell]` of the config file: preferences for the prompt.

    [shell]
    editing = "vi"          # or "emacs"
    theme = "light"         # or "dark", "plain"
    toolbar = false
    pager = true            # what is longer than the screen goes through $PAGER
    colours = { keyword = "ansiblue bold" }

A wrong entry is reported and the default holds: the prompt opens in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from aoshell.errors import AoError
from aoshell.home.configfile import line_of, read_config
from aoshell.shell.prompt.themes import COLOURS, THEMES, colour_problem

_CHOICES: dict[str, tuple[object, ...]] = {
    "editing": ("emacs", "vi"),
    "theme": tuple(THEMES),
    "toolbar": (True, False),
    "pager": (True, False),
}


@dataclass(frozen=True, slots=True)
class Preferences:
    """How the user wants the prompt.

    Attributes:
        colours: changes to the theme, by the names of `themes.COLOURS`.
        problems: entries that do not count, and why, as sentences.
    """

    editing: str = "emacs"
    theme: str = "dark"
    toolbar: bool = True
    pager: bool = False
    colours: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def load_preferences(path: Path) -> Preferences:
    """Read the preferences; where there are none, or wrong ones, the defaults hold."""
    try:
        table = read_config(path).get("shell", {})
    except AoError as error:
        return Preferences(problems=(str(error),))
    if not isinstance(table, dict):
        return Preferences(problems=(_problem(path, "", "shell", "is no table", "[shell]"),))
    problems: list[str] = []
    found: dict[str, object] = {}
    for key, value in table.items():
        allowed = _CHOICES.get(key)
        if key == "colours":
            found[key] = _colours(path, value, problems)
        elif allowed is None:
            known = ", ".join((*_CHOICES, "colours"))
            problems.append(_problem(path, "shell", key, "has no meaning there", known))
        elif not any(value is one or (isinstance(one, str) and value == one) for one in allowed):
            shown = " or ".join(_toml(one) for one in allowed)
            problems.append(_problem(path, "shell", key, f"it cannot be {_toml(value)}", shown))
        else:
            found[key] = value
    return replace(Preferences(problems=tuple(problems)), **found)  # type: ignore[arg-type]  # checked above


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
