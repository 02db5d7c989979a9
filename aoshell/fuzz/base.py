"""The process to fuzz: a copy with its vocabulary, senders and invariants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aoshell.fuzz.given_module import GivenModule, path_from
from aoshell.fuzz.oracle import FuzzVerdict, Oracle
from aoshell.fuzz.sequences import Person, Sequences, Step, spread
from aoshell.fuzz.words.vocabulary import Vocabulary
from aoshell.nodes.local.log import form
from aoshell.nodes.local.replaying.rehearsal import Performed, Rehearsal, Rehearsed
from aoshell.protocol.message import text
from aoshell.sandbox.worker.trials import STEPS
from aoshell.testing.code.invariants import name_of, read_invariants

SECONDS = 1.0  # of processor time that one message may take
MEMORY = 256 << 20  # bytes of heap that the process may use
LISTENED = 20_000  # messages of a run whose outboxes are searched for values
_ENVELOPE = ("Data-Protocol", "ao", "Variant", "ao.TN.1", "Type", "Message")


@dataclass(frozen=True, slots=True)
class Target:
    """What to fuzz.

    Attributes:
        name: as it was given.
        file: a Lua or WebAssembly file, or an exported process.
        is_export: whether it is an exported process.
        invariants: a file of invariants, None without.
        load: blueprints and files that are loaded into it first.
        tags: of the process that is made from a file.
        module: into which a Lua file is loaded; None for the environment.
    """

    name: str
    file: Path
    is_export: bool = False
    invariants: Path | None = None
    load: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    module: GivenModule | None = None

    @property
    def is_python(self) -> bool:
        """Whether the invariants are in Python."""
        return self.invariants is not None and self.invariants.suffix == ".py"

    def spawned_from(self, folder: Path) -> str:
        """The file that tests in a folder make the process from."""
        if self.module is not None:
            return self.module.path_from(folder)
        return path_from(self.file, folder)


@dataclass(frozen=True, slots=True)
class Failed:
    """A failing sequence; its last message is the one that fails."""

    steps: tuple[Step, ...]
    verdict: FuzzVerdict

    @property
    def fault(self) -> tuple[str, str, str]:
        """Identifies this fault; see `FuzzVerdict.fault`."""
        return self.verdict.fault(self.steps[-1].handler)


@dataclass(slots=True)
class Base:
    """A copy on which sequences are tried. It does not change.

    Attributes:
        sequences: makes sequences for it.
        messages: number of messages computed so far.
        sources: its code by file.
        holding: names of the invariants.
        known: faults that were found; sequences go on after them.
        deadly: handlers whose messages end the worker or take too long; they get no more messages.
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
        """Its code and its invariants, by the names that errors use."""
        path = self.target.invariants
        return self.sources | ({text(name_of(path)): text(read_invariants(path))} if path else {})

    @property
    def is_used_up(self) -> bool:
        """Whether no handler may get more messages."""
        return all(form.handler in self.deadly for form in self.words.forms)

    async def attempt(self, steps: Sequence[Step]) -> Failed | None:
        """Try a sequence. Returns how it fails, cut after the failing message, or None.

        Known faults are ignored: their messages are undone, as on the node.

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
            if done.outcome == "ok":  # the verdict came from outside, so it was not undone
                return None
        return None

    def _until(
        self, steps: Sequence[Step], sent: list[tuple[int, Step]], last: int
    ) -> tuple[Step, ...]:
        index = sent[last][0]
        times = 1 + last - min(at for at, (of, _) in enumerate(sent) if of == index)
        return (*steps[:index], replace(steps[index], times=times))

    def _note(self, step: Step, done: Performed) -> None:
        """Note from an outcome which handlers are deadly, and values that the process sends."""
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
