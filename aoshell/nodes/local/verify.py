"""`.verify-log`: compute a log again, from its first message, and compare."""

from __future__ import annotations

import asyncio
from typing import Any

from aoshell.nodes.local import wire
from aoshell.nodes.local.code import Code
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.jobs import message_frame
from aoshell.nodes.local.live import send_code
from aoshell.nodes.local.rows import STOPPED, Computed, Logged, ProcessRow
from aoshell.sandbox.frames import Frame

ROOM = 4  # times the limits that the first computation had


async def verify(engine: Engine, row: ProcessRow) -> list[str]:
    """Differences between a process's results and a fresh computation, a line each.

    Messages that were stopped (`STOPPED`) are taken as recorded: where exactly that was differs
    from run to run, or with limits that are not what they were.
    """
    replay = _Replay(engine, row, await engine.loader.ready(row))
    differences: list[str] = []
    try:
        for logged, computed in engine.store.entries(row.number):
            if computed is None:
                break
            stored = wire.load(computed.body)
            if computed.outcome in STOPPED:
                replay.tell_failure(logged.seq, stored[0])
                continue
            outcome, result = await replay.compute(logged)
            if (outcome, result) != (computed.outcome, stored):
                place = f"slot {logged.slot}" + (f" tick {logged.tick}" if logged.tick else "")
                found = _difference(computed, stored, outcome, result)
                differences.append(f"{place}: {found}")
            if outcome != computed.outcome:
                differences.append("the rest was not compared: its state is another one")
                break
        return differences
    finally:
        replay.close()


class _Replay:
    """A worker of its own, from the process's definition on."""

    def __init__(self, engine: Engine, row: ProcessRow, code: Code) -> None:
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
        send_code(self._worker, code)
        memory = row.memory if code.device == "wasm" else ROOM * engine.limits.memory
        self._worker.send(["boot", 0, memory, *engine.definition(row)])

    def tell_failure(self, seq: int, error: str) -> None:
        """A message that had failed: only its error is told."""
        self._worker.send(["failed", self._epoch, seq, error])
        self._tail.append((seq, "failed", [error]))

    async def compute(self, logged: Logged) -> tuple[str, wire.Wire]:
        """Outcome and result of a message."""
        message = message_frame(logged, wire.load(logged.body))
        self._worker.send(["run", self._epoch, logged.seq, self._seconds, *message])
        outcome, result = "", []
        while True:
            frame = await self._answers.get()
            if frame is None:
                return "crash", []
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
                    return "time", []
                self.tell_failure(logged.seq, result[0])
                return outcome, result

    def _roll_back(self, seq: int) -> None:
        self._epoch += 1
        for done, command, rest in self._tail:
            if done > seq:
                self._worker.send([command, self._epoch, done, *rest])

    def close(self) -> None:
        self._worker.kill()
        self._worker.close()


def _difference(computed: Computed, stored: wire.Wire, outcome: str, result: wire.Wire) -> str:
    if computed.outcome != outcome:
        return f"was {computed.outcome}, is {outcome}"
    names = ("error", "output", "prompt", "suspended")
    for name, old, new in zip(names, stored, result, strict=False):
        if old != new:
            return f"{name} was {old!r:.60}, is {new!r:.60}"
    return "its outbox differs"


def _no_image(_seq: int, _image: bytes, _reason: str) -> None:
    raise AssertionError("no image was asked for")
