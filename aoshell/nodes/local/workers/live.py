"""One process with a worker: how it comes to hold the state, and what it is to do.

It becomes live by its checkpoint, if there is a good one, and by the messages behind it, in the
same way whether the node has just started, the worker was put away to make room, or it died.
Messages with a result are replayed and not answered; one that had failed is not run again, only its
error is told.

A worker runs ahead of the log by a window of messages; what fails is undone as `sandbox.worker`
describes and what came behind it is sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Protocol

from aoshell.nodes.local.log.checkpoint import Checkpoint, Checkpoints
from aoshell.nodes.local.log.form import (
    FlatResult,
    check_result,
    failed_result,
    load,
    load_result,
)
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.local.log.sealed import DamagedFileError
from aoshell.nodes.local.log.store import START, Place, Store
from aoshell.nodes.local.workers.code import WorkerCode, send_process
from aoshell.nodes.local.workers.jobs import (
    KILLED,
    MAX_DEATHS,
    Cost,
    Dry,
    Job,
    died,
    judged,
    message_frame,
    out_of_memory,
)
from aoshell.nodes.values import Limits
from aoshell.sandbox.frames import Frame, FrameError
from aoshell.sandbox.supervisor import Supervisor, WorkerHandle

WINDOW = 64  # messages a worker may be sent ahead of its answers
TURN = 512  # messages a process computes before it makes room for others that wait
BACKLOG = 4 << 20  # bytes waiting to be sent to a worker before replay pauses
MAX_PROMOTIONS = 64  # roll-backs of a worker without an answer between them
IMAGE_SECONDS = 60.0  # an image that takes longer is given up
IDLE_SECONDS = 1.0  # behind the last message, before an idle process is checkpointed
CHECKPOINT_EVERY = 0.5  # seconds of computing behind a checkpoint before the next one
MAX_TOLD = 1000  # characters of what a worker says that are shown
WAY_OUT = "raise .limits seconds or .limits memory, or .delete the process"
CHECKPOINT_SHARE = 20  # and at most one part in this many of the computing time


class LivePort(Protocol):
    """What computing needs of the node."""

    limits: Limits

    def definition(self, process: ProcessRow) -> list[Any]: ...
    def row(self, number: int) -> ProcessRow: ...
    def flush(self) -> None: ...
    def stuck(self, process: ProcessRow, text: str) -> None: ...
    def computed(self, logged: Logged, outcome: str, cost: Cost, result: FlatResult) -> None: ...
    def notice(self, process: ProcessRow, text: str) -> None: ...


class LiveComputePort(Protocol):
    """What a live process needs of who made it live."""

    node: LivePort
    store: Store
    checkpoints: Checkpoints
    loop: asyncio.AbstractEventLoop

    def answered(self, process: int) -> None: ...
    def drop(self, process: int) -> None: ...
    def give_up(self, row: ProcessRow, why: str) -> None: ...
    def crowded(self) -> bool: ...
    def idled(self) -> None: ...
    def left(self, live: Live, *, died: bool = False) -> None: ...
    def abandoned(self, live: Live, why: str) -> None: ...


class Live:
    """One process with a worker.

    Attributes:
        leaving: it is being put away.
        used: when it last had work, monotonic seconds.
        unsaved: it has a state that no checkpoint can hold.
        began: its worker holds the state and has computed something with it.
    """

    def __init__(
        self,
        computer: LiveComputePort,
        supervisor: Supervisor,
        row: ProcessRow,
        code: WorkerCode,
        queue: deque[Job],
        dries: deque[Dry],
    ) -> None:
        self._computer = computer
        self.row = row
        self._queue = queue  # not sent yet
        self._sent: deque[Job] = deque()  # sent, not answered
        # What was computed since the parked fork: seq, and how to do it again.
        self._tail: deque[tuple[int, str, list[Any]]] = deque()
        self._dries = dries
        self._dries_sent: dict[int, Dry] = {}
        self._epoch = 0
        self._promotions = 0  # since the last answer
        self._parked = False  # a fork waits that takes over where the computing one is killed
        self._behind = False  # the fork that took over has not been sent again what it lacks
        self._turn = 0
        self._since = time.monotonic()  # when the oldest sent message may have begun
        self._spent = 0.0  # seconds computed behind the last checkpoint
        self._checkpoint_cost = 0.0
        self._checkpointing: asyncio.Future[None] | None = None
        self._asked = 0.0
        self._last: Logged | None = None  # the last message that the state holds
        self._imaging: dict[int, Logged] = {}  # behind which messages images were asked for
        self._restored = False  # it was given a checkpoint
        self.leaving = False
        self.unsaved = False
        self.began = False
        self.used = time.monotonic()
        self._worker: WorkerHandle = supervisor.worker(
            computer.loop, self._frame, self._image, self._gone, code.device
        )
        self._replay: Iterator[Frame] | None = None
        self._boot(code)

    @property
    def idle(self) -> bool:
        return not (self._queue or self._sent or self._dries or self._dries_sent or self._replay)

    @property
    def sent(self) -> list[Job]:
        """What its worker was sent and has not answered."""
        return list(self._sent)

    # Becoming live ----------------------------------------------------------------------------

    def _boot(self, code: WorkerCode) -> None:
        node, row = self._computer.node, self.row
        # A WASM guest can tell how far its memory grows, so that never changes; a Lua guest cannot.
        self._memory = row.memory if code.device == "wasm" else node.limits.memory
        send_process(self._worker, code, self._memory, node.limits.seconds, node.definition(row))
        self._from_checkpoint()
        self._replay = self._past((self._last.slot, self._last.tick) if self._last else START)
        self._feed()

    def _from_checkpoint(self) -> None:
        """Begin with the newest checkpoint that is good, if there is one."""
        checkpoints, row = self._computer.checkpoints, self.row
        again = True
        while again:
            try:
                self._load(checkpoints.read(row.id, row.environment))
                return
            except DamagedFileError as error:
                said = f"its checkpoint was discarded ({error}); its log is replayed"
                self._computer.node.notice(row, said)
                again = checkpoints.discard(row.id)

    def _load(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is None:
            return
        last = self._computer.store.computed_at(checkpoint.seq)
        if last is None or last.process != self.row.number or _mark(last) != checkpoint.mark:
            # A power cut took the end of the log, and the checkpoint is of that end.
            raise DamagedFileError("it is ahead of the log")
        self._last = last
        self._restored = True
        header = ["image", 0, checkpoint.seq, len(checkpoint.image)]
        self._worker.send(header, checkpoint.image)

    def _past(self, after: Place) -> Iterator[Frame]:
        """What was computed before, as frames."""
        first_pending = self._queue[0].logged.seq if self._queue else 1 << 62
        for logged, computed in self._computer.store.entries(
            self.row.number, after, first_pending - 1
        ):
            if computed is None:
                return
            self._last = logged
            self._spent += computed.milliseconds / 1000
            if computed.outcome == "ok":
                message = message_frame(logged, load(logged.body))
                yield ["replay", 0, logged.seq, *message]
            else:
                yield ["failed", 0, logged.seq, load_result(computed.body).error]

    def _feed(self) -> None:
        """Send the past, a part at a time, then begin with what is new."""
        while self._replay is not None:
            if self._worker.backlog > BACKLOG:
                self._computer.loop.call_later(0.002, self._feed)
                return
            frame = next(self._replay, None)
            if frame is None:
                self._replay = None
            else:
                self._worker.send(frame)
        self.pump()

    # Sending ----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what there is to do, up to the window."""
        if self._replay is not None or self._behind:
            return
        seconds = self._computer.node.limits.seconds
        while self._queue and len(self._sent) < WINDOW and self._worker.backlog < BACKLOG:
            if self._turn >= TURN and self._computer.crowded():
                break  # the others' turn
            if not self._sent:
                self._since = time.monotonic()
            self._turn += 1
            job = self._queue.popleft()
            self._sent.append(job)
            self._send_job(job, seconds)
        if not self._queue and not self._sent:
            while self._dries:
                dry = self._dries.popleft()
                token = id(dry)
                self._dries_sent[token] = dry
                self._send_dry(token, dry)

    def _send_job(self, job: Job, seconds: float) -> None:
        self._worker.send(["run", self._epoch, job.logged.seq, seconds, *job.message])

    def _send_dry(self, token: int, dry: Dry) -> None:
        seconds = self._computer.node.limits.seconds
        self._worker.send(["dry", self._epoch, token, seconds, *dry.message])

    # What the worker says -----------------------------------------------------------------------

    def _frame(self, frame: Frame) -> None:
        try:
            name, *values = frame
            getattr(self, f"_on_{name}")(*values)
        except FrameError:
            self._worker.give_up()
        except Exception as error:  # whoever waits is told, and the message is kept
            self._computer.drop(self.row.number)
            defect = f"a defect of the node itself: {type(error).__name__}: {error}"
            self._computer.give_up(self.row, defect)

    def _on_ready(self, _pid: int) -> None:
        pass  # the replay is still to come

    def _on_forked(self, _pid: int) -> None:
        pass  # the supervisor has noted it

    def _on_parked(self, seq: int, _pid: int) -> None:
        self.began = self._parked = True
        while self._tail and self._tail[0][0] <= seq:
            self._tail.popleft()
        self._stop_cancelled()

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
            result = result._replace(error=out_of_memory(self._memory))
        if outcome not in ("ok", "error", "gas", "memory"):
            raise FrameError(f"no message ends with {outcome}")
        check_result(outcome != "ok", result)
        self._promotions = 0
        self._computer.answered(self.row.number)
        self._finish(outcome, Cost(milliseconds, memory, gas), result)
        self._proceed()

    def _finish(self, outcome: str, cost: Cost, result: FlatResult) -> None:
        job = self._sent.popleft()
        again = ("replay", job.message) if outcome == "ok" else ("failed", [result.error])
        self._tail.append((job.logged.seq, *again))
        self.used = self._since = time.monotonic()
        self._last = job.logged
        self._spent += cost.milliseconds / 1000
        self._computer.node.computed(job.logged, outcome, cost, result)
        self._stop_cancelled()

    def _proceed(self) -> None:
        """With whatever is to come behind what was sent."""
        due = max(CHECKPOINT_EVERY, CHECKPOINT_SHARE * self._checkpoint_cost)
        if self._spent > due and self._checkpointing is None:
            self.checkpoint()
        self.pump()
        if self.idle or (self._turn >= TURN and not self._sent and self._computer.crowded()):
            self._rest()

    def _rest(self) -> None:
        if self.leaving:
            return
        if self._queue:  # its turn is over, others wait
            self.leave()
        else:
            self._computer.idled()

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
        # One that was stopped has no text yet.
        known = result._replace(error="") if result.error is None else result
        check_result(outcome != "ok", known)
        if outcome == "memory":
            result = result._replace(error=out_of_memory(self._memory))
        self._promotions = 0
        self.began = True
        self._computer.answered(self.row.number)
        dry = self._dries_sent.pop(token, None)
        if dry is not None and outcome == "killed":
            self._again(dry)
        elif dry is not None and not dry.answer.done():
            dry.answer.set_result((outcome, Cost(milliseconds, memory, gas), result))
        self.used = time.monotonic()
        if self.idle:
            self._computer.idled()

    def _on_promoted(self, seq: int, why: str, printed: str, _pid: int) -> None:
        self._epoch += 1
        self._promotions += 1
        self._parked = False
        if self._promotions > MAX_PROMOTIONS:
            raise FrameError("nothing dies that often")  # each is answered with a resend
        self._behind = True  # whoever hears of the outcome now may have more to compute
        if why != "rollback" and self._sent:
            self._blame(self._sent[0], why, printed)
            if self._sent and self._sent[0].kills >= MAX_DEATHS:
                self._behind = False
                self._hold(KILLED)
                return
        for done, command, rest in self._tail:
            if done > seq:
                self._worker.send([command, self._epoch, done, *rest])
        self._behind = False
        seconds = self._computer.node.limits.seconds
        for job in self._sent:
            self._send_job(job, seconds)
        for token, dry in list(self._dries_sent.items()):
            if dry.answer.cancelled():
                del self._dries_sent[token]
            else:
                self._send_dry(token, dry)
        if self._checkpointing is not None:
            self._ask_for_image()  # the first may have been asked of the fork that died
        self._proceed()

    def _again(self, dry: Dry) -> None:
        """A dry run was killed: another try, if there were not too many."""
        dry.deaths += 1
        if dry.deaths >= MAX_DEATHS:
            dry.fail(died(dry, "killed from outside"))
        else:
            self._dries.append(dry)
            self.pump()

    def _blame(self, job: Job, why: str, printed: str) -> None:
        """A fork died under a message: what that makes of it, if anything."""
        limits = self._computer.node.limits
        outcome, error = judged(job, why, limits, self._memory)
        if outcome:
            seconds = time.monotonic() - self._since if job.cancelled else limits.seconds
            self._finish(outcome, Cost(1000 * seconds, 0, 0), failed_result(error, printed))

    def _on_broken(self, text: str) -> None:
        row = self.row
        self._computer.checkpoints.remove(row.id)
        self._computer.node.notice(row, f"{text[:MAX_TOLD]}; its log is replayed")

    def _on_unable(self, text: str) -> None:
        if self._restored:  # without the checkpoint it may do
            self._on_broken(text)
        else:
            self._hold(f"{text[:MAX_TOLD]}; {WAY_OUT}")

    def _hold(self, why: str) -> None:
        """Give its messages up for now: they are kept, and have no outcome."""
        self._worker.kill()
        self._worker.close()
        self._take_back()
        self._computer.abandoned(self, why)

    def _take_back(self) -> None:
        """What was sent is not answered any more."""
        for job in self._sent:
            job.kills = 0
        self._queue.extendleft(reversed(self._sent))
        self._sent.clear()
        for dry in self._dries_sent.values():
            dry.deaths += 1
            if dry.deaths >= MAX_DEATHS:
                dry.fail(died(dry, "with all its forks"))
            else:
                self._dries.appendleft(dry)
        self._dries_sent.clear()
        self.leaving = False
        self._settle_checkpoint()

    def _gone(self) -> None:
        """The worker ended, or died with all its forks."""
        # Whether a message had it answer what none does, or somebody killed it, makes a difference.
        if self._sent and self.began and self._worker.unbelieved:
            job = self._sent[0]
            job.deaths += 1
            if job.deaths >= MAX_DEATHS:
                self._sent.popleft()
                result = failed_result(died(job, "it answered what no worker does"))
                self._computer.node.computed(job.logged, "crash", Cost(0, 0, 0), result)
                self._computer.answered(self.row.number)
        self._take_back()
        self._computer.left(self, died=True)

    # Checkpoints and leaving --------------------------------------------------------------------

    def checkpoint(self) -> asyncio.Future[None]:
        """Ask for an image; the future is done when it is on disk or cannot be had."""
        if self._checkpointing is None:
            self._checkpointing = self._computer.loop.create_future()
            self._asked = time.monotonic()
            self._ask_for_image()
        return self._checkpointing

    def _ask_for_image(self) -> None:
        # Behind everything sent: the worker forks when it gets there.
        last = self._sent[-1].logged if self._sent else self._last
        if last is None:  # nothing to save yet
            self._settle_checkpoint()
            return
        self._imaging[last.seq] = last
        self._worker.send(["checkpoint", self._epoch, last.seq])

    def _image(self, seq: int, image: bytes, _reason: str) -> None:
        last = self._imaging.get(seq)
        if last is None:
            self._worker.give_up()  # nobody asked for that
            return
        self._checkpoint_cost = time.monotonic() - self._asked
        self.unsaved = not image
        if image:
            self._computer.node.flush()  # a checkpoint is never ahead of the log
            row = self.row
            checkpoint = Checkpoint(seq, last.slot, _mark(last), image)
            self._computer.checkpoints.write(row.id, row.environment, checkpoint)
        self._imaging = {at: asked for at, asked in self._imaging.items() if at > seq}
        self._spent = 0.0  # where there is no image, not asked again before the time is due
        self._settle_checkpoint()

    def _settle_checkpoint(self) -> None:
        waiting, self._checkpointing = self._checkpointing, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        if self.leaving:
            self._depart()

    def last_checkpoint(self) -> asyncio.Future[None] | None:
        """A checkpoint before the node closes, if replaying would take noticeably long."""
        return self.checkpoint() if self._spent > 0.1 and not self._sent else None

    def leave(self) -> None:
        """Make room: checkpoint if that saves work, then end."""
        self.leaving = True
        if self._spent > 0.002 and not self.unsaved:
            self.checkpoint()
        else:
            self._depart()

    def _depart(self) -> None:
        self.leaving = False
        if self._sent or self._dries_sent or (self._queue and not self._computer.crowded()):
            return  # work came in the meantime
        self._worker.close()
        self._computer.left(self)

    def cancel(self, seq: int) -> bool:
        """Stop a message that was sent; see `LiveComputePort.cancel`."""
        found = [job for job in self._sent if job.logged.seq == seq]
        for job in found:
            job.cancelled = True
        self._stop_cancelled()
        return bool(found)

    def _stop_cancelled(self) -> None:
        """End the fork that computes what is to be stopped, once another can take over."""
        wanted = [job.cancelled for job in list(self._sent)[:1]]
        wanted += [dry.answer.cancelled() for dry in self._dries_sent.values()]
        if self._parked and any(wanted):
            self._worker.stop_computing()

    def dry_cancelled(self) -> None:
        """A dry run that nobody waits for any more is stopped."""
        for dry in [dry for dry in self._dries if dry.answer.cancelled()]:
            self._dries.remove(dry)
        self._stop_cancelled()

    def watch(self, now: float) -> None:
        """Once a second: a checkpoint when idle, the end of a worker that hangs."""
        waits = bool(self._sent or self._dries_sent or self._replay or self._worker.backlog)
        if waits and self._worker.hangs():
            text = "its worker neither answers nor computes: it is started anew, and goes on"
            self._computer.node.notice(self.row, text)
            self._worker.drop()
            return
        if self.idle and now - self.used > IDLE_SECONDS and self._spent > 0.05:
            self.checkpoint()
        if self._checkpointing is not None and now - self._asked > IMAGE_SECONDS:
            self._settle_checkpoint()

    def kill(self) -> None:
        """End at once, with all forks."""
        for dry in [*self._dries, *self._dries_sent.values()]:
            dry.fail("the process was put away under a dry run")
        self._settle_checkpoint()
        self._worker.kill()
        self._worker.close()


def _mark(logged: Logged) -> str:
    """What tells a message from another one that has its number in a log that went on otherwise."""
    return f"{logged.chain}:{logged.tick}:{logged.timestamp}"
