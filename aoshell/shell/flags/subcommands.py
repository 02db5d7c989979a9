"""The subcommands of `aoshell`, and names of processes that look like one of them."""

from __future__ import annotations

SUBCOMMANDS = (
    *("attest", "compare", "completion", "dump", "fork", "help", "load", "serve", "test"),
    "version",
)
_NEAR = 0.82  # how similar a name and a command must be, from 0 to 1
# Subcommands of other programs for what this one does without or with another word.
_OF_OTHERS = {
    **dict.fromkeys(("console", "repl", "shell", "start"), "aoshell alone is the prompt"),
    **dict.fromkeys(("run", "exec", "eval"), "aoshell --run CODE runs a line"),
    **dict.fromkeys(("list", "ls", "ps"), "aoshell --list lists the processes"),
    **dict.fromkeys(("check", "lint", "doctor"), "the prompt has .check and .doctor"),
}


def command_like(name: str) -> str:
    """What to type instead of a name that looks like a command; "" if it does not."""
    from difflib import get_close_matches

    if name in _OF_OTHERS:
        return _OF_OTHERS[name]
    swapped = [one for one in SUBCOMMANDS if sorted(one) == sorted(name.lower())]
    close = swapped or get_close_matches(name.lower(), SUBCOMMANDS, 1, _NEAR)
    return f"aoshell {close[0]} is a command" if close else ""
