"""A real worker, driven by hand."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sandbox_guest import definition, eval_message, first_message

from aoshell.sandbox.frames import Frame
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.supervising.worker_handle import WorkerHandle

SECONDS = 10.0  # of processor time, that a message may take
PATIENCE = 60.0  # seconds of the clock on the wall: other tests want the processor too

Workers = Callable[[str], Supervisor]  # of a zygote whose program has these lines more


class Driven:
    """A worker, driven by hand. Each method waits for what the worker says.

    Args:
        memory: bytes that its guest may use.
        boots: whether its process is booted, and has had its first message.
    """

    def __init__(
        self, supervisor: Supervisor, memory: int = 32 << 20, *, boots: bool = True
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.worker: WorkerHandle = supervisor.worker(
            self.loop,
            self.frames.put_nowait,
            lambda *image: self.frames.put_nowait(["image", *image]),
            lambda: self.frames.put_nowait(["gone"]),
        )
        self.epoch = 0
        self._seqs = itertools.count(1)
        self._done: list[list[Any]] = []
        if boots:
            self.boot(memory)
            assert self.run(first_message())[1] == "ok"

    def boot(self, memory: int, seconds: float = SECONDS) -> None:
        """Tell it which process it is, and what a message may take."""
        self.send(["boot", 0, memory, seconds, *definition()])

    def send(self, frame: Frame, blob: bytes = b"") -> None:
        self.worker.send(frame, blob)
        self.loop.run_until_complete(asyncio.sleep(0))  # sent at the end of a turn

    def next(self, seconds: float = PATIENCE) -> Frame:
        """The next frame. Raises TimeoutError."""
        return self.loop.run_until_complete(asyncio.wait_for(self.frames.get(), seconds))

    def await_frame(self, *names: str) -> Frame:
        """The next frame of one of these names; others are passed over."""
        until = time.monotonic() + PATIENCE
        while True:
            frame = self.next(max(0.001, until - time.monotonic()))
            if frame[0] in names:
                return frame

    def start(self, message: list[Any], seconds: float = 10.0) -> None:
        self.send(["run", self.epoch, next(self._seqs), seconds, *message])

    def begin(self, code: str) -> None:
        """Start an endless Eval, and wait until the worker runs it."""
        self.start(eval_message(code))
        with suppress(TimeoutError):
            while True:
                self.next(0.2)

    def run(self, message: list[Any], seconds: float = 10.0) -> tuple[str, str, Frame]:
        """How a message ended: name of the frame, outcome or cause, the frame."""
        self.start(message, seconds)
        frame = self.await_frame("done", "promoted", "gone")
        if frame[0] == "done" and frame[3] != "ok":
            self.await_frame("promoted")
            self.epoch += 1
        elif frame[0] == "promoted":
            self.epoch += 1
            return "promoted", frame[2], frame
        return frame[0], frame[3] if frame[0] == "done" else "", frame

    def eval(self, code: str, seconds: float = 10.0) -> tuple[str, str, Frame]:
        return self.run(eval_message(code), seconds)

    def is_well(self) -> bool:
        """Whether it still answers. Does not run again what was rolled back."""
        self.send(["replay", self.epoch, 0, *first_message()])
        _name, outcome, frame = self.eval("return 1 + 1")
        return outcome == "ok" and frame[8] == "2"

    def close(self) -> None:
        self.worker.kill()
        self.worker.close()
        self.loop.close()


@contextmanager
def driven(
    supervisor: Supervisor, memory: int = 32 << 20, *, boots: bool = True
) -> Iterator[Driven]:
    worker = Driven(supervisor, memory, boots=boots)
    try:
        yield worker
    finally:
        worker.close()


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def eventually(holds: Callable[[], bool], seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def group_of(group: int) -> list[int]:
    """Living processes of a group."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getpgid(int(entry.name)) == group and is_alive(int(entry.name)):
                    pids.append(int(entry.name))
            except ProcessLookupError:
                continue
    return pids


def end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
