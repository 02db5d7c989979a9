"""Shows what the shell waits for at a node, while it waits.

The attribute `stage` of a node is read ten times a second while somebody waits. The built-in node
has stages while it reads or changes much of its log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from aoshell.nodes.values import Stage

EVERY = 0.1  # seconds between two reads
SHOWN_AFTER = 0.3  # seconds of a wait before a person sees anything
REPORTED_AFTER = 1.0  # seconds of one stage before a pipe reports it
_GAP = 0.5  # seconds without a stage that still belong to it: a node pauses between two tries


class Staged(Protocol):
    """A node, or other work that has a stage."""

    @property
    def stage(self) -> Stage | None:
        """What it does now, None for nothing."""


class StageWatch:
    """Measures how long a node's stages last.

    Args:
        node: whose stage is read.
        clock: returns seconds that never go back.
    """

    def __init__(self, node: Staged, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._clock = clock
        self._stage: Stage | None = None
        self._since = self._seen = clock()

    def look(self) -> tuple[Stage, float] | None:
        """The stage, and the seconds since it began; None without a stage."""
        now, stage = self._clock(), self._node.stage
        if stage is None:
            if now - self._seen > _GAP:
                self._stage = None
        else:
            if self._stage is None or (stage.name, stage.where) != _place(self._stage):
                self._since = now
            self._stage, self._seen = stage, now
        return (self._stage, now - self._since) if self._stage else None


async def show(node: Staged, pass_on: Callable[[str], None]) -> None:
    """Pass on the line whenever it changes, "" without a stage, until cancelled."""
    watch = StageWatch(node)
    await asyncio.sleep(SHOWN_AFTER)
    while True:
        now = watch.look()
        pass_on(line(*now) if now else "")
        await asyncio.sleep(EVERY)


async def report(node: Staged, pass_on: Callable[[str], None]) -> None:
    """Pass on one line for each stage that lasts, until cancelled."""
    watch, reported = StageWatch(node), None
    while True:
        now = watch.look()
        if now is None or reported != _place(now[0]):
            reported = None
        if now and reported is None and now[1] >= REPORTED_AFTER:
            reported = _place(now[0])
            pass_on(line(*now))
        await asyncio.sleep(EVERY)


def line(stage: Stage, seconds: float) -> str:
    """`· compute https://node.example  3.2 s`, and the node's note after it."""
    text = f"· {stage.name} {stage.where}  {seconds:.1f} s"
    return f"{text}  {stage.note}" if stage.note else text


def _place(stage: Stage) -> tuple[str, str]:
    return stage.name, stage.where
