"""The manual page aoshell(1), written from the table of the command line.

`scripts/manual_page.py` writes it to docs/aoshell.1, which is installed with the package.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from aoshell.commandline.table import Flag, Form, Value

_ABOUT = (
    "aoshell evaluates Lua in AO processes: on a node that is built in, on a HyperBEAM node, or on"
    " the legacy network. Without NAME it opens the process that is called default. A new NAME"
    " makes a process. A line that begins with a dot is a command of the shell; .help lists"
    " them."
)
_ENVIRONMENT = (
    ("AOSHELL_HOME", "one folder for everything, instead of the folders below"),
    ("AO_URL", "the HyperBEAM node, if no flag names one"),
    ("MU_URL, CU_URL, SU_URL, GATEWAY_URL", "like the flags of these names"),
    ("SCHEDULER, AUTHORITY", "like the flags of these names"),
    ("AOS_MODULE", "like --module, on nodes other than the built-in one"),
    ("NO_COLOR", "no colours, if it is not empty"),
    ("VISUAL, EDITOR, PAGER", "programs for .pad, and for answers longer than the screen"),
)
_FILES = (
    ("~/.config/aoshell/config.toml", "preferences of the prompt, and nodes by name"),
    ("~/.local/state/aoshell", "the built-in node, the wallet, and the history"),
    ("~/.cache/aoshell", "data that can be made again"),
)
_STATUS = (
    ("0", "success"),
    ("1", "a line failed"),
    ("2", "the command line cannot be understood"),
    ("130", "Ctrl-C ended it"),
)
_EXAMPLES = (
    ("aoshell", "the process default, at a prompt"),
    ("aoshell bank --run 'Balance'", "one line in the process bank"),
    ("aoshell bank --load token.lua", "a prompt, after a file was loaded"),
    ("aoshell bank --node https://node.example", "a prompt on a HyperBEAM node"),
)


def manual(table: Sequence[Form], version: str) -> str:
    """The page, as roff with the macros of man(7)."""
    shell, *others = table
    lines = [
        '.\\" Written by scripts/manual_page.py.',
        f'.TH AOSHELL 1 "" "aoshell {version}" "User Commands"',
        ".SH NAME",
        r"aoshell \- an interactive shell for building, running and verifying AO processes",
        ".SH SYNOPSIS",
        *(line for form in table for line in _synopsis(form)),
        ".SH DESCRIPTION",
        _text(_ABOUT),
        ".PP",
        _text(_own_words(shell)),
        ".SH OPTIONS",
        *_flags(shell.flags),
        ".SH COMMANDS",
        *(line for form in others for line in _command(form)),
        *_section("ENVIRONMENT", _ENVIRONMENT),
        *_section("FILES", _FILES),
        *_section("EXIT STATUS", _STATUS),
        *_section("EXAMPLES", _EXAMPLES),
    ]
    return "\n".join(lines) + "\n"


def _own_words(shell: Form) -> str:
    """The text of help below the flags, without the lines about commands: these have a section."""
    lines = shell.more.splitlines()
    return " ".join(line for line in lines if not line.startswith("aoshell "))


def _synopsis(form: Form) -> list[str]:
    takes = " ".join(
        f"[{_place(place)}]" if place.optional else _place(place) for place in form.places
    )
    shown = f"\\fB{_text(form.name)}\\fR {takes} [\\fIflags\\fR]"
    return [*([".br"] if form.words else []), " ".join(shown.split())]


def _place(place: Value) -> str:
    # Only the value after an alternative is slanted: words are typed literally.
    shown = "|".join(
        f"\\fB{_text(part)}\\fR" if part in place.words else f"\\fI{_text(part)}\\fR"
        for part in place.name.split("|")
    )
    return f"{shown} ..." if place.many else shown


def _command(form: Form) -> list[str]:
    lines = [f".SS {_text(form.name)}", _text(form.about)]
    for place in form.places:
        if place.help:
            lines += [".TP", _place(place), _text(place.help)]
    lines += _flags(form.flags)
    return [*lines, *([".PP", _text(" ".join(form.more.split()))] if form.more else [])]


def _flags(flags: Iterable[Flag]) -> list[str]:
    lines: list[str] = []
    for group, of_group in groupby(flags, lambda flag: flag.group):
        if group not in ("options", "positional arguments"):
            lines += [f".SS {_text(group[:1].upper() + group[1:])}"]
        for flag in of_group:
            names = ", ".join(f"\\fB{_text(name)}\\fR" for name in flag.names)
            value = f" {_place(flag.value)}" if flag.value else ""
            lines += [".TP", names + value, _text(flag.help)]
    return lines


def _section(title: str, rows: Iterable[tuple[str, str]]) -> list[str]:
    lines = [f".SH {title}"]
    for name, about in rows:
        lines += [".TP", f"\\fB{_text(name)}\\fR", _text(about)]
    return lines


def _text(text: str) -> str:
    """Text without roff requests. A dash stays the typed character."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return re.sub(r"(?m)^([.'])", r"\\&\1", text)
