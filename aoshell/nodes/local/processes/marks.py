"""Names that the user gives to slots: `.snapshot`."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aoshell.nodes.local.log.store import Store


class Marks:
    """The names of each process's slots, in the table of facts."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def of(self, process: str) -> Mapping[str, int]:
        """The slots of a process by their names."""
        found: dict[str, int] = json.loads(self._store.meta(marks_key(process)) or "{}")
        return found

    def put(self, process: str, name: str, slot: int) -> None:
        """Give a slot a name, durably."""
        self._write(process, {**self.of(process), name: slot})

    def cut(self, process: str, slot: int) -> None:
        """Remove the names of a slot and of all later ones, as others will get their numbers."""
        found = self.of(process)
        left = {name: at for name, at in found.items() if at < slot}
        if left != found:
            self._write(process, left)

    def _write(self, process: str, names: Mapping[str, int]) -> None:
        self._store.set_meta(marks_key(process), json.dumps(names))


def marks_key(process: str) -> str:
    """The name under which the table of facts has the marks of a process."""
    return f"marks {process}"
