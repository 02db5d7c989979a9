"""The methods of `aoshell.testing.testbed.node` for tests that are not coroutines."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from aoshell import interrupts
from aoshell.errors import UsageError
from aoshell.testing.testbed import clock as timing
from aoshell.testing.testbed import node as awaited
from aoshell.testing.testbed.identity import Identity

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Inner = TypeVar("_Inner", covariant=True)


class Loop:
    """The event loop of one node. It runs only during a method call."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine. Raises UsageError if called from a coroutine."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return interrupts.run_on(self._runner, work)
        work.close()
        raise UsageError(
            "these methods block, and a coroutine must not",
            hint="use: async with open_node() as node",
        )

    def close(self) -> None:
        """Close the loop for good."""
        self._runner.close()


class _Face(Protocol[_Inner]):
    """What a blocking method needs from its object."""

    loop: Loop

    @property
    def inner(self) -> _Inner: ...


def _waits(
    verb: Callable[Concatenate[_Inner, _P], Coroutine[Any, Any, _T]],
) -> Callable[Concatenate[_Face[_Inner], _P], _T]:
    """The blocking form of a coroutine method."""

    @functools.wraps(verb)
    def wait(face: _Face[_Inner], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return face.loop.run(verb(face.inner, *args, **kwargs))

    return wait


class Process:
    """A process on a test's node; see `aoshell.testing.testbed.node.AsyncProcess`."""

    def __init__(self, loop: Loop, inner: awaited.AsyncProcess) -> None:
        self.loop = loop
        self.inner = inner

    @property
    def id(self) -> str:
        """43 characters base64url."""
        return self.inner.id

    @property
    def owner(self) -> Identity:
        """The identity that may evaluate in it."""
        return self.inner.owner

    def __str__(self) -> str:
        return self.inner.id

    def __repr__(self) -> str:
        return repr(self.inner)

    send = _waits(awaited.AsyncProcess.send)
    eval = _waits(awaited.AsyncProcess.eval)
    dryrun = _waits(awaited.AsyncProcess.dryrun)
    value = _waits(awaited.AsyncProcess.value)
    entries = _waits(awaited.AsyncProcess.entries)
    outbox = _waits(awaited.AsyncProcess.outbox)
    prints = _waits(awaited.AsyncProcess.prints)
    errors = _waits(awaited.AsyncProcess.errors)
    pause = _waits(awaited.AsyncProcess.pause)
    resume = _waits(awaited.AsyncProcess.resume)
    step = _waits(awaited.AsyncProcess.step)
    tick = _waits(awaited.AsyncProcess.tick)
    replay = _waits(awaited.AsyncProcess.replay)
    inbox = _waits(awaited.AsyncProcess.inbox)
    queued = _waits(awaited.AsyncProcess.queued)
    load = _waits(awaited.AsyncProcess.load)
    blueprint = _waits(awaited.AsyncProcess.blueprint)
    invariants = _waits(awaited.AsyncProcess.invariants)

    def fork(self, slot: int | None = None, name: str = "") -> Process:
        """A new process with the state of this one, now or after a slot."""
        return Process(self.loop, self.loop.run(self.inner.fork(slot, name)))

    def spawned(self) -> list[Process]:
        """The processes that it has spawned, oldest first."""
        return [Process(self.loop, one) for one in self.loop.run(self.inner.spawned())]


class Clock:
    """The time on a test's node; see `aoshell.testing.testbed.clock.AsyncClock`."""

    def __init__(self, loop: Loop, inner: timing.AsyncClock) -> None:
        self.loop = loop
        self.inner = inner

    now = _waits(timing.AsyncClock.now)
    advance = _waits(timing.AsyncClock.advance)


def _makes(
    verb: Callable[Concatenate[awaited.AsyncNode, _P], Coroutine[Any, Any, awaited.AsyncProcess]],
) -> Callable[Concatenate[Node, _P], Process]:
    """The blocking form of a coroutine method that returns a process."""

    @functools.wraps(verb)
    def make(node: Node, /, *args: _P.args, **kwargs: _P.kwargs) -> Process:
        return Process(node.loop, node.loop.run(verb(node.inner, *args, **kwargs)))

    return make


class Node:
    """A test's own node; see `aoshell.testing.testbed.node.AsyncNode`."""

    def __init__(self, loop: Loop, inner: awaited.AsyncNode) -> None:
        self.loop = loop
        self.inner = inner
        self.clock = Clock(loop, inner.clock)

    @property
    def address(self) -> str:
        """43 characters base64url."""
        return self.inner.address

    @property
    def owner(self) -> Identity:
        """The identity that owns processes by default."""
        return self.inner.owner

    def process(self, id: str, owner: Identity | None = None) -> Process:
        """A process by its id, such as one that another process has spawned."""
        return Process(self.loop, self.inner.process(id, owner))

    def knows(self, identity: Identity) -> None:
        """Count messages to this identity as delivered from now on."""
        self.inner.knows(identity)

    def processes(self) -> list[Process]:
        """All processes, oldest first."""
        found = self.loop.run(self.inner.processes())
        return [Process(self.loop, process) for process in found]

    spawn = _makes(awaited.AsyncNode.spawn)
    mock = _makes(awaited.AsyncNode.mock)
    restore = _makes(awaited.AsyncNode.restore)
    publish = _waits(awaited.AsyncNode.publish)
    inbox = _waits(awaited.AsyncNode.inbox)
    undelivered = _waits(awaited.AsyncNode.undelivered)
    idle = _waits(awaited.AsyncNode.idle)
