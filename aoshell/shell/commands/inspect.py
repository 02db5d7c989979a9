"""Values of a process: .inspect and .json."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.trees import DEEPEST, draw_tree, json_value, read_tree
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.session import Session
from aoshell.shell.view.text import clean

_DEPTH = 2
_WANTED = re.compile(r"(?P<value>.*?)(?:\s+depth\s+(?P<depth>\d+))?", re.DOTALL)


@command("inspect", "VALUE [depth N]")
async def inspect(session: Session, rest: str) -> CommandOutput:
    """Show the value of a Lua expression as a tree, folded below two levels.

    `…` marks what is folded: .inspect VALUE depth 4 unfolds more, .inspect VALUE.field goes there.
    Functions say where they were written. It only reads: no metamethod runs, and nothing changes.
    """
    found = _WANTED.fullmatch(rest)
    depth = int(found["depth"] or _DEPTH) if found else 0
    if not found or not found["value"] or not 1 <= depth <= DEEPEST:
        raise usage_error("inspect")
    tree = await read_tree(session, found["value"], depth, whole=False)
    return CommandOutput(asdict(tree), text="\n".join(draw_tree(tree, found["value"])))


@command("json", "VALUE")
async def json_(session: Session, rest: str) -> CommandOutput:
    """Show the value of a Lua expression as JSON, whole.

    What JSON lacks (functions, circles, infinite numbers) is null, and a note says so. It only
    reads: no metamethod runs, and nothing changes.
    """
    if not rest:
        raise usage_error("json")
    lost: list[str] = []
    found = json_value(await read_tree(session, rest, whole=True), rest, lost)
    shown = json.dumps(found, indent=2, ensure_ascii=False)
    if clean(shown, colour=False) != shown:  # what the screen escapes would not be JSON any more
        shown = json.dumps(found, indent=2)
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    note = f"null instead: {'; '.join(lost[:5])}{more}" if lost else ""
    return CommandOutput(found, text=shown, note=note)
