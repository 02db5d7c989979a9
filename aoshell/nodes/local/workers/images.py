"""Images of one process's state, which become checkpoints.

A checkpoint only saves time: without one, the log is replayed. So one is made when enough was
computed since the last one, and failing to make one is no error.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aoshell.nodes.local.log.checkpoint import Checkpoint
from aoshell.nodes.local.log.rows import Logged, ProcessRow, mark_of
from aoshell.nodes.local.log.sealed import DamagedFileError
from aoshell.nodes.local.workers.context import ComputeContext

CHECKPOINT_EVERY = 0.5  # seconds of computing between two checkpoints at least
CHECKPOINT_SHARE = 20  # and at least this many times the time for making one
IMAGE_SECONDS = 60.0  # after which the wait for an image ends


class Images:
    """Asks for images and stores them.

    Args:
        request: asks the worker for an image after all messages it was sent. Returns the last
            message that the image will include, None if there is nothing to save yet.
        settled: called when the image is on disk or cannot be made.

    Attributes:
        spent: seconds computed since the last checkpoint.
        unsaved: whether the last state could not be saved in an image.
    """

    def __init__(
        self,
        context: ComputeContext,
        row: ProcessRow,
        request: Callable[[], Logged | None],
        settled: Callable[[], None],
    ) -> None:
        self._context = context
        self._row = row
        self._request = request
        self._settled = settled
        self._waiting: asyncio.Future[None] | None = None
        self._asked = 0.0  # when, monotonic seconds
        self._cost = 0.0  # seconds that the last image took
        self._requested: dict[int, Logged] = {}  # last messages of the requested images, by seq
        self.spent = 0.0
        self.unsaved = False

    def read_newest(self) -> tuple[Checkpoint, Logged] | None:
        """The newest good checkpoint and the last message in it, None without any.

        For a fork without one, the memory that it begins with.

        Raises:
            AoError: that memory is missing or damaged.
        """
        checkpoints, row = self._context.checkpoints, self._row
        again = True
        while again:
            try:
                checkpoint = checkpoints.read(row.id, row.environment)
                if checkpoint is None:
                    break
                return checkpoint, self._last_message(checkpoint)
            except DamagedFileError as error:
                text = f"its checkpoint was discarded ({error}); its log is replayed"
                self._context.events.notice_about(row, text)
                again = checkpoints.discard(row.id)
        return self._context.base_of(row)

    def _last_message(self, checkpoint: Checkpoint) -> Logged:
        last = self._context.store.computed_at(checkpoint.seq)
        if last is None or last.process != self._row.number or mark_of(last) != checkpoint.mark:
            # A power cut lost the end of the log, which the checkpoint includes: checkpoints are
            # written without an fsync of the results before them.
            raise DamagedFileError("it is ahead of the log")
        return last

    @property
    def is_due(self) -> bool:
        """Whether enough was computed since the last one, and none is being made."""
        due = max(CHECKPOINT_EVERY, CHECKPOINT_SHARE * self._cost)
        return self.spent > due and self._waiting is None

    def ask(self) -> asyncio.Future[None]:
        """Ask for an image; the future is done when it is on disk or cannot be made."""
        if self._waiting is not None:
            return self._waiting
        waiting = self._waiting = asyncio.get_running_loop().create_future()
        self._asked = time.monotonic()
        self._send_request()
        return waiting

    def ask_again(self) -> None:
        """Another fork took over: repeat requests, which the dead fork may have had."""
        if self._waiting is not None:
            self._send_request()

    def _send_request(self) -> None:
        last = self._request()
        if last is None:
            self.settle()
        else:
            self._requested[last.seq] = last

    def store(self, seq: int, image: bytes) -> bool:
        """Write an image as a checkpoint (b"" for none). False if no image was requested there."""
        last = self._requested.get(seq)
        if last is None:
            return False
        self._cost = time.monotonic() - self._asked
        self.unsaved = not image
        if image:
            # A checkpoint ahead of the log would include messages that the next start computes
            # again.
            self._context.flush()
            row = self._row
            checkpoint = Checkpoint(seq, last.slot, mark_of(last), image)
            self._context.checkpoints.write(row.id, row.environment, checkpoint)
        self._requested = {at: asked for at, asked in self._requested.items() if at > seq}
        self.spent = 0.0  # also without an image, so that it is not requested again at once
        self.settle()
        return True

    def settle(self) -> None:
        """End the wait for an image."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)
        self._settled()

    def give_up_late(self, now: float) -> None:
        """End the wait for an image that takes too long; `now`: monotonic seconds."""
        if self._waiting is not None and now - self._asked > IMAGE_SECONDS:
            self.settle()
