"""A value of a process as a tree, read raw: no metamethod runs, and nothing changes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aoshell.bounded import jsontext
from aoshell.errors import AoError, UsageError
from aoshell.lua.compiling import find_syntax_error
from aoshell.protocol.message import text
from aoshell.shell.attached.questions import dryrun
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import short_string
from aoshell.shell.commands.places import StatePlace
from aoshell.shell.view.errors_view import split_error

DEEPEST = 60  # levels of tables; deeper values are hardly data
_BRACKETS = 4 * DEEPEST + 8  # brackets around the value at the deepest level
_WALKER = Path(__file__).with_name("tree.lua")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ESCAPED = re.compile(r'[\x00-\x1f\x7f"\\]')  # a colour in a value is a value here
_NAMED = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
_CUT = 120  # bytes of a string in a tree
_WIDE = 200  # entries of a table in a tree


@dataclass(frozen=True, slots=True)
class Tree:
    """A value.

    Attributes:
        kind: Lua's type, "list" for a table 1…n, "seen" for a table that was shown already.
        content: a string, or its beginning; a number's digits, "true" or "false"; file and line of
            a function, "" for the environment's own; for "seen", the path to it.
        size: bytes of a string that is cut, entries of a table.
        entries: keys and values, in order; None if the table is folded. There may be fewer than
            `size`.
        meta: the metatable, if it has one.
    """

    kind: str
    content: str = ""
    size: int = 0
    entries: tuple[tuple[Tree, Tree], ...] | None = ()
    meta: Tree | None = None


async def read_tree(
    session: Session, state: StatePlace, expression: str, depth: int = DEEPEST, *, whole: bool
) -> Tree:
    """Reads the value of a Lua expression in a process, and changes nothing.

    Args:
        depth: levels of tables that are looked into.
        whole: cut no string and no table.

    Raises:
        UsageError: it is not one expression.
        AoError: stage "query": it fails, or the process cannot be asked.
    """
    expression = await session.naming.in_lua(expression)
    if problem := find_syntax_error(f"return {expression}\n"):
        raise UsageError(
            re.sub(r"^\S*?:\d+: ", "", problem), hint="give one Lua expression: Inbox[1].Tags"
        )
    width, wide = (0, 1 << 30) if whole else (_CUT, _WIDE)
    walker = _WALKER.read_text(encoding="utf-8")
    call = f"{depth}, {width}, {wide}, {_lua(expression)}"
    code = f"{walker}\nreturn walk({call})"
    result = (await dryrun(session, code, state.process, state.slot)).own
    if not result.ok:
        raise AoError(
            split_error(result.error)[1] or f"reading it ended in {result.outcome}", stage="query"
        )
    with suppress(ValueError, RecursionError, LookupError, TypeError):
        content = result.output.rpartition("\n")[2]
        return _tree(jsontext.parse(content, deepest=_BRACKETS, strict=False))
    raise AoError(
        f"the process cannot be read: it answers {result.output[:60]!r}",
        stage="query",
        hint="does it run the aos environment?",
    )


def _lua(content: str) -> str:
    return text(short_string(content))


def _tree(node: list[Any]) -> Tree:
    kind, content, size, entries, meta = [*node, *[None] * 4][:5]
    members: tuple[tuple[Tree, Tree], ...] | None = None
    if isinstance(entries, list):
        members = tuple((_tree(key), _tree(value)) for key, value in entries)
    elif not size or kind not in ("table", "list"):
        members = ()
    return Tree(
        str(kind), str(content or ""), int(size or 0), members, _tree(meta) if meta else None
    )


# For people -----------------------------------------------------------------------------------


def draw_tree(tree: Tree, name: str) -> list[str]:
    """The tree, a line for each value; `…` stands for what is folded."""
    return [f"{name}  {_summary(tree)}", *_below(tree, "")]


def _below(tree: Tree, lead: str) -> Iterator[str]:
    members = [(_key(key), value) for key, value in tree.entries or ()]
    if tree.meta:
        members.append(("(metatable)", tree.meta))
    missing = tree.size - len(tree.entries or ()) if tree.entries else 0
    for number, (name, value) in enumerate(members, 1):
        last = number == len(members) and missing <= 0
        yield f"{lead}{'└─ ' if last else '├─ '}{name}  {_summary(value)}"
        yield from _below(value, lead + ("   " if last else "│  "))
    if missing > 0 and tree.kind in ("table", "list"):
        yield f"{lead}└─ … {missing} more"


def _key(key: Tree) -> str:
    if key.kind == "string":
        return key.content if _NAME.match(key.content) and not key.size else f"[{_quoted(key)}]"
    return f"[{key.content or key.kind}]"


def _summary(tree: Tree) -> str:
    match tree.kind:
        case "string":
            return _quoted(tree)
        case "number" | "boolean":
            return tree.content
        case "function":
            return f"function {tree.content}" if tree.content else "function (built in)"
        case "list" | "table":
            what = "item" if tree.kind == "list" else "field"
            if not tree.size:
                return "{}"
            folded = " …" if tree.entries is None else ""
            return f"{{{tree.size} {what}{'s' * (tree.size != 1)}}}{folded}"
        case "seen":
            return f"→ {tree.content}"
    return tree.kind


def _quoted(tree: Tree) -> str:
    shown = _ESCAPED.sub(_escape, tree.content)
    return f'"{shown}…" ({tree.size} bytes)' if tree.size else f'"{shown}"'


def _escape(found: re.Match[str]) -> str:
    """A character as Lua escapes it."""
    return _NAMED.get(found[0]) or f"\\{ord(found[0])}"


# For machines ---------------------------------------------------------------------------------


def json_value(tree: Tree, place: str, lost: list[str]) -> object:
    """A value as JSON. What JSON cannot express becomes null, with a sentence in `lost`.

    Args:
        place: the path to it, for these sentences.
    """
    match tree.kind:
        case "string":
            return tree.content
        case "boolean":
            return tree.content == "true"
        case "number":
            number = (
                int(tree.content) if tree.content.lstrip("-").isdigit() else float(tree.content)
            )
            if math.isfinite(number):
                return number
            lost.append(f"{place} is {number}")
            return None
        case "nil":
            return None
        case "list":
            members = enumerate(tree.entries or (), 1)
            return [json_value(item, f"{place}[{n}]", lost) for n, (_, item) in members]
        case "table" if not tree.size:
            return []
        case "table" if tree.entries is not None:
            pairs = [(_json_key(key), item) for key, item in tree.entries]
            return {name: json_value(item, f"{place}.{name}", lost) for name, item in pairs}
        case "table":
            lost.append(f"{place} is too deep")
        case "seen":
            lost.append(f"{place} is {tree.content} again")
        case _:
            lost.append(f"{place} is a {tree.kind}")
    return None


def _json_key(key: Tree) -> str:
    return key.content or key.kind
