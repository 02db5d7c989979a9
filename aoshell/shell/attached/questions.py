"""Questions to a process: Lua that is evaluated read-only, and changes nothing."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress

from aoshell.bounded import jsontext
from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.values import ProcessInfo, envelope
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message, Tag, raw
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.session import EVAL, Session
from aoshell.shell.outcome import LineAnswer
from aoshell.shell.view.errors_view import TYPED

# The module of a process that makes JSON: aos has it as "json", HyperBEAM's own environment as
# ".json". It stands on the first line of the code, so line numbers stay the same.
_JSON = (
    'local JSON = (function() for _, name in ipairs { "json", ".json" } do '
    "local found, json = pcall(require, name) if found then return json end end end)() "
)

_PATIENCE = 1.0  # seconds that an answer for a hint is waited for
_LUA_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)


async def dryrun(
    session: Session,
    code: str,
    process: ProcessInfo | None = None,
    slot: int | None = None,
    *,
    shown: str | None = None,
) -> LineAnswer:
    """Evaluate Lua read-only, as the owner of the process; nothing changes.

    While the process computes a line of this session, the state before that line is read.

    Args:
        process: None for the attached one.
        slot: the state after it; None for the newest.
        shown: what the user typed, for error messages; the code itself by default.

    Raises:
        UnsupportedError: `slot` is given, and this node shows the newest state only.
        AoError: of the node.
    """
    process = process or session.attached
    await session.refuse_uncompilable(code, None, process)
    item = Message(
        "",
        process.owner,
        process.owner,
        process.id,
        (*envelope("Message"), EVAL, Tag("Read-Only", "true")),
        raw(code),
    )
    session.looked_back = await _computed_now(session, process.id) if slot is None else None
    if session.looked_back is not None:
        slot = session.looked_back - 1
    if slot is None:
        found = await session.node.dryrun(process.id, item)
    elif session.node.local is None:
        raise UnsupportedError(
            "this node does not show earlier states", hint="leave out the slot: .dryrun CODE"
        )
    else:
        found = await session.node.local.workbench.at(process.id, slot, item)
    return LineAnswer(None, found, sources={TYPED: code if shown is None else shown})


async def _computed_now(session: Session, process: str) -> int | None:
    """The slot that a process computes for a line of this session, given up or not, or that such a
    line waits for; None for none.
    """
    lines = [*session.given, session.computing] if session.node.local else []
    slots = [line.slot for line in lines if line and line.process == process and line.slot]
    if not slots:
        return None
    next_slot = (await session.node.find(process)).computed
    return next_slot if next_slot <= max(slots) else None


async def query(
    session: Session, code: str, process: ProcessInfo | None = None, slot: int | None = None
) -> object:
    """The value of Lua code that returns JSON, evaluated read-only. `JSON` in the code is the
    process's own JSON module.

    Args:
        process, slot: as of `dryrun`.

    Raises:
        AoError: stage "query", if the process answers anything else.
    """
    process = process or session.attached
    result = (await dryrun(session, _JSON + code, process, slot)).own
    if result.ok:
        with suppress(ValueError):
            return jsontext.parse(result.output, strict=False)
    raise AoError(
        f"{named_id(process.id, process.name)} cannot be asked: "
        f"{result.error or result.output or result.outcome}",
        stage="query",
        hint="does it run the aos environment?",
    )


async def global_hint(session: Session, name: str, otherwise: str) -> str:
    """A hint for an unknown name that is a global of the attached process with an id; else "".

    A process that is computing, or on another node, is not asked.

    Args:
        otherwise: what else one can type, with {} for the name.
    """
    process = session.process
    if process is None or session.node.local is None or not _LUA_NAME.match(name):
        return ""
    value: object = None
    with suppress(AoError, TimeoutError):
        now = await session.node.find(process.id)
        if now.computed == now.slots:
            code = f'local v = rawget(_G, "{name}") return JSON.encode(type(v) == "string" and v)'
            value = await asyncio.wait_for(query(session, code, now), _PATIENCE)
    if not isinstance(value, str) or not has_id_form(value):
        return ""
    return f"{name} is a name in Lua: give its value, {value}, or {otherwise.format(name)}"
