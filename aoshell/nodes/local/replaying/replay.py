"""A worker that computes a log again, beside the live one of the process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.checkpoint import Checkpoint
from aoshell.nodes.local.log.rows import STOPPED, Computed, Logged, ProcessRow
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.workers.code import WorkerCode, send_process
from aoshell.nodes.local.workers.jobs import Cost, make_message_frame, make_past_frame
from aoshell.nodes.local.workers.live import BACKLOG, MAX_REASON, PAUSE, WINDOW
from aoshell.nodes.values import Limits
from aoshell.sandbox.frames import Frame, FrameError
from aoshell.sandbox.supervising.supervisor import Supervisor

Entry: TypeAlias = tuple[Logged, Computed]

ROOM = 4  # times the present limits, as a log may be older than they are
LOOK = 1.0  # seconds between two looks at a worker that does not answer


class Again(NamedTuple):
    """The earlier and the new result of a message."""

    logged: Logged
    computed: Computed
    outcome: str
    result: form.FlatResult


class _Step(NamedTuple):
    """A message for the worker: to be run, or, with `failed`, only its error."""

    seq: int
    command: str
    rest: list[Any]
    entry: Entry | None  # None if it is not in a log


class Replay:
    """Computes a process again, from its definition on, or from a checkpoint or a fork's memory.

    Args:
        limits: the present limits.
        base: that checkpoint or memory, and the last message in it.
        again: do not apply bounds that may be newer than the log (the frame `lift`).
    """

    def __init__(
        self,
        supervisor: Supervisor,
        modules: Modules,
        limits: Limits,
        row: ProcessRow,
        code: WorkerCode,
        base: tuple[Checkpoint, Logged] | None = None,
        *,
        again: bool = False,
    ) -> None:
        self._answers: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._worker = supervisor.worker(
            asyncio.get_running_loop(),
            self._answers.put_nowait,
            _no_image,
            lambda: self._answers.put_nowait(None),
            code.device,
            watched=False,
        )
        self._seconds = ROOM * limits.seconds
        self._epoch = 0
        self._sent: deque[_Step] = deque()  # sent, but not answered
        self._tail: deque[_Step] = deque()  # computed since the parked fork
        self._failing = False  # a message has failed, and the roll-back is to come
        memory = row.memory if code.device == "wasm" else ROOM * limits.memory
        send_process(self._worker, code, memory, self._seconds, modules.definition(row))
        if base is not None:
            checkpoint, _last = base
            header = ["image", 0, checkpoint.seq, len(checkpoint.image)]
            self._worker.send(header, checkpoint.image)
        if again:
            self._worker.send(["lift", 0])

    async def results(self, log: Iterable[Entry]) -> AsyncGenerator[Again, None]:
        """Compute the messages of a log, in order; the worker may be some messages ahead.

        For a message that was stopped (`STOPPED`) the worker gets only its error, and nothing is
        yielded, as its outcome depends on limits and the machine. Ends after one that stops now.

        Raises:
            AoError: stage "compute", the worker cannot go on, for a reason outside the message.
        """
        steps = (_step(logged, computed) for logged, computed in log)
        async for step, outcome, result in self._outcomes(steps):
            assert step.entry is not None
            yield Again(*step.entry, outcome, result)

    async def compute(self, logged: Logged) -> tuple[str, form.FlatResult]:
        """Outcome and result of one message. Raises AoError as `results`."""
        return await self.run(logged.seq, make_message_frame(logged, form.load_wire(logged.body)))

    async def run(self, seq: int, message: list[Any]) -> tuple[str, form.FlatResult]:
        """As `compute`, for a message that is not in a log."""
        found = [one async for one in self._outcomes(iter([_Step(seq, "run", message, None)]))]
        _step, outcome, result = found[-1]
        return outcome, result

    async def _outcomes(
        self, steps: Iterator[_Step]
    ) -> AsyncGenerator[tuple[_Step, str, form.FlatResult], None]:
        """Outcome and result of each message that runs, up to one that is stopped."""
        while self._send_ahead(steps) or self._failing:
            match await self._answer():
                case ["parked", parked, _pid]:
                    while self._tail and self._tail[0].seq <= parked:
                        self._tail.popleft()
                case ["done", epoch, seq, outcome, _milliseconds, _memory, _gas, *values]:
                    step, result = self._next(epoch, seq), _flat_result(values)
                    self._failing = outcome != "ok"
                    again = step._replace(command="failed", rest=[result.error])
                    self._tail.append(again if self._failing else step)
                    yield step, outcome, result
                case ["promoted", parked, why, _printed, _pid]:
                    stopped = None if why in ("rollback", "killed") else self._stopped()
                    self._roll_back(parked)
                    if why == "killed":
                        raise _cut_short("its worker was killed from outside")
                    if stopped is not None:
                        yield stopped, why.partition(" ")[0], form.failed_result("")
                        return

    def _stopped(self) -> _Step | None:
        """The message that ended the worker; it is not sent again."""
        self._skip()
        return self._sent.popleft() if self._sent else None

    def _send_ahead(self, steps: Iterator[_Step]) -> bool:
        """Send some messages. Returns whether any answer is still to come."""
        while len(self._sent) < WINDOW and self._worker.backlog < BACKLOG:
            step = next(steps, None)
            if step is None:
                break
            self._sent.append(step)
            self._send(step)
        self._skip()
        return bool(self._sent)

    def _skip(self) -> None:
        """Drop sent messages that get no answer, if all before them are answered."""
        while self._sent and self._sent[0].command == "failed":
            self._tail.append(self._sent.popleft())

    def _next(self, epoch: int, seq: int) -> _Step:
        """The message that an answer belongs to. Raises AoError if there is none."""
        self._skip()
        if epoch != self._epoch or not self._sent or self._sent[0].seq != seq:
            raise _cut_short("its worker answers out of turn")
        return self._sent.popleft()

    def _send(self, step: _Step, command: str = "") -> None:
        seconds = [self._seconds] if (command or step.command) == "run" else []
        self._worker.send([command or step.command, self._epoch, step.seq, *seconds, *step.rest])

    async def past(self, logged: Logged, computed: Computed) -> None:
        """Replay a message that was computed before; it has no answer."""
        while self._worker.backlog > BACKLOG:
            await asyncio.sleep(PAUSE)
        self._worker.send(make_past_frame(logged, computed))

    async def dry(self, message: list[Any]) -> tuple[str, Cost, form.FlatResult]:
        """Outcome, cost and result of a message whose effects are dropped.

        Raises:
            AoError: stage "compute", the past could not be computed again.
        """
        self._worker.send(["dry", self._epoch, 1, self._seconds, *message])
        while True:
            match await self._answer():
                case ["dried", _token, "killed", *_values]:
                    raise _cut_short("its worker was killed from outside")
                case ["dried", _token, outcome, milliseconds, memory, gas, *values]:
                    return outcome, Cost(milliseconds, memory, gas), _flat_result(values)

    async def try_all(
        self, seconds: float, end: str, steps: list[list[Any]]
    ) -> list[tuple[int, str, Cost, form.FlatResult]]:
        """Try messages in a row, without changing the state (`sandbox.worker.trials`).

        Args:
            seconds: processor time that each may take.
            end: an error that contains this text ends the sequence; "" for none.
            steps: for each message, whether it is likely to fail, then its frame.

        Returns:
            Index, outcome, cost and result of each, up to one that ended its worker, or until
            `trials.SECONDS` are over. Some that succeeded just before a worker's end may be
            missing.

        Raises:
            AoError: stage "compute", the worker cannot go on, for a reason outside the messages.
        """
        self._worker.send(["trial", self._epoch, 1, seconds, end, *steps])
        found = []
        while True:
            match await self._answer():
                case ["tried", _token, _index, "killed", *_values]:
                    raise _cut_short("its worker was killed from outside")
                case ["tried", _token, index, outcome, milliseconds, memory, gas, *values]:
                    cost = Cost(milliseconds, memory, gas)
                    found.append((index, outcome, cost, _flat_result(values)))
                case ["over", _token]:
                    return found

    async def _answer(self) -> Frame:
        """The worker's next frame. Raises AoError if it died, hangs or cannot go on."""
        while True:
            try:
                frame = self._answers.get_nowait()
            except asyncio.QueueEmpty:
                try:
                    frame = await asyncio.wait_for(self._answers.get(), LOOK)
                except TimeoutError:
                    if self._worker.hangs():
                        raise _cut_short("its worker neither answers nor computes") from None
                    continue
            if frame is None:
                raise _cut_short("its worker died")
            match frame:
                case ["broken" | "unable", why]:
                    raise _cut_short(why[:MAX_REASON])
            return frame

    def _roll_back(self, parked: int) -> None:
        """A parked fork took over, with the state after message `parked`: send what follows."""
        self._epoch += 1
        self._failing = False
        for step in self._tail:
            if step.seq > parked:
                self._send(step, "replay" if step.command == "run" else step.command)
        for step in self._sent:
            self._send(step)

    def close(self) -> None:
        self._worker.kill()
        self._worker.close()


def _step(logged: Logged, computed: Computed) -> _Step:
    if computed.outcome in STOPPED:
        error = form.load_result(computed.body).error
        return _Step(logged.seq, "failed", [error], (logged, computed))
    message = make_message_frame(logged, form.load_wire(logged.body))
    return _Step(logged.seq, "run", message, (logged, computed))


def _cut_short(why: str) -> AoError:
    return AoError(why, stage="compute", hint="nothing was changed; try again")


def _flat_result(values: list[Any]) -> form.FlatResult:
    try:
        return form.FlatResult.of(values)
    except FrameError as error:
        raise _cut_short("its worker answers what none does") from error


def _no_image(_seq: int, _image: bytes, _reason: str) -> None:
    raise AssertionError("no image was asked for")
