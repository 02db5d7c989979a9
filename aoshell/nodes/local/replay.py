"""A worker of its own that computes a log again, apart from the one that is live."""

from __future__ import annotations

import asyncio
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import Computed, Logged, ProcessRow
from aoshell.nodes.local.workers.code import WorkerCode, send_process
from aoshell.nodes.local.workers.jobs import message_frame
from aoshell.nodes.local.workers.live import BACKLOG, MAX_TOLD
from aoshell.sandbox.frames import Frame

ROOM = 4  # times the limits that the first computation had
LOOK = 1.0  # seconds between two looks at a worker that does not answer


class Replay:
    """A worker of its own, from the process's definition on.

    Args:
        again: what it computes was computed before, perhaps when there were fewer bounds.
    """

    def __init__(
        self, engine: Engine, row: ProcessRow, code: WorkerCode, *, again: bool = False
    ) -> None:
        self._answers: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._worker = engine.supervisor.worker(
            engine.loop,
            self._answers.put_nowait,
            _no_image,
            lambda: self._answers.put_nowait(None),
            code.device,
        )
        self._seconds = ROOM * engine.limits.seconds
        self._epoch = 0
        self._tail: list[tuple[int, str, list[Any]]] = []  # since the parked fork
        memory = row.memory if code.device == "wasm" else ROOM * engine.limits.memory
        send_process(self._worker, code, memory, self._seconds, engine.definition(row))
        if again:
            self._worker.send(["lift", 0])

    def tell_failure(self, seq: int, error: str) -> None:
        """A message that had failed: only its error is told."""
        self._worker.send(["failed", self._epoch, seq, error])
        self._tail.append((seq, "failed", [error]))

    async def compute(self, logged: Logged) -> tuple[str, form.Wire]:
        """Outcome and result of a message.

        Raises:
            AoError: stage "compute", the worker cannot go on; that is not the message's doing.
        """
        message = message_frame(logged, form.load(logged.body))
        self._worker.send(["run", self._epoch, logged.seq, self._seconds, *message])
        outcome, result = "", []
        while True:
            frame = await self._answer()
            if frame[0] == "parked":
                self._tail = [entry for entry in self._tail if entry[0] > frame[1]]
            elif frame[0] == "done":
                outcome, result = frame[3], frame[7:]
                if outcome == "ok":
                    self._tail.append((logged.seq, "replay", message))
                    return outcome, result
            elif frame[0] == "promoted":
                self._roll_back(frame[1])
                if not outcome:
                    if frame[2] == "killed":
                        raise _cut_short("its worker was killed from outside")
                    return frame[2].partition(" ")[0], []
                self.tell_failure(logged.seq, result[0])
                return outcome, result

    async def past(self, logged: Logged, computed: Computed) -> None:
        """Take in a message as it was computed before, without waiting for it."""
        while self._worker.backlog > BACKLOG:
            await asyncio.sleep(0.002)
        if computed.outcome == "ok":
            message = message_frame(logged, form.load(logged.body))
            self._worker.send(["replay", 0, logged.seq, *message])
        else:
            self._worker.send(["failed", 0, logged.seq, form.load(computed.body)[0]])

    async def dry(self, message: list[Any]) -> tuple[str, list[Any]]:
        """Outcome, and cost and result, of a message that changes nothing.

        Raises:
            AoError: stage "compute", the past could not be computed again.
        """
        self._worker.send(["dry", 0, 1, self._seconds, *message])
        while (frame := await self._answer())[0] != "dried":
            pass
        if frame[2] == "killed":
            raise _cut_short("its worker was killed from outside")
        return frame[2], frame[3:]

    async def _answer(self) -> Frame:
        """The next frame of a worker that is well. Raises AoError."""
        while True:
            try:
                frame = await asyncio.wait_for(self._answers.get(), LOOK)
            except TimeoutError:
                if self._worker.hangs():
                    raise _cut_short("its worker neither answers nor computes") from None
                continue
            if frame is None:
                raise _cut_short("its worker died")
            if frame[0] in ("broken", "unable"):
                raise _cut_short(frame[1][:MAX_TOLD])
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


def _no_image(_seq: int, _image: bytes, _reason: str) -> None:
    raise AssertionError("no image was asked for")
