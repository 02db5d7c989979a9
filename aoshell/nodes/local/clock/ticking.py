"""The node's clock, which can be set forward, and the cron messages that are due.

After downtime, or a forward jump of the clock, a schedule sends one message for all missed times,
and a notice gives their number. After a jump back, a schedule goes on from the present time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aoshell.errors import AoError, UsageError
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.form import Wire
from aoshell.nodes.local.log.rows import Batch, Logged, ProcessRow
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes import cron
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.local.waiting.events import Events

LOOK = 10.0  # seconds at most between two looks at the clock, as timers do not notice its jumps
SLACK = 1000  # milliseconds that the clock may go back without a notice: NTP may adjust it
FARTHEST = 10 * 365 * 86_400_000  # milliseconds that the clock may be ahead: ten years
AHEAD = "clock_ahead"  # in the table of facts, milliseconds


def read_wall_clock() -> int:
    """The machine's clock, milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


class NodeClock:
    """The node's time, milliseconds since the Unix epoch.

    Args:
        begin: a fixed time until it is set forward; None to follow the machine's clock.

    Attributes:
        ahead: milliseconds by which it was set forward.
    """

    def __init__(self, store: Store, begin: int | None = None) -> None:
        self._store = store
        self.ahead = int(store.meta(AHEAD) or 0)
        # The log may have later messages, and its time never goes back.
        self._begin = None if begin is None else max(begin, store.newest() - self.ahead)

    def __call__(self) -> int:
        return (read_wall_clock() if self._begin is None else self._begin) + self.ahead

    def warp(self, milliseconds: int) -> None:
        """Set the clock forward. Raises UsageError for a negative time, and beyond `FARTHEST`."""
        if milliseconds < 0:
            raise UsageError("time only goes forward", hint=".warp 1h")
        if self.ahead + milliseconds > FARTHEST:
            raise UsageError(
                "the clock would be more than ten years ahead, and it does not go back",
                hint="AOSHELL_HOME=/tmp/other aoshell has a clock of its own",
            )
        self.ahead += milliseconds
        self._store.set_meta(AHEAD, self.ahead)


class Ticking:
    """Sends cron messages when they are due.

    Args:
        admit: writes messages, with fsync, and has them computed. Raises AoError.
        is_cut: whether nothing may be scheduled on a process now.
        count_failure: takes an error of the database; returns seconds until the next try, None for
            no more tries.
    """

    def __init__(
        self,
        clock: NodeClock,
        store: Store,
        scheduler: Scheduler,
        processes: ProcessRows,
        events: Events,
        admit: Callable[[Batch, list[tuple[Logged, Wire]]], None],
        is_cut: Callable[[ProcessRow], bool],
        count_failure: Callable[[AoError], float | None],
    ) -> None:
        self._clock = clock
        self._store = store
        self._scheduler = scheduler
        self._processes = processes
        self._events = events
        self._admit = admit
        self._is_cut = is_cut
        self._count_failure = count_failure
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Send what is due, and set a timer for the next; call it when schedules have changed."""
        self.stop()
        try:
            due = [self._send(row) for row in self._store.processes_with_cron()]
            wait = min((min(due) - self._clock()) / 1000, LOOK) if due else None
        except AoError as error:
            wait = self._count_failure(error)
        if wait is not None:
            self._timer = self._loop.call_later(max(0.001, wait), self.begin)

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tick(self, row: ProcessRow) -> int:
        """Send one message of each schedule of a process now, due or not. Returns how many.

        Raises:
            UsageError: the process has no schedule.
        """
        schedules = cron.load_schedules(row.cron)
        if not schedules:
            raise UsageError(
                f"{row.name or row.id} has no cron",
                hint="aoshell NAME --cron 5-minutes makes a process with cron; in a test, the tag"
                " Cron-Interval does",
            )
        self._schedule(row, Batch(), [item.tags for item in schedules])
        return len(schedules)

    def _send(self, row: ProcessRow) -> int:
        """Send what is due to a process. Returns when the next is due, ms since the epoch."""
        now, items = self._clock(), cron.load_schedules(row.cron)
        if self._is_cut(row):  # `begin` is called after the cut
            return now + int(LOOK * 1000)
        moved = [
            cron.advance_schedule(cron.pull_within_reach(item, now, SLACK), now) for item in items
        ]
        schedules = [item for item, _missed in moved]
        back = max(old.due - new.due for old, new in zip(items, schedules, strict=True))
        if back > 0:
            text = f"the clock went back by {back // 1000} s or more; its cron goes on from now"
            self._events.notice_about(row, text)
        for missed in [missed for _item, missed in moved if missed > 1]:
            self._events.notice_about(
                row, f"cron was due {missed} times; it gets one message for all"
            )
        ready = [item.tags for item, missed in moved if missed]
        if ready or back > 0:
            batch = Batch(cron=[(cron.dump_schedules(schedules), row.number)])
            self._schedule(row, batch, ready)
            self._processes.keep(row._replace(cron=batch.cron[0][0]))
        return min(item.due for item in schedules)

    def _schedule(self, row: ProcessRow, batch: Batch, messages: list[tuple[str, ...]]) -> None:
        ready: list[tuple[Logged, Wire]] = []
        for tags in messages:
            body = ["", row.owner, row.owner, row.id, "", "", "", *tags]
            logged = self._scheduler.assign(row.number, "", form.dump_wire(body), tick=True)
            ready.append((logged, body))
        batch.log += [logged for logged, _body in ready]
        self._admit(batch, ready)
