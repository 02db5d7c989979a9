"""What each process's worker is to load, made first where it has to be."""

from __future__ import annotations

import asyncio
from typing import Protocol

from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import ProcessRow
from aoshell.nodes.local.modules import Modules
from aoshell.nodes.local.workers.code import MachineCode, WorkerCode
from aoshell.nodes.values import Limits, Module


class LoaderComputePort(Protocol):
    """Who waits for code."""

    def resume(self, process: int) -> None: ...
    def give_up(self, row: ProcessRow, why: str) -> None: ...


class LoaderPort(Protocol):
    """What loading needs of the node."""

    limits: Limits
    computer: LoaderComputePort


class Loader:
    """Gives the code of processes, and takes in modules."""

    def __init__(self, node: LoaderPort, modules: Modules, machine_code: MachineCode) -> None:
        self._node = node
        self._modules = modules
        self._machine_code = machine_code
        self._making: dict[int, asyncio.Task[None]] = {}

    def code(self, process: ProcessRow) -> WorkerCode | None:
        """What a worker loads. None while it is being made: `LoaderComputePort.resume` follows."""
        if not self._modules.is_wasm(process.module):
            return WorkerCode("lua", self._modules.environment_of(process))
        gas = self._node.limits.gas
        data = self._machine_code.get(process.module, gas > 0)
        if data is not None:
            return WorkerCode("wasm", data, gas)
        if process.number not in self._making:
            self._making[process.number] = asyncio.create_task(self._make(process))
        return None

    async def ready(self, process: ProcessRow) -> WorkerCode:
        """What a worker loads, made if need be. Raises AoError."""
        code = self.code(process)
        if code is None:
            source = self._modules.resolve(process.module).data
            gas = self._node.limits.gas
            data = await self._machine_code.make(process.module, source, gas > 0)
            code = WorkerCode("wasm", data, gas)
        return code

    async def _make(self, process: ProcessRow) -> None:
        try:
            await self.ready(process)
        except AoError as error:
            self._node.computer.give_up(process, error.what)
        else:
            self._node.computer.resume(process.number)
        finally:
            self._making.pop(process.number, None)

    def stop(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()
        self._machine_code.stop()

    async def take_in(self, data: bytes, name: str) -> Module:
        """Keep a module; a WASM one is compiled first, so that a bad one is never kept.

        Raises:
            AoError: it is no module that can be run.
        """
        module = self._modules.check(data, name)
        if module.kind == "wasm":
            await self._machine_code.make(module.id, data, self._node.limits.gas > 0)
        self._modules.keep(module)
        return module
