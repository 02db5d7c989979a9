"""Messages and dry runs as a worker takes them, and what a death under one means."""

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

MAX_DEATHS = 3  # of workers under one message; then it is given up


def make_message_frame(logged: Logged, wire: Wire, *, read_only: bool = False) -> list[Any]:
    """A message in the order in which `LuaRuntime.deliver` takes it.

    One to a fork that is called as compute units call it has its signature behind its tags; one
    that a HyperBEAM node scheduled has its assignment there.
    """
    frame = [
        *wire[:6],
        logged.timestamp,
        logged.height,
        logged.slot,
        logged.chain,
        logged.tick > 0 and not logged.id,  # one with an id was put between two slots (`forks`)
        read_only,
        *wire[TAGS:],
    ]
    if logged.form == OF_UNIT:
        frame.append(signature_of(logged))
    elif logged.form == OF_NODE and logged.signed:
        frame.append(logged.signed.decode("latin-1"))
    return frame


def make_past_frame(logged: Logged, computed: Computed) -> Frame:
    """A message as it was computed before, so that a worker does the same once more."""
    if computed.outcome == "ok":
        return ["replay", 0, logged.seq, *make_message_frame(logged, load_wire(logged.body))]
    return ["failed", 0, logged.seq, load_result(computed.body).error]


class Cost(NamedTuple):
    """What a message took: wall clock, bytes of heap afterwards, fuel (0: not counted)."""

    milliseconds: float
    memory: int
    gas: int


@dataclass(slots=True)
class Job:
    """A message to be computed.

    Attributes:
        deaths: times that it made its worker die; `MAX_DEATHS` are the outcome `crash`.
        kills: times that its worker was killed from outside; `MAX_DEATHS` hold it, without outcome.
        cancelled: the user wants it stopped.
    """

    logged: Logged
    message: list[Any]
    deaths: int = 0
    kills: int = 0
    cancelled: bool = False


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
    """Why a message is given up."""
    return f"its worker died {job.deaths} times under this message ({how})"


KILLED = f"its worker was killed from outside {MAX_DEATHS} times (is the machine out of memory?)"


def memory_text(memory: int) -> str:
    """The error of a message that went over its memory, in bytes."""
    return f"not enough memory: this process may use {memory >> 20} MB"


def time_text(limits: Limits) -> str:
    """The error of a message that went over its time."""
    return f"stopped after {limits.seconds:g} s of computing, its limit"


def judge_death(job: Job, why: str, limits: Limits, memory: int) -> tuple[str, str]:
    """Outcome and error of a message under which a fork died; "" and "" where it is tried again.

    Args:
        why: a word of `sandbox.worker.fates`. A kill from outside is not the message's doing.
        memory: bytes that this process may use; `limits.memory` is for new ones.
    """
    if job.cancelled:
        return "time", "stopped by the user"
    if why == "time":
        return "time", time_text(limits)
    if why == "memory":
        return "memory", memory_text(memory)
    if why.startswith("crash"):
        job.deaths += 1
        return ("crash", death_text(job, why)) if job.deaths >= MAX_DEATHS else ("", "")
    job.kills += 1
    return "", ""
