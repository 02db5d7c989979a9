"""What to type next: five lines at the very first start, one hint at each later start.

A hint is not shown if its command is in the history. A file of the home has the hints that were
shown; without it, all are shown again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from aoshell.bounded.files import read_tail
from aoshell.home.folders import Settings

HINTS = {
    "help": "what you type is Lua, run in the process; .help lists the commands.",
    "load": ".load FILE evaluates a Lua file, .watch FILE does so on every save.",
    "inspect": ".inspect Handlers shows a value as a tree, .json one as JSON.",
    "as": ".as alice signs as somebody else; .send NAME Action=Hi sends a message.",
    "trace": ".trace shows what your last line caused, .undo takes it back.",
    "record": ".record my_test.lua writes the session as a test for aoshell test.",
}
WELCOME = """\
What you type is Lua; it runs in the process that the prompt names.
  x = 6 * 7, then x     a global; the process keeps it, also when you leave
  .load FILE            a Lua file; .watch FILE loads it again on every save
  .spawn aos as bob     a second process; .send bob Action=Hi writes to it
  .help                 all commands; Tab completes, Ctrl-D leaves"""
_MOST = 1 << 20  # bytes of a file that are read


def next_hint(settings: Settings, *, local: bool) -> str:
    """The hint of this start, "" if all were given.

    Args:
        local: whether the node is the built-in one: its first start shows `WELCOME`.
    """
    if local and not settings.hints.exists() and not _text(settings.history):
        _keep(settings, {"help"})
        return WELCOME
    gone = set(_text(settings.hints).split())
    if gone.issuperset(HINTS):
        return ""
    typed = _text(settings.history)
    gone |= {word for word in HINTS if f"\n+.{word}" in typed}
    word = next((word for word in HINTS if word not in gone), "")
    _keep(settings, gone | {word})
    return f"Hint: {HINTS[word]}" if word else ""


def _text(file: Path) -> str:
    """The end of a file, "" if it cannot be read."""
    with suppress(OSError):
        return read_tail(file, _MOST).decode("utf-8", "replace")
    return ""


def _keep(settings: Settings, words: set[str]) -> None:
    # Not fsynced, and errors are ignored: a start must not fail because of a hint.
    with suppress(OSError):
        settings.hints.write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")
