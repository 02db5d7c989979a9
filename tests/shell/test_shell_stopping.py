"""Ctrl-C on an empty line: what is said of lines that were stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from aoshell.nodes.values import Receipt
from aoshell.shell.prompt import stopping
from aoshell.shell.prompt.stopping import STOPPED, Stopper

PROCESS = "P" * 43


class BusyNode:
    """A local node with one process, whose line at slot 5 was given up.

    Attributes:
        computed: slots of the process that have results.
        cancelled: the slots that were cancelled, in order.
        ids: of the messages at slots, other than the usual one.
    """

    def __init__(self, computed: int, *, ends: bool = False) -> None:
        self.computed, self._ends = computed, ends
        self.cancelled: list[int] = []
        self.ids: dict[int, str] = {}

    @property
    def local(self) -> BusyNode:
        return self

    async def is_in_log(self, line: Receipt) -> bool:
        return line.slot is not None and self.ids.get(line.slot, "M" * 43) == line.id

    async def cancel(self, _process: str, slot: int) -> bool:
        self.cancelled.append(slot)
        return True

    async def result(self, _process: str, _place: object) -> None:
        if not self._ends:
            await asyncio.Event().wait()

    async def schedule(self, _process: str, first: int, last: int) -> list[Any]:
        return [SimpleNamespace(id=self.ids.get(slot, "M" * 43)) for slot in range(first, last + 1)]

    async def find(self, process: str) -> Any:
        return SimpleNamespace(id=process, name="desk", computed=self.computed)

    async def stop_lines(self) -> list[Receipt]:
        await self.cancel(PROCESS, 5)
        return [Receipt("M" * 43, PROCESS, 5)]


def pressed(node: BusyNode, times: int = 1, *, meanwhile: Mapping[int, str] = {}) -> list[str]:
    """What each Ctrl-C says.

    Args:
        meanwhile: ids that messages have after the first.
    """

    async def press() -> list[str]:
        session: Any = SimpleNamespace(
            node=node, stop_lines=node.stop_lines, is_in_log=node.is_in_log
        )
        stopper, said = Stopper(), []
        for _ in range(times):
            said.append(await stopper.stop(session))
            node.ids.update(meanwhile)
        return said

    return asyncio.run(press())


@pytest.fixture(autouse=True)
def _little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "ENDING", 0.01)


def test_a_line_that_ended_is_stopped() -> None:
    assert pressed(BusyNode(5, ends=True)) == [STOPPED]


def test_what_is_computed_before_it_is_named_and_stopped_by_the_next() -> None:
    node = BusyNode(4)
    first, _ = pressed(node, 2)
    assert first.startswith("Slot 5 will not run. desk still computes slot 4, which is before it:")
    assert node.cancelled == [5, 4, 5]


def test_a_message_that_got_the_slot_since_then_is_not_stopped() -> None:
    """`.undo` has taken the other one back."""
    node = BusyNode(4)
    pressed(node, 2, meanwhile={4: "N" * 43})
    assert node.cancelled == [5, 5]


def test_a_cron_message_before_it_is_not_called_stopped() -> None:
    """It has the slot before it, which has a result: no slot can be named."""
    node = BusyNode(5)
    said = pressed(node, 2)
    assert said == ["Slot 5 will not run. desk still computes what is before it."] * 2
    assert node.cancelled == [5, 5]
