"""Which handlers a process has, and what they did with a message: .handlers, .why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aoshell.bounded import jsontext
from aoshell.errors import AoError, UsageError
from aoshell.protocol.message import Message, Result, Tag
from aoshell.protocol.tag_names import title_case
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import find_place, find_state
from aoshell.shell.commands.table import PLACE, STATE
from aoshell.shell.commands.workbench import workbench_of
from aoshell.shell.feed import named_id
from aoshell.shell.forking import foreign_note, state_note
from aoshell.shell.outcome import CommandOutput, Table
from aoshell.shell.questions import query
from aoshell.shell.session import Session
from aoshell.shell.view.errors_view import split_error
from aoshell.shell.view.tables import table_lines

ASKED = "Asked-Why"  # see aos/why.lua

# Only what every aos has; who ran how often is known where `.why` is.
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

    HITS is how often each ran since it was put up; a run whose message failed is undone and does
    not count. LEFT is how many runs it still has, where it has not got all.
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

    Without an argument it is the last thing that happened: what arrived since your last line; else,
    of all that this line caused, the newest message that failed, else the newest.
    The message is handled once more in the state before it; the result is discarded. It shows why
    a sender was not trusted, where a pattern did not fit, and what went into the Inbox.
    """
    place = await find_place(session, given[PLACE])
    process = place.process.id
    recorded = await session.node.result(process, place.slot)
    if recorded.slot < 1:
        raise UsageError(
            "slot 0 is the definition of the process: there were no handlers before it",
            hint=".log 0 shows it",
        )
    message = (await session.node.schedule(process, recorded.slot, recorded.slot))[0]
    found = await workbench_of(session).at(process, recorded.slot - 1, _asked(message))
    facts = _facts(found)
    names = await session.naming.of([message.from_])
    sender = named_id(facts["from"], names.get(facts["from"], ""))
    head = f"{named_id(process, place.process.name)} slot {recorded.slot}"
    lines = [f"{head}: {message.tag('Action') or 'a message without Action'} from {sender}"]
    lines += [*_explanation(facts, recorded), *_other_names(facts, message)]
    notes = (foreign_note(place.process, recorded.slot), state_note(place.process, None))
    note = "\n".join(filter(None, notes))
    return CommandOutput(facts, text="\n".join(lines), rows=True, note=note)


def _asked(message: Message) -> Message:
    placed = message.assignment
    assert placed is not None
    at = Tag(ASKED, f"{placed.timestamp} {placed.block_height} {placed.slot}")
    return replace(message, tags=(*message.tags, at))


def _facts(found: Result) -> dict[str, Any]:
    """What the environment reports of a message. Raises AoError where it reports nothing."""
    with suppress(ValueError):
        facts = jsontext.parse(found.output, strict=False)
        if found.ok and isinstance(facts, dict) and "asked" in facts:
            return facts
    raise AoError(
        "the environment of this process does not report which handlers were asked"
        + (f" ({found.outcome})" if not found.ok else ""),
        stage="why",
        hint=".log SLOT shows the message, .handlers lists the handlers",
    )


def _explanation(facts: Mapping[str, Any], recorded: Result) -> list[str]:
    lines: list[str] = []
    if facts.get("refused"):
        return lines + _refusal(facts)
    asked = facts.get("asked") or []
    if asked:
        rows = tuple((one["name"], one["pattern"], _answer(one)) for one in asked)
        lines += table_lines(Table(("HANDLER", "PATTERN", "ANSWER"), rows))
    lines += _end(asked, facts)
    if not recorded.ok and not facts.get("error"):
        lines.append(f"on record: {recorded.outcome}, {split_error(recorded.error)[1]}")
    return lines


def _refusal(facts: Mapping[str, Any]) -> list[str]:
    sender, owner, own = facts["from"], facts["owner"], facts.get("authorities") or []
    if facts["refused"] == "assignment":
        return [
            f"refused: it is for {facts['target'] or 'nobody'}, was assigned to this process,"
            " and no pattern of ao.assignables takes it",
            '  → ao.addAssignable("NAME", function(msg) return … end)',
        ]
    known = ", ".join(own) or "it has none"
    return [
        "refused: it is not trusted, so no handler was asked",
        f"  From   {sender}",
        f"  Owner  {owner}: who signed it is not who it is from",
        f"  neither is among ao.authorities: {known}",
        f'  → table.insert(ao.authorities, "{owner}"), if what it signs is to be trusted',
    ]


def _answer(one: Mapping[str, Any]) -> str:
    """What a pattern answered, and what followed from it."""
    verdict, answer = one.get("verdict"), str(one.get("answer", ""))
    if verdict is None:
        return f"{answer}: a pattern may not answer that" if answer else "it raised an error"
    if verdict:
        shown = "" if answer in ("", "true") else f"{answer}: "
        return f"{shown}ran" + ("" if verdict < 0 else ", and others after it")
    misfit = one.get("misfit")
    if not misfit:
        return answer
    found = misfit.get("found")
    is_what = "is missing" if found is None else f"is {found}"
    return f"{answer}: {misfit['key']} {is_what}, not {misfit['wanted']}"


_FIELD = re.compile(r"\((?:field|method) '([^']+)'\)")


def _other_names(facts: Mapping[str, Any], message: Message) -> Iterator[str]:
    """Tags of the message that were looked for by a name which aos has changed."""
    misfits = [one.get("misfit") or {} for one in facts.get("asked") or []]
    missing = {misfit.get("key") for misfit in misfits if misfit.get("found") is None}
    missing.update(_FIELD.findall(facts.get("error") or ""))
    for name in dict.fromkeys(tag.name for tag in message.tags):
        if name in missing and title_case(name) != name:
            yield (
                f"  → the tag {name} came, and handlers find it as {title_case(name)}; in a "
                "process made with --tags as-sent they find it as it came"
            )


def _end(asked: list[Mapping[str, Any]], facts: Mapping[str, Any]) -> list[str]:
    last = asked[-1] if asked else {}
    lines = []
    if facts.get("evaluate"):
        lines.append("the script replaced Handlers.evaluate: only what that asked is known")
    if facts.get("error"):
        who = "the pattern of " if "verdict" not in last else ""
        raised = f"{who}{last['name']} failed" if last else "it failed"
        lines.append(f"{raised}: {split_error(facts['error'])[1]}")
    elif facts.get("suspended"):
        lines.append(f"{last.get('name', 'its handling')} waits for another message")
    elif facts.get("inbox"):
        lines.append("no handler stopped it: it is in the Inbox")
    elif last.get("verdict", 0) == 0:
        lines.append("no handler took it")
    if facts.get("sent"):
        lines.append(f"messages sent: {facts['sent']}")
    return lines
