"""Messages and results: .inbox, .messages, .result, .waits."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aoshell.errors import AoError, UsageError
from aoshell.nodes.values import LogEntry, ProcessInfo, Receipt, Undelivered
from aoshell.protocol.message import Message, Result
from aoshell.shell.code.bundle import short_string
from aoshell.shell.commands import command, find_process, usage_error
from aoshell.shell.feed import short_id
from aoshell.shell.outcome import CommandOutput, LineAnswer, Table
from aoshell.shell.session import Session
from aoshell.shell.view.errors_view import split_error, without_colours
from aoshell.shell.view.text import format_size

_SHOWN = 10
_LAST = 20
_PAGE = 200
_PREVIEW = 60

# Read raw: a metatable's __index must not run because somebody looks.
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


@command("inbox", "[N]")
async def inbox(session: Session, rest: str) -> CommandOutput:
    """Show the last N messages of the Inbox (10 by default).

    It only reads: no metamethod of the process runs, and nothing changes."""
    count = _number(rest, "inbox") if rest else _SHOWN
    answer = await session.query(_INBOX % (count, _PREVIEW * 4))
    found = answer if isinstance(answer, dict) else {}
    # Lua of HyperBEAM has one kind of number, which JSON writes as 1.0.
    rows = [row | {key: int(row[key]) for key in ("n", "size")} for row in found.get("rows") or ()]
    names, all_ = await session.identities.addresses(), int(found.get("count", 0))
    table = Table(
        ("#", "FROM", "ACTION", "BYTES", "DATA"),
        tuple(
            (
                str(row["n"]),
                names.get(row["from"]) or short_id(row["from"]),
                row["action"] or "-",
                str(row["size"]),
                _preview(row["data"]),
            )
            for row in rows
        ),
        frozenset({"#", "BYTES"}),
    )
    hidden = all_ - len(rows)
    note = f"{hidden} older: .inbox {all_}" if hidden > 0 else ""
    return CommandOutput({"count": all_, "rows": rows}, table=table, note=note)


@command("messages", "[PROCESS] [--last N]")
async def messages(session: Session, rest: str) -> CommandOutput:
    """Show the last messages of a process (20 by default), and what each cost.

    MS is compute time, MEMORY the heap afterwards, GAS the fuel of WASM. Messages that could not be
    delivered follow, with the reason. A HyperBEAM node does not tell its compute time: REQUEST MS
    is how long this request for the result took. CLIENT is the shell that sent it, by its terminal
    and process id, where the node is on this computer."""
    words, last = rest.split(), _LAST
    if "--last" in words:
        at = words.index("--last")
        last = _number(" ".join(words[at + 1 : at + 2]), "messages")
        del words[at : at + 2]
    if len(words) > 1:
        raise usage_error("messages")
    process = await find_process(session, words[0]) if words else session.attached
    entries = await _entries(session, process, last)
    kept: tuple[Undelivered, ...] = ()
    if node := session.node.local:
        kept = tuple(await node.undelivered(process.id))[-last:]
    names = await session.identities.addresses()
    rows = tuple(_row(message, result, names) for message, result in entries)
    time = "REQUEST MS" if session.remote else "MS"
    table = Table(
        ("SLOT", "ACTION", "FROM", "CLIENT", "OUTCOME", time, "MEMORY", "GAS", "ID"),
        (*rows, *(_kept_row(one) for one in kept)),
        frozenset({"SLOT", time, "MEMORY", "GAS"}),
    )
    costs = [("MEMORY", "memory"), ("GAS", "gas")]
    costs += [(time, "milliseconds")] if session.remote else []  # the legacy network tells none
    for column, used in costs:
        if not any(getattr(result, used) for _, result in entries if result):
            table = table.without(column)
    if not any(_client(message) for message, _ in entries):
        table = table.without("CLIENT")
    value = [message_value(message, result) for message, result in entries]
    return CommandOutput({"slots": value, "kept": [_kept_value(one) for one in kept]}, table=table)


@command("result", "ID|SLOT")
async def result(session: Session, rest: str) -> CommandOutput:
    """Show the result of a message of the attached process; waits until it is computed."""
    if not rest or len(rest.split()) > 1:
        raise usage_error("result")
    process = session.attached.id
    place = int(rest) if rest.isdecimal() else rest
    with session.feed.shown_by(session.unanswered.get(rest, "")):
        found = await session.node.result(process, place)
    slot = None if found.slot < 0 else found.slot
    receipt = Receipt("" if rest.isdecimal() else rest, process, slot)
    answer = LineAnswer(receipt, found, sources=session.sources)
    return CommandOutput(answer=answer, ok=answer.ok)


@command("waits", "[drop ID]")
async def waits(session: Session, rest: str) -> CommandOutput:
    """List what waits for a message (receive, spawn).

    `.waits drop ID` gives one up; the beginning of an id is enough."""
    words = rest.split()
    if words[:1] == ["drop"] and len(words) == 2:
        name = short_string(_resolved(words[1], await _waiting(session))).decode()
        dropped = f'return require(".process").drop({name})'
        answer = await session.evaluate(dropped)
        return CommandOutput(answer=answer, ok=answer.ok)
    if words:
        raise usage_error("waits")
    rows = await _waiting(session)
    table = Table(
        ("ID", "ACTION", "WAITS FOR"),
        tuple(
            (str(row.get("id", "")), str(row.get("action", "")), str(row.get("pattern", "")))
            for row in rows
        ),
    )
    return CommandOutput(rows, table=table) if rows else CommandOutput([], text="nothing waits")


async def _waiting(session: Session) -> list[dict[str, object]]:
    found = await session.query('return JSON.encode(require(".process").waits())')
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def _resolved(begin: str, rows: list[dict[str, object]]) -> str:
    """The one id that begins like this.

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
    session: Session, process: ProcessInfo, last: int
) -> list[tuple[Message, Result | None]]:
    total = await session.node.slots(process.id)
    first = max(0, total - last)
    scheduled = await session.node.schedule(process.id, first, total - 1) if total else ()
    computed = {
        (entry.result.slot, entry.result.tick): entry.result
        async for entry in computed_entries(session, process.id, first - 1)
        if entry.result
    }
    return [(message, computed.get(_place(message))) for message in scheduled[-last:]]


async def computed_entries(
    session: Session, process: str, after: int = -1
) -> AsyncIterator[LogEntry]:
    """The computed entries of a process after a slot, oldest first."""
    last = await session.node.slots(process) - 1
    while after < last:
        page = await session.node.results(process, after, _PAGE)
        for entry in page:
            yield entry
        slots = [entry.result.slot for entry in page if entry.result]
        if not slots or slots[-1] <= after:
            return
        after = slots[-1]


def _place(message: Message) -> tuple[int, int]:
    placed = message.assignment
    return (placed.slot, placed.tick) if placed else (-1, 0)


def _client(message: Message) -> str:
    """Who handed it in, "" where that is not known."""
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
        names.get(message.from_) or short_id(message.from_),
        _client(message) or "-",
        outcome,
        f"{result.milliseconds:.1f}" if result else "-",
        format_size(result.memory) if result else "-",
        str(result.gas or "-") if result else "-",
        short_id(message.id) or "cron",
    )


def _kept_row(kept: Undelivered) -> tuple[str, ...]:
    return (
        str(kept.slot),
        kept.message.tag("Action", "-"),
        short_id(kept.message.from_),
        "-",
        f"not delivered to {short_id(kept.message.target)}: {kept.reason}",
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
    """All that a message printed; of one that failed it stands above the reason."""
    return without_colours(result.output) or split_error(result.error)[0]


def _preview(text: str) -> str:
    line = text.split("\n", 1)[0]
    return line if len(line) <= _PREVIEW and line == text else line[: _PREVIEW - 1] + "…"


def _number(word: str, name: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise UsageError(f"{word or 'nothing'} is not a number of messages", hint=f".help {name}")
    return int(word)
