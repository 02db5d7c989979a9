"""Messages and dry runs in a worker's form, and the outcome if a worker dies during one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, NamedTuple

from aoshell.errors import AoError
from aoshell.nodes.local.log.form import TAGS, FlatResult, Wire, load_result, load_wire
from aoshell.nodes.local.log.rows import OF_NODE, OF_UNIT, Computed, Logged
from aoshell.nodes.local.log.signed import signature_of
from aoshell.nodes.values import Limits
from aoshell.sandbox.frames import Frame

STOPPED = "stopped by the user"  # the error of a message that was cancelled
MAX_DEATHS = 3  # workers that may die during one message; then it is given up


def make_message_frame(logged: Logged, wire: Wire, *, read_only: bool = False) -> list[Any]:
    """A message as the list for `LuaRuntime.deliver`.

    After the tags, a message to a WASM fork has its signature, and one that a HyperBEAM node
    scheduled has its assignment.
    """
    frame = [
        *wire[:6],
        logged.timestamp,
        logged.height,
        logged.slot,
        logged.chain,
        logged.tick > 0 and not logged.id,  # one with an id was put there by `forks`
        read_only,
        *wire[TAGS:],
    ]
    if logged.form == OF_UNIT:
        frame.append(signature_of(logged))
    elif logged.form == OF_NODE and logged.signed:
        frame.append(logged.signed.decode("latin-1"))
    return frame


def make_past_frame(logged: Logged, computed: Computed) -> Frame:
    """A frame to replay a message that was computed before."""
    if computed.outcome == "ok":
        return ["replay", 0, logged.seq, *make_message_frame(logged, load_wire(logged.body))]
    return ["failed", 0, logged.seq, load_result(computed.body).error]


class Cost(NamedTuple):
    """The cost of a message: wall clock, bytes of heap afterwards, fuel (0: not counted)."""

    milliseconds: float
    memory: int
    gas: int


@dataclass(slots=True)
class Job:
    """A message to be computed.

    Attributes:
        deaths: how often it made its worker die; after `MAX_DEATHS` the outcome is `crash`.
        kills: how often its worker was killed from outside; after `MAX_DEATHS` the message is
            kept without an outcome.
        cancelled: whether the user wants to stop it.
        maybe_begun: whether a worker got it, and may have run a part of it.
    """

    logged: Logged
    message: list[Any]
    deaths: int = 0
    kills: int = 0
    cancelled: bool = False
    maybe_begun: bool = False

    @property
    def is_to_be_skipped(self) -> bool:
        """Whether it ends as one that never ran."""
        return self.cancelled and not self.maybe_begun


@dataclass(slots=True)
class Dry:
    """A dry run to be evaluated."""

    message: list[Any]
    answer: asyncio.Future[tuple[str, Cost, FlatResult]]  # outcome, cost, result
    deaths: int = 0

    def fail(self, text: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(AoError(text, stage="compute"))

    def end(self, why: str) -> None:
        """Fail it; without a reason, as `PutAwayError`."""
        if why:
            self.fail(why)
        elif not self.answer.done():
            self.answer.set_exception(PutAwayError)


class PutAwayError(Exception):
    """Workers begin anew, as when a log was cut: a dry run that they had is asked again."""


def death_text(job: Job | Dry, how: str) -> str:
    """The error of a message that is given up."""
    return f"its worker died {job.deaths} times under this message ({how})"


KILLED = f"its worker was killed from outside {MAX_DEATHS} times (is the machine out of memory?)"


def memory_text(memory: int) -> str:
    """The error of a message that went over its memory, in bytes."""
    return f"not enough memory: this process may use {memory >> 20} MB"


def time_text(limits: Limits) -> str:
    """The error of a message that went over its time."""
    return f"stopped after {limits.seconds:g} s of computing, its limit"


def judge_death(job: Job, why: str, limits: Limits, memory: int) -> tuple[str, str]:
    """(outcome, error) of a message during which a fork died; ("", "") if it is tried again.

    Args:
        why: a word of `sandbox.worker.fates`. A kill from outside does not count against it.
        memory: bytes that this process may use; `limits.memory` is for new processes.
    """
    if job.cancelled:
        return "time", STOPPED
    if why == "time":
        return "time", time_text(limits)
    if why == "memory":
        return "memory", memory_text(memory)
    if why.startswith("crash"):
        job.deaths += 1
        return ("crash", death_text(job, why)) if job.deaths >= MAX_DEATHS else ("", "")
    job.kills += 1
    return "", ""
