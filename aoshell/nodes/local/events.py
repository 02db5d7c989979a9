"""Events of the local node, and those who subscribe to them."""

from __future__ import annotations

import asyncio
from functools import partial

from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.form import FlatResult
from aoshell.nodes.local.log.rows import HELD, LOST, Computed, Kept, Logged, ProcessRow
from aoshell.nodes.values import Event


class EventSubscription:
    """An async iterator over the events since it was made; `aclose` ends it."""

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
    """All subscriptions. Notices without a subscriber are kept for the first one."""

    def __init__(self) -> None:
        self._subscriptions: list[EventSubscription] = []
        self._unheard: list[Event] = []

    @property
    def wanted(self) -> bool:
        """Whether anybody has subscribed."""
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
        """Give an event to every subscriber."""
        for subscription in self._subscriptions:
            subscription.put(event)

    def notice(self, text: str, process: str = "") -> None:
        """Show the user a notice, now or once somebody has subscribed."""
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


def put_result(
    events: Events,
    process: str,
    root: str,
    logged: Logged,
    computed: Computed,
    result: FlatResult,
    spawned: list[ProcessRow],
    kept: list[Kept],
) -> None:
    """Put the events of a committed result: the result, its spawns, and what was not delivered."""
    if not events.wanted:  # nobody listens: no event need be made
        return
    quiet = not (result.error or result.output or result.ended)
    entry = partial(form.to_entry, process, logged, computed, result)
    events.put(Event("result", process, root, quiet=quiet, load=entry))
    for row in spawned:
        events.put(Event("spawned", row.id, root))
    for item in kept:
        if item.held in (LOST, HELD):
            kind = "held" if item.held else "undelivered"
            events.put(Event(kind, process, root, _kept_text(item)))


def _kept_text(kept: Kept) -> str:
    """What was not delivered, to whom, and why, in a line."""
    message = form.to_message(form.load_wire(kept.body), None)
    if message.tag("Type") == "Process":
        return f"a spawn failed: {kept.reason}"
    whom = message.target if len(message.target) <= 12 else f"{message.target[:8]}…"
    target = f"to {whom}" if whom else "without Target"
    state = "held" if kept.held else "not delivered"
    return f"{message.tag('Action') or 'a message'} {target}: {state}: {kept.reason}"
