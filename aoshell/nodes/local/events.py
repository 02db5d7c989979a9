"""Events of the local node, to whoever subscribes."""

from __future__ import annotations

import asyncio

from aoshell.nodes.local.log.rows import ProcessRow
from aoshell.nodes.values import Event


class EventSubscription:
    """Events from the moment it was made. An async iterator; `aclose` ends it."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue()

    def put(self, event: Event | None) -> None:
        self._queue.put_nowait(event)

    def __aiter__(self) -> EventSubscription:
        return self

    async def __anext__(self) -> Event:
        event = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        return event

    async def aclose(self) -> None:
        self._events.remove(self)


class Events:
    """All subscriptions. Notices that nobody could hear yet are kept for the first to come."""

    def __init__(self) -> None:
        self._subscriptions: list[EventSubscription] = []
        self._unheard: list[Event] = []

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscriptions)

    def subscribe(self) -> EventSubscription:
        """Events from now on."""
        subscription = EventSubscription(self)
        self._subscriptions.append(subscription)
        for event in self._unheard:
            subscription.put(event)
        self._unheard.clear()
        return subscription

    def remove(self, subscription: EventSubscription) -> None:
        """End a subscription."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            subscription.put(None)

    def put(self, event: Event) -> None:
        """Tell everybody."""
        for subscription in self._subscriptions:
            subscription.put(event)

    def notice(self, text: str, process: str = "") -> None:
        """Tell the user something, now or as soon as there is one."""
        event = Event("notice", process, "", text)
        if self._subscriptions:
            self.put(event)
        else:
            self._unheard.append(event)

    def notice_about(self, process: ProcessRow, text: str) -> None:
        """Show the user a notice that begins with a process's name."""
        self.notice(f"{process.name or process.id[:8]}: {text}", process.id)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in list(self._subscriptions):
            self.remove(subscription)
