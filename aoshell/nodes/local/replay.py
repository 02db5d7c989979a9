"""A worker that computes a log again, beside the live one of the process."""

from __future__ import annotations

import asyncio
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.checkpoint import Checkpoint
from aoshell.nodes.local.log.rows import Computed, Logged, ProcessRow
from aoshell.nodes.local.modules import Modules
from aoshell.nodes.local.workers.code import WorkerCode, send_process
from aoshell.nodes.local.workers.jobs import Cost, make_message_frame, make_past_frame
from aoshell.nodes.local.workers.live import BACKLOG, MAX_REASON, PAUSE
from aoshell.nodes.values import Limits
from aoshell.sandbox.frames import Frame, FrameError
from aoshell.sandbox.supervisor import Supervisor

ROOM = 4  # times the limits of today: a log may be older than they are
LOOK = 1.0  # seconds between two looks at a worker that does not answer


class Replay:
    """Computes a process again, from its definition on, or from the memory that a fork begins with.

    Args:
        limits: those of today.
        base: that memory, and the last message that is in it.
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
        self._tail: list[tuple[int, str, list[Any]]] = []  # since the parked fork
        memory = row.memory if code.device == "wasm" else ROOM * limits.memory
        send_process(self._worker, code, memory, self._seconds, modules.definition(row))
        if base is not None:
            checkpoint, _last = base
            header = ["image", 0, checkpoint.seq, len(checkpoint.image)]
            self._worker.send(header, checkpoint.image)
        if again:
            self._worker.send(["lift", 0])

    def tell_failure(self, seq: int, error: str | bool | None) -> None:
        """Give the worker the error of a message that had failed; it is not run again."""
        self._worker.send(["failed", self._epoch, seq, error])
        self._tail.append((seq, "failed", [error]))

    async def compute(self, logged: Logged) -> tuple[str, form.FlatResult]:
        """Outcome and result of a message.

        Raises:
            AoError: stage "compute", the worker cannot go on, for a reason outside the message.
        """
        return await self.run(logged.seq, make_message_frame(logged, form.load_wire(logged.body)))

    async def run(self, seq: int, message: list[Any]) -> tuple[str, form.FlatResult]:
        """The same for a message that is in no log."""
        self._worker.send(["run", self._epoch, seq, self._seconds, *message])
        outcome, result = "", form.failed_result("")
        while True:
            match await self._answer():
                case ["parked", parked, _pid]:
                    self._tail = [entry for entry in self._tail if entry[0] > parked]
                case ["done", _epoch, _seq, outcome, _milliseconds, _memory, _gas, *values]:
                    result = _flat_result(values)
                    if outcome == "ok":
                        self._tail.append((seq, "replay", message))
                        return outcome, result
                case ["promoted", parked, why, _printed, _pid]:
                    self._roll_back(parked)
                    if outcome:
                        self.tell_failure(seq, result.error)
                        return outcome, result
                    if why == "killed":
                        raise _cut_short("its worker was killed from outside")
                    return why.partition(" ")[0], result

    async def past(self, logged: Logged, computed: Computed) -> None:
        """Send a message as it was computed before, without waiting for an answer."""
        while self._worker.backlog > BACKLOG:
            await asyncio.sleep(PAUSE)
        self._worker.send(make_past_frame(logged, computed))

    async def dry(self, message: list[Any]) -> tuple[str, Cost, form.FlatResult]:
        """Outcome, cost and result of a message whose effects are dropped.

        Raises:
            AoError: stage "compute", the past could not be computed again.
        """
        self._worker.send(["dry", 0, 1, self._seconds, *message])
        while True:
            match await self._answer():
                case ["dried", _token, "killed", *_values]:
                    raise _cut_short("its worker was killed from outside")
                case ["dried", _token, outcome, milliseconds, memory, gas, *values]:
                    return outcome, Cost(milliseconds, memory, gas), _flat_result(values)

    async def try_all(
        self, seconds: float, end: str, steps: list[list[Any]]
    ) -> list[tuple[int, str, Cost, form.FlatResult]]:
        """Try messages one after another on the state, which stays as it is (`sandbox.trials`).

        Args:
            seconds: of processor time that each may take.
            end: an error that has this text ends the sequence; "" for none.
            steps: of each whether it may well fail, then its frame.

        Returns:
            Index, outcome, cost and result of each, up to one that ended its worker or to the end
            of `trials.SECONDS`. Right before the former some may be missing: they went well.

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
        """The worker's next frame. Raises AoError where it died, hangs or cannot go on."""
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

    def _roll_back(self, seq: int) -> None:
        self._epoch += 1
        for done, command, rest in self._tail:
            if done > seq:
                self._worker.send([command, self._epoch, done, *rest])

    def close(self) -> None:
        self._worker.kill()
        self._worker.close()


def _cut_short(why: str) -> AoError:
    return AoError(why, stage="compute", hint="nothing was changed; try again")


def _flat_result(values: list[Any]) -> form.FlatResult:
    try:
        return form.FlatResult.of(values)
    except FrameError as error:
        raise _cut_short("its worker answers what none does") from error


def _no_image(_seq: int, _image: bytes, _reason: str) -> None:
    raise AssertionError("no image was asked for")
