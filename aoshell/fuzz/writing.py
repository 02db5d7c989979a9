"""Writes a failing sequence as a test for `aoshell test`. It fails until the fault is fixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aoshell.fuzz.base import Base, Failed, Target
from aoshell.fuzz.given_module import path_from
from aoshell.fuzz.oracle import FuzzVerdict
from aoshell.fuzz.sequences import Step, steps_back
from aoshell.protocol.message import text
from aoshell.shell.code.files import read_file
from aoshell.testing.recorded.writing import AddressNames, lua_comment, lua_string
from aoshell.testing.runs.running import SECONDS, Runner

# A process that sends the message it gets as Data.
SAYS = 'Handlers.add("Say", "Say", function(msg) Send(msg.Data) end)'
_FIELDS = frozenset(("Data", "Tags", "Target", "Anchor", "From", "Owner"))  # of a message in tests
COMPILING = 30.0  # seconds for a test that compiles a module
SLOW = f"It compiles a module: aoshell test --timeout {COMPILING:g} gives it the time for that."
LONG = 500  # most characters of a reason in a test


def command_of(target: Target, seed: int) -> str:
    """The command line that found what a test shows."""
    module = f" --module {target.module.name}" if target.module else ""
    return f"aoshell fuzz {target.name}{module} --seed {seed}"


@dataclass(slots=True)
class TestText:
    """The test of one failing sequence.

    Attributes:
        export: name of the exported process next to the test, if the target is not a Lua file.
    """

    base: Base
    failed: Failed
    folder: Path
    seed: int
    export: str = ""
    names: AddressNames = field(default_factory=AddressNames)

    def lua(self) -> str:
        """The text of the file."""
        verdict, target = self.failed.verdict, self.base.target
        about = f"{verdict.kind} {verdict.about}".strip()
        lines = [
            lua_comment(f"Found by {command_of(target, self.seed)}:"),
            lua_comment(verdict.text[:LONG]),
            *([lua_comment(SLOW)] if target.module and target.module.is_wasm else []),
            f"test({lua_string(f'fuzz: {about}')}, function(t)",
        ]
        body = [*self._people(), *self._process(), *self._steps()]
        return "\n".join([*lines, *(f"  {line}" for line in body), "end)", ""])

    def _people(self) -> Iterator[str]:
        """Variables for the senders in the sequence."""
        texts = [one.sender.address for one in self.failed.steps]
        texts += [value for one in self.failed.steps for _, value in one.tags]
        texts += [one.data for one in self.failed.steps]
        self.names.of[self.base.owner.address] = "t.owner.address"
        for person in self.base.people[1:]:
            if not any(person.address in text for text in texts):
                continue
            if not person.is_process:
                self.names.of[person.address] = f"{person.name}.address"
                yield f"local {person.name} = t:as({lua_string(person.name)})"
            elif any(one.sender == person for one in self.failed.steps):
                address, source = lua_string(person.address), lua_string(SAYS)
                yield f"local {person.name} = t:mock({address}, {{ source = {source} }})"

    def _process(self) -> Iterator[str]:
        target = self.base.target
        if self.export:
            names = f"{{ [{lua_string(self.base.owner.address)}] = t.owner }}"
            yield f"local p = t:import({{ file = {lua_string(self.export)}, names = {names} }})"
        else:
            yield f"local p = t:spawn({self._made_of(target)})"
            if target.module is not None:
                yield f"p:load({lua_string(self._path(target.file))})"
        self.names.of[self.base.rehearsal.process] = "p.id"
        for one in target.load:
            yield f"p:blueprint({lua_string(one if '.' not in one else self._path(Path(one)))})"
        if target.invariants is not None:
            yield f"p:invariants({lua_string(self._path(target.invariants))})"

    def _made_of(self, target: Target) -> str:
        file = lua_string(target.spawned_from(self.folder))
        if not target.tags:
            return file
        tags = (
            f"{{ name = {lua_string(name)}, value = {lua_string(value)} }}"
            for name, value in target.tags
        )
        return f"{{ file = {file}, tags = {{ {', '.join(tags)} }} }}"

    def _path(self, file: Path) -> str:
        return path_from(file, self.folder)

    def _steps(self) -> Iterator[str]:
        """The messages. Those before the last one may be refused, which is not a fault."""
        *before, last = self.failed.steps
        *back, last_back = steps_back(self.failed.steps)
        for step, place in zip(before, back, strict=True):
            yield from self._later(step)
            yield _repeated(self._sent(step, place), step.times)
        yield from self._later(last)
        if last.sender.is_process or last.is_tick:
            yield "local before = #p:errors()"
            yield _repeated(self._sent(last, last_back), last.times)
            yield "t:equal(p:errors()[before + 1], nil)"
        elif self.failed.verdict.kind == "answer":
            who = f"{{ Target = {self.names.of[last.sender.address]} }}"
            yield _repeated(f"t:sent({self._sent(last, last_back)}, {who})", last.times)
        else:
            yield _repeated(f"t:ok({self._sent(last, last_back)})", last.times)

    def _later(self, step: Step) -> Iterator[str]:
        if step.later and not step.is_tick:
            yield f't:advance("{step.later}ms")'

    def _sent(self, step: Step, back: int) -> str:
        """A message; `back`: how many messages ago the replayed one was sent, 0 for none."""
        if step.is_tick:
            # Passing time sends one message of one schedule; several would get out of step.
            only = len(self.base.rehearsal.schedules) == 1 and not self.export
            return f't:advance("{step.later}ms")' if only else "p:tick()"
        if back:
            return f"p:replay({back if back > 1 else ''})"
        if step.sender == self.base.owner:
            return f"p:send({self._message(step)})"
        if not step.sender.is_process:
            return f"{step.sender.name}:send(p, {self._message(step)})"
        message = self._message(step, ("Target", self.base.rehearsal.process))
        return f't.owner:send({step.sender.name}, {{ Action = "Say", Data = {message} }})'

    def _message(self, step: Step, *more: tuple[str, str]) -> str:
        """A message as a table; tags with names of its own fields are in Tags."""
        fields = [*more, *((name, value) for name, value in step.tags if name not in _FIELDS)]
        fields += [("Data", step.data)] if step.data else []
        inner = [(name, value) for name, value in step.tags if name in _FIELDS]
        table = self.names.table(fields, any_value=True)
        if not inner:
            return table
        tags = f"Tags = {self.names.table(inner, any_value=True)} }}"
        return f"{table.removesuffix(' }')}, {tags}" if fields else f"{{ {tags}"


def _repeated(call: str, times: int) -> str:
    return f"for _ = 1, {times} do {call} end" if times > 1 else call


async def doubt_of(test: Path, verdict: FuzzVerdict, *, compiles: bool) -> str:
    """Why a written test does not fail where it should; "" if it does.

    The failing message is in the last line but one. A message that never ends stops the whole test.

    Args:
        compiles: it makes a process of WebAssembly, which may take longer than a test may.
    """
    runner = Runner(COMPILING if compiles else SECONDS, (Path.cwd(),))
    try:
        outcomes = [one async for one in runner.run_all(test)]
    finally:
        runner.close()
    last = text(read_file(test)).count("\n") - 1
    for one in outcomes:
        if one.failure is None:
            return f"it {one.outcome}"
        if one.failure.line != last and not (verdict.is_death and one.outcome == "error"):
            return one.failure.text
    return ""
