"""Tells how far each process is, without reading its whole log each time."""

from __future__ import annotations

from contextlib import suppress

from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import Batch, Computed, Logged
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.log.totals import Running, Totals, sums_to_keep, totals_of
from aoshell.nodes.values import Place

EVERY = 500  # slots of a process, after which its sums are stored again (`log.totals`)


class Tallies:
    """The place of each process's last computed message, and sums over its log."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._places: dict[int, Place | None] = {}
        self._running: dict[int, Running] = {}
        self._due: list[int] = []

    def note(self, logged: Logged, computed: Computed) -> None:
        """Note a computed message, whose result will be written next."""
        process, place = logged.process, Place(logged.slot, logged.tick)
        running = self._running.get(process)
        if running is None:
            running = self._running[process] = Running(process, place)
        running.add(logged, computed)
        self._places[process] = place
        number = logged.slot + logged.tick
        if number and not number % EVERY:
            self._due.append(process)

    def place(self, process: int) -> Place | None:
        """The place of the last message of a process with a result; None without any."""
        if process not in self._places:
            last = self._store.last_computed(process)
            self._places[process] = Place(last[0].slot, last[0].tick) if last else None
        return self._places[process]

    def totals(self, process: int) -> Totals:
        """The present sums. Raises AoError."""
        found = totals_of(self._store, process)
        if found.summed > EVERY:
            if process in self._running:
                self._running[process].look_back(self._store)
            with suppress(AoError):  # a full disk: the next call computes them again
                facts = dict[str, int | str](sums_to_keep(self._store, process))
                self._store.commit(Batch(facts=facts), sync=False)
        return found

    def take_due(self) -> dict[str, int | str]:
        """Facts to write together with the noted results: the sums up to them.

        Raises:
            AoError: earlier messages cannot be read.
        """
        due, self._due = self._due, []
        facts: dict[str, int | str] = {}
        for process in due:
            facts |= self._running[process].to_keep(self._store)
        return facts

    def forget_all(self) -> None:
        """Empty the cache, as some noted results may not have been written."""
        self._places.clear()
        self._running.clear()
        self._due.clear()
