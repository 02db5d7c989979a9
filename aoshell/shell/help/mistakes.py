"""Guesses what a line meant that failed or was nil: a similar name, or the syntax of Lua.

A dry run reads the names that the process has, and calls no metamethod. A process of another node
is not asked, as each question takes a request; only known functions are compared there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.lua import compiling
from aoshell.lua.lexer import KEYWORDS, pieces
from aoshell.lua.references import masked
from aoshell.shell.attached.questions import query
from aoshell.shell.outcome import LineAnswer
from aoshell.shell.view.errors_view import NAMED_FIELD, TYPED, split_error

if TYPE_CHECKING:
    from aoshell.shell.attached.session import Session

MOST = 5_000  # names of a table that are compared
PATIENCE = 0.5  # seconds that the process has to list its names
_NEAR = 0.7  # how similar two names must be, from 0 to 1
_LONGEST = 10_000  # characters of a line, or of an error; longer ones get no advice

# Syntax of other languages, and that of Lua.
_OTHERS = tuple(
    (re.compile(pattern), hint)
    for pattern, hint in (
        (r"!=", "Lua writes ~= for not equal"),
        (r"[=!]==", "Lua writes == for equal and ~= for not equal"),
        (r"&&", "Lua writes and: a and b"),
        (r"\|\|", "Lua writes or: a or b"),
        (r"!", "Lua writes not: not a"),
        (r"\+\+", "Lua has no ++: x = x + 1"),
        (r"[-+*/%^]=", "Lua has no += and the like: x = x + 1"),
        (r"=>|->", "Lua writes function(x) return x end"),
        (r"\?", "Lua has no a ? b : c: a and b or c"),
        (r"\b(?:let|var|const)\s+\w+", "Lua writes local x = 1"),
        (r"\b(?:def|fn|func)\s+\w+", "Lua writes function f(x) … end"),
        (r"\)\s*\{", "Lua writes then … end, do … end, function(…) … end"),
        (r"\[", "Lua writes a list as { 1, 2 }"),
        (r"//", "Lua writes a comment as -- text"),
    )
)
_WORDS = {
    **dict.fromkeys(("null", "None", "undefined", "NULL"), "Lua writes nil"),
    **dict.fromkeys(("True", "TRUE"), "Lua writes true"),
    **dict.fromkeys(("False", "FALSE"), "Lua writes false"),
    "len": "Lua writes #x for the length of x",
    "console": "print(x) prints",
    "import": "Lua writes require(name)",
}

_NO_SQLITE = (
    "lsqlite3 is in a module of aos: .spawn aos-sqlite@2.0.6 as NAME makes a process of it, and so "
    "does aoshell NAME --sqlite"
)
_NIL_GLOBAL = re.compile(r"\(global '(\w+)'\)")
# Begins at the start of the error: a search from each colon would take the cube of its length.
_STOPPED = re.compile(r"[^:\n]*:(?P<line>\d{1,9}): [^\n]* near '(?P<token>.*)'\Z", re.DOTALL)
_PATH = re.compile(r"\s*((?:[A-Za-z_]\w*\.)*)([A-Za-z_]\w*)\s*\Z")


async def advise(session: Session, answer: LineAnswer) -> str:
    """What the line of an answer may have meant; "" if there is no advice."""
    line = answer.sources.get(TYPED, "")[:_LONGEST]
    result = answer.last
    if result.ok:
        bare = _PATH.match(line) if result.returned == "nil" else None
        return await _on_nil(session, bare[1].rstrip("."), bare[2]) if bare else ""
    if result.outcome != "error":
        return ""
    reason = split_error(result.error)[1]
    first = reason.partition("\n")[0]
    if "module 'lsqlite3' not found" in first:
        return _NO_SQLITE
    if "nil value" in first and (name := _NIL_GLOBAL.search(first)):
        return await _on_undefined(session, name[1])
    if "nil value" in first and (name := NAMED_FIELD.search(first)):
        owner = re.search(rf"((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)[.:]{re.escape(name[1])}\b", line)
        return await _on_field(session, owner[1], name[1]) if owner else ""
    return _on_syntax(line, reason)


async def _on_nil(session: Session, path: str, name: str) -> str:
    if name in KEYWORDS:
        return ""
    return await (_on_field(session, path, name) if path else _on_undefined(session, name))


async def _on_undefined(session: Session, name: str) -> str:
    names = await _names(session, "")
    if names is None:
        from aoshell.shell.help import reference

        names = [known.partition(".")[0] for known in reference.entries()]
    if name in names:
        return ""
    near = _WORDS.get(name) or _did_you_mean(name, names)
    return f"{name} is not defined{near and f': {near}'}"


async def _on_field(session: Session, path: str, name: str) -> str:
    names = await _names(session, path) or []
    near = "" if name in names else _did_you_mean(name, names)
    return f"{path} has no {name}: {near}" if near else ""


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    by_lower = {known.lower(): known for known in names}
    close = get_close_matches(name.lower(), by_lower, 1, _NEAR)
    return f"did you mean {by_lower[close[0]]}?" if close else ""


def _on_syntax(source: str, reason: str) -> str:
    """The syntax of Lua for where the parser stopped, "" if that is not known from another
    language."""
    if not reason.startswith(TYPED) or len(reason) > _LONGEST:
        return ""
    opaque = ("string", "comment")
    code = "".join(
        re.sub(r"[^\n]", " ", piece.text) if piece.kind in opaque else piece.text
        for piece in pieces(source)
    ).split("\n")
    # A process says where the text stops being a statement; as an expression it may go on.
    for error in (reason, compiling.find_syntax_error(f"return {masked(source)}")):
        stop = _STOPPED.match(error)
        line = code[int(stop["line"]) - 1] if stop and int(stop["line"]) <= len(code) else ""
        for pattern, hint in _OTHERS:
            if stop and any(stop["token"] in found[0] for found in pattern.finditer(line)):
                return hint
    return ""


async def _names(session: Session, path: str) -> list[str] | None:
    """The names in a table of the attached process; None if it is not asked, or cannot say."""
    if session.remote:
        return None
    keys = "".join(f'"{key}",' for key in path.split(".") if key)
    code = (
        f"local at, out = _G, {{}} for _, key in ipairs {{{keys}}} do "
        'at = type(at) == "table" and rawget(at, key) or nil end '
        f'if type(at) == "table" then for key in next, at do if #out == {MOST} then break end '
        'if type(key) == "string" and #key <= 64 and string.find(key, "^[%a_][%w_]*$") then '
        "out[#out + 1] = '\"' .. key .. '\"' end end end "
        'return "[" .. table.concat(out, ",") .. "]"'
    )
    try:
        async with asyncio.timeout(PATIENCE):
            found = await query(session, code)
    except (AoError, TimeoutError):
        return None
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else None
