"""Runs a test file in a sandbox: a worker like those of processes, with the code `lua/process.lua`.

It has the same limits: no files, no network, bounded processor time and memory. It gets one step at
a time, and its answer, such as a request, is checked before use.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from aoshell.bounded import jsontext
from aoshell.nodes.local.log.form import narrow, widen
from aoshell.sandbox import environment
from aoshell.sandbox.frames import Frame
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.testing.code.values import DEEPEST

MEMORY = 256 << 20  # bytes of a test's heap
OVER = f"the test needs more than {MEMORY >> 20} MB"
_LAST = 1.0  # seconds to wait for the prints of a stopped step
_FOLDER = Path(__file__).parents[1] / "lua"
_REQUIRED = re.compile(r'require\("(\.[\w.-]+)"\)')


class SandboxStoppedError(Exception):
    """The sandbox has ended; the text is the reason."""


class TestSandbox:
    """One test file in its own sandbox.

    Args:
        supervisor: has `base()` as its base.
        seconds: limit of processor time for one step.

    Attributes:
        prints: what the file printed while it was loaded.
        is_late: it has ended because it computed for too long.
    """

    def __init__(self, supervisor: Supervisor, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._seconds = seconds
        self.prints: list[str] = []
        self.is_late = False
        self._answer: asyncio.Future[str] = loop.create_future()
        self._ended = ""  # the reason why it has ended
        self._steps = 0
        self._epoch = 0  # how often it was rolled back
        self._kept = False
        self._back: asyncio.Future[None] | None = None  # while it is rolled back
        self._printed = ""
        calls = (self._on_frame, self._on_image, self._on_end)
        self._worker = supervisor.worker(loop, *calls, based=True, watched=False)
        self._worker.send(["boot", 0, MEMORY, seconds, "tests", "", "", None, None, None])

    async def step(self, name: str, now: int, **values: Any) -> dict[str, Any]:
        """Run a step; returns its answer. `lua/process.lua` has the steps.

        Args:
            now: time for its clock, milliseconds since the Unix epoch.

        Raises:
            SandboxStoppedError: it exceeded a limit, or its answer is invalid.
        """
        if self._ended:
            raise SandboxStoppedError(self._ended)
        self._answer = asyncio.get_running_loop().create_future()
        self._steps += 1
        data = narrow(json.dumps({"step": name, **values}, ensure_ascii=False))
        message = ["", "", "", "", data, "", now, 0, 0, "", False, False]
        self._worker.send(["run", self._epoch, self._steps, self._seconds, *message])
        try:
            answer = jsontext.parse(widen(await self._answer), deepest=DEEPEST, strict=False)
        except ValueError as error:
            raise SandboxStoppedError("the test's request is not JSON") from error
        if not isinstance(answer, dict):
            raise SandboxStoppedError("the test's request is not a JSON object")
        return answer

    def keep(self) -> None:
        """Save the present state for `go_back`, unless one is saved already."""
        if not self._kept:
            self._kept = True
            self._worker.send(["park", self._epoch])

    async def go_back(self) -> bool:
        """Go back to the saved state, and keep it saved; False if it is gone."""
        if self._ended or not self._kept:
            return False
        self._back = asyncio.get_running_loop().create_future()
        self._worker.stop_computing()
        try:
            await asyncio.wait_for(self._back, _LAST)
        except TimeoutError:
            return False
        finally:
            self._back, self._kept = None, False
        if self._ended:
            return False
        self.keep()
        return True

    async def stop_step(self) -> str:
        """Stop the running step; returns what it had printed."""
        if self._answer.cancelled():
            self._answer = asyncio.get_running_loop().create_future()
            self._worker.stop_computing()
            with contextlib.suppress(SandboxStoppedError, TimeoutError):  # then its prints are lost
                await asyncio.wait_for(self._answer, _LAST)
        return self._printed

    def close(self) -> None:
        """End it at once."""
        self._worker.kill()
        self._worker.close()

    # Frames of the worker -----------------------------------------------------------------------

    def _on_frame(self, frame: Frame) -> None:
        match frame:
            case ["done", _epoch, _seq, outcome, _milliseconds, _memory, _gas, *values]:
                self._done(outcome, values)
            case ["promoted", _seq, "killed", _printed, _pid] if self._back is not None:
                self._epoch += 1
                if not self._back.done():
                    self._back.set_result(None)
            case ["promoted", _seq, how, printed, _pid]:
                why = {
                    "time": f"the test computed for more than {self._seconds:g} s at a stretch",
                    "memory": OVER,
                }.get(how, "the test's sandbox has died")
                self._printed, self.is_late = widen(printed), how == "time"
                self._stop(why)
            case ["broken" | "unable", why]:
                self._stop(why)

    def _done(self, outcome: str, values: list[Any]) -> None:
        match values:
            case _ if outcome == "memory":
                self._stop(OVER)
            case [error, str(), *_] if outcome != "ok":
                self._stop(str(error))
            case [_error, str(output), *_]:
                if not self._answer.done():
                    self._answer.set_result(output)
            case _:
                self._stop("the test's sandbox sent an invalid answer")

    def _on_image(self, seq: int, data: bytes, reason: str) -> None:
        del seq, data, reason  # a test makes none
        self._stop("the test's sandbox sent an invalid answer")

    def _on_end(self) -> None:
        self._stop("the test's sandbox has died")

    def _stop(self, why: str) -> None:
        self._ended = self._ended or widen(why)
        if self._back is not None and not self._back.done():
            self._back.set_result(None)
        if not self._answer.done():
            self._answer.set_exception(SandboxStoppedError(self._ended))
            self._answer.exception()  # marks it as read: asyncio reports errors that nobody awaits


@cache
def base() -> bytes:
    """The base of sandboxes for tests (`Supervisor`): our code, and the aos modules it requires."""
    aos = environment.read_sources()
    found = {f".{path.stem}": path.read_text(encoding="latin-1") for path in _FOLDER.glob("*.lua")}
    left = list(found.values())
    while left:
        for name in _REQUIRED.findall(left.pop()):
            if name in aos and name not in found:
                found[name] = aos[name]
                left.append(aos[name])
    return environment.pack(found)
