"""The texts of the files that a process runs: its errors name their lines.

A session knows the files that it has loaded itself. For a process of the built-in node, other files
are read from its log and its module once an error names a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.protocol.message import text
from aoshell.shell.attached.computed import computed_entries
from aoshell.shell.view.errors_view import names_a_file

LOOKED_BACK = 500  # newest messages of a log in which files are looked for


class Sources:
    """The texts of each process, by the name that error messages use."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: dict[str, dict[str, str]] = {}
        self._read: dict[str, int] = {}

    def of(self, process: str) -> dict[str, str]:
        """The known texts of a process."""
        return self._known.setdefault(process, {})

    async def wanted(self, process: str, error: str) -> Mapping[str, str]:
        """The texts for an error of a process; reads the new part of its log first."""
        if error and self._node.local and names_a_file(error):
            with suppress(AoError):  # then the error is shown without its line
                await self._look(process)
        return self.of(process)

    async def _look(self, process: str) -> None:
        known, last = self.of(process), await self._node.slots(process) - 1
        if self._read.get(process, last + 1) > last:  # not read yet, or slots were taken back
            module = await self._node.fetch((await self._node.find(process)).module)
            if module.kind == "lua":
                self._take(module.data, known)
            self._read[process] = max(-1, last - LOOKED_BACK)
        async for entry in computed_entries(self._node, process, self._read[process]):
            if entry.result is None:
                continue
            self._read[process] = entry.result.slot
            if entry.result.ok and entry.message.tag("Action") == "Eval":
                self._take(entry.message.data, known)

    @staticmethod
    def _take(code: bytes, known: dict[str, str]) -> None:
        from aoshell.lua.bundled import unbundle

        known.update({path: text(source) for _, path, source in unbundle(code)})
