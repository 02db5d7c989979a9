"""The command `aoshell compare`: its flags and its output.

Exit codes: 0 only order and addresses differ, 1 more differs or it failed, 2 misuse, 130 after
Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from aoshell import interrupts
from aoshell.forks.command import MISUSED, ForkParser, add_gateway, add_live_process, tell
from aoshell.forks.compared import compare_live
from aoshell.home.folders import Settings
from aoshell.shell.commands.forks import (
    comparison_table,
    comparison_text,
    comparison_value,
    read_changed,
)
from aoshell.shell.view.streams import columns, writer
from aoshell.shell.view.tables import table_lines
from aoshell.shell.view.text import clean

DIFFERENT = 1


def main(arguments: Sequence[str]) -> int:
    """Compare a live process with its network; returns the exit code.

    Raises:
        AoError: it could not be read, computed or compared.
    """
    try:
        given = make_parser().parse(arguments)
    except SystemExit as leaving:  # argparse has printed the reason
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    changed = read_changed(given.module or "", given.load or "")
    interrupts.heed()
    settings = Settings.find()
    settings.make_folders()
    with interrupts.ended_alike():  # so that the temporary home is removed
        comparison = interrupts.run(
            compare_live(settings, given.source, given.process, changed, given.gateway or "", tell)
        )
    for note in comparison.notes:
        tell(note)
    say = writer(sys.stdout, needed=True)
    if given.json:
        say(json.dumps(comparison_value(comparison)) + "\n")
    else:
        table = comparison_table(comparison)
        lines = table_lines(table, columns()) if table else []
        say(clean("\n".join([*lines, comparison_text(comparison)]), colour=False) + "\n")
    return 0 if comparison.same else DIFFERENT


def make_parser() -> ForkParser:
    """The parser of its flags."""
    parser = ForkParser(
        "aoshell compare",
        usage="aoshell compare URL|PROFILE PROCESS[@SLOT] [--module FILE | --load FILE[@SLOT]]",
        description="Compute a live process here, in a temporary home, and compare each slot with"
        " what its network says. With other code: what would it have changed?",
        epilog="The exit code is 1 where something differs; order and addresses, which Lua's hash"
        " seed decides, do not count.",
        allow_abbrev=False,
    )
    add_live_process(parser)
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--module", metavar="FILE", help="a module to run instead of its own")
    load = "Lua that its owner evaluates after a slot (0)"
    other.add_argument("--load", metavar="FILE[@SLOT]", help=load)
    add_gateway(parser)
    parser.add_argument("--json", action="store_true", help="one object (docs/json.md)")
    return parser
