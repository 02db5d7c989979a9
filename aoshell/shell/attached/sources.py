"""The texts of the files that a process runs, for the lines that its errors name.

Those that this session has loaded are known. Of a process of the built-in node, what another
session loaded, or what it was made of, is read from its log and its module when an error names a
file.
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
    """Texts by the name that error messages use, of each process."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: dict[str, dict[str, str]] = {}
        self._read: dict[str, int] = {}

    def of(self, process: str) -> dict[str, str]:
        """What is known of a process."""
        return self._known.setdefault(process, {})

    async def wanted(self, process: str, error: str) -> Mapping[str, str]:
        """What is known of a process, for an error of it: its log is read as far as it is new."""
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
