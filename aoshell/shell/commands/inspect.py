"""Values of a process: .inspect and .json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict

from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_state
from aoshell.shell.commands.table import STATE
from aoshell.shell.commands.trees import DEEPEST, draw_tree, json_value, read_tree
from aoshell.shell.names.naming import ID
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.view.text import clean

_DEPTH = 2
_IDS = re.compile(rf'(?P<id>{ID.pattern})"?\]?', re.ASCII)


@command("inspect")
async def inspect(session: Session, given: Given) -> CommandOutput:
    """Show the value of a Lua expression as a tree, folded below two levels.

    `…` marks what is folded: .inspect VALUE depth 4 unfolds more, .inspect VALUE.field goes there.
    Functions say where they were written. It only reads: no metamethod runs, and nothing changes.
    """
    value, depth = given["VALUE"], given.number("N", _DEPTH)
    if not 1 <= depth <= DEEPEST:
        raise usage_error("inspect", f"a depth is a number from 1 to {DEEPEST}")
    state = await find_state(session, given[STATE])
    tree = await read_tree(session, state, value, depth, whole=False)
    drawn = "\n".join(draw_tree(tree, value))
    names = await session.naming.of(ID.findall(drawn))
    return CommandOutput(asdict(tree), text=_named(drawn, names), verbatim=True)


def _named(drawn: str, names: Mapping[str, str]) -> str:
    """A tree with the known names after the ids in it."""
    return _IDS.sub(lambda found: found[0] + _behind(names.get(found["id"], "")), drawn)


def _behind(name: str) -> str:
    return f" ({name})" if name else ""


@command("json")
async def json_(session: Session, given: Given) -> CommandOutput:
    """Show the value of a Lua expression as JSON, whole.

    What JSON cannot express (functions, circles, infinite numbers) becomes null, and a note says
    so. It only reads: no metamethod runs, and nothing changes.
    """
    lost: list[str] = []
    value, state = given["VALUE"], await find_state(session, given[STATE])
    found = json_value(await read_tree(session, state, value, whole=True), value, lost)
    shown = json.dumps(found, indent=2, ensure_ascii=False)
    if clean(shown, colour=False) != shown:  # escaped, it would not be JSON
        shown = json.dumps(found, indent=2)
    more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
    note = f"null instead: {'; '.join(lost[:5])}{more}" if lost else ""
    return CommandOutput(found, text=shown, verbatim=True, note=note)
