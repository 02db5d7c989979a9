"""The pool of workers: decides which processes have one, and which makes room for another.

A process is *live* while a worker holds its state (`live.Live`). More processes may exist than can
be live (`room.Room`): if another process has work, the longest idle one loses its worker.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from functools import partial
from heapq import nsmallest
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.log.form import FlatResult, Wire
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.local.workers.context import ComputeContext
from aoshell.nodes.local.workers.jobs import MAX_DEATHS, Cost, Dry, Job, make_message_frame
from aoshell.nodes.local.workers.live import Live, PoolCalls
from aoshell.nodes.local.workers.loader import Loader
from aoshell.nodes.local.workers.room import Room
from aoshell.sandbox.supervising.supervisor import Supervisor

CLOSED = "the node is closed"
# What ends workers before they answer is not known here; these are what a user can look at.
UNSTABLE = (
    "no worker for this process stays up; if too few processes or too little memory are left, raise"
    " `ulimit -u` or end other programs"
)


class Computer:
    """Computes messages, for each process in order. Runs on the event loop."""

    def __init__(
        self,
        context: ComputeContext,
        loader: Loader,
        supervisor: Supervisor,
    ) -> None:
        self._context = context
        self._loader = loader
        self.loop = asyncio.get_running_loop()
        self._supervisor = supervisor
        self._room = Room(lambda: context.get_limits().workers)
        self._calls = PoolCalls(
            self.answered, self.crowded, self.idled, self.left, self.abandoned, self.fail
        )
        self._live: dict[int, Live] = {}
        self._queues: dict[int, deque[Job]] = {}
        self._dries: dict[int, deque[Dry]] = {}
        self._waiting: deque[int] = deque()  # processes with work and no room
        self._failures: dict[int, int] = {}  # workers that died since a process's last answer
        self._held: set[int] = set()  # processes for which nothing is computed
        # Cancelled messages that were dropped before they were stopped: seq and id.
        self._cancelled: set[tuple[int, str]] = set()
        self._stopped = False
        self.given_up: dict[int, str] = {}  # why a process could not be computed the last time
        self._tick: asyncio.TimerHandle | None = self.loop.call_later(1, self._watch)

    # Work in --------------------------------------------------------------------------------

    def enqueue(self, logged: Logged, wire: Wire) -> None:
        """Compute a message; its result goes to `ComputeContext.add_result`."""
        if self._stopped:
            return
        job, key = Job(logged, make_message_frame(logged, wire)), (logged.seq, logged.id)
        job.cancelled = job.maybe_begun = key in self._cancelled
        self._cancelled.discard(key)
        self._queues.setdefault(logged.process, deque()).append(job)
        self._pump(logged.process)

    def dry_run(
        self, process: int, message: list[Any]
    ) -> asyncio.Future[tuple[str, Cost, FlatResult]]:
        """Evaluate a message after all scheduled ones: outcome, cost, result. Raises AoError."""
        if self._stopped:
            raise AoError(CLOSED, stage="node")
        answer: asyncio.Future[tuple[str, Cost, FlatResult]] = self.loop.create_future()
        answer.add_done_callback(partial(self._dry_done, process))
        self._dries.setdefault(process, deque()).append(Dry(message, answer))
        self._pump(process)
        return answer

    def cancel(self, process: int, seq: int) -> bool:
        """Stop a message as if its time were up, at once or when its turn comes.

        False if it is computed already.
        """
        live = self._live.get(process)
        if live is not None and live.cancel(seq):
            return True
        found = [job for job in self._queues.get(process, ()) if job.logged.seq == seq]
        for job in found:
            job.cancelled = True
        return bool(found)

    def _dry_done(self, process: int, answer: asyncio.Future[Any]) -> None:
        live = self._live.get(process)
        if answer.cancelled() and live is not None:
            live.dry_cancelled()

    def is_live(self, process: int) -> bool:
        return process in self._live

    def drop(self, process: int, why: str = "") -> None:
        """Drop a process's worker and work, but remember which messages are cancelled.

        Args:
            why: the error of its dry runs; without it, they are asked again.
        """
        jobs = list(self._queues.pop(process, ()))
        live = self._live.pop(process, None)
        if live:
            jobs += live.sent
            live.kill(why)
        self._cancelled |= {(job.logged.seq, job.logged.id) for job in jobs if job.cancelled}

    def hold(self, process: int) -> None:
        """Drop a process's worker and work, and compute nothing for it until `let_go`."""
        self._held.add(process)
        self.given_up.pop(process, None)  # the reason may be a message that is cut now
        self.drop(process)

    def let_go(self, process: int) -> None:
        """Compute messages for the process again."""
        self._held.discard(process)

    def drop_all(self) -> None:
        """Drop all workers and all work, as states may be ahead of the log."""
        why = CLOSED if self._stopped else ""
        for process in [*self._live, *self._queues]:
            self.drop(process, why)
        for dries in self._dries.values():
            for dry in dries:
                dry.end(why)
        self._dries.clear()
        self._waiting.clear()

    async def close(self, seconds: float = 3.0) -> None:
        """Take no more work, make useful checkpoints, then end the workers.

        Args:
            seconds: the longest wait for the checkpoints.
        """
        self._stopped = True
        self._waiting.clear()
        for queue in self._queues.values():
            queue.clear()
        images = [live.last_checkpoint() for live in self._live.values()]
        wanted = [image for image in images if image is not None]
        if wanted:
            await asyncio.wait(wanted, timeout=seconds)
        self.stop()

    def stop(self) -> None:
        """Take no more work, and end the workers at once, without taking more answers."""
        self._stopped = True
        if self._tick:
            self._tick.cancel()
            self._tick = None
        self.drop_all()

    # Room -----------------------------------------------------------------------------------

    def _pump(self, process: int) -> None:
        live = self._live.get(process)
        if live is not None:
            live.pump()
            return
        if process not in self._waiting:
            self._waiting.append(process)
        self._fill()

    def _fill(self) -> None:
        """Start processes that wait. If there is no room, the longest idle one must leave."""
        if self._stopped:
            return
        while self._waiting and self._room.is_there(len(self._live)):
            self._start(self._waiting.popleft())
        if self._waiting:
            leaving = sum(live.leaving for live in self._live.values())
            if leaving < len(self._waiting):
                self._make_room(1)

    def _make_room(self, workers: int) -> None:
        """Have the longest idle processes leave.

        Those with a suspended handling go last: they can have no checkpoint, only a replay.
        """
        idle = [live for live in self._live.values() if live.idle and not live.leaving]
        for live in nsmallest(workers, idle, key=lambda live: (live.images.unsaved, live.used)):
            live.leave()

    def _start(self, process: int) -> None:
        # The replay reads the log, which lacks results that are not written yet.
        self._context.flush()
        if process in self._live or process in self._held:
            return  # a due cron message has started it, or it is held
        self.given_up.pop(process, None)
        row = self._context.processes.get(process)
        queue = self._queues.setdefault(process, deque())
        dries = self._dries.setdefault(process, deque())
        try:
            code = self._loader.find_code(row, self.resume, self.give_up)
            if code is not None:  # otherwise it is being made, and `resume` will be called
                self._live[process] = Live(
                    self._context, self._calls, self._supervisor, row, code, queue, dries
                )
        except AoError as error:
            self.give_up(row, error.what)

    def resume(self, process: int) -> None:
        """Go on with a process whose code is made now."""
        if self._queues.get(process) or self._dries.get(process):
            self._pump(process)

    def crowded(self) -> bool:
        """Whether other processes wait for room."""
        return bool(self._waiting)

    def left(self, live: Live, died: bool) -> None:
        """A worker is gone. A waiting process takes its place, perhaps the same one."""
        process = live.row.number
        if self._live.get(process) is not live:
            return
        del self._live[process]
        if died and self._failed_again(process):
            self.give_up(live.row, UNSTABLE)
        elif self._queues.get(process) or self._dries.get(process):
            self._waiting.append(process)
        else:  # thousands of processes may exist: keep nothing for one without a worker
            self._queues.pop(process, None)
            self._dries.pop(process, None)
        self._fill()

    def _failed_again(self, process: int) -> bool:
        """Count workers that die without an answer. True if there were too many in a row."""
        self._failures[process] = self._failures.get(process, 0) + 1
        return self._failures[process] >= MAX_DEATHS

    def answered(self, process: int) -> None:
        """Reset the count of deaths: a worker has finished a message."""
        self._failures.pop(process, None)

    def abandoned(self, live: Live, why: str) -> None:
        """Give up a process that gave up its worker, as a new worker would fail, too."""
        if self._live.get(live.row.number) is live:
            del self._live[live.row.number]
        self.give_up(live.row, why)
        self._fill()

    def fail(self, row: ProcessRow, why: str) -> None:
        """The node has a bug: drop the process's worker and work, and give it up."""
        self.drop(row.number, why)
        self.give_up(row, why)

    def give_up(self, row: ProcessRow, why: str) -> None:
        """Report a process that cannot be computed. Its next message is another try."""
        self._failures.pop(row.number, None)
        self.given_up[row.number] = why
        for dry in self._dries.pop(row.number, ()):
            dry.fail(why)
        self._context.report_stuck(row, why)

    def idled(self) -> None:
        """A process has nothing to do: let another one have its room."""
        if self._waiting:
            self._fill()

    def _watch(self) -> None:
        now = time.monotonic()
        for live in list(self._live.values()):
            live.watch(now)
        excess = self._room.excess(len(self._live))
        if excess:
            self._make_room(excess)
        if self._tick:
            self._tick = self.loop.call_later(1, self._watch)
