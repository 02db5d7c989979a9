"""The parts that direct a worker, each by itself: images, dry runs, turns, and deaths."""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from eventually import in_loop

from aoshell.errors import AoError
from aoshell.nodes.local.log.form import failed_result
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.local.workers import images as module
from aoshell.nodes.local.workers.dryruns import DryRuns
from aoshell.nodes.local.workers.images import Images
from aoshell.nodes.local.workers.jobs import MAX_DEATHS, Cost, Dry, Job, judge_death
from aoshell.nodes.local.workers.turns import Turns
from aoshell.nodes.values import Limits

ROW = ProcessRow(1, "p" * 43, "name", "owner", "module", "environment", 0, "[]", 1 << 29)
LIMITS = Limits(memory=64 << 20, seconds=3)
FREE = Cost(0, 0, 0)


def logged(seq: int, process: int = 1) -> Logged:
    return Logged(seq, process, seq, 0, f"id {seq}", None, None, seq, 0, 0, 0, "chain", None, b"")


# Deaths -------------------------------------------------------------------------------------------


def test_what_a_death_means() -> None:
    for why, outcome, text in (
        ("time", "time", "3 s of computing"),
        ("memory", "memory", "may use 32 MB"),  # what this process may use, not a new one
    ):
        found = judge_death(Job(logged(1), []), why, LIMITS, 32 << 20)
        assert found[0] == outcome and text in found[1]
    stopped = Job(logged(1), [], cancelled=True)
    for why in ("time", "memory", "crash 11", "killed"):
        assert judge_death(stopped, why, LIMITS, 1) == ("time", "stopped by the user")
    assert (stopped.deaths, stopped.kills) == (0, 0)


def test_a_message_crashes_its_worker_a_few_times_and_others_kill_it_for_ever() -> None:
    crashing, killed = Job(logged(1), []), Job(logged(2), [])
    outcomes = [judge_death(crashing, "crash 11", LIMITS, 1)[0] for _ in range(MAX_DEATHS)]
    assert outcomes == [""] * (MAX_DEATHS - 1) + ["crash"]
    assert [judge_death(killed, "killed", LIMITS, 1) for _ in range(9)] == [("", "")] * 9
    assert (crashing.deaths, crashing.kills) == (MAX_DEATHS, 0)
    assert (killed.deaths, killed.kills) == (0, 9)


# Dry runs -----------------------------------------------------------------------------------------


class Runs:
    """Some dry runs, and which of them were sent."""

    def __init__(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        self.all = [Dry([n], loop.create_future()) for n in range(count)]
        self.waiting = deque(self.all)
        self.sent: list[tuple[int, Dry]] = []
        self.runs = DryRuns(self.waiting, lambda token, dry: self.sent.append((token, dry)))

    def answer(self, at: int, outcome: str = "ok") -> None:
        self.runs.answer(self.sent[at][0], outcome, FREE, failed_result(""))


@in_loop
async def test_dry_runs_go_out_in_turn_and_each_is_answered_once() -> None:
    one = Runs(2)
    assert one.runs and not one.runs.are_sent
    one.runs.send_all()
    assert [dry for _token, dry in one.sent] == one.all and one.runs.are_sent
    one.answer(1)
    one.answer(1)  # nobody knows that token any more
    assert [dry.answer.done() for dry in one.all] == [False, True]
    one.all[0].answer.cancel()
    assert one.runs.is_one_cancelled
    one.sent.clear()
    one.runs.send_again()  # not one that nobody waits for
    assert not one.sent and not one.runs


@in_loop
async def test_a_dry_run_survives_a_few_deaths() -> None:
    one = Runs(2)
    one.runs.send_all()
    one.runs.take_back()
    assert not one.runs.are_sent and list(one.waiting) == one.all
    one.runs.send_all()
    for death in range(2, MAX_DEATHS + 1):
        of_first = max(at for at, (_token, dry) in enumerate(one.sent) if dry is one.all[0])
        one.answer(of_first, "killed")
        assert bool(one.waiting) == (death < MAX_DEATHS)
        one.runs.send_all()
    with pytest.raises(AoError, match=f"died {MAX_DEATHS} times .*killed from outside"):
        await one.all[0].answer
    of_second = next(at for at, (_token, dry) in enumerate(one.sent) if dry is one.all[1])
    one.answer(of_second)
    assert await one.all[1].answer


@in_loop
async def test_dry_runs_that_nobody_waits_for_are_dropped_and_others_fail() -> None:
    one = Runs(3)
    one.all[1].answer.cancel()
    one.runs.drop_cancelled()
    assert list(one.waiting) == [one.all[0], one.all[2]]
    one.runs.end("no more")
    for dry in one.waiting:
        with pytest.raises(AoError, match="no more"):
            await dry.answer


# Turns --------------------------------------------------------------------------------------------


def test_messages_take_turns_in_the_order_of_the_log() -> None:
    begun: list[int] = []
    turns = Turns(lambda entry, _body: begun.append(entry.seq))
    for seq, process in ((1, 1), (2, 2), (3, 1), (4, 2)):
        turns.add(logged(seq, process), [])
    assert begun == [1]
    turns.done(logged(9))  # no turn of its own: it was replayed
    assert begun == [1]
    turns.done(logged(1))
    assert begun == [1, 2]
    turns.drop(2)  # the one that runs, and the one that waits
    assert begun == [1, 2, 3]
    turns.done(logged(3))
    turns.add(logged(5), [])
    assert begun == [1, 2, 3, 5]
    turns.add(logged(6), [])
    turns.clear()
    turns.add(logged(7), [])
    assert begun == [1, 2, 3, 5, 7]


# Images -------------------------------------------------------------------------------------------


class Pictures:
    """Images of a process whose last message is `last`; what was done, in order."""

    def __init__(self, last: Logged | None) -> None:
        self.done: list[Any] = []
        self.last = last
        checkpoints = SimpleNamespace(
            write=lambda _id, _environment, checkpoint: self.done.append(checkpoint.slot)
        )
        context: Any = SimpleNamespace(
            checkpoints=checkpoints, flush=lambda: self.done.append("flush")
        )
        self.images = Images(context, ROW, self._ask, lambda: self.done.append("settled"))

    def _ask(self) -> Logged | None:
        self.done.append("asked")
        return self.last


@in_loop
async def test_one_image_is_asked_for_at_a_time() -> None:
    one = Pictures(logged(7))
    one.images.ask_again()
    assert one.done == []
    one.images.spent = 9.0
    assert one.images.is_due
    image = one.images.ask()
    assert one.images.ask() is image and one.done == ["asked"] and not one.images.is_due
    one.images.ask_again()
    assert one.done == ["asked"] * 2
    assert not one.images.store(6, b"of another message") and not image.done()
    assert one.images.store(7, b"image")
    # The result first: a checkpoint that is ahead of the log would be discarded.
    assert one.done[2:] == ["flush", 7, "settled"] and image.done()
    assert (one.images.spent, one.images.unsaved) == (0.0, False)
    assert not one.images.store(7, b"again")


@in_loop
async def test_an_image_that_cannot_be_had_is_waited_for_by_nobody(monkeypatch) -> None:
    one = Pictures(None)
    assert one.images.ask().done() and one.done == ["asked", "settled"]
    one = Pictures(logged(7))
    image = one.images.ask()
    one.images.give_up_late(one.images._asked + module.IMAGE_SECONDS - 1)
    assert not image.done()
    one.images.give_up_late(one.images._asked + module.IMAGE_SECONDS + 1)
    assert image.done() and one.done == ["asked", "settled"]
    assert one.images.store(7, b"")  # it came at last: no state that an image can hold
    assert one.images.unsaved and one.done == ["asked", "settled", "settled"]
    monkeypatch.setattr(one.images, "_cost", 1.0)
    one.images.spent = module.CHECKPOINT_SHARE - 0.5
    assert not one.images.is_due  # making one would take too much of the time
    one.images.spent += 1
    assert one.images.is_due
