"""Controls the worker of one process: gives it the state, and messages to compute.

The worker loads the newest good checkpoint, then replays the messages after it: after a start of
the node, after the worker was ended to make room, and after it died. A replayed message has no
answer. A message that had failed is not run again: the worker only gets its error.

A worker may run ahead of the log by a window of messages. A message that fails is undone as
`sandbox.worker.parking` describes, and the messages after it are sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from aoshell.nodes.local.log.form import (
    FlatResult,
    check_result,
    failed_result,
)
from aoshell.nodes.local.log.reading import START
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.local.workers.code import WorkerCode, send_process
from aoshell.nodes.local.workers.context import ComputeContext
from aoshell.nodes.local.workers.dryruns import DryRuns
from aoshell.nodes.local.workers.images import Images
from aoshell.nodes.local.workers.jobs import (
    KILLED,
    MAX_DEATHS,
    STOPPED,
    Cost,
    Dry,
    Job,
    death_text,
    judge_death,
    make_past_frame,
    memory_text,
)
from aoshell.nodes.values import Place
from aoshell.sandbox.frames import Frame, FrameError
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.supervising.worker_handle import WorkerHandle

# Messages that are sent ahead of answers. The window is small after a start or a roll-back (all are
# sent again), and for slow messages, which delay processes that wait for room. Each quick answer
# widens it by one.
WINDOW, WIDEST = 64, 512
QUICK = 1.0  # milliseconds that a quick answer takes at most
# What a process computes before it makes room for others: messages, and seconds.
TURN, TURN_SECONDS = 512, 3.0
BACKLOG = 4 << 20  # bytes waiting to be sent to a worker before replay pauses
PAUSE = 0.002  # seconds of such a pause
MAX_PROMOTIONS = 64  # roll-backs without an answer in between; each needs a resend
IDLE_SECONDS = 1.0  # after the last message, before an idle process gets a checkpoint
# Seconds of computing that justify a checkpoint: when a process makes room, and may be back soon;
# when it is idle; when the node closes, for which somebody waits.
WORTH_WHEN_LEAVING, WORTH_WHEN_IDLE, WORTH_WHEN_CLOSING = 0.002, 0.05, 0.1
MAX_REASON = 1000  # characters of a worker's reason that are shown
WAY_OUT = "raise .limits seconds or .limits memory, or .delete the process"


class PoolCalls(NamedTuple):
    """The functions of the pool that a live process calls."""

    answered: Callable[[int], None]  # its worker has finished a message
    is_crowded: Callable[[], bool]  # do other processes wait for room?
    idled: Callable[[], None]  # it has nothing to do, and may make room
    left: Callable[[Live, bool], None]  # its worker is gone; True: it died
    abandoned: Callable[[Live, str], None]  # it gave up its worker; a new one would fail, too
    failed: Callable[[ProcessRow, str], None]  # the node itself has a bug


class Live:
    """One process with a worker.

    Attributes:
        leaving: whether its worker ends once its checkpoint is made.
        used: when it last had work, monotonic seconds.
        images: images of its state.
        began: whether its worker has the state and has computed with it.
    """

    def __init__(
        self,
        context: ComputeContext,
        pool: PoolCalls,
        supervisor: Supervisor,
        row: ProcessRow,
        code: WorkerCode,
        queue: deque[Job],
        dries: deque[Dry],
    ) -> None:
        self._context = context
        self._pool = pool
        self.row = row
        self._queue = queue  # not sent yet
        self._sent: deque[Job] = deque()  # sent, not answered
        # What was computed since the last parked fork, to send it again: seq, command, values.
        self._tail: deque[tuple[int, str, list[Any]]] = deque()
        self._dries = DryRuns(dries, self._send_dry)
        self._epoch = 0
        self._window = WINDOW
        self._promotions = 0  # since the last answer
        self._parked = False  # whether a parked fork can take over from the computing one
        self._behind = False  # whether a fork that took over still lacks messages
        self._turn = 0  # messages sent since its worker began
        self._computed = 0.0  # seconds that they took
        self._recalls = False  # whether the computing fork is ended to get sent messages back
        self._since = time.monotonic()  # when the oldest sent message may have begun
        self._last: Logged | None = None  # the last message that the state holds
        self._restored = False  # whether it got a checkpoint
        self._over = False  # whether its worker is gone: queued messages are for the next one
        self.leaving = False
        self.images = Images(context, row, self._request_image, self._image_settled)
        self.began = False
        self.used = time.monotonic()
        self._worker: WorkerHandle = supervisor.worker(
            asyncio.get_running_loop(), self._frame, self._image, self._gone, code.device
        )
        self._worker.on_read = self._read
        self._answered = False  # whether the frames of the present read had answers
        self._replay: Iterator[Frame] | None = None
        self._boot(code)

    @property
    def idle(self) -> bool:
        return not (self._queue or self._sent or self._dries or self._replay)

    @property
    def sent(self) -> list[Job]:
        """The messages that were sent to its worker, and not answered."""
        return list(self._sent)

    # Becoming live ----------------------------------------------------------------------------

    def _boot(self, code: WorkerCode) -> None:
        context, row = self._context, self.row
        limits = context.get_limits()
        # A WASM guest can observe its memory limit, so that never changes; Lua cannot.
        self._memory = row.memory if code.device == "wasm" else limits.memory
        definition = context.modules.definition(row)
        send_process(self._worker, code, self._memory, limits.seconds, definition)
        found = self.images.read_newest()
        if found is not None:
            checkpoint, self._last = found
            self._restored = True
            header = ["image", 0, checkpoint.seq, len(checkpoint.image)]
            self._worker.send(header, checkpoint.image)
        self._replay = self._past(Place(self._last.slot, self._last.tick) if self._last else START)
        self._feed()

    def _past(self, after: Place) -> Iterator[Frame]:
        """Frames that replay the log after a place, up to the first message without a result."""
        first_pending = self._queue[0].logged.seq if self._queue else 1 << 62
        number, store = self.row.number, self._context.store
        for logged, computed in store.entries(number, after, first_pending - 1):
            if computed is None:
                return
            self._last = logged
            self.images.spent += computed.milliseconds / 1000
            yield make_past_frame(logged, computed)

    def _feed(self) -> None:
        """Send the replay, a part at a time, then the new messages."""
        while self._replay is not None and not self._over:
            if self._worker.backlog > BACKLOG:
                asyncio.get_running_loop().call_later(PAUSE, self._feed)
                return
            frame = next(self._replay, None)
            if frame is None:
                self._replay = None
            else:
                self._worker.send(frame)
        self.pump()

    # Sending ----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send new messages, up to the window, and dry runs after the last one."""
        if not self._may_send:
            return
        seconds = self._context.get_limits().seconds
        while self._queue and len(self._sent) < self._window and self._worker.backlog < BACKLOG:
            if self._is_turn_over:
                break
            if self._queue[0].is_to_be_skipped:
                if not self._sent:  # not from here: a result may bring more messages to the caller
                    asyncio.get_running_loop().call_soon(self._take, self._end_unbegun)
                break
            if not self._sent:
                self._since = time.monotonic()
            self._turn += 1
            job = self._queue.popleft()
            self._sent.append(job)
            self._send_job(job, seconds)
        if not self._queue and not self._sent:
            self._dries.send_all()

    @property
    def _may_send(self) -> bool:
        """Whether the worker holds the state after all that is done."""
        return not self._over and self._replay is None and not self._behind

    @property
    def _is_turn_over(self) -> bool:
        """Whether it is the turn of others that wait for room."""
        return (self._turn >= TURN or self._was_turn_long) and self._pool.is_crowded()

    @property
    def _was_turn_long(self) -> bool:
        # What no image can hold has to be replayed: it goes by messages only.
        return self._computed > TURN_SECONDS and not self.images.unsaved

    def _recall(self) -> None:
        """Take back what a worker was sent and is slow to begin, where others wait for room."""
        if self._was_turn_long and len(self._sent) > 1 and self._pool.is_crowded():
            self._recalls = True
            self._worker.stop_computing()

    def _end_unbegun(self) -> None:
        """Finish messages that are to be stopped and were not sent: they never run."""
        while self._may_send and not self._sent and self._queue:
            if not self._queue[0].is_to_be_skipped:
                break
            job = self._queue.popleft()
            self._worker.send(["failed", self._epoch, job.logged.seq, STOPPED])
            self._sent.append(job)
            self._finish("time", Cost(0, 0, 0), failed_result(STOPPED))
        if self._may_send:
            self._proceed()

    def _send_job(self, job: Job, seconds: float) -> None:
        job.maybe_begun = True
        self._worker.send(["run", self._epoch, job.logged.seq, seconds, *job.message])

    def _send_dry(self, token: int, dry: Dry) -> None:
        seconds = self._context.get_limits().seconds
        self._worker.send(["dry", self._epoch, token, seconds, *dry.message])

    # Answers of the worker ----------------------------------------------------------------------

    def _frame(self, frame: Frame) -> None:
        name, *values = frame
        self._take(getattr(self, f"_on_{name}"), *values)

    def _read(self) -> None:
        if self._answered:
            self._answered = False
            self._take(self._proceed)
            self._take(self._context.dispatch)

    def _take(self, call: Callable[..., None], *values: Any) -> None:
        try:
            call(*values)
        except FrameError:
            self._worker.give_up()
        except Exception as error:  # waits end with the error, and the message is kept
            defect = f"a defect of the node itself: {type(error).__name__}: {error}"
            self._pool.failed(self.row, defect)

    def _on_ready(self, _pid: int) -> None:
        """The supervisor has noted the pid."""

    _on_forked = _on_ready

    def _on_parked(self, seq: int, _pid: int) -> None:
        self.began = self._parked = True
        while self._tail and self._tail[0][0] <= seq:
            self._tail.popleft()
        self._stop_cancelled()
        self._recall()

    def _on_done(
        self,
        epoch: int,
        seq: int,
        outcome: str,
        milliseconds: float,
        memory: int,
        gas: int,
        *values: Any,
    ) -> None:
        if epoch != self._epoch or not self._sent or self._sent[0].logged.seq != seq:
            raise FrameError(f"an answer to {seq} out of turn")
        result = FlatResult.of(values)
        if outcome == "memory":
            result = result._replace(error=memory_text(self._memory))
        if outcome not in ("ok", "error", "gas", "memory"):
            raise FrameError(f"no message ends with {outcome}")
        check_result(outcome != "ok", result)
        self._promotions = 0
        is_quick = milliseconds <= QUICK
        self._window = min(WIDEST, self._window + 1) if is_quick else max(WINDOW, self._window // 2)
        self._pool.answered(self.row.number)
        self._finish(outcome, Cost(milliseconds, memory, gas), result)
        self._answered = True

    def _finish(self, outcome: str, cost: Cost, result: FlatResult) -> None:
        job = self._sent.popleft()
        again = ("replay", job.message) if outcome == "ok" else ("failed", [result.error])
        self._tail.append((job.logged.seq, *again))
        self.used = self._since = time.monotonic()
        self._last = job.logged
        self.images.spent += cost.milliseconds / 1000
        self._computed += cost.milliseconds / 1000
        self._context.add_result(job.logged, outcome, cost, result)
        self._stop_cancelled()

    def _proceed(self) -> None:
        """Go on after answers: make a checkpoint, send more messages, or make room for others."""
        if self.images.is_due:
            self.images.ask()
        self.pump()
        is_over = not self._sent and self._is_turn_over
        if self.leaving or not (self.idle or is_over):
            return
        if self._queue:  # its turn is over, others wait
            self.leave()
        else:
            self._pool.idled()

    def _on_dried(
        self,
        token: int,
        outcome: str,
        milliseconds: float,
        memory: int,
        gas: int,
        *values: Any,
    ) -> None:
        result = FlatResult.of(values)
        # A stopped message has no error text yet: the node adds it.
        known = result._replace(error="") if result.error is None else result
        check_result(outcome != "ok", known)
        if outcome == "memory":
            result = result._replace(error=memory_text(self._memory))
        self._promotions = 0
        self.began = True
        self._pool.answered(self.row.number)
        self._context.flush()  # the answer may depend on results that are not written yet
        self._dries.answer(token, outcome, Cost(milliseconds, memory, gas), result)
        self.used = time.monotonic()
        self._proceed()

    def _on_tried(self, *_values: Any) -> None:
        raise FrameError("a live process has no trials")

    _on_over = _on_tried

    def _on_promoted(self, seq: int, why: str, printed: str, _pid: int) -> None:
        self._epoch += 1
        self._promotions += 1
        self._window = WINDOW
        self._parked = False
        if self._promotions > MAX_PROMOTIONS:
            raise FrameError("nothing dies that often")
        # `add_result` below may enqueue more, which must come after what the new fork lacks.
        self._behind = True
        recalled, self._recalls = self._recalls, False
        begun = self._sent[0] if why != "rollback" and self._sent else None
        if begun and not (recalled and why == "killed"):
            self._blame(begun, why, printed)
            if self._sent and self._sent[0].kills >= MAX_DEATHS:
                self._behind = False
                self._hold(KILLED)
                return
        for done, command, rest in self._tail:
            if done > seq:
                self._worker.send([command, self._epoch, done, *rest])
        self._behind = False
        # The others have not begun. More than a window of them would cost too much at the next
        # failure, and those that are to be stopped need not begin.
        for job in self._sent:
            job.maybe_begun = job is begun
        most = 0 if recalled else WINDOW
        while len(self._sent) > most or any(job.is_to_be_skipped for job in self._sent):
            self._queue.appendleft(self._sent.pop())
            self._turn -= 1
        seconds = self._context.get_limits().seconds
        for job in self._sent:
            self._send_job(job, seconds)
        self._dries.send_again()
        self.images.ask_again()
        self._proceed()

    def _blame(self, job: Job, why: str, printed: str) -> None:
        """A fork died during a message: finish the message if that decides its outcome."""
        limits = self._context.get_limits()
        outcome, error = judge_death(job, why, limits, self._memory)
        if outcome:
            seconds = time.monotonic() - self._since if job.cancelled else limits.seconds
            self._finish(outcome, Cost(1000 * seconds, 0, 0), failed_result(error, printed))

    def _on_broken(self, text: str) -> None:
        row = self.row
        self._context.checkpoints.remove(row.id)
        self._context.events.notice_about(row, f"{text[:MAX_REASON]}; its log is replayed")

    def _on_unable(self, text: str) -> None:
        if self._restored:  # without the checkpoint it may work
            self._on_broken(text)
        else:
            self._hold(f"{text[:MAX_REASON]}; {WAY_OUT}")

    def _hold(self, why: str) -> None:
        """Give up the worker; the messages are kept without an outcome."""
        self._over = True
        self._worker.kill()
        self._worker.close()
        self._take_back()
        self._pool.abandoned(self, why)

    def _take_back(self) -> None:
        """Put sent messages that will get no answer back into the queue, in order."""
        for job in self._sent:
            job.kills = 0
        self._queue.extendleft(reversed(self._sent))
        self._sent.clear()
        self._dries.take_back()
        self.leaving = False
        self.images.settle()

    def _gone(self) -> None:
        """The worker has ended with all its forks."""
        self._over = True
        # A forged answer counts against the message. A death from outside does not; only the pool
        # counts it.
        if self._sent and self.began and self._worker.unbelieved:
            job = self._sent[0]
            job.deaths += 1
            if job.deaths >= MAX_DEATHS:
                self._sent.popleft()
                result = failed_result(death_text(job, "it answered what no worker does"))
                self._context.add_result(job.logged, "crash", Cost(0, 0, 0), result)
                self._pool.answered(self.row.number)
        self._take_back()
        self._pool.left(self, True)

    # Checkpoints and leaving --------------------------------------------------------------------

    def _request_image(self) -> Logged | None:
        # After everything that was sent: the worker forks when it gets there.
        last = self._sent[-1].logged if self._sent else self._last
        if last is not None:
            self._worker.send(["checkpoint", self._epoch, last.seq])
        return last

    def _image(self, seq: int, image: bytes, _reason: str) -> None:
        if not self.images.store(seq, image):
            self._worker.give_up()  # no image was requested, so this is forged

    def _image_settled(self) -> None:
        if self.leaving:
            self._depart()

    def last_checkpoint(self) -> asyncio.Future[None] | None:
        """Request a checkpoint before the node closes, if replaying would take long."""
        worth = self.images.spent > WORTH_WHEN_CLOSING
        return self.images.ask() if worth and not self._sent else None

    def leave(self) -> None:
        """Make room: make a checkpoint if that saves work, then end the worker."""
        self.leaving = True
        if self.images.spent > WORTH_WHEN_LEAVING and not self.images.unsaved:
            self.images.ask()
        else:
            self._depart()

    def _depart(self) -> None:
        self.leaving = False
        if self._sent or self._dries.are_sent or (self._queue and not self._pool.is_crowded()):
            self.pump()  # work came in the meantime
            return
        self._over = True
        self._worker.close()
        self._pool.left(self, False)

    def cancel(self, seq: int) -> bool:
        """Stop a message that was sent. False if it was not sent, or is computed."""
        found = [job for job in self._sent if job.logged.seq == seq]
        for job in found:
            job.cancelled = True
        self._stop_cancelled()
        return bool(found)

    def _stop_cancelled(self) -> None:
        """End the fork that computes a cancelled message, once another can take over."""
        is_wanted = bool(self._sent and self._sent[0].cancelled) or self._dries.is_one_cancelled
        if self._parked and is_wanted:
            self._worker.stop_computing()

    def dry_cancelled(self) -> None:
        """Stop cancelled dry runs."""
        self._dries.drop_cancelled()
        self._stop_cancelled()

    def watch(self, now: float) -> None:
        """Called once a second: request a checkpoint when idle, end a worker that hangs."""
        waits = self._sent or self._dries.are_sent or self._replay or self._worker.backlog
        if waits and self._worker.hangs():
            text = "its worker neither answers nor computes: a new one is started"
            self._context.events.notice_about(self.row, text)
            self._worker.drop()
            return
        if self.idle and now - self.used > IDLE_SECONDS and self.images.spent > WORTH_WHEN_IDLE:
            self.images.ask()
        self.images.give_up_late(now)

    def kill(self, why: str = "") -> None:
        """End at once, with all forks.

        Args:
            why: the error of its dry runs; without it, they are asked again.
        """
        self._over = True
        self._dries.end(why)
        self.images.settle()
        self._worker.kill()
        self._worker.close()
