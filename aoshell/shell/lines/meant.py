"""The meaning of lines that are not useful as Lua: `exit`, `help`, `? Send`, `=expr`."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.shell.attached.questions import query

if TYPE_CHECKING:
    from aoshell.shell.attached.session import Session

PATIENCE = 1.0  # seconds for a process to say whether it defines a word
_WORD = re.compile(r"\s*(?:(?P<leave>exit|quit)|(?P<help>help))\s*(?:\(\s*\)\s*)?;?\s*\Z")
# Neither is Lua in any process.
_HELP_ON = re.compile(r"\s*(?:\?|help(?=\s))\s*(?P<name>\.?[\w.-]*)\s*\Z")
_EXPRESSION = re.compile(r"\s*=(?!=)(?=\s*\S)")


def read_expression(line: str) -> str:
    """The code of a line `=expr`, as Lua's own prompt takes it; "" for every other line."""
    found = _EXPRESSION.match(line)
    return f"return {line[found.end() :]}" if found else ""


def asks_for_help(line: str) -> bool:
    """Whether a line asks for help without a dot: `help`, `? Send`."""
    word = _WORD.match(line)
    return bool(_HELP_ON.match(line) or (word and word["help"]))


async def read_word(session: Session, line: str) -> str:
    """The dot command that a bare word means; the line itself if it means none.

    If the process has a global of that name, the line is Lua. A process that cannot be asked counts
    as having none.
    """
    if helped := _HELP_ON.match(line):
        return f".help {helped['name']}".rstrip()
    word = _WORD.match(line)
    if word is None or await _defines(session, word["leave"] or word["help"]):
        return line
    return ".exit" if word["leave"] else ".help"


async def _defines(session: Session, name: str) -> bool:
    code = f'return tostring(rawget(_G, "{name}") ~= nil)'
    try:
        async with asyncio.timeout(PATIENCE):
            return await query(session, code) is True
    except (AoError, TimeoutError):
        return False
