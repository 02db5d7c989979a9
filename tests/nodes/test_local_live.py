"""How a live process directs its worker, and how the pool directs all live processes.

The test acts as the worker.
"""

from __future__ import annotations

import asyncio
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest
from eventually import in_loop
from test_local_workers import LIMITS, ROW, logged

from aoshell.nodes.local.log.form import FlatResult
from aoshell.nodes.local.log.rows import Logged
from aoshell.nodes.local.workers import live as module
from aoshell.nodes.local.workers.code import WorkerCode
from aoshell.nodes.local.workers.jobs import MAX_DEATHS, Cost, Dry, Job, PutAwayError
from aoshell.nodes.local.workers.live import MAX_PROMOTIONS, Live, PoolCalls
from aoshell.nodes.local.workers.pool import UNSTABLE, Computer

OK = [False, "", "", False, 0, 0, 0, ""]  # a result
FAILED = ["on purpose", "", "", False, 0]
COST = [1.0, 0, 0]


class Worker:
    """A stand-in for a worker: keeps what it is sent, and how it ends."""

    def __init__(self) -> None:
        self.sent: list[list[Any]] = []
        self.ends: list[str] = []
        self.backlog = 0
        self.unbelieved = False

    def send(self, frame: list[Any], _blob: bytes = b"") -> None:
        self.sent.append(frame)

    def give_up(self) -> None:
        self.unbelieved = True
        self.ends.append("given up")

    def kill(self) -> None:
        self.ends.append("killed")

    def close(self) -> None:
        self.ends.append("closed")

    def stop_computing(self) -> None:
        self.ends.append("stopped")


class Played:
    """A live process with messages from 1 on."""

    def __init__(self, messages: int) -> None:
        self.results: list[tuple[int, str]] = []  # number and outcome
        self.unbegun: list[int] = []  # those of them that took no time
        self.done: list[Any] = []  # what the pool is told
        self.crowded = False
        self.queue = deque(Job(logged(seq), []) for seq in range(1, messages + 1))
        context: Any = SimpleNamespace(
            get_limits=lambda: LIMITS,
            modules=SimpleNamespace(definition=lambda _row: []),
            checkpoints=SimpleNamespace(read=lambda _id, _environment: None),
            base_of=lambda _row: None,
            store=SimpleNamespace(entries=lambda *_: iter(())),
            add_result=self._add_result,
            dispatch=lambda: None,
            flush=lambda: None,
        )
        pool = PoolCalls(
            answered=lambda number: self.done.append(("answered", number)),
            is_crowded=lambda: self.crowded,
            idled=lambda: self.done.append("idled"),
            left=lambda _live, died: self.done.append(("left", died)),
            abandoned=lambda _live, why: self.done.append(("abandoned", why)),
            failed=lambda _row, why: pytest.fail(why),
        )
        self.worker = Worker()
        supervisor: Any = SimpleNamespace(worker=lambda *_: self.worker)
        code = WorkerCode("lua", None)
        self.live = Live(context, pool, supervisor, ROW, code, self.queue, deque[Dry]())

    def _add_result(self, message: Logged, outcome: str, cost: Cost, _result: FlatResult) -> None:
        self.results.append((message.seq, outcome))
        if not cost.milliseconds:
            self.unbegun.append(message.seq)

    def says(self, *frame: Any) -> None:
        """The worker says something."""
        self.live._frame(list(frame))

    def ends(
        self, seq: int, *, epoch: int = 0, error: bool = False, milliseconds: float = 1.0
    ) -> None:
        """It says that a message is done."""
        outcome, result = ("error", FAILED) if error else ("ok", OK)
        self.says("done", epoch, seq, outcome, milliseconds, *COST[1:], *result)
        self.live._read()

    def told(self) -> list[tuple[Any, ...]]:
        """What it was sent since the last call: commands, their epochs and messages."""
        found = [tuple(frame[:3]) for frame in self.worker.sent if frame[0] != "boot"]
        self.worker.sent.clear()
        return found


def run(*seqs: int, epoch: int = 0) -> list[tuple[Any, ...]]:
    return [("run", epoch, seq) for seq in seqs]


@in_loop
async def test_what_a_fork_lacks_is_sent_before_all_else() -> None:
    it = Played(4)
    assert it.told() == run(1, 2, 3, 4)
    it.says("parked", 0, 7)
    it.ends(1)
    it.says("parked", 1, 8)
    it.ends(2)
    it.ends(3, error=True)
    it.says("promoted", 1, "rollback", "", 9)
    again = [("replay", 1, 2), ("failed", 1, 3)]  # the state holds message 1
    assert it.told() == [*again, *run(4, epoch=1)]
    it.ends(4, epoch=1)
    assert it.results == [(1, "ok"), (2, "ok"), (3, "error"), (4, "ok")]
    assert it.worker.ends == [] and it.done[-1] == "idled"


@in_loop
async def test_what_a_message_causes_waits_for_what_a_fork_lacks() -> None:
    it = Played(2)
    it.says("parked", 0, 7)
    it.ends(1)
    it.told()

    def add_result(*_: Any) -> None:  # the outcome brings a message, which the pool has sent
        it.queue.append(Job(logged(3), []))
        it.live.pump()

    it.live.images.spent = -LIMITS.seconds  # so that no image is due
    it.live._context.add_result = add_result
    it.says("promoted", 0, "time", "", 8)
    assert it.told() == [("replay", 1, 1), ("failed", 1, 2), *run(3, epoch=1)]


@pytest.mark.parametrize(
    ("epoch", "seq"), [(1, 1), (0, 2), (0, 0)], ids=["of a fork to come", "too early", "of nothing"]
)
@in_loop
async def test_an_answer_out_of_turn_is_not_believed(epoch: int, seq: int) -> None:
    it = Played(2)
    it.ends(seq, epoch=epoch)
    assert it.results == [] and it.worker.ends == ["given up"]


@in_loop
async def test_an_answer_from_before_a_roll_back_is_not_believed() -> None:
    it = Played(1)
    it.says("parked", 0, 7)
    it.says("promoted", 0, "rollback", "", 8)
    it.ends(1, epoch=0)
    assert it.results == [] and it.worker.ends == ["given up"]


@pytest.mark.parametrize(
    "frame",
    [
        ("done", 0, 1, "ok", *COST, False, "", "", 0, 0, 0, 0, ""),
        ("done", 0, 1, "time", *COST, *FAILED),
        ("tried", 1),
        ("over", 1),
    ],
    ids=["no result", "an outcome of others", "a trial", "the end of a trial"],
)
@in_loop
async def test_what_no_worker_says_is_not_believed(frame: tuple[Any, ...]) -> None:
    it = Played(1)
    it.says(*frame)
    assert it.results == [] and it.worker.ends == ["given up"]


@in_loop
async def test_an_image_that_nobody_asked_for_is_not_believed() -> None:
    it = Played(0)
    it.live._image(1, b"image", "")
    assert it.worker.ends == ["given up"]


@in_loop
async def test_forks_that_come_back_without_end_are_not_believed() -> None:
    it = Played(2)
    it.says("parked", 0, 7)
    for _ in range(MAX_PROMOTIONS - 1):
        it.says("promoted", 0, "rollback", "", 8)
    it.ends(1, epoch=MAX_PROMOTIONS - 1)  # an answer in between: counted from the start
    for _ in range(MAX_PROMOTIONS):
        it.says("promoted", 0, "rollback", "", 8)
    assert it.worker.ends == []
    it.says("promoted", 0, "rollback", "", 8)
    assert it.worker.ends == ["given up"]


@in_loop
async def test_what_a_worker_did_not_answer_waits_in_its_order() -> None:
    it = Played(3)
    it.says("parked", 0, 7)
    it.says("promoted", 0, "killed", "", 8)
    assert it.live.sent[0].kills == 1
    it.live._gone()
    assert [job.logged.seq for job in it.queue] == [1, 2, 3] and it.live.sent == []
    assert [job.kills for job in it.queue] == [0, 0, 0] and it.done == [("left", True)]


@in_loop
async def test_a_message_under_which_forks_are_killed_is_held() -> None:
    it = Played(1)
    it.says("parked", 0, 7)
    for _ in range(MAX_DEATHS):
        assert it.worker.ends == []
        it.says("promoted", 0, "killed", "", 8)
    assert it.worker.ends == ["killed", "closed"] and it.done[-1][0] == "abandoned"
    assert [job.logged.seq for job in it.queue] == [1] and it.results == []


@pytest.mark.parametrize("began", [False, True])
@in_loop
async def test_only_what_a_worker_began_is_blamed_for_it(began: bool) -> None:
    """A wrong answer during the load of code or a log is not the fault of the next message."""
    it = Played(2)
    if began:
        it.says("parked", 0, 7)
    it.live.sent[0].deaths = MAX_DEATHS - 1
    it.worker.give_up()
    it.live._gone()
    assert it.results == ([(1, "crash")] if began else [])
    assert [job.logged.seq for job in it.queue] == ([2] if began else [1, 2])


@in_loop
async def test_a_message_is_stopped_once_another_fork_can_take_over() -> None:
    it = Played(2)
    assert it.live.cancel(1) and not it.live.cancel(9)
    assert it.worker.ends == []
    it.says("parked", 0, 7)
    assert it.worker.ends == ["stopped"]
    it.says("promoted", 0, "killed", "", 8)
    assert it.results == [(1, "time")] and it.worker.ends == ["stopped"]


@in_loop
async def test_what_is_stopped_before_a_fork_began_it_never_runs() -> None:
    it = Played(4)
    it.says("parked", 0, 7)
    for seq in (3, 2, 1):
        it.live.cancel(seq)
    it.told()
    it.says("promoted", 0, "killed", "", 8)
    assert it.told() == [("failed", 1, 1)] and it.results == [(1, "time")]
    await asyncio.sleep(0)
    assert it.told() == [("failed", 1, 2), ("failed", 1, 3), *run(4, epoch=1)]
    assert it.results == [(1, "time"), (2, "time"), (3, "time")] and it.unbegun == [2, 3]


@in_loop
async def test_what_is_stopped_before_it_is_sent_never_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    it = Played(0)
    it.queue.extend(Job(logged(seq), [], cancelled=seq == 2) for seq in (1, 2, 3))
    in_vain: list[None] = []
    with monkeypatch.context() as patched:
        patched.setattr(it.live, "_end_unbegun", lambda: in_vain.append(None))
        it.live.pump()
        await asyncio.sleep(0)
    assert it.told() == run(1) and in_vain == []
    it.ends(1)
    await asyncio.sleep(0)
    assert it.told() == [("failed", 0, 2), *run(3)]
    assert it.results == [(1, "ok"), (2, "time")] and it.unbegun == [2]


@in_loop
async def test_what_is_stopped_and_may_have_begun_is_not_said_never_to_have_run() -> None:
    it = Played(1)
    it.says("parked", 0, 7)
    it.live.cancel(1)
    it.live._gone()
    it.live._over = False  # as the next one, with the same queue
    it.told()
    it.live.pump()
    assert it.told() == run(1)
    it.says("parked", 0, 7)
    it.says("promoted", 0, "killed", "", 8)
    assert it.results == [(1, "time")] and it.unbegun == []


@pytest.mark.parametrize("end", ["_gone", "kill", "leave"])
@in_loop
async def test_whose_worker_is_gone_takes_no_message_from_the_next_one(end: str) -> None:
    it = Played(0)
    it.crowded = True
    it.queue.append(Job(logged(1), [], cancelled=True))
    it.live.pump()
    getattr(it.live, end)()
    it.queue.append(Job(logged(2), []))
    it.live.pump()
    await asyncio.sleep(0)
    assert len(it.queue) == 2 and it.results == [] and it.told() == []


@in_loop
async def test_whose_worker_is_gone_replays_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0)
    it = Played(0)
    it.worker.backlog = module.BACKLOG + 1
    it.live._replay = iter([["replay", 0, 1]])
    it.live._feed()
    it.live._gone()
    it.worker.backlog = 0
    for _ in range(3):
        await asyncio.sleep(0)
    assert it.told() == []


@in_loop
async def test_who_has_had_a_long_turn_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TURN", 2)
    it = Played(0)
    it.crowded = True
    it.queue.extend(Job(logged(seq), []) for seq in range(1, 5))
    it.live.pump()
    assert it.told() == run(1, 2)
    it.ends(1)
    it.ends(2)
    assert it.told() == [] and it.done[-1] == ("left", False)
    assert [job.logged.seq for job in it.queue] == [3, 4]


@in_loop
async def test_who_has_computed_long_takes_back_what_was_sent_and_makes_room() -> None:
    it = Played(4)
    it.says("parked", 0, 7)
    it.ends(1, milliseconds=1000 * module.TURN_SECONDS + 1)
    it.says("parked", 1, 8)
    assert it.worker.ends == []  # nobody waits
    it.crowded = True
    it.ends(2)
    it.says("parked", 2, 9)
    assert it.worker.ends == ["stopped"]
    it.live.images.spent = 0  # nothing is worth an image
    it.live.images.settle()
    it.told()
    it.says("promoted", 2, "killed", "", 10)
    assert it.told() == [] and it.worker.ends == ["stopped", "closed"]
    assert it.results == [(1, "ok"), (2, "ok")] and it.done[-1] == ("left", False)
    assert [(job.logged.seq, job.kills) for job in it.queue] == [(3, 0), (4, 0)]


@pytest.mark.parametrize("unsaved", [False, True])
@in_loop
async def test_the_one_that_is_computed_is_not_taken_back(unsaved: bool) -> None:
    it = Played(3 if unsaved else 2)
    it.live.images.unsaved = unsaved  # its log would be replayed: it leaves by messages only
    it.says("parked", 0, 7)
    it.crowded = True
    it.ends(1, milliseconds=1000 * module.TURN_SECONDS + 1)
    it.says("parked", 1, 8)
    assert it.worker.ends == []


@in_loop
async def test_what_was_taken_back_fails_for_what_it_did() -> None:
    it = Played(3)
    it.says("parked", 0, 7)
    it.crowded = True
    it.ends(1, milliseconds=1000 * module.TURN_SECONDS + 1)
    it.says("parked", 1, 8)
    it.says("promoted", 1, "time", "", 9)  # its time was up before it was ended
    assert it.results == [(1, "ok"), (2, "time")]
    assert [job.logged.seq for job in it.queue] == [3] and it.live.leaving


@in_loop
async def test_who_is_to_leave_stays_where_work_has_come() -> None:
    it = Played(0)
    it.queue.append(Job(logged(1), []))
    it.live.leave()
    assert it.worker.ends == [] and not it.live.leaving and it.done == []
    assert it.told() == run(1)  # nobody else would have it sent
    it = Played(0)
    it.crowded = True
    it.queue.append(Job(logged(1), []))
    it.live.leave()
    assert it.worker.ends == ["closed"] and it.done == [("left", False)]


# The pool ---------------------------------------------------------------------------------------


class Pool:
    """A pool whose processes have no code yet, so that none gets a worker."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.stuck: list[str] = []
        context: Any = SimpleNamespace(
            get_limits=lambda: LIMITS,
            processes=SimpleNamespace(get=lambda _number: ROW),
            flush=lambda: self.done.append("flush"),
            report_stuck=lambda _row, why: self.stuck.append(why),
        )
        loader: Any = SimpleNamespace(find_code=self._find_code)
        supervisor: Any = None
        self.computer = Computer(context, loader, supervisor)

    def _find_code(self, *_: Any) -> None:
        self.done.append("start")

    def enqueue(self, seq: int) -> Job:
        """Compute a message; its state afterwards."""
        wire: Any = [f"id {seq}", "from", "owner", "target", "", "", ""]
        self.computer.enqueue(logged(seq), wire)
        return self.computer._queues[1][-1]


@in_loop
async def test_what_is_to_be_stopped_stays_so_when_all_begins_anew() -> None:
    it = Pool()
    it.enqueue(1)
    it.enqueue(2)
    assert it.computer.cancel(1, 1) and not it.computer.cancel(1, 3)
    it.computer.drop_all()
    first, second = it.enqueue(1), it.enqueue(2)
    assert (first.cancelled, second.cancelled) == (True, False)
    assert not first.is_to_be_skipped  # it may have begun
    it.computer.stop()


@in_loop
async def test_all_is_written_before_a_process_starts_unless_it_is_held() -> None:
    it = Pool()
    it.enqueue(1)
    assert it.done == ["flush", "start"]
    it.computer.hold(1)
    it.enqueue(1)
    assert it.done == ["flush", "start", "flush"]
    it.computer.let_go(1)
    it.enqueue(2)
    assert it.done[3:] == ["flush", "start"]
    it.computer.stop()


@in_loop
async def test_a_process_that_was_given_up_is_tried_with_its_next_message() -> None:
    it = Pool()
    for _ in range(2):
        left: Any = SimpleNamespace(row=ROW)
        for death in range(MAX_DEATHS):
            assert len(it.stuck) == len(it.computer.given_up)
            it.computer._live[1] = left
            assert death == it.computer._failures.get(1, 0)
            it.computer.left(left, True)
        assert it.computer.given_up == {1: UNSTABLE}
        it.stuck.clear()
        it.enqueue(1)
        assert it.computer.given_up == {}
    it.computer.stop()


@in_loop
async def test_a_worker_that_was_put_away_says_nothing_of_the_next_one() -> None:
    it = Pool()
    before: Any = SimpleNamespace(row=ROW)
    now: Any = SimpleNamespace(row=ROW, kill=lambda _why: None, sent=[])
    it.computer._live[1] = now
    it.computer.left(before, True)
    assert it.computer.is_live(1) and it.computer._failures == {}
    it.computer.stop()


@in_loop
async def test_a_dry_run_of_a_process_without_a_worker_is_put_away_when_all_begins_anew() -> None:
    it = Pool()
    dry = it.computer.dry_run(1, [])
    it.computer.drop_all()
    with pytest.raises(PutAwayError):
        await dry
    it.computer.stop()


@in_loop
async def test_who_can_be_saved_and_was_idle_longest_makes_room() -> None:
    it, left = Pool(), list[str]()
    for number, (name, unsaved, used) in enumerate(
        [("unsaved", True, 1.0), ("new", False, 3.0), ("old", False, 2.0)]
    ):
        it.computer._live[number] = SimpleNamespace(  # type: ignore[assignment]
            idle=True,
            leaving=False,
            images=SimpleNamespace(unsaved=unsaved),
            used=used,
            leave=lambda name=name: left.append(name),
        )
    it.computer._make_room(3)
    assert left == ["old", "new", "unsaved"]
    it.computer._live.clear()
    it.computer.stop()
