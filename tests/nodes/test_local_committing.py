"""When results are written, what may happen before, and what is announced; without workers."""

from __future__ import annotations

import asyncio
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from eventually import in_loop, turns

from aoshell.errors import AoError
from aoshell.nodes.local import committing
from aoshell.nodes.local.committing import QUIET, Committing
from aoshell.nodes.local.delivery.push import Pushed
from aoshell.nodes.local.log.rows import Batch, Computed, Logged
from aoshell.nodes.local.waiting.roots import Roots
from aoshell.nodes.local.waiting.settling import Waiters


def logged(seq: int, root: int) -> Logged:
    return Logged(seq, 1, seq, 0, f"id of {seq}", None, None, root, 0, 0, 0, "", None, b"")


class Disk:
    """The books of a node with one process, and what is written of them."""

    def __init__(self) -> None:
        self.roots = Roots(lambda _root: "")
        self.waiters = Waiters()
        self.enqueued: list[int] = []
        self.told: list[int] = []  # whose results were announced
        self.written: list[tuple[Batch, bool]] = []  # and whether that was fsynced
        self.timers: list[tuple[str, float | None]] = []
        self.error: AoError | None = None
        self.last_seq = 0
        self.committing = Committing(
            SimpleNamespace(commit=self._commit),  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.roots,
            self.waiters,
            SimpleNamespace(take_due=dict),  # type: ignore[arg-type]
            SimpleNamespace(call_later=self._call_later),  # type: ignore[arg-type]
            lambda message, _wire: self.enqueued.append(message.seq),
            lambda _batch: None,
            lambda _error: self.committing.forget(),
        )

    def _commit(self, batch: Batch, *, sync: bool) -> None:
        if self.error:
            raise self.error
        self.written.append((batch, sync))

    def _call_later(self, name: str, _call: object, seconds: float | None = None) -> None:
        self.timers.append((name, seconds))

    def begin(self, seq: int, root: int = 0) -> Logged:
        """Schedule a message; by default it is its own root."""
        self.last_seq = max(self.last_seq, seq)
        message = logged(seq, root or seq)
        self.roots.begin(message)
        return message

    def answer(self, message: Logged, *sent: int) -> None:
        """Take the result of a message, which sends others."""
        scheduled: list[Any] = [(self.begin(seq, message.root), []) for seq in sent]
        self.roots.done(message)
        computed = Computed(message.seq, "ok", 0.0, 0, 0, 0, b"")
        told = partial(self.told.append, message.seq)
        self.committing.add(message, computed, Pushed(scheduled=scheduled), [told])

    def await_root(self, message: Logged) -> asyncio.Future[None]:
        """Somebody waits until nothing is left of what a message caused."""
        return asyncio.ensure_future(self.roots.wait(message.id))


@pytest.fixture(autouse=True)
def nothing_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Results that nobody waits for are not written."""
    monkeypatch.setattr(committing, "GROUP", 600)


@in_loop
async def test_what_was_sent_goes_on_at_the_end_of_the_turn():
    # Also where its worker is given up within the same read, and so says nothing more.
    disk = Disk()
    disk.answer(disk.begin(1), 2, 3)
    assert disk.enqueued == []
    await turns()
    assert disk.enqueued == [2, 3] and disk.written == []


@in_loop
async def test_what_is_forgotten_is_not_computed():
    disk = Disk()
    disk.answer(disk.begin(1), 2)
    disk.error = AoError("the disk is full", stage="store")
    assert disk.committing.flush() is disk.error
    disk.committing.dispatch()
    await turns()
    assert disk.enqueued == []


@in_loop
async def test_what_is_forgotten_is_not_announced_with_what_comes_then():
    disk = Disk()
    waits = disk.await_root(disk.begin(1))
    await turns()
    disk.answer(disk.begin(2))
    disk.committing.forget()
    disk.answer(disk.begin(3))
    disk.committing.flush()
    assert disk.told == [3] and [len(batch.results) for batch, _ in disk.written] == [1]
    waits.cancel()


@in_loop
async def test_messages_count_among_what_may_wait(monkeypatch):
    monkeypatch.setattr(committing, "MOST_ROWS", 3)
    disk = Disk()
    disk.answer(disk.begin(1), 2)
    await turns()
    assert disk.written == []
    disk.answer(disk.begin(3))
    await turns()
    assert [len(batch.results) for batch, _ in disk.written] == [2]


@in_loop
async def test_one_who_waits_is_enough_for_an_fsync():
    disk = Disk()
    one, other = disk.begin(1), disk.begin(2)
    waits = disk.await_root(one)
    await turns()
    disk.answer(other)
    disk.answer(one)
    await waits
    assert [sync for _, sync in disk.written] == [True] and not disk.committing.unsynced


@in_loop
async def test_the_mark_stands_before_what_has_no_result():
    # A start reads nothing before the mark: one that is too high loses a message for ever.
    disk = Disk()
    one, other = disk.begin(1), disk.begin(2)
    disk.begin(3)
    disk.answer(one)
    disk.committing.flush(sync=True)
    disk.answer(other)
    disk.committing.flush()
    disk.committing.sync()
    assert [batch.computed_to for batch, _ in disk.written] == [1, None, 2]


@in_loop
async def test_what_nobody_waits_for_is_fsynced_a_moment_later():
    disk = Disk()
    disk.answer(disk.begin(1))
    disk.committing.flush()
    assert disk.timers == [("sync", QUIET)] and disk.committing.unsynced
    disk.committing.sync()
    assert [sync for _, sync in disk.written] == [False, True] and not disk.committing.unsynced


@in_loop
async def test_results_with_fsync_cover_those_without_it_before():
    disk = Disk()
    disk.answer(disk.begin(1))
    disk.committing.flush()
    disk.answer(disk.begin(2))
    disk.committing.sync()
    assert not disk.committing.unsynced
    assert [sync for _, sync in disk.written] == [False, True]


@in_loop
async def test_writing_with_fsync_takes_one_transaction():
    disk = Disk()
    disk.answer(disk.begin(1))
    disk.committing.sync()
    disk.committing.sync()
    assert [sync for _, sync in disk.written] == [True] and disk.timers == []
