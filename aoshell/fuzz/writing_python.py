"""Writes a failing sequence as a test for pytest, for invariants in Python."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aoshell.fuzz.base import Base, Failed
from aoshell.fuzz.given_module import path_from
from aoshell.fuzz.sequences import Person, Step, steps_back
from aoshell.fuzz.writing import LONG, SAYS, command_of
from aoshell.testing.recorded.writing import ADDRESS

_SECONDS = 120  # most time of pytest for the test
_NEWEST = "process.entries()[-1].result.ok"
_FAILED = 1  # exit code of pytest
_HEAD = (
    "from pathlib import Path\n\nfrom aoshell.fuzz import Checked\n\nHERE = Path(__file__).parent"
)


@dataclass(slots=True)
class PythonTestText:
    """The test of one failing sequence; see `writing.TestText`."""

    base: Base
    failed: Failed
    folder: Path
    seed: int
    export: str = ""
    _names: dict[str, str] = field(default_factory=dict)

    def python(self) -> str:
        """The text of the file."""
        target, verdict = self.base.target, self.failed.verdict
        about = f"Found by {command_of(target, self.seed)}:\n{verdict.text[:LONG]}"
        body = [*self._process(), *self._people(), *self._steps()]
        return "\n".join(
            [
                *(f"# {line}" for line in about.splitlines()), "", _HEAD, "", "",
                "def test_fuzz(ao_node, identity, clock):",
                *(f"    {line}" for line in body), "",
            ]
        )  # fmt: skip

    def _process(self) -> Iterator[str]:
        target = self.base.target
        owner = self.base.owner.address
        if self.export:
            names = f"{{{owner!r}: ao_node.owner}}"
            yield f"process = ao_node.restore(HERE / {self.export!r}, {names})"
        else:
            tags = f", tags={list(target.tags)!r}" if target.tags else ""
            made_of = target.spawned_from(self.folder)
            yield f"process = ao_node.spawn(HERE / {made_of!r}{tags})"
            if target.module is not None:
                yield f"process.load(HERE / {self._path(target.file)!r})"
        for one in target.load:
            name = repr(one) if "." not in one else f"HERE / {self._path(Path(one))!r}"
            yield f"process.blueprint({name})"
        assert target.invariants is not None
        yield f"p = Checked(process, HERE / {self._path(target.invariants)!r})"
        self._names = {owner: "ao_node.owner.address", self.base.rehearsal.process: "process.id"}

    def _path(self, file: Path) -> str:
        return path_from(file, self.folder)

    def _people(self) -> Iterator[str]:
        for person in self.base.people[1:]:
            if person.is_process:
                if any(one.sender == person for one in self.failed.steps):
                    yield f"{person.name} = ao_node.mock({person.address!r}, {SAYS!r})"
            elif any(_names(step, person) for step in self.failed.steps):
                self._names[person.address] = f"{person.name}.address"
                yield f"{person.name} = identity({person.name!r})"

    def _steps(self) -> Iterator[str]:
        steps = self.failed.steps
        for place, (step, back) in enumerate(zip(steps, steps_back(steps), strict=True), 1):
            if step.later and not step.is_tick:
                yield f'clock.advance("{step.later}ms")'
            sent = self._sent(step, back)
            if place == len(steps):
                is_told = not step.is_tick
                sent = f"assert {sent}.ok" if is_told else f"{sent}\nassert {_NEWEST}"
            indent = "    " if step.times > 1 else ""
            if step.times > 1:
                yield f"for _ in range({step.times}):"
            yield from (f"{indent}{line}" for line in sent.splitlines())

    def _sent(self, step: Step, back: int) -> str:
        """A message; `back`: how many messages ago the replayed one was sent, 0 for none."""
        if step.is_tick:
            only = len(self.base.rehearsal.schedules) == 1 and not self.export
            advance = f'lambda: clock.advance("{step.later}ms")'
            return f"p.check({advance if only else 'process.tick'})"
        if back:
            return f"p.check(lambda: process.replay({back}))"
        action = next((value for name, value in step.tags if name == "Action"), "")
        tags = {name: value for name, value in step.tags if name != "Action"}
        parts = [repr(action), *([self._text(step.data)] if step.data else [])]
        if step.sender.is_process:
            inner = {"Target": self.base.rehearsal.process, **dict(step.tags), "Data": step.data}
            data = self._text(json.dumps(inner))
            tag = "{'Content-Type': 'application/json'}"
            return f"p.by({step.sender.name}, 'Say', {data}, tags={tag})"
        if tags:
            pairs = (f"{name!r}: {self._text(value)}" for name, value in tags.items())
            parts.append(f"tags={{{', '.join(pairs)}}}")
        if step.sender != self.base.owner:
            parts.append(f"as_={step.sender.name}")
        return f"p.send({', '.join(parts)})"

    def _text(self, value: str) -> str:
        """Text as Python, with the test's own names instead of addresses."""
        parts, at = [], 0
        for found in ADDRESS.finditer(value):
            if found[0] in self._names:
                parts += [repr(value[at : found.start()]), self._names[found[0]]]
                at = found.end()
        parts.append(repr(value[at:]))
        return " + ".join(part for part in parts if part != "''") or "''"


def _names(step: Step, person: Person) -> bool:
    texts = (step.sender.address, step.data, *(value for _, value in step.tags))
    return any(person.address in text for text in texts)


def doubt_of_python(test: Path) -> str:
    """Why a written test does not fail, "" if it does."""
    if importlib.util.find_spec("pytest") is None:
        return "pytest, which runs it, is not installed here"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test.name]
    try:
        run = subprocess.run(command, cwd=test.parent, capture_output=True, timeout=_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it takes more than {_SECONDS} s"
    return "" if run.returncode == _FAILED else f"pytest ended with {run.returncode}"
