"""Tries sequences of messages on a copy of a process; nothing of this is logged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import ProcessRow
from aoshell.nodes.local.log.scheduler import block_height
from aoshell.nodes.local.processes.cron import load_schedules
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.replaying.replay import ROOM, Replay
from aoshell.nodes.local.workers.jobs import Cost
from aoshell.nodes.values import Limits
from aoshell.protocol.message import text

_CODE = 3  # the place of the module's code in a definition


class Rehearsed(NamedTuple):
    """A message of a sequence.

    Attributes:
        id: 43 characters; "" for a cron message, which is between slots.
        sender, owner: who sent it; who signed it.
        later: milliseconds since the state's newest message.
        doubtful: whether it is likely to fail.
    """

    id: str
    sender: str
    owner: str
    tags: tuple[str, ...]
    data: str
    later: int
    doubtful: bool


class Performed(NamedTuple):
    """The outcome of a message; `place` is its index in the sequence."""

    place: int
    outcome: str
    cost: Cost
    result: form.FlatResult

    @property
    def line(self) -> str:
        """Where it was computing when a limit stopped it, as "FILE:LINE"; "" if not known."""
        from aoshell.sandbox.lua import PLACE

        line = output_of(self.result).rpartition("\n")[2]
        return line.removeprefix(PLACE) if line.startswith(PLACE) else ""


class Rehearsal:
    """A separate worker with the state of a process. Made by `begin`.

    Attributes:
        code: the Lua of its module, "" if that is only the environment.
        wasm: the bytes of its module if that is WebAssembly, else b"".
        schedules: schedules of its cron messages.
    """

    def __init__(
        self, replay: Replay, row: ProcessRow, modules: Modules, seq: int, slot: int, time: int
    ) -> None:
        found = modules.definition(row)[_CODE]
        self.wasm = modules.resolve(row.module).data if modules.is_wasm(row.module) else b""
        self.code = "" if self.wasm or not found else text(found.encode("latin-1"))
        self.schedules = load_schedules(row.cron)
        self._replay = replay
        self._row = row
        self._seq = seq
        self._slot = slot
        self._time = time

    @classmethod
    async def begin(cls, engine: Engine, process: str, limits: Limits) -> Rehearsal:
        """A copy of the present process.

        Raises:
            AoError: there is no such process, or its log cannot be computed again.
        """
        row = engine.processes.look_up(process)
        code = await engine.loader.make_code(row)
        base = engine.origins.base_of(row)
        bounds = Limits(seconds=limits.seconds / ROOM, memory=limits.memory // ROOM)
        replay = Replay(engine.supervisor, engine.modules, bounds, row, code, base)
        try:
            return await cls._caught_up(engine, row, replay)
        except BaseException:
            replay.close()
            raise

    @classmethod
    async def _caught_up(cls, engine: Engine, row: ProcessRow, replay: Replay) -> Rehearsal:
        base = engine.origins.base_of(row)
        seq, slot, time = 0, -1, engine.clock()
        begin = (base[1].slot, base[1].tick) if base else (-1, 0)
        for logged, computed in engine.store.entries(row.number):
            if computed is not None and (logged.slot, logged.tick) > begin:
                await replay.past(logged, computed)
                seq, slot, time = logged.seq, logged.slot, max(time, logged.timestamp)
        return cls(replay, row, engine.modules, seq, slot, time)

    @property
    def process(self) -> str:
        """Its id."""
        return self._row.id

    @property
    def owner(self) -> str:
        """The owner of the process, who may evaluate in it."""
        return self._row.owner

    async def prepare(self, code: str) -> tuple[str, form.FlatResult]:
        """Evaluate Lua in the copy, as its owner. Returns outcome and result."""
        self._seq += 1
        self._slot += 1
        return await self._replay.run(self._seq, self._frame(self._eval(code), self._slot))

    async def try_out(self, code: str, seconds: float) -> Performed:
        """Evaluate Lua in the copy, and undo it; if it takes too long, `line` says where."""
        performed = await self.perform([self._eval(code)], seconds)
        return performed[0]

    async def ask(self, code: str) -> tuple[str, form.FlatResult]:
        """Evaluate Lua in the copy, and undo it. Returns outcome and result."""
        frame = self._frame(self._eval(code), self._slot + 1)
        outcome, _cost, result = await self._replay.dry(frame)
        return outcome, result

    def _eval(self, code: str) -> Rehearsed:
        tags = ("Action", "Eval", "Data-Protocol", "ao", "Type", "Message")
        return Rehearsed("e" * 43, self.owner, self.owner, tags, form.narrow(code), 0, False)

    async def perform(
        self, messages: Sequence[Rehearsed], seconds: float, end: str = ""
    ) -> list[Performed]:
        """Try messages in a row, without changing the state.

        Args:
            seconds: processor time that each may take.
            end: an error that contains this text ends the sequence; "" for none.
        """
        slots = accumulate((bool(one.id) for one in messages), initial=self._slot)
        steps = [
            [one.doubtful, *self._frame(one, slot)]
            for one, slot in zip(messages, islice(slots, 1, None), strict=True)
        ]
        return [Performed(*one) for one in await self._replay.try_all(seconds, end, steps)]

    def _frame(self, one: Rehearsed, slot: int) -> list[object]:
        time = self._time + one.later
        place = [time, block_height(time), slot, "", not one.id, False]
        return [one.id, one.sender, one.owner, self._row.id, one.data, "", *place, *one.tags]

    def close(self) -> None:
        """End its worker."""
        self._replay.close()


def output_of(result: form.FlatResult) -> str:
    """What a message printed, as text."""
    return text(result.output.encode("latin-1"))
