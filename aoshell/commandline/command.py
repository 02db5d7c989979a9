"""The command `aoshell completion`: scripts that complete the command line.

Exit codes: 0, 2 misuse.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence

from aoshell.commandline.completion_parser import make_parser
from aoshell.errors import AoError, UsageError
from aoshell.shell.view.streams import writer

MISUSED = 2
# Only names without special characters of shells are offered: clients choose names freely.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,127}\Z")


def main(arguments: Sequence[str], names: Callable[[], Iterable[str]]) -> int:
    """Print a script, or the names of processes; returns the exit code.

    Args:
        names: returns those of the processes of this home.

    Raises:
    UsageError: no shell is named.
    """
    try:
        given = make_parser().parse(arguments)
    except SystemExit as leaving:  # argparse has printed the reason
        return leaving.code if isinstance(leaving.code, int) else MISUSED
    say = writer(sys.stdout, needed=True)
    if given.names:
        say("".join(f"{name}\n" for name in plain_names(names)))
        return 0
    if not given.shell:
        raise UsageError("completion of which shell?", hint="aoshell completion bash|zsh|fish")
    from aoshell.commandline.scripts import SCRIPTS
    from aoshell.commandline.table import forms

    say(SCRIPTS[given.shell](forms()))
    return 0


def plain_names(names: Callable[[], Iterable[str]]) -> list[str]:
    """The names that can be completed; none if they cannot be read."""
    try:
        return sorted({name for name in names() if _PLAIN.match(name)})
    except AoError:
        return []  # completion must not show errors
