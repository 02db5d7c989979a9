"""The live feed of a remote node: what happens to the processes that are watched.

A node is asked again and again for what lies behind a cursor, ever more seldom while nothing comes.
A cursor is whatever the node's `page` makes of it, as long as JSON can say it; it is written into
the book once whoever subscribed comes back for more, so that a restart repeats nothing that was
seen and leaves out nothing that was not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.remote.http.progress import silently
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Event, LogEntry

SHORTEST, LONGEST = 1.0, 15.0  # seconds between two looks
SLOWER = 1.5
UNREAD = 500  # events that wait for their reader before the node is asked for more
CURSOR, ANSWERED = "cursor", "answered"  # kinds of facts in the book
REMEMBERED = 200  # answers of a process


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a feed.

    Attributes:
        cursor: where to go on behind it.
        entry: what was computed, None where a step only leads on.
        notice: a sentence for the user, "" mostly.
    """

    cursor: Any
    entry: LogEntry | None = None
    notice: str = ""


Page: TypeAlias = Callable[[str, Any], Awaitable[Sequence[Step]]]
"""Steps of a process behind a cursor, oldest first; behind None one step: that to where it is now.

Raises AoError where the node cannot be asked; it is asked again later.
"""


class FeedSubscription:
    """Events from the moment it was made. An async iterator; `aclose` ends it."""

    def __init__(self, feed: RemoteFeed) -> None:
        self._feed = feed
        self._queue: asyncio.Queue[tuple[Event | None, Any]] = asyncio.Queue()
        self._shown: tuple[str, Any] | None = None

    @property
    def unread(self) -> int:
        return self._queue.qsize()

    def put(self, event: Event | None, cursor: Any = None) -> None:
        self._queue.put_nowait((event, cursor))

    def __aiter__(self) -> FeedSubscription:
        return self

    async def __anext__(self) -> Event:
        if self._shown is not None:
            self._feed.keep(*self._shown)
            self._shown = None
        event, cursor = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        if cursor is not None:
            self._shown = event.process, cursor
        return event

    async def aclose(self) -> None:
        self._feed.remove(self)


class RemoteFeed:
    """Follows processes of one endpoint. `watch` names them, `subscribe` gives what happens.

    Args:
        page: asks the node.
        book: keeps the cursors.
        endpoint: under which they are kept.
    """

    def __init__(
        self,
        page: Page,
        book: Book,
        endpoint: str,
        *,
        shortest: float = SHORTEST,
        longest: float = LONGEST,
    ) -> None:
        self._page = page
        self._book = book
        self._endpoint = endpoint
        self._pauses = shortest, longest
        self._subscriptions: list[FeedSubscription] = []
        self._followed: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = {}
        self._old: dict[str, frozenset[int | str]] = {}
        self._heard = asyncio.Event()

    def subscribe(self) -> FeedSubscription:
        """Events from now on."""
        subscription = FeedSubscription(self)
        self._subscriptions.append(subscription)
        self._heard.set()
        return subscription

    async def watch(self, process: str) -> None:
        """Follow a process: from where it was left, or the first time from now on.

        Raises:
            AoError: the node cannot say where the process is.
        """
        if process in self._followed:
            return
        cursor = self._book.get(self._endpoint, CURSOR, process)
        if cursor is None:
            (first,) = await self._page(process, None)
            cursor = first.cursor
            self.keep(process, cursor)
        if process not in self._followed:
            old = self._book.get(self._endpoint, ANSWERED, process) or ()
            self._old[process] = frozenset(old)
            wake = asyncio.Event()
            task = asyncio.create_task(self._follow(process, cursor, wake))
            self._followed[process] = task, wake

    def tell(self, event: Event) -> None:
        """Put an event out that no page brought."""
        self._put(event)

    def wake(self, process: str) -> None:
        """Look at once: something is about to happen there."""
        if process in self._followed:
            self._followed[process][1].set()

    def answered(self, process: str, place: int | str) -> None:
        """Remember that the result of a slot, or of a message by its id, was asked for and given.

        The feed brings it none the less, as whoever asked may wait for it there; but not once more
        after a restart.
        """
        known = self._book.get(self._endpoint, ANSWERED, process) or []
        if place not in known:
            places = [*known, place][-REMEMBERED:]
            self._book.put(self._endpoint, ANSWERED, process, places, learnt_again=True)

    def keep(self, process: str, cursor: Any) -> None:
        """Remember that all up to here was seen."""
        self._book.put(self._endpoint, CURSOR, process, cursor, learnt_again=True)

    def remove(self, subscription: FeedSubscription) -> None:
        """End a subscription."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            subscription.put(None)
        if not self._subscriptions:
            self._heard.clear()

    async def close(self) -> None:
        """Stop following, end all subscriptions."""
        tasks = [task for task, _ in self._followed.values()]
        self._followed.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for subscription in list(self._subscriptions):
            self.remove(subscription)

    async def _follow(self, process: str, cursor: Any, wake: asyncio.Event) -> None:
        silently()
        shortest, longest = self._pauses
        pause, trouble = shortest, ""
        while True:
            await self._heard.wait()
            wake.clear()
            steps: Sequence[Step] = ()
            try:
                steps = await self._page(process, cursor)
                if trouble:
                    self._put(Event("notice", process, "", "the feed goes on"))
                trouble = ""
            except AoError as error:
                if not trouble:
                    told = f"the feed waits: {error.what} ({error.stage}); it is tried on"
                    self._put(Event("notice", process, "", told))
                trouble = error.what
            for step in steps:
                cursor = step.cursor
                self._tell(process, step)
            moved = any(step.entry for step in steps)
            pause = shortest if moved else min(longest, pause * SLOWER)
            if not moved or any(each.unread > UNREAD for each in self._subscriptions):
                await _nap(pause, wake)
            pause = shortest if wake.is_set() else pause

    def _tell(self, process: str, step: Step) -> None:
        if step.notice:
            self._put(Event("notice", process, "", step.notice))
        entry = step.entry
        if entry is None or self._is_old(process, entry):
            if not any(each.unread for each in self._subscriptions):
                self.keep(process, step.cursor)
            return
        message, result = entry.message, entry.result
        quiet = result is not None and result.ok and not result.output and not result.resumed
        root = message.pushed_for or message.id
        told = Event("result", process, root, quiet=quiet, load=lambda: entry)
        self._put(told, step.cursor)

    def _is_old(self, process: str, entry: LogEntry) -> bool:
        """Whether an earlier session was given this result."""
        slot, old = entry.message.assignment, self._old[process]
        return entry.message.id in old or (slot is not None and not slot.tick and slot.slot in old)

    def _put(self, event: Event, cursor: Any = None) -> None:
        for subscription in self._subscriptions:
            subscription.put(event, cursor)


async def _nap(seconds: float, wake: asyncio.Event) -> None:
    """Sleep until it is time, or `wake` is set."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(wake.wait(), seconds)
