"""A cache of the states that processes exposed after a slot."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aoshell.bounded import jsontext
from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.local.engine import Engine
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.values import envelope
from aoshell.protocol.message import Message, Result, Tag

MOST = 1024  # states that are kept
LARGEST = 32 << 20  # characters of all that are kept

Key = tuple[int, int, int, str]
"""Number of cuts, numbers of the process and of its last message, the path of keys."""


class States:
    """Reads the exposed state of processes.

    Args:
        dryrun: evaluates a message in the newest state.
        at: evaluates a message in the state after a slot.
    """

    def __init__(
        self,
        engine: Engine,
        dryrun: Callable[[str, Message], Awaitable[Result]],
        at: Callable[[str, int, Message], Awaitable[Result]],
    ) -> None:
        self._engine = engine
        self._dryrun = dryrun
        self._at = at
        self._kept: OrderedDict[Key, str] = OrderedDict()
        self._size = 0

    async def read(self, process: str, slot: int | None, path: str) -> object:
        """What a process exposes, or the value at a path of keys; `slot` None for the newest state.

        A text is returned as it is, a table as its JSON value; "" if there is nothing.

        Raises:
            UnsupportedError: its module is WASM.
            AoError: there is no such process or slot; stage "now", its environment does not answer.
        """
        row = self._engine.processes.look_up(process)
        if self._engine.modules.is_wasm(row.module):
            raise UnsupportedError(
                "only a WASM module itself can read its state", hint=".dryrun CODE asks it by Lua"
            )
        text = await self._text(row, slot, path)
        if text.startswith(("{", "[")):
            with suppress(ValueError):  # text that only begins like JSON
                return jsontext.parse(text, strict=False)
        return text

    async def _text(self, row: ProcessRow, slot: int | None, path: str) -> str:
        head = self._engine.scheduler.head(row.number)
        newest = head.slot, head.tick
        wanted = head.slot if slot is None else slot
        if not 0 <= wanted <= head.slot:
            raise AoError(f"process {row.id} has no slot {wanted} yet", stage="now")
        await self._engine.settling.wait_for_result(row.number, wanted)
        last = self._engine.store.behind_slot(row.number, wanted - 1, -1, wanted)[-1][0]
        key = self._engine.store.cuts, row.number, last.seq, path
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        text = await self._ask(row, last, newest, path)
        head = self._engine.scheduler.head(row.number)
        if wanted < newest[0] or newest == (head.slot, head.tick):  # else it may be a later state
            self._keep(key, text)
        return text

    async def _ask(self, row: ProcessRow, last: Logged, newest: tuple[int, int], path: str) -> str:
        asked = Message("", "", "", row.id, (*envelope("Message"), Tag("Exposed-Path", path)), b"")
        if (last.slot, last.tick) == newest:
            result = await self._dryrun(row.id, asked)
        else:
            result = await self._at(row.id, last.slot, asked)
        if not result.ok:
            raise AoError(result.error, stage="now")
        return result.output

    def _keep(self, key: Key, text: str) -> None:
        if key in self._kept or len(text) > LARGEST:
            return
        self._kept[key] = text
        self._size += len(text)
        while len(self._kept) > MOST or self._size > LARGEST:
            _key, old = self._kept.popitem(last=False)
            self._size -= len(old)
