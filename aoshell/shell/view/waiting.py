"""What a node is being waited for, told while it lasts.

A node says its stage when it is looked at; here it is looked at ten times a second, for as long as
somebody waits. The built-in node has stages where much of its log is read or changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from aoshell.nodes.base import Node
from aoshell.nodes.values import Stage

EVERY = 0.1  # seconds between two looks
SHOWN_AFTER = 0.3  # seconds that a person waits before there is something to see
TOLD_AFTER = 2.0  # seconds of one stage before a pipe hears of it
_GAP = 0.5  # seconds without a stage that are part of it: a node pauses between two tries


class Watch:
    """How long a node's stages last.

    Args:
        node: looked at.
        clock: seconds, rising.
    """

    def __init__(self, node: Node, clock: Callable[[], float] = time.monotonic) -> None:
        self._node = node
        self._clock = clock
        self._stage: Stage | None = None
        self._since = self._seen = clock()

    def look(self) -> tuple[Stage, float] | None:
        """The stage, and seconds since it began; None where nothing is waited for."""
        now, stage = self._clock(), self._node.stage
        if stage is None:
            if now - self._seen > _GAP:
                self._stage = None
        else:
            if self._stage is None or (stage.name, stage.where) != _place(self._stage):
                self._since = now
            self._stage, self._seen = stage, now
        return (self._stage, now - self._since) if self._stage else None


async def show(node: Node, tell: Callable[[str], None]) -> None:
    """Tell a line whenever it changes, "" where there is none, until cancelled."""
    watch = Watch(node)
    await asyncio.sleep(SHOWN_AFTER)
    while True:
        now = watch.look()
        tell(line(*now) if now else "")
        await asyncio.sleep(EVERY)


async def report(node: Node, tell: Callable[[str], None]) -> None:
    """Tell one line of each stage that lasts, until cancelled."""
    watch, told = Watch(node), None
    while True:
        now = watch.look()
        if now is None or told != _place(now[0]):
            told = None
        if now and told is None and now[1] >= TOLD_AFTER:
            told = _place(now[0])
            tell(line(*now))
        await asyncio.sleep(EVERY)


def line(stage: Stage, seconds: float) -> str:
    """`· compute https://node.example  3.2 s`, and the node's note behind it."""
    said = f"· {stage.name} {stage.where}  {seconds:.1f} s"
    return f"{said}  {stage.note}" if stage.note else said


def _place(stage: Stage) -> tuple[str, str]:
    return stage.name, stage.where
