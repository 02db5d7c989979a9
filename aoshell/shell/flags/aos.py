"""The flags that aos has and this shell does not: accepted if they have a meaning here.

Of aos 2.0.16, from its source. Those of the same name and meaning are in `arguments`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from aoshell.errors import UsageError
from aoshell.protocol.aos_modules import AOS_SQLITE
from aoshell.shell.flags.parser import Hidden

_PAGE = "docs/from-aos.md has all of them"

# Flags without a meaning here: why, and what to use instead.
ANSWERED = {
    "--topup": (
        "nothing here pays a node",
        "pay with aos --topup, or with the tools of that node",
    ),
    "--get-blueprints": (
        "blueprints come with aoshell",
        "at the prompt, .load-blueprint lists them and .load-blueprint NAME loads one",
    ),
    "--hyper": (
        "the node decides of which kind its processes are",
        "--node URL makes processes of HyperBEAM, --legacy those of the legacy network",
    ),
    "--address": (
        "a process is found by its id, or by the name that it has here",
        "give the id instead of NAME",
    ),
    "--dev": (
        "there is no network for developers here",
        "the built-in node is one; --legacy --mu-url URL … names another",
    ),
}


class _Answer(argparse.Action):
    """A flag that only tells the user what to use instead."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> NoReturn:
        del parser, namespace, values
        flag = str(option_string)
        why, instead = ANSWERED[flag]
        raise UsageError(f"{flag} is a flag of aos: {why}", hint=f"{instead}; {_PAGE}")


def add_flags(flag: Callable[..., object], named: Callable[[str], str]) -> None:
    """Add them; those that are accepted set the destination of our own flag."""
    url = Hidden("as --node URL")
    flag("--url", "--mainnet", type=named, dest="node", metavar="URL", help=url)
    only = Hidden("run CODE of --run read-only, as .dryrun")
    flag("--dryrun", "--dry-run", action="store_true", dest="dryrun", help=only)
    flag("--monitor", action="store_true", help=Hidden("as .monitor, first"))
    sqlite = Hidden("as --module with the SQLite module of aos")
    flag("--sqlite", action="store_true", help=sqlite)
    for name in ANSWERED:
        flag(name, action=_Answer, nargs="?", help=argparse.SUPPRESS)


def module_of(given: argparse.Namespace) -> str:
    """The module of a new process, "" for the node's own. Raises UsageError."""
    if given.sqlite and given.module:
        raise UsageError("--sqlite and --module name two modules", hint="leave one of them out")
    return AOS_SQLITE if given.sqlite else given.module or ""


def script_of(given: argparse.Namespace) -> list[str]:
    """What --monitor, --load and --run ask for, as lines of the shell. Raises UsageError."""
    script = given.script or []
    if given.dryrun and {flag for flag, _ in script} != {"--run"}:
        raise UsageError(
            "--dryrun goes with --run CODE and no --load",
            hint="at the prompt, .dryrun CODE evaluates a line read-only",
        )
    runs = ".dryrun " if given.dryrun else ""
    lines = [f".load {text}" if flag == "--load" else runs + text for flag, text in script]
    return [".monitor", *lines] if given.monitor else lines
