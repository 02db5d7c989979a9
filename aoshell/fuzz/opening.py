"""Makes the copy of a process to fuzz, with its vocabulary, senders and invariants."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aoshell.errors import AoError
from aoshell.fuzz.base import MEMORY, SECONDS, Base, Target
from aoshell.fuzz.holding import read_holding
from aoshell.fuzz.oracle import Oracle
from aoshell.fuzz.sequences import Person, Sequences
from aoshell.fuzz.words.listing import LIST, Past, read_vocabulary
from aoshell.fuzz.words.recorded import recorded_messages
from aoshell.fuzz.words.vocabulary import Vocabulary
from aoshell.nodes.local.log import form
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.replaying.rehearsal import Rehearsal, output_of
from aoshell.nodes.values import Limits, LogEntry
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.message import raw, text
from aoshell.sandbox.worker.fates import describe_fate
from aoshell.shell.view.errors_view import show_source, split_error
from aoshell.testing.code.invariants import holding_code, name_of, read_invariants
from aoshell.testing.code.values import parse_value, value_query
from aoshell.testing.testbed.answers import ENVELOPE
from aoshell.testing.testbed.identity import Identity
from aoshell.testing.testbed.node import AsyncNode, AsyncProcess
from aoshell.testing.testbed.opening import open_node

LOADING = 10.0  # seconds of processor time that invariants may take to load
PEOPLE = ("alice", "bob", "carol")
OTHERS = 3  # most addresses of other processes that send
# Lua: the addresses among its globals.
_ADDRESSES = """(function()
  local found = {}
  for name, value in pairs(_G) do
    if type(value) == "string" and #value == 43 and name ~= "Owner" then
      found[#found + 1] = value
    end
  end
  return found
end)()"""
_DIGEST = 32  # bytes of an address


@asynccontextmanager
async def open_base(target: Target) -> AsyncIterator[Base]:
    """The base of a run, while the block runs.

    Raises:
        AoError: the code does not load, or the invariants do not.
    """
    async with open_node(limits=Limits(memory=MEMORY)) as node:
        process = await _made(node, target)
        assert isinstance(node.local, LocalNode)
        limits = Limits(seconds=LOADING, memory=MEMORY)
        rehearsal = await node.local.rehearse(process.id, limits)
        try:
            yield await _prepared(node, target, rehearsal)
        finally:
            rehearsal.close()


async def _made(node: AsyncNode, target: Target) -> AsyncProcess:
    if target.is_export:
        return await node.restore(target.file)
    if target.module is None:
        process = await node.spawn(target.file, tags=target.tags)
    else:
        process = await node.spawn(target.module.file, tags=target.tags)
        await process.load(target.file)
    for one in target.load:
        await process.blueprint(Path(one) if "." in one else one)
    return process


async def _prepared(node: AsyncNode, target: Target, rehearsal: Rehearsal) -> Base:
    entries = await node.process(rehearsal.process).entries()
    past = _past(entries)
    if not target.is_export:
        past += recorded_messages(target.file)
    sources: dict[str, str] = {}
    addresses: set[str] = set()
    is_aos = await _is_aos(rehearsal)
    if is_aos:
        sources = _sources(node, rehearsal, entries)
        words = await _vocabulary(rehearsal, sources, past)
        found = await _value(rehearsal, _ADDRESSES)
        addresses = {*words.addresses, *(map(str, found) if isinstance(found, list) else ())}
    else:
        from aoshell.fuzz.words.modules import read_module

        words = read_module(rehearsal.wasm, past)
    if not words.forms:
        raise _nothing_to_say(target, is_aos)
    owner = Person("owner", rehearsal.owner)
    others = _processes(addresses - {rehearsal.process, owner.address})
    people = (owner, *_people(), *others)
    cron = [(one.interval, _pairs(one.tags)) for one in rehearsal.schedules]
    sequences = Sequences(words, people, rehearsal.process, cron)
    base = Base(target, rehearsal, words, sequences, people, owner, node.address, sources)
    mark = f"fuzz {hashlib.sha256(rehearsal.process.encode()).hexdigest()[:16]} "
    base.oracle = Oracle(mark, SECONDS, MEMORY, is_bare=not is_aos)
    if is_aos:
        await _watch(base, target, words)
    elif target.invariants is not None:
        raise AoError(
            f"{target.name} is WebAssembly without aos, and invariants are Lua in a process",
            stage="fuzz",
            hint="leave the invariants out: traps are found without them",
        )
    return base


async def _is_aos(rehearsal: Rehearsal) -> bool:
    """Whether the process evaluates Lua; a Lua process always does."""
    if not rehearsal.wasm:
        return True
    outcome, result = await rehearsal.ask(value_query("Handlers and #Handlers.list or 0"))
    with suppress(AoError):
        return outcome == "ok" and isinstance(parse_value(output_of(result)), int)
    return False


def _sources(node: AsyncNode, rehearsal: Rehearsal, entries: Sequence[LogEntry]) -> dict[str, str]:
    """The Lua of the process, by the names that errors use."""
    sources = {**node.sources, **_evaluated(entries)}
    if rehearsal.code and not node.sources:
        return {"module": rehearsal.code, **sources}
    return sources


async def _vocabulary(rehearsal: Rehearsal, sources: dict[str, str], past: Past) -> Vocabulary:
    listed = await _value(rehearsal, LIST)
    code = {name: raw(source) for name, source in sources.items()}
    return read_vocabulary(code, listed if isinstance(listed, list) else [], past)


def _nothing_to_say(target: Target, is_aos: bool) -> AoError:
    if is_aos:
        hint = "Handlers.add(name, pattern, function(msg) … end) adds one"
        return AoError(f"{target.name} has no handlers", stage="fuzz", hint=hint)
    return AoError(
        f"which messages {target.name} takes is not known: it has no Lua and no plain exports",
        stage="fuzz",
        hint="a *_test.lua next to it that sends some, or a process that has received some, shows"
        " it",
    )


async def _watch(base: Base, target: Target, words: Vocabulary) -> None:
    """Check the invariants after each message from now on."""
    rehearsal, mark = base.rehearsal, base.oracle.mark
    if target.is_python:
        assert target.invariants is not None
        holding = read_holding(target.invariants)
        meant, base.holding = [*words.meant, *holding.answering], tuple(holding.invariants)
        await _hold(rehearsal, target, (raw(holding.lua), mark, meant, mark))
        base.oracle = Oracle(mark, SECONDS, MEMORY, holding)
        return
    source = read_invariants(target.invariants) if target.invariants else b""
    base.holding = await _hold(rehearsal, target, (source, mark, words.meant, ""))


def _pairs(flat: Sequence[str]) -> tuple[tuple[str, str], ...]:
    texts = [form.widen(part) for part in flat]
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def _people() -> list[Person]:
    return [Person(name, Identity(name).address) for name in PEOPLE]


def _processes(addresses: set[str]) -> list[Person]:
    """Addresses in the code, or a made-up one."""
    known = sorted(filter(_is_address, addresses))[:OTHERS] or [Identity("another process").address]
    return [Person(f"process{number}", one, True) for number, one in enumerate(known, 1)]


def _is_address(text: str) -> bool:
    try:
        return len(unb64url(text)) == _DIGEST
    except ValueError:
        return False


async def _value(rehearsal: Rehearsal, expression: str) -> object:
    outcome, result = await rehearsal.ask(value_query(expression))
    if outcome != "ok":
        raise AoError(
            f"the process cannot be asked: {split_error(str(result.error))[1] or outcome}",
            stage="fuzz",
            hint="does it run the aos environment?",
        )
    return parse_value(output_of(result))


async def _hold(
    rehearsal: Rehearsal, target: Target, given: tuple[bytes, str, list[str], str]
) -> tuple[str, ...]:
    """Make the copy check the invariants; returns their names.

    Args:
        given: source, mark, handlers that must answer, and the prefix of printed states.
    """
    path, (source, mark, meant, prefix) = target.invariants, given
    name = text(name_of(path)) if path else "invariants"
    code = holding_code(source, name, mark, meant, prefix)
    tried = await rehearsal.try_out(code, LOADING)
    outcome, result = tried.outcome, tried.result
    if outcome == "ok":
        outcome, result = await rehearsal.prepare(code)
    if outcome == "ok":
        return tuple(split_error(output_of(result))[1].splitlines())
    why = split_error(form.widen(str(result.error or "")))[1].replace(mark, "")
    where = f" at {tried.line}" if tried.line else ""
    why = why or f"loading them {describe_fate(outcome, LOADING)}{where}"
    shown = show_source(why, {name: text(source)})
    raise AoError(
        f"the invariants do not load: {why}" + (f"\n{shown}" if shown else ""),
        stage="fuzz",
        hint=f"mend {path}" if path else "report this: it is a defect of aoshell",
    )


def _evaluated(entries: Sequence[LogEntry]) -> dict[str, str]:
    """Lua that was evaluated in a process, by name."""
    found = {}
    for entry in entries:
        message = entry.message
        if message.tag("Action") == "Eval" and message.assignment:
            found[f"slot {message.assignment.slot}"] = text(message.data)
    return found


def _past(entries: Sequence[LogEntry]) -> list[list[tuple[str, str]]]:
    messages = [entry.message for entry in entries if entry.message.tag("Action") != "Eval"]
    return [
        [(tag.name, tag.value) for tag in message.tags if tag.name not in ENVELOPE]
        for message in messages[1:]
    ]
