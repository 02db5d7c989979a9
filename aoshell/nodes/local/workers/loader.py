"""Gets the code that each process's worker loads; compiles it first if necessary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import ProcessRow
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.workers.code import MachineCode, WorkerCode
from aoshell.nodes.values import Limits, Module


class Loader:
    """Finds or makes the code of processes, and stores modules."""

    def __init__(
        self, modules: Modules, machine_code: MachineCode, get_limits: Callable[[], Limits]
    ) -> None:
        self._modules = modules
        self._machine_code = machine_code
        self._get_limits = get_limits
        self._making: dict[int, asyncio.Task[None]] = {}

    def find_code(
        self,
        process: ProcessRow,
        resume: Callable[[int], None],
        give_up: Callable[[ProcessRow, str], None],
    ) -> WorkerCode | None:
        """The code for a worker; None while it is being made.

        Args:
            resume: called with the process's number once the code is made.
            give_up: called with the reason if it cannot be made.
        """
        code = self._known(process)
        if code is None and process.number not in self._making:
            task = asyncio.create_task(self._make(process, resume, give_up))
            self._making[process.number] = task
        return code

    def _known(self, process: ProcessRow) -> WorkerCode | None:
        if not self._modules.is_wasm(process.module):
            return WorkerCode("lua", self._modules.environment_of(process))
        gas = self._get_limits().gas
        data = self._machine_code.get(process.module, gas > 0)
        if data is not None:
            return WorkerCode("wasm", data, gas)
        return None

    async def make_code(self, process: ProcessRow) -> WorkerCode:
        """The code for a worker; made if necessary. Raises AoError."""
        code = self._known(process)
        if code is None:
            source = self._modules.resolve(process.module).data
            gas = self._get_limits().gas
            data = await self._machine_code.make(process.module, source, gas > 0)
            code = WorkerCode("wasm", data, gas)
        return code

    async def _make(
        self,
        process: ProcessRow,
        resume: Callable[[int], None],
        give_up: Callable[[ProcessRow, str], None],
    ) -> None:
        try:
            await self.make_code(process)
        except AoError as error:
            give_up(process, error.what)
        else:
            resume(process.number)
        finally:
            self._making.pop(process.number, None)

    def stop(self) -> None:
        """Cancel all compilations."""
        for task in self._making.values():
            task.cancel()
        self._machine_code.stop()

    async def add_module(self, data: bytes, name: str) -> Module:
        """Store a module. A WASM one is compiled first, so that a bad one is never stored.

        Raises:
            AoError: no process can run it.
        """
        module = self._modules.check(data, name)
        if module.kind == "wasm":
            await self._machine_code.make(module.id, data, self._get_limits().gas > 0)
        self._modules.keep(module)
        return module
