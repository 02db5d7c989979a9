"""Events of the local node, and subscriptions to them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Protocol

from aoshell.nodes.clients import CLIENT
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.form import FlatResult
from aoshell.nodes.local.log.rows import HELD, LOST, Computed, Kept, Logged, ProcessRow
from aoshell.nodes.values import Event


class Sink(Protocol):
    """Takes events in order, and None after the last one."""

    def put(self, event: Event | None) -> None:
        """Take an event."""


class EventSubscription:
    """An async iterator over events from its creation on; `aclose` ends it."""

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
    """All subscriptions; itself a sink. Notices without a subscriber are kept for the first one.

    Args:
        client: the subscribing client (`nodes.clients`), which gets no notices of its own deeds.
    """

    def __init__(self, client: str = "") -> None:
        self._client = client
        self._sinks: list[Sink] = []
        self._unheard: list[Event] = []

    @property
    def wanted(self) -> bool:
        """Whether anybody has subscribed."""
        return bool(self._sinks)

    def subscribe(self) -> EventSubscription:
        """Events from now on."""
        subscription = EventSubscription(self)
        self.attach(subscription)
        return subscription

    def attach(self, sink: Sink) -> None:
        """Give a sink all events from now on."""
        self._sinks.append(sink)
        for event in self._unheard:
            sink.put(event)
        self._unheard.clear()

    def remove(self, sink: Sink) -> None:
        """End a subscription."""
        if sink in self._sinks:
            self._sinks.remove(sink)
            sink.put(None)

    def put(self, event: Event | None) -> None:
        """Give an event to every subscriber; None ends all subscriptions."""
        if event is None:
            self.close()
        elif event.by and event.by == self._client:
            return
        elif self._sinks:
            for sink in self._sinks:
                sink.put(event)
        elif event.kind == "notice" and not event.by:  # a deed is only for present subscribers
            self._unheard.append(event)

    def notice(self, text: str, process: str = "") -> None:
        """Show the user a notice, now or at the first subscription."""
        self.put(Event("notice", process, "", text))

    def notice_about(self, process: ProcessRow, text: str) -> None:
        """Show the user a notice that begins with a process's name."""
        self.notice(f"{process.name or process.id[:8]}: {text}", process.id)

    def deed(self, process: ProcessRow, text: str) -> None:
        """Tell the other clients what the present client (`nodes.clients`) has done."""
        if by := CLIENT.get():
            name = process.name or process.id[:8]
            self.put(Event("notice", process.id, "", f"{name}: {by} {text}", by=by))

    def close(self) -> None:
        """End all subscriptions."""
        for sink in list(self._sinks):
            self.remove(sink)


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
    if not events.wanted:  # without subscribers, no events are needed
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
    """An undelivered message, its target and the reason, in one line."""
    message = form.to_message(form.load_wire(kept.body), None)
    if message.tag("Type") == "Process":
        return f"a spawn failed: {kept.reason}"
    whom = message.target if len(message.target) <= 12 else f"{message.target[:8]}…"
    target = f"to {whom}" if whom else "without Target"
    state = "held" if kept.held else "not delivered"
    return f"{message.tag('Action') or 'a message'} {target}: {state}: {kept.reason}"
