"""Which handlers a process has, and what they did with a message: .handlers, .why."""

from __future__ import annotations

from typing import Any

from aoshell.errors import UsageError
from aoshell.protocol.message import Message
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.questions import query
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_place, find_state
from aoshell.shell.commands.table import PLACE, STATE
from aoshell.shell.commands.workbench import workbench_of
from aoshell.shell.help.explaining import (
    ask_why,
    explanation,
    facts_without_run,
    never_ran,
    other_names,
    read_facts,
    refuse_stopped,
)
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.forking import foreign_note, state_note
from aoshell.shell.table import Table

# Uses what every aos has; only an environment with `.why` knows how often handlers ran.
_HANDLERS = """
local known, why = pcall(require, ".why")
known = known and type(why) == "table" and why.hits
local function text(pattern, depth)
  if type(pattern) == "string" then return pattern end
  if type(pattern) == "function" then
    local place = debug and debug.getinfo and debug.getinfo(pattern)
    if not place or place.linedefined < 0 then return "function" end
    return "function " .. place.short_src .. ":" .. place.linedefined
  end
  if type(pattern) ~= "table" then return type(pattern) end
  if depth == 0 then return "{…}" end
  local parts = {}
  for key, value in pairs(pattern) do
    local name = type(key) == "number" and "" or tostring(key) .. " = "
    parts[#parts + 1] = name .. text(value, depth - 1)
  end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end
local list = {}
for i, handler in ipairs(Handlers.list) do
  list[i] = { name = tostring(handler.name), pattern = text(handler.pattern, 3),
    maxRuns = handler.maxRuns and tostring(handler.maxRuns),
    hits = known and (known[handler] or 0) or nil }
end
return JSON.encode(list)
"""


@command("handlers")
async def handlers(session: Session, given: Given) -> CommandOutput:
    """List the handlers of a process, in the order in which they are asked.

    HITS is how often each ran since it was added; a run whose message failed is undone and does not
    count. LEFT is how many runs it has left, if these are limited.
    """
    state = await find_state(session, given[STATE])
    found = await query(session, _HANDLERS, state.process, state.slot)
    assert isinstance(found, list)
    rows = tuple(
        (
            str(one.get("name", "")),
            str(one.get("pattern", "")),
            str(one.get("hits", "-")),
            str(one.get("maxRuns") or "-"),
        )
        for one in found
        if isinstance(one, dict)
    )
    table = Table(("NAME", "PATTERN", "HITS", "LEFT"), rows, frozenset({"HITS", "LEFT"}))
    return (
        CommandOutput(found, table=table) if rows else CommandOutput([], text="it has no handlers")
    )


@command("why")
async def why(session: Session, given: Given) -> CommandOutput:
    """Show which handlers a message was offered to, and what they answered.

    By default it is the last event: what arrived since your last line; else, of all that this line
    caused, the newest failure or the newest message. The message is handled once more in the state
    before it; the result is discarded. It shows why a sender was not trusted, where a pattern did
    not fit, and what went into the Inbox. A message that a limit or the user stopped is not handled
    again; of one that was stopped while it waited, it says that it never ran.
    """
    place = await find_place(session, given[PLACE])
    process = place.process.id
    recorded = await session.node.result(process, place.slot)
    if recorded.slot < 1:
        raise UsageError(
            "slot 0 is the definition of the process: there were no handlers before it",
            hint=".log 0 shows it",
        )
    here = process == session.attached.id
    where = f"{recorded.slot}" if here else f"{place.process.name or process}@{recorded.slot}"
    has_run = not never_ran(recorded)
    if has_run:
        refuse_stopped(recorded, where)
    message = (await session.node.schedule(process, recorded.slot, recorded.slot))[0]
    if has_run:
        facts = await _ask(session, message, process, where)
    else:
        facts = facts_without_run(message, recorded)
    names = await session.naming.of([message.from_])
    sender = named_id(facts["from"], names.get(facts["from"], ""))
    head = f"{named_id(process, place.process.name)} slot {recorded.slot}"
    lines = [f"{head}: {message.tag('Action') or 'a message without Action'} from {sender}"]
    lines += [*explanation(facts, recorded), *other_names(facts, message)]
    notes = (foreign_note(place.process, recorded.slot), state_note(place.process, None))
    note = "\n".join(filter(None, notes))
    return CommandOutput(facts, text="\n".join(lines), note=note)


async def _ask(session: Session, message: Message, process: str, where: str) -> dict[str, Any]:
    """Have a message handled once more; what the environment reports of it."""
    assert message.assignment is not None
    slot = message.assignment.slot
    session.doing = f".why computes slot {slot} once more"
    try:
        found = await workbench_of(session).at(process, slot - 1, ask_why(message))
    finally:
        session.doing = ""
    return read_facts(found, where)
