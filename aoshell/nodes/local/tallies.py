"""How far each process is, without reading all of its log each time."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import Batch, Logged
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.log.totals import Totals, sums_to_keep, totals_of
from aoshell.nodes.values import Place

EVERY = 500  # slots of a process, after which its sums are kept again (`log.totals`)


class Tallies:
    """Where the last computed message of each process stands, and sums over its log."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._places: dict[int, Place | None] = {}
        self._due: list[int] = []

    def note(self, logged: Logged) -> None:
        """Take a message that is computed; its result is written next."""
        process = logged.process
        self._places[process] = Place(logged.slot, logged.tick)
        behind = logged.slot + logged.tick
        if behind and not behind % EVERY:
            self._due.append(process)

    def place(self, process: int) -> Place | None:
        """Where the last message of a process stands that has a result; None without any."""
        if process not in self._places:
            last = self._store.last_computed(process)
            self._places[process] = Place(last[0].slot, last[0].tick) if last else None
        return self._places[process]

    def totals(self, process: int) -> Totals:
        """The sums of now. Raises AoError."""
        found = totals_of(self._store, process)
        if found.summed > EVERY:
            with suppress(AoError):  # a full disk: they are made anew the next time
                self._store.commit(Batch(facts=self._sums([process])), sync=False)
        return found

    def take_due(self) -> dict[str, int | str]:
        """Facts to be written with the next results: sums over what is written. Raises AoError."""
        due, self._due = self._due, []
        return self._sums(due)

    def _sums(self, processes: Iterable[int]) -> dict[str, int | str]:
        facts: dict[str, int | str] = {}
        for process in processes:
            facts |= sums_to_keep(self._store, process)
        return facts

    def forget_all(self) -> None:
        """Ask the log again: some of what was noted may not have been written."""
        self._places.clear()
        self._due.clear()
