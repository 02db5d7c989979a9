"""Invariants: conditions that must be true after each message of a process."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aoshell.errors import AoError
from aoshell.protocol.message import raw, text
from aoshell.shell.code.bundle import long_string, short_string
from aoshell.shell.code.files import read_file
from aoshell.testing.code.values import parse_value, value_writer

LARGEST = 1 << 20  # bytes of a file of invariants
_CHECKER = Path(__file__).parents[1].joinpath("lua", "invariants.lua")


def read_invariants(path: Path) -> bytes:
    """A file of invariants.

    Raises:
        AoError: stage "load", it cannot be read.
    """
    data = read_file(path, LARGEST)
    if data.startswith(b"\0asm"):
        raise AoError(f"{path} is not Lua", stage="load", hint="write invariants in Lua")
    return data


def holding_code(
    source: bytes, name: str, mark: str = "", meant: Iterable[str] = (), prefix: str = ""
) -> str:
    """Lua for the owner to evaluate in a process: after that, a message that breaks one fails.

    Args:
        source: the file's text.
        name: what errors call it.
        mark: prefix of the error of a message that breaks one.
        meant: handlers that must answer, besides those that the file names.
        prefix: the beginning of a line that each message then prints, with the states before and
            after it (see `reported_values`); "" for no such line.
    """
    checker = long_string(read_file(_CHECKER))
    given = (long_string(source), short_string(name), short_string(mark))
    names = ", ".join(text(short_string(one)) for one in meant)
    return text(
        b'local check, why = load(%s, "@.invariants", "t", _G)\n'
        b"if not check then error(why, 0) end\n"
        b"return check(%s, %s, %s, { %s }, %s, %s)\n"
        % (checker, *given, raw(names), short_string(prefix), long_string(raw(value_writer())))
    )


def marked(text: str, mark: str) -> str:
    """The text after the mark in an error, "" for other errors."""
    _, found, rest = text.partition(mark)
    return rest if found else ""


def reported_values(output: str, prefix: str) -> Any:
    """The states and the message that a message has printed, None if it has not."""
    _, found, rest = output.rpartition(prefix)
    return parse_value(rest.partition("\n")[0]) if found else None


def name_of(path: Path) -> bytes:
    """What errors call a file."""
    return raw(path.name)
