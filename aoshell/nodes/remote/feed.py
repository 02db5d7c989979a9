"""The live feed of a remote node: events of the watched processes.

The node is asked repeatedly for what comes after a cursor, at growing intervals while nothing is
new. The node's `page` defines its cursors; each must be a JSON value. A cursor is written into the
book when the subscriber asks for the next event. So after a restart no event is repeated, and none
is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.remote.http.progress import hide_progress
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import Event, LogEntry

SHORTEST, LONGEST = 1.0, 15.0  # seconds between two requests
SLOWER = 1.5  # factor between two intervals
UNREAD = 500  # unread events of a subscriber, above which the feed waits
CURSOR, ANSWERED = "cursor", "answered"  # kinds of facts in the book
REMEMBERED = 200  # places of a process in the fact ANSWERED


@dataclass(frozen=True, slots=True)
class FeedStep:
    """One step of a feed.

    Attributes:
        cursor: where the feed goes on after it.
        entry: the message and its result, None if the step only moves the cursor.
        notice: a sentence for the user, "" for none.
        last: whether nothing more is known after it, so that the feed pauses before it asks again.
    """

    cursor: Any
    entry: LogEntry | None = None
    notice: str = ""
    last: bool = False


Page: TypeAlias = Callable[[str, Any], Awaitable[Sequence[FeedStep]]]
"""Returns the steps of a process after a cursor, oldest first; for None, one step to its end.

Raises AoError if the node cannot be asked; the feed asks again later.
"""


class FeedSubscription:
    """Events from its creation on. An async iterator; `aclose` ends it."""

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


class _Followed:
    """A process that is followed.

    Attributes:
        task: asks for its pages.
        wake: set to ask at once.
        begun: requests for a page so far.
        readers: waits for the end of the log, each with the first request that counts for it.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[None] | None = None
        self.wake = asyncio.Event()
        self.begun = 0
        self.readers: list[tuple[int, asyncio.Future[None]]] = []

    def ended(self, request: int) -> None:
        """A request found nothing more."""
        for first, reader in self.readers:
            if request >= first and not reader.done():
                reader.set_result(None)
        self.readers = [one for one in self.readers if not one[1].done()]


class RemoteFeed:
    """Follows processes of one endpoint: `watch` adds one, `subscribe` returns their events.

    Args:
        page: asks the node.
        book: keeps the cursors.
        endpoint: the book keeps them under it.
        shortest, longest: seconds between two requests.
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
        self._followed: dict[str, _Followed] = {}
        self._old: dict[str, frozenset[int | str]] = {}
        self._heard = asyncio.Event()

    def subscribe(self) -> FeedSubscription:
        """Events from now on."""
        subscription = FeedSubscription(self)
        self._subscriptions.append(subscription)
        self._heard.set()
        return subscription

    async def watch(self, process: str) -> None:
        """Follow a process from its cursor in the book; without one, from now on.

        Raises:
            AoError: the node cannot be asked for the end of the log.
        """
        if process in self._followed:
            return
        cursor = self._book.get(self._endpoint, CURSOR, process)
        at_end = cursor is None
        if at_end:
            (first,) = await self._page(process, None)
            cursor = first.cursor
            self.keep(process, cursor)
        if process not in self._followed:
            old = self._book.get(self._endpoint, ANSWERED, process) or ()
            self._old[process] = frozenset(old)
            followed = self._followed[process] = _Followed()
            work = self._follow(process, cursor, followed, at_end=at_end)
            followed.task = asyncio.create_task(work)

    def follows(self, process: str) -> bool:
        """Whether a process is followed."""
        return process in self._followed

    async def caught_up(self, *processes: str) -> None:
        """Wait until followed logs are read up to their present ends.

        Args:
            processes: the processes; none means all that are followed.
        """
        loop, readers = asyncio.get_running_loop(), []
        for process, followed in self._followed.items() if self._subscriptions else ():
            if process in processes or not processes:
                readers.append(loop.create_future())
                followed.readers.append((followed.begun + 1, readers[-1]))
                followed.wake.set()
        await asyncio.gather(*readers)

    def tell(self, event: Event) -> None:
        """Send an event to all subscribers that did not come from a page."""
        self._put(event)

    def tell_result(self, process: str, entry: LogEntry, root: str) -> None:
        """Send the result of a slot of a process that is not followed."""
        self._put(_event(process, entry, root))

    def wake(self, process: str) -> None:
        """Ask for new steps of a process at once, as something is about to happen there."""
        if process in self._followed:
            self._followed[process].wake.set()

    def answered(self, process: str, place: int | str) -> None:
        """Remember that the result of a slot, or of a message id, was returned to a caller.

        The feed of this session still sends it, as the caller may wait for it there. After a
        restart the feed leaves it out.
        """
        known = self._book.get(self._endpoint, ANSWERED, process) or []
        if place not in known:
            places = [*known, place][-REMEMBERED:]
            self._book.put(self._endpoint, ANSWERED, process, places, learnt_again=True)

    def keep(self, process: str, cursor: Any) -> None:
        """Remember that everything up to this cursor was shown."""
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
        followed, self._followed = list(self._followed.values()), {}
        tasks = [one.task for one in followed if one.task]
        for task in tasks:
            task.cancel()
        for one in followed:
            one.ended(one.begun + 1)
        await asyncio.gather(*tasks, return_exceptions=True)
        for subscription in list(self._subscriptions):
            self.remove(subscription)

    async def _follow(
        self, process: str, cursor: Any, followed: _Followed, *, at_end: bool
    ) -> None:
        """Follow a process.

        Args:
            at_end: whether the log ended at the cursor a moment ago.
        """
        hide_progress()
        wake = followed.wake
        shortest, longest = self._pauses
        pause, trouble = shortest, ""
        if at_end:
            await _nap(pause, wake)
        while True:
            await self._heard.wait()
            wake.clear()
            followed.begun += 1
            steps: Sequence[FeedStep] = ()
            try:
                steps = await self._page(process, cursor)
                if trouble:
                    self._put(Event("notice", process, "", "the feed goes on"))
                trouble = ""
            except AoError as error:
                if not trouble:
                    notice = f"the feed waits: {error.what} ({error.stage}); it tries again"
                    self._put(Event("notice", process, "", notice))
                trouble = error.what
            for step in steps:
                cursor = step.cursor
                self._tell(process, step)
            moved = any(step.entry for step in steps)
            ended = not moved or steps[-1].last
            if ended:
                followed.ended(followed.begun)
            pause = shortest if moved else min(longest, pause * SLOWER)
            if ended or any(each.unread > UNREAD for each in self._subscriptions):
                await _nap(pause, wake)
            pause = shortest if wake.is_set() else pause

    def _tell(self, process: str, step: FeedStep) -> None:
        if step.notice:
            self._put(Event("notice", process, "", step.notice))
        entry = step.entry
        if entry is None or self._is_old(process, entry):
            if not any(each.unread for each in self._subscriptions):
                self.keep(process, step.cursor)
            return
        root = entry.message.pushed_for or entry.message.id
        self._put(_event(process, entry, root), step.cursor)

    def _is_old(self, process: str, entry: LogEntry) -> bool:
        """Whether this result was returned to a caller in an earlier session."""
        slot, old = entry.message.assignment, self._old[process]
        return entry.message.id in old or (slot is not None and not slot.tick and slot.slot in old)

    def _put(self, event: Event, cursor: Any = None) -> None:
        for subscription in self._subscriptions:
            subscription.put(event, cursor)


def _event(process: str, entry: LogEntry, root: str) -> Event:
    result = entry.result
    quiet = result is not None and result.ok and not result.output and not result.resumed
    return Event("result", process, root, quiet=quiet, load=lambda: entry)


async def _nap(seconds: float, wake: asyncio.Event) -> None:
    """Sleep for some seconds, or until `wake` is set.

    Not with `wait_for`, which loses a cancellation that comes together with `wake`.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await wake.wait()
