"""Messages and results: .inbox, .messages, .result, .waits."""

from __future__ import annotations

from aoshell.errors import AoError, UsageError
from aoshell.nodes.values import ProcessInfo, Receipt, Undelivered
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import Message, Result
from aoshell.shell.attached.computed import computed_entries
from aoshell.shell.attached.feed import named_id, short_id
from aoshell.shell.attached.questions import query
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import short_string
from aoshell.shell.commands import command, usage_error
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import (
    StatePlace,
    find_place,
    find_state,
    last_sent,
    process_or_attached,
)
from aoshell.shell.commands.table import PLACE, STATE
from aoshell.shell.names.naming import typed_name
from aoshell.shell.outcome import CommandOutput, LineAnswer
from aoshell.shell.table import Table
from aoshell.shell.view.errors_view import split_error
from aoshell.shell.view.text import format_size, without_colours

_SHOWN = 10
_LAST = 20
_PREVIEW = 60

# Read raw: reading must not run a metatable's __index.
_INBOX = """local rows, inbox = {}, rawget(_G, "Inbox") or {}
local function get(value, key)
  if type(value) ~= "table" then return "" end
  local found = rawget(value, key)
  local kind = type(found)
  if kind == "string" then return found end
  return (kind == "number" or kind == "boolean") and tostring(found) or ""
end
-- Cut where a character ends, or JSON would hold half of one.
local function cut(data, width)
  if #data <= width then return data end
  return (string.gsub(string.sub(data, 1, width), "[\\192-\\255][\\128-\\191]*$", ""))
end
local last = rawlen(inbox)
for i = math.max(1, last - %d + 1), last do
  local m = rawget(inbox, i)
  local tags = type(m) == "table" and rawget(m, "Tags")
  local data, from, action = get(m, "Data"), get(m, "From"), get(tags, "Action")
  -- HyperBEAM's environment keeps assignments, whose body is the message.
  local body = type(m) == "table" and rawget(m, "body")
  if type(body) == "table" then
    data, from, action = get(body, "data"), get(body, "from-process"), get(body, "action")
    for _, one in next, from == "" and rawget(body, "commitments") or {} do
      if from == "" then from = get(one, "committer") end
    end
  end
  rows[#rows + 1] = {
    n = i, id = get(m, "Id"), from = from, action = action, size = #data, data = cut(data, %d)
  }
end
return JSON.encode({count = last, rows = rows})"""


@command("inbox")
async def inbox(session: Session, given: Given) -> CommandOutput:
    """Show the last N messages of the Inbox (10 by default).

    It only reads: no metamethod of the process runs, and nothing changes."""
    count = _number(given, "N", _SHOWN, "inbox")
    state = await find_state(session, given[STATE])
    answer = await query(session, _INBOX % (count, _PREVIEW * 4), state.process, state.slot)
    found = answer if isinstance(answer, dict) else {}
    # Lua of HyperBEAM has one kind of number, which JSON writes as 1.0.
    rows = [row | {key: int(row[key]) for key in ("n", "size")} for row in found.get("rows") or ()]
    all_ = int(found.get("count", 0))
    names = await session.naming.of(row["from"] for row in rows)
    table = Table(
        ("#", "FROM", "ACTION", "BYTES", "DATA"),
        tuple(
            (
                str(row["n"]),
                named_id(row["from"], names.get(row["from"], "")),
                row["action"] or "-",
                str(row["size"]),
                _preview(row["data"]),
            )
            for row in rows
        ),
        frozenset({"#", "BYTES"}),
    )
    hidden = all_ - len(rows)
    place = f"{given[STATE]} " if given[STATE] else ""
    note = f"{hidden} older: .inbox {place}{all_}" if hidden > 0 else ""
    return CommandOutput({"count": all_, "rows": rows}, table=table, note=note)


@command("messages")
async def messages(session: Session, given: Given) -> CommandOutput:
    """Show the last messages of a process (20 by default), and the cost of each.

    MS is compute time, MEMORY the heap afterwards, GAS the fuel of WASM. Messages that could not be
        delivered follow, with the reason. A HyperBEAM node does not report its compute time:
        REQUEST MS is how long this request for the result took. CLIENT is the shell that sent it,
        by its terminal and process id, if the node is on this computer."""
    last = _number(given, "--last", _LAST, "messages")
    state = await find_state(session, given[STATE])
    process = state.process
    entries = await _entries(session, state, last)
    kept: tuple[Undelivered, ...] = ()
    if node := session.node.local:
        kept = tuple(await node.undelivered(process.id))[-last:]
    shown = [message.from_ for message, _ in entries]
    shown += [id for one in kept for id in (one.message.from_, one.message.target)]
    names = await session.naming.of(shown)
    rows = tuple(_row(message, result, names) for message, result in entries)
    time = "REQUEST MS" if session.remote else "MS"
    table = Table(
        ("SLOT", "ACTION", "FROM", "CLIENT", "OUTCOME", time, "MEMORY", "GAS", "ID"),
        (*rows, *(_kept_row(one, names) for one in kept)),
        frozenset({"SLOT", time, "MEMORY", "GAS"}),
    )
    costs = [("MEMORY", "memory"), ("GAS", "gas")]
    costs += [(time, "milliseconds")] if session.remote else []  # the legacy network reports none
    for column, used in costs:
        if not any(getattr(result, used) for _, result in entries if result):
            table = table.without(column)
    if not any(_client(message) for message, _ in entries):
        table = table.without("CLIENT")
    value = [message_value(message, result) for message, result in entries]
    return CommandOutput({"slots": value, "kept": [_kept_value(one) for one in kept]}, table=table)


@command("result")
async def result(session: Session, given: Given) -> CommandOutput:
    """Show the result of a message; waits until it is computed.

    By default it is the result of the last line."""
    receipt = await _receipt(session, given[PLACE])
    with session.feed.shown_by(session.unanswered.get(str(receipt.place), "")):
        found = await session.node.result(receipt.process, receipt.place)
    receipt = receipt._replace(slot=None if found.slot < 0 else found.slot)
    sources = await session.texts.wanted(receipt.process, found.error)
    answer = LineAnswer(receipt, found, sources=sources)
    return CommandOutput(answer=answer, ok=answer.ok)


async def _receipt(session: Session, reference: str) -> Receipt:
    """The message at a place; a remote node is asked for an id directly."""
    if not reference and (sent := await last_sent(session)):
        return sent
    if session.remote and has_id_form(reference):
        return Receipt(reference, session.attached.id, None)
    place = await find_place(session, reference)
    return Receipt("", place.process.id, place.slot)


@command("waits")
async def waits(session: Session, given: Given) -> CommandOutput:
    """List what waits for a message (receive, spawn).

    `.waits drop ID` ends one; the beginning of an id is enough."""
    process = await process_or_attached(session, given["PROCESS"])
    if given["ID"]:
        if process.id != session.attached.id:
            raise UsageError(
                "what waits is dropped in the attached process only",
                hint=f".attach {typed_name(process.name or process.id[:8])} first",
            )
        name = short_string(_resolved(given["ID"], await _waiting(session, process))).decode()
        dropped = f'return require(".process").drop({name})'
        answer = await session.evaluate(dropped)
        return CommandOutput(answer=answer, ok=answer.ok)
    rows = await _waiting(session, process)
    table = Table(
        ("ID", "ACTION", "WAITS FOR"),
        tuple(
            (str(row.get("id", "")), str(row.get("action", "")), str(row.get("pattern", "")))
            for row in rows
        ),
    )
    return CommandOutput(rows, table=table) if rows else CommandOutput([], text="nothing waits")


async def _waiting(session: Session, process: ProcessInfo) -> list[dict[str, object]]:
    found = await query(session, 'return JSON.encode(require(".process").waits())', process)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _resolved(begin: str, rows: list[dict[str, object]]) -> str:
    """The only id with this beginning.

    Raises:
        AoError: stage "waits".
    """
    ids = [str(row.get("id", "")) for row in rows]
    found = [begin] if begin in ids else [id for id in ids if id.startswith(begin)]
    if len(found) != 1:
        what = f"{len(found) or 'no'} ids begin with {begin}"
        raise AoError(what, stage="waits", hint=".waits lists the ids")
    return found[0]


async def _entries(
    session: Session, state: StatePlace, last: int
) -> list[tuple[Message, Result | None]]:
    """The last messages of a process, up to a slot."""
    process = state.process
    total = await session.node.slots(process.id) if state.slot is None else state.slot + 1
    first = max(0, total - last)
    scheduled = await session.node.schedule(process.id, first, total - 1) if total else ()
    computed = {
        (entry.result.slot, entry.result.tick): entry.result
        async for entry in computed_entries(session.node, process.id, first - 1)
        if entry.result
    }
    return [(message, computed.get(_place(message))) for message in scheduled[-last:]]


def _place(message: Message) -> tuple[int, int]:
    placed = message.assignment
    return (placed.slot, placed.tick) if placed else (-1, 0)


def _client(message: Message) -> str:
    """The client that sent it, "" if unknown."""
    return message.assignment.client if message.assignment else ""


def _slot(message: Message) -> str:
    slot, tick = _place(message)
    return f"{slot}+{tick}" if tick else str(slot)


def _row(message: Message, result: Result | None, names: dict[str, str]) -> tuple[str, ...]:
    outcome = "pending" if result is None else result.outcome
    if result and result.suspended:
        outcome = "waits"
    elif result and result.error:
        outcome = f"{result.outcome}: {_preview(split_error(result.error)[1])}"
    return (
        _slot(message),
        message.tag("Action", "-"),
        named_id(message.from_, names.get(message.from_, "")),
        _client(message) or "-",
        outcome,
        f"{result.milliseconds:.1f}" if result else "-",
        format_size(result.memory) if result else "-",
        str(result.gas or "-") if result else "-",
        short_id(message.id) or "cron",
    )


def _kept_row(kept: Undelivered, names: dict[str, str]) -> tuple[str, ...]:
    target = named_id(kept.message.target, names.get(kept.message.target, ""))
    return (
        str(kept.slot),
        kept.message.tag("Action", "-"),
        named_id(kept.message.from_, names.get(kept.message.from_, "")),
        "-",
        f"not delivered to {target}: {kept.reason}",
        "-",
        "-",
        "-",
        short_id(kept.message.id),
    )


def message_value(message: Message, result: Result | None) -> dict[str, object]:
    """A message and what it did, as docs/json.md says."""
    slot, tick = _place(message)
    return {
        "slot": slot,
        "tick": tick,
        "id": message.id,
        "action": message.tag("Action"),
        "from": message.from_,
        "client": _client(message),
        "outcome": result.outcome if result else None,
        "error": split_error(result.error)[1] if result else "",
        "output": _printed(result) if result else "",
        "suspended": result.suspended if result else False,
        "ms": result.milliseconds if result else None,
        "memory": result.memory if result else 0,
        "gas": result.gas if result else 0,
    }


def _kept_value(kept: Undelivered) -> dict[str, object]:
    return {
        "process": kept.process,
        "slot": kept.slot,
        "index": kept.index,
        "reason": kept.reason,
        "target": kept.message.target,
        "action": kept.message.tag("Action"),
    }


def _printed(result: Result) -> str:
    """All that a message printed; if it failed, the text above the reason."""
    return without_colours(result.output) or split_error(result.error)[0]


def _preview(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= _PREVIEW and line == text else line[: _PREVIEW - 1] + "…"


def _number(given: Given, part: str, otherwise: int, name: str) -> int:
    number = given.number(part, otherwise)
    if number < 1:
        raise usage_error(name, f"{number} is no number of messages")
    return number
