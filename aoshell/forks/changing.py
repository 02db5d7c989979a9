"""Computes a log with other code, or once more as it was, in a temporary home."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from aoshell.bounded import files
from aoshell.errors import AoError, UsageError
from aoshell.forks.crons import PastCrons
from aoshell.forks.log import ForeignLog, Tell
from aoshell.forks.making import ForkedCode, Inserted, make_fork
from aoshell.forks.taking import wait_until_computed
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.processes.modules import WASM_MAGIC
from aoshell.nodes.values import Limits
from aoshell.protocol.message import Result
from aoshell.sandbox import environment
from aoshell.shell.ports.forking import Changed

LARGEST_FILE = 64 << 20  # bytes of a module or of Lua
_NAME = "compared"
_PAGE = 500  # results that are read at once


async def results_of(
    log: ForeignLog,
    code: ForkedCode,
    crons: PastCrons,
    changed: Changed,
    limits: Limits,
    tell: Tell,
) -> Mapping[int, Result]:
    """The results of a log, by slot. All files that it writes are removed.

    Raises:
        UsageError: a file cannot be used, or there is no such slot.
        AoError: it cannot be computed.
    """
    code, inserted = _code(code, changed), _inserted(log, changed)
    with tempfile.TemporaryDirectory(prefix="aoshell-compare-") as folder:
        node = await LocalNode.open(Path(folder) / "state", limits)
        try:
            now, address = int(time.time() * 1000), node.address
            made = await asyncio.to_thread(
                make_fork, log, code, _NAME, now, address, inserted=inserted, crons=crons
            )
            await node.restore(made.data, _NAME)
            await wait_until_computed(node, log.process, made.slot, tell)
            found: dict[int, Result] = {}
            after = -1
            while entries := await node.results(log.process, after, _PAGE):
                found |= {
                    one.result.slot: one.result
                    for one in entries
                    if one.result is not None and not one.result.tick
                }
                after = entries[-1].message.placed.slot
            if inserted is not None:
                await _check_loaded(node, log.process, inserted)
            return found
        finally:
            await node.close()


def _code(code: ForkedCode, changed: Changed) -> ForkedCode:
    """The code of a process, or that of the file that replaces it."""
    if changed.module is None:
        return code
    data = read_code(changed.module)
    if data.startswith(WASM_MAGIC):
        if code.kind != "wasm":
            raise UsageError(
                f"{changed.module} is WASM, and the process runs Lua", hint="give a file of Lua"
            )
    elif code.kind == "wasm":
        raise UsageError(
            f"{changed.module} is not WASM, and the process runs a WASM module",
            hint="--load FILE evaluates Lua in it",
        )
    kind = "wasm" if data.startswith(WASM_MAGIC) else "lua"
    return replace(code, module=environment.module_id(data), kind=kind, data=data)


def _inserted(log: ForeignLog, changed: Changed) -> Inserted | None:
    if changed.load is None:
        return None
    last = log.messages[-1].assigned.slot
    if not 0 <= changed.after_slot <= last:
        raise UsageError(
            f"there is no slot {changed.after_slot} to load it after", hint=f"0 to {last}"
        )
    return Inserted(changed.after_slot, read_code(changed.load))


async def _check_loaded(node: LocalNode, process: str, inserted: Inserted) -> None:
    """Raise AoError if the loaded code failed."""
    for entry in await node.results(process, inserted.after_slot - 1, 2):
        result = entry.result
        if result is None or (result.slot, result.tick) != (inserted.after_slot, 1):
            continue
        if result.error:
            raise AoError(
                f"the code fails when it is loaded after slot {inserted.after_slot}:"
                f" {result.error}",
                stage="load",
                hint="nothing was compared",
            )


def read_code(file: Path) -> bytes:
    """The bytes of a module or of Lua. Raises UsageError: the file cannot be read."""
    try:
        return files.read(file, LARGEST_FILE)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
