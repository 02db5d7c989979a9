"""Reports changes to the page, as server-sent events.

An event says which processes have more messages or results; the page asks for those that it shows.
Nothing is queued: once the client has taken an event, the next one is made from what that client
knows and from the present state. So a slow client costs no memory, and misses nothing. The id of an
event is a digest of the state it reports. A client that comes back with an id, even after a restart
of the node, learns whether anything has changed.

Source: the HTML standard, section 9.2 (server-sent events).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from aoshell.errors import AoError
from aoshell.nodes.glances import Overview, Progress
from aoshell.serve.asgi.http import RequestError, Stream
from aoshell.serve.page.data import LONGEST_NAME, write_place
from aoshell.serve.page.files import DATA_POLICY, KEPT_TO_ITSELF
from aoshell.serve.page.shown import line

if TYPE_CHECKING:
    from aoshell.nodes.network_verbs import NetworkVerbs

MOST_STREAMS = 32  # open at once
MOST_PROCESSES = 500  # the newest processes, which events report
PACE = 0.25  # seconds between two events, and between two looks at the node
ALIVE_SECONDS = 15.0  # without change, after which a comment keeps the stream alive
RETRY_MS = 1000  # after which a browser connects again

_KIND = ("content-type", "text/event-stream; charset=utf-8")


class OverviewWatch:
    """Looks at the node after each change, once for all listeners, while there are any.

    Attributes:
        seen: what the last look found; None before the first.
        mark: the digest of `seen`, the id of events that report it.
        closed: whether all streams end.
    """

    def __init__(self, network: NetworkVerbs) -> None:
        self._network = network
        self._listeners: WeakSet[_Listener] = WeakSet()
        self._looking: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.seen: Overview | None = None
        self.mark = ""
        self.closed = False

    def listen(self, last: str) -> Stream:
        """A stream of changes from now on.

        Args:
            last: id of the last event that the client has seen, "" for none.

        Raises:
            RequestError: 503, there are too many streams.
        """
        if self.closed or len(self._listeners) >= MOST_STREAMS:
            raise RequestError(503, f"{MOST_STREAMS} pages follow changes already; close one")
        listener = _Listener(self, last)
        self._listeners.add(listener)
        if self._looking is None or self._looking.done():
            self.seen = None
            self._looking = asyncio.create_task(self._look())
        return Stream((_KIND, DATA_POLICY, *KEPT_TO_ITSELF), listener)

    def leave(self, listener: _Listener) -> None:
        """End one stream."""
        self._listeners.discard(listener)
        if not self._listeners and self._looking is not None:
            self._looking.cancel()
            self._looking = None

    async def close(self) -> None:
        """End all streams, and open no more."""
        self.closed = True
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        self._wake()

    async def change(self) -> None:
        """Return once `seen` has changed, or all streams end."""
        await self._changed.wait()

    @property
    def ended(self) -> bool:
        """Whether nothing looks at the node: then listeners end, and their clients come back."""
        return self.closed or self._looking is None or self._looking.done()

    async def _look(self) -> None:
        try:
            while True:
                waiting = asyncio.ensure_future(self._network.stored_changed())
                try:
                    await asyncio.sleep(0)  # start waiting before the look: no change is missed
                    seen = await self._network.glances.overview(MOST_PROCESSES)
                    if seen != self.seen:
                        self.seen, self.mark = seen, _digest(seen)
                        self._wake()
                    await waiting
                finally:
                    waiting.cancel()
                await asyncio.sleep(PACE)
        except AoError:  # other requests of the page fail as well, and say why
            return
        finally:
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class _Listener:
    """One stream: the events for one client."""

    def __init__(self, watch: OverviewWatch, last: str) -> None:
        self._watch = watch
        self._last = last
        self._sent: Overview | None = None
        self._begun = False

    async def __anext__(self) -> bytes:
        if not self._begun:
            self._begun = True
            return f"retry: {RETRY_MS}\n\n".encode()
        if self._sent is not None:
            await asyncio.sleep(PACE)
        while True:
            if self._watch.ended:
                raise StopAsyncIteration
            now, before = self._watch.seen, self._sent
            if now is not None and now is not before:
                self._sent = now
                mark = self._watch.mark
                if before is None and mark == self._last:
                    return b": nothing has changed\n\n"
                return _event(before, now, mark)
            try:
                async with asyncio.timeout(ALIVE_SECONDS):
                    await self._watch.change()
            except TimeoutError:
                return b": nothing has changed\n\n"

    async def aclose(self) -> None:
        self._watch.leave(self)


def _digest(seen: Overview) -> str:
    """A digest of the state; the same in every process."""
    return hashlib.sha256(repr(seen).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _event(last: Overview | None, now: Overview, mark: str) -> bytes:
    """An event with the differences; with everything if the client knows nothing yet, or messages
    were taken back."""
    whole = last is None or last.cuts != now.cuts
    before = {one.id: one for one in last.processes} if last and not whole else {}
    here = {one.id for one in now.processes}
    value = {
        "whole": whole,
        "cuts": now.cuts,
        "total": now.total,
        "processes": [_progress(one) for one in now.processes if before.get(one.id) != one],
        "gone": [id for id in before if id not in here],
    }
    return f"id: {mark}\nevent: processes\ndata: {json.dumps(value)}\n\n".encode()


def _progress(one: Progress) -> dict[str, Any]:
    return {
        "id": one.id,
        "name": line(one.name, LONGEST_NAME),
        "slots": one.slots,
        "at": write_place(one.place),
        "computed": write_place(one.computed) if one.computed else "",
    }
