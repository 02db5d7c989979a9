"""The commands `aoshell dump` and `aoshell load`: their flags and their output.

Exit codes: 0, 1 for a failure, 2 for misuse, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import NoReturn

from aoshell import interrupts
from aoshell.bounded.files import shown
from aoshell.errors import UsageError
from aoshell.home.folders import Settings
from aoshell.nodes.local.log.store import Store
from aoshell.shell.flags.parser import CommandParser
from aoshell.shell.flags.values import state_file
from aoshell.shell.view.streams import writer
from aoshell.shell.view.text import format_size
from aoshell.states.working import STREAM, dump, load, notes, tell

MISUSED = 2
_WITHOUT = "Wallets, keys and tokens are never in it."


class _Parser(CommandParser):
    """A parser whose errors say how to attach a process with the name of the command."""

    def error(self, message: str) -> NoReturn:
        name = self.prog.rpartition(" ")[2]
        super().error(f"{message} (a process of that name: aoshell -- {name})")


def main(command: str, arguments: Sequence[str]) -> int:
    """Run `dump` or `load`; returns the exit code.

    Raises:
        AoError: it failed; nothing was written or loaded.
    """
    parser = make_dump_parser() if command == "dump" else make_load_parser()
    try:
        given = parser.parse(arguments)
    except SystemExit as leaving:  # argparse has printed the reason
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    interrupts.heed()
    settings = Settings.find()
    _tell_of_namesake(settings, command)
    return (_dump if command == "dump" else _load)(settings, given)


def _dump(settings: Settings, given: argparse.Namespace) -> int:
    if given.file == STREAM and sys.stdout.isatty():
        raise UsageError(
            "a dump is binary and cannot be shown on a terminal",
            hint="aoshell dump - | …, or a FILE",
        )
    header = interrupts.run(dump(settings, given.file))
    counts = {
        name: header[name] for name in ("processes", "messages", "modules", "uploads", "bytes")
    }
    text = f"{shown(given.file)}: {_counted(counts)}, {format_size(counts['bytes'])}"
    if given.file != STREAM:
        _answer(given, counts, text)
    for line in header["notes"]:
        tell(line)
    return 0


def _load(settings: Settings, given: argparse.Namespace) -> int:
    found = interrupts.run(load(settings, given.file))
    counts = {
        "processes": found.processes,
        "messages": found.messages,
        "modules": found.modules,
        "uploads": found.uploads,
        "waiting": found.waits,
    }
    _answer(given, counts, f"loaded {_counted(counts)} into {shown(settings.home)}")
    for line in notes(found):
        tell(line)
    return 0


def _counted(counts: dict[str, int]) -> str:
    words = {"processes": "process", "messages": "message", "modules": "module"}
    words["uploads"] = "upload"
    return ", ".join(
        f"{counts[many]:,} {one if counts[many] == 1 else many}"
        for many, one in words.items()
        if counts[many] or many == "processes"
    )


def _answer(given: argparse.Namespace, counts: dict[str, int], text: str) -> None:
    line = json.dumps({"file": given.file} | counts) if given.json else text
    writer(sys.stdout, needed=True)(line + "\n")


def _tell_of_namesake(settings: Settings, command: str) -> None:
    """Say how to attach a process with the name of the command, if there is one."""
    if not settings.node_db.exists():
        return
    with closing(Store.reading(settings.node_db)) as store:
        if store.processes_named(command):
            tell(f"a process has the name {command}: aoshell -- {command} attaches it")


def make_dump_parser() -> CommandParser:
    """The parser of `aoshell dump`."""
    parser = _Parser(
        "aoshell dump",
        description="Write the built-in node to a file: all processes with their logs and results,"
        f" modules, uploads, and how far its clock is ahead. {_WITHOUT}",
        epilog="Other shells may have the home open meanwhile: the file has the state of one"
        " moment.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="must not exist; - for standard output")
    _json(parser)
    return parser


def make_load_parser() -> CommandParser:
    """The parser of `aoshell load`."""
    parser = _Parser(
        "aoshell load",
        description="Load what aoshell dump wrote into this home, all of it or nothing.",
        epilog="Names and ids that are here already are refused. aoshell --state FILE opens the"
        " same in a temporary home.",
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", type=state_file, help="- for standard input")
    _json(parser)
    return parser


def _json(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="one object (docs/json.md)")
