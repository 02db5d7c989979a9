"""The parser of `aoshell completion`, for the command and for the table."""

from __future__ import annotations

import argparse

from aoshell.shell.flags.parser import CommandParser

SHELLS = ("bash", "zsh", "fish")


def make_parser() -> CommandParser:
    """The parser of `aoshell completion`."""
    parser = CommandParser(
        "aoshell completion",
        usage="aoshell completion bash|zsh|fish",
        description="Print a script that completes aoshell's commands, flags, files and processes.",
        epilog="bash: source <(aoshell completion bash) in ~/.bashrc. zsh: the same in ~/.zshrc,"
        " after compinit. fish: aoshell completion fish >~/.config/fish/completions/aoshell.fish",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("shell", nargs="?", choices=SHELLS, metavar="bash|zsh|fish")
    only = "print the names of processes instead; the scripts ask for them"
    parser.add_argument("--names", action="store_true", help=only)
    return parser
