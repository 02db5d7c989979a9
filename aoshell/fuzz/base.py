"""The process that is fuzzed: a copy with its words, people and invariants."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from aoshell.errors import AoError
from aoshell.fuzz.holding import read_holding
from aoshell.fuzz.oracle import Oracle, Verdict
from aoshell.fuzz.sequences import Person, Sequences, Step, spread
from aoshell.fuzz.words.listing import LIST, read_vocabulary
from aoshell.fuzz.words.recorded import recorded_messages
from aoshell.fuzz.words.vocabulary import Vocabulary
from aoshell.nodes.local.log import form
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.rehearsal import Performed, Rehearsal, Rehearsed, output_of
from aoshell.nodes.values import Limits
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.message import raw, text
from aoshell.sandbox.fates import describe_fate
from aoshell.sandbox.trials import STEPS
from aoshell.shell.view.errors_view import show_source, split_error
from aoshell.testing.answers import ENVELOPE
from aoshell.testing.identity import Identity
from aoshell.testing.invariants import holding_code, name_of, read_invariants
from aoshell.testing.node import AsyncNode, AsyncProcess
from aoshell.testing.opening import open_node
from aoshell.testing.values import parse_value, value_query

LOADING = 10.0  # seconds of processor time that invariants may take to load
SECONDS = 1.0  # of processor time that one message may take
MEMORY = 256 << 20  # bytes of heap that the process may use
PEOPLE = ("alice", "bob", "carol")
LISTENED = 20_000  # messages of a run whose outboxes are looked at for values
OTHERS = 3  # addresses of other processes that send, at the most
# Lua: the addresses that its globals are.
_ADDRESSES = """(function()
  local found = {}
  for name, value in pairs(_G) do
    if type(value) == "string" and #value == 43 and name ~= "Owner" then
      found[#found + 1] = value
    end
  end
  return found
end)()"""
_DIGEST = 32  # bytes of which an address is made
_ENVELOPE = ("Data-Protocol", "ao", "Variant", "ao.TN.1", "Type", "Message")


@dataclass(frozen=True, slots=True)
class Target:
    """What is fuzzed.

    Attributes:
        name: as it was given.
        file: a Lua file, or the file that `.export` writes of a process.
        is_export: which of them.
        invariants: a file of invariants, None without.
        load: blueprints and files that are loaded into it first.
        tags: of the process that is made of a Lua file.
    """

    name: str
    file: Path
    is_export: bool = False
    invariants: Path | None = None
    load: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_python(self) -> bool:
        """Whether the invariants are in Python."""
        return self.invariants is not None and self.invariants.suffix == ".py"


@dataclass(frozen=True, slots=True)
class Failed:
    """A sequence whose last message is at fault."""

    steps: tuple[Step, ...]
    verdict: Verdict

    @property
    def fault(self) -> tuple[str, str, str]:
        """What makes it another fault than others; see `Verdict.fault`."""
        return self.verdict.fault(self.steps[-1].handler)


@dataclass(slots=True)
class Base:
    """A copy that sequences are tried on; it stays as it is.

    Attributes:
        sequences: makes sequences for it.
        messages: how many were computed so far.
        sources: its code by file.
        holding: names of the invariants.
        known: faults that were found; sequences go on behind them.
        deadly: handlers of messages that end the worker or its time; they get no more messages.
    """

    target: Target
    rehearsal: Rehearsal
    words: Vocabulary
    sequences: Sequences
    people: tuple[Person, ...]
    owner: Person
    authority: str
    sources: dict[str, str]
    holding: tuple[str, ...] = ()
    messages: int = 0
    known: set[tuple[str, str, str]] = field(default_factory=set)
    deadly: set[str] = field(default_factory=set)
    oracle: Oracle = field(default_factory=lambda: Oracle("", SECONDS, MEMORY))
    _fates: dict[tuple[str, bool], list[int]] = field(default_factory=dict)

    @property
    def shown_sources(self) -> dict[str, str]:
        """Its code and its invariants, by the names that errors give them."""
        path = self.target.invariants
        return self.sources | ({text(name_of(path)): text(read_invariants(path))} if path else {})

    @property
    def is_used_up(self) -> bool:
        """Whether no handler is left that may get messages."""
        return all(form.handler in self.deadly for form in self.words.forms)

    async def attempt(self, steps: Sequence[Step]) -> Failed | None:
        """Try a sequence: how it fails, cut off behind the message at fault, or None.

        Faults that are known do not count: their messages are undone, as on the node.

        Raises:
            AoError: stage "compute", for a reason outside the sequence.
        """
        steps = [step for step in steps if step.handler not in self.deadly]
        sent = spread(steps)[:STEPS]
        end = "" if self.known else self.oracle.mark
        performed = await self.rehearsal.perform(self._messages(sent), SECONDS, end)
        self.messages += len(performed)
        for done in performed:
            step = sent[done.place][1]
            self._note(step, done)
            verdict = self.oracle.judge(step, done)
            if verdict is None:
                continue
            if verdict.fault(step.handler) not in self.known:
                return Failed(self._until(steps, sent, done.place), verdict)
            if verdict.is_death:
                self.deadly.add(step.handler)
            if done.outcome == "ok":  # judged from outside, so it was not undone
                return None
        return None

    def _until(
        self, steps: Sequence[Step], sent: list[tuple[int, Step]], last: int
    ) -> tuple[Step, ...]:
        index = sent[last][0]
        times = 1 + last - min(at for at, (of, _) in enumerate(sent) if of == index)
        return (*steps[:index], replace(steps[index], times=times))

    def _note(self, step: Step, done: Performed) -> None:
        """Learn of an outcome: what fails often, and values that the process sends."""
        fate = self._fates.setdefault(step.kind, [0, 0])
        fate[0] += done.outcome != "ok"
        fate[1] += 1
        if self.messages < LISTENED and done.outcome == "ok":
            for message in form.Outbox(done.result).messages:
                pairs = iter(message[-1])
                for name, value in zip(pairs, pairs, strict=False):
                    if name in self.sequences.names:
                        self.sequences.hear(name, form.widen(value))

    def _is_doubtful(self, step: Step) -> bool:
        failed, all_ = self._fates.get(step.kind, (0, 0))
        return failed * 3 > all_

    def _messages(self, sent: list[tuple[int, Step]]) -> list[Rehearsed]:
        found, later = [], 0
        numbers: dict[object, int] = {}
        for number, (_, step) in enumerate(sent, 1):
            later += step.later
            own = (step.replayed and numbers.get(step.content)) or number
            numbers[step.content] = own
            tags = [form.narrow(part) for pair in step.tags for part in pair]
            owner = step.sender.address
            if not step.is_tick:
                tags = [*_ENVELOPE, *tags]
            if step.sender.is_process:
                owner = self.authority
                tags += ["From-Process", step.sender.address, "Reference", str(own)]
            found.append(
                Rehearsed(
                    "" if step.is_tick else f"f{own:042d}", step.sender.address, owner, tuple(tags),
                    form.narrow(step.data), later, self._is_doubtful(step),
                )
            )  # fmt: skip
        return found


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
    process = await node.spawn(target.file, tags=target.tags)
    for one in target.load:
        await process.blueprint(Path(one) if "." in one else one)
    return process


async def _prepared(node: AsyncNode, target: Target, rehearsal: Rehearsal) -> Base:
    listed = await _value(rehearsal, LIST)
    sources = {**node.sources, **await _evaluated(node, rehearsal.process)}
    if rehearsal.code and not node.sources:
        sources = {"module": rehearsal.code, **sources}
    code = {name: raw(source) for name, source in sources.items()}
    past = await _past(node, rehearsal.process)
    if not target.is_export:
        past += recorded_messages(target.file)
    words = read_vocabulary(code, listed if isinstance(listed, list) else [], past)
    if not words.forms:
        raise AoError(
            f"{target.name} has no handlers",
            stage="fuzz",
            hint="Handlers.add(name, pattern, function(msg) … end) adds one",
        )
    owner = Person("owner", rehearsal.owner)
    found = await _value(rehearsal, _ADDRESSES)
    others = {*words.addresses, *(map(str, found) if isinstance(found, list) else ())}
    people = (owner, *_people(), *_processes(others - {rehearsal.process, owner.address}))
    cron = [(one.interval, _pairs(one.tags)) for one in rehearsal.schedules]
    sequences = Sequences(words, people, rehearsal.process, cron)
    base = Base(target, rehearsal, words, sequences, people, owner, node.address, sources)
    mark = f"fuzz {hashlib.sha256(rehearsal.process.encode()).hexdigest()[:16]} "
    if target.is_python:
        assert target.invariants is not None
        holding = read_holding(target.invariants)
        meant, base.holding = [*words.meant, *holding.answering], tuple(holding.invariants)
        await _hold(rehearsal, target, (raw(holding.lua), mark, meant, mark))
        base.oracle = Oracle(mark, SECONDS, MEMORY, holding)
        return base
    source = read_invariants(target.invariants) if target.invariants else b""
    base.oracle = Oracle(mark, SECONDS, MEMORY)
    base.holding = await _hold(rehearsal, target, (source, mark, words.meant, ""))
    return base


def _pairs(flat: Sequence[str]) -> tuple[tuple[str, str], ...]:
    texts = [form.widen(part) for part in flat]
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def _people() -> list[Person]:
    return [Person(name, Identity(name).address) for name in PEOPLE]


def _processes(addresses: set[str]) -> list[Person]:
    """Those that the code names, or one that nobody knows."""
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
    """Have the copy check what holds; the names of the invariants.

    Args:
        given: source, mark, handlers that have to answer, and what states are told behind.
    """
    path, (source, mark, meant, told) = target.invariants, given
    name = text(name_of(path)) if path else "invariants"
    outcome, result = await rehearsal.prepare(holding_code(source, name, mark, meant, told))
    if outcome == "ok":
        return tuple(split_error(output_of(result))[1].splitlines())
    why = split_error(form.widen(str(result.error or "")))[1].replace(mark, "")
    why = why or f"loading them {describe_fate(outcome, LOADING)}"
    shown = show_source(why, {name: text(source)})
    raise AoError(
        f"the invariants do not load: {why}" + (f"\n{shown}" if shown else ""),
        stage="fuzz",
        hint=f"mend {path}" if path else "report this: it is a defect of aoshell",
    )


async def _evaluated(node: AsyncNode, process: str) -> dict[str, str]:
    """Lua that was evaluated in a process, and its module's, where that is Lua."""
    found = {}
    for entry in await node.process(process).entries():
        message = entry.message
        if message.tag("Action") == "Eval" and message.assignment:
            found[f"slot {message.assignment.slot}"] = text(message.data)
    return found


async def _past(node: AsyncNode, process: str) -> list[list[tuple[str, str]]]:
    entries = await node.process(process).entries()
    messages = [entry.message for entry in entries if entry.message.tag("Action") != "Eval"]
    return [
        [(tag.name, tag.value) for tag in message.tags if tag.name not in ENVELOPE]
        for message in messages[1:]
    ]
