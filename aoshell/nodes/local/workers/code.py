"""The code that workers load: the environment of a Lua process, or a WASM module's machine code.

Machine code is compiled once, in a separate worker, and stored in a private file. Loading it means
running it, so it is loaded only for the module, engine and configuration of its compilation.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from aoshell.errors import AoError
from aoshell.nodes.local.log.sealed import DamagedFileError, Sealed, installed
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.supervising.worker_handle import WorkerHandle

FORMAT = 5  # to be raised when the same module compiles to other code
LOOK = 1.0  # seconds between two checks of a compiler that does not answer
MEGABYTE = 1 << 20


class WorkerCode(NamedTuple):
    """The code that a worker loads before it boots a process.

    Attributes:
        device: "lua" or "wasm".
        data: the code, None for the environment that is built into the device.
        gas: fuel that a message may use, 0 where it is not counted.
    """

    device: str
    data: bytes | None
    gas: int = 0


class MachineCode:
    """Machine code of modules, by id.

    Args:
        notice: shows a text to the user.
    """

    def __init__(self, folder: Path, supervisor: Supervisor, notice: Callable[[str], None]) -> None:
        self._files = Sealed(folder, ".code")
        self._supervisor = supervisor
        self._notice = notice
        self._loaded: dict[tuple[str, bool], bytes] = {}
        self._making: dict[tuple[str, bool], asyncio.Task[bytes]] = {}

    def get(self, module: str, metered: bool) -> bytes | None:
        """A module's code, None if it was not made yet."""
        key = (module, metered)
        if key not in self._loaded:
            try:
                found = self._files.read(_name(key), _header(key))
            except DamagedFileError as error:
                self._notice(f"the machine code of {module[:8]} was discarded ({error})")
                found = None
            if found is None:
                return None
            self._loaded[key] = found[1]
        return self._loaded[key]

    async def make(self, module: str, source: bytes, metered: bool) -> bytes:
        """A module's code; made if necessary, but never twice at the same time.

        Raises:
            AoError: the module is malformed, or imports something that processes cannot have.
        """
        key = (module, metered)
        known = self.get(module, metered)
        if known is not None:
            return known
        if key not in self._making:
            self._making[key] = asyncio.create_task(self._make(key, source))
            self._making[key].add_done_callback(lambda _task: self._making.pop(key))
        return await asyncio.shield(self._making[key])

    def stop(self) -> None:
        """Cancel all compilations."""
        for task in self._making.values():
            task.cancel()

    async def _make(self, key: tuple[str, bool], source: bytes) -> bytes:
        start, is_long = time.monotonic(), len(source) > MEGABYTE // 10
        if is_long:
            self._notice(f"compiling {len(source) / MEGABYTE:.1f} MB of WASM, once …")
        code = await self._compiled(source, key[1])
        self._files.write(_name(key), _header(key), code)
        self._loaded[key] = code
        if is_long:
            self._notice(f"compiled in {time.monotonic() - start:.1f} s")
        return code

    async def _compiled(self, source: bytes, metered: bool) -> bytes:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()

        def came(_seq: int, code: bytes, reason: str) -> None:
            if not answer.done():
                if code:
                    answer.set_result(code)
                else:
                    answer.set_exception(_refused(reason))

        def gone() -> None:
            if not answer.done():
                answer.set_exception(_again("the compiler was killed from outside"))

        worker = self._supervisor.worker(loop, _no_frame, came, gone, "wasm")
        try:
            worker.send(["compile", 0, int(metered), len(source)], source)
            while not (await asyncio.wait([answer], timeout=LOOK))[0]:
                if worker.hangs():
                    raise _again("the compiler neither answers nor computes")
            return answer.result()
        finally:
            worker.kill()
            worker.close()


def send_process(
    worker: WorkerHandle, code: WorkerCode, memory: int, seconds: float, definition: list[Any]
) -> None:
    """Have a worker load a process's code, unless it is built in, and boot the process.

    Args:
        memory: bytes that the process may use.
        seconds: processor time that a new message may use.
    """
    if code.data is not None:
        worker.send(["code", 0, code.gas, memory, seconds, len(code.data)], code.data)
    worker.send(["boot", 0, memory, seconds, *definition])


def _no_frame(_frame: list[Any]) -> None:
    """A compiler sends nothing but `ready`."""


def _refused(reason: str) -> AoError:
    hint = "`.wasm FILE` shows what a module declares; build it for AO, or repair the file"
    return AoError(f"the WASM module cannot be used: {reason}", stage="module", hint=hint)


def _again(what: str) -> AoError:
    return AoError(what, stage="module", hint="that says nothing about the module: try again")


def _name(key: tuple[str, bool]) -> str:
    return f"{key[0]}-metered" if key[1] else key[0]


def _header(key: tuple[str, bool]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "module": key[0],
        "metered": key[1],
        "engine": installed("wasmtime"),
    }
