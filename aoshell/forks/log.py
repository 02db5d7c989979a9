"""Reads and checks the whole log of a live process; cached pages are read from the cache."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aoshell.bounded.sizes import size
from aoshell.errors import AoError
from aoshell.forks.bundles import BUNDLE, read_bundle
from aoshell.forks.cache import LogCache
from aoshell.forks.messages import (
    Following,
    ForeignMessage,
    message_from_gateway,
    read_edge,
)
from aoshell.forks.remote import Remote
from aoshell.nodes.values import NotFoundError

LARGEST_LOG = 1 << 30  # bytes of a log, as its source gives it
REPORT_EVERY = 2.0  # seconds between two lines of progress
_LAST = 1 << 53  # no log has so many slots

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ForeignLog:
    """The log of a live process.

    Attributes:
        messages: of slots 0, 1, …; with a memory, of slot 0, then of its slot and later ones.
        hyperbeam: whether it comes from a HyperBEAM node.
        chained: whether its hash chain was checked.
        bytes: of all answers with its messages.
    """

    source: str
    process: str
    messages: tuple[ForeignMessage, ...]
    bytes: int
    hyperbeam: bool = False
    chained: bool = True

    @property
    def unsigned(self) -> int:
        """How many of its messages have no signature."""
        return sum(not found.signed for found in self.messages)

    @property
    def schedulers(self) -> Mapping[str, int]:
        """The number of assignments by signer; "" for those that were not checked."""
        return Counter(found.scheduler for found in self.messages)


def read_page(
    page: Sequence[Any], process: str, where: str, *, as_node: bool
) -> list[ForeignMessage]:
    """The messages of a page, by slot, their signatures checked. Raises AoError.

    Args:
        as_node: as `read_bundle` has it.
    """
    found: list[ForeignMessage] = []
    for one in page:
        is_bundle = isinstance(one, Mapping) and BUNDLE in one
        if is_bundle:
            found += read_bundle(one, process, where, as_node=as_node)
        else:
            found.append(read_edge(one, where))
    return sorted(found, key=lambda one: one.assigned.slot)


async def read_definition(remote: Remote, process: str) -> ForeignMessage:
    """Slot 0 of a process. Raises AoError as `read_log`."""
    page = await remote.page(process, -1, 0)
    found = next(iter(read_page(page, process, remote.source, as_node=False)), None)
    if found is None or found.message is None:
        raise NotFoundError(
            f"{remote.source} has no log of {process}",
            stage="schedule",
            hint="is it the scheduler of that process?",
        )
    Following(process, remote.source).follow(found)
    return found


async def read_log(
    remote: Remote,
    cache: LogCache,
    process: str,
    slot: int | None,
    tell: Tell,
    begin: int = 0,
    *,
    as_node: bool,
) -> ForeignLog:
    """The log of a process up to a slot; None for all that is there now.

    Args:
        begin: the first slot that is read.
        tell: shows the progress.
        as_node: whether its messages are also needed in the form of a HyperBEAM node
            (`ForeignMessage.as_node`).

    Raises:
        NotFoundError: the process is not there.
        AoError: it cannot be read, or is invalid; what was read is cached.
    """
    await remote.meet(process)
    reading = _LogReading(remote, process, slot, tell, begin, as_node)
    kept = [page for page in cache.pages() if page]
    try:
        await reading.take_kept(kept)
    except AoError:  # a page of another log, or damaged
        cache.forget()
        reading = _LogReading(remote, process, slot, tell, begin, as_node)
    try:
        await reading.read(cache)
    except AoError as error:
        if not reading.from_cache or isinstance(error, NotFoundError):
            raise
        # The source may have another log now than when a part of it was cached.
        cache.forget()
        reading = _LogReading(remote, process, slot, tell, begin, as_node)
        await reading.read(cache)
    return reading.log()


class _LogReading:
    def __init__(
        self,
        remote: Remote,
        process: str,
        slot: int | None,
        tell: Tell,
        begin: int,
        as_node: bool,
    ) -> None:
        self._as_node = as_node
        self._begin = begin
        self._remote = remote
        self._process = process
        self._wanted = slot
        self._tell = tell
        self._following: Following | None = None
        self._messages: list[ForeignMessage] = []
        self._bytes = 0
        self.from_cache = False

    def log(self) -> ForeignLog:
        """The log that was read. Raises AoError if the requested slot is missing."""
        last = self._last
        wanted = last if self._wanted is None else self._wanted
        if not self._messages:
            raise NotFoundError(
                f"{self._remote.source} has no log of {self._process}",
                stage="schedule",
                hint="is it the scheduler of that process?",
            )
        if wanted > last:
            raise AoError(
                f"{self._process} has no slot {wanted} there",
                stage="fork",
                hint=f"it has slots 0 to {last}",
            )
        found = tuple(self._messages[: wanted + 1 - self._begin])
        remote = self._remote
        chained = self._following is None or self._following.chained
        where, node = remote.source, remote.is_hyperbeam
        return ForeignLog(where, self._process, found, self._bytes, node, chained)

    async def take_kept(self, pages: Sequence[Sequence[Any]]) -> None:
        """Take the pages from a cache."""
        for page in pages:
            if self._is_enough:
                return
            await self._take(page)
            self.from_cache = True

    async def read(self, cache: LogCache) -> None:
        """Read what is missing, and cache it."""
        if self._is_enough:
            return
        newest = await self._remote.newest(self._process) if self._wanted is None else None
        last = newest if self._wanted is None else self._wanted
        if newest is not None and newest < self._last:
            raise AoError(
                f"{self._remote.source} says that {self._process} has slots up to {newest}, and has"
                f" given slot {self._last}",
                stage="schedule",
                hint="nothing was forked; has its log been cut?",
            )
        start, began = time.monotonic(), len(self._messages)
        reported_at = start
        while not self._is_enough:
            page = await self._remote.page(
                self._process, self._last, _LAST if last is None else last
            )
            if not page:
                self._check_end(newest)
                return
            await self._take(page)
            cache.add(page)
            if last is not None and self._last >= last:
                return
            now = time.monotonic()
            if now - reported_at >= REPORT_EVERY:
                reported_at = now
                self._tell(self._progress(last, began, now - start))

    def _check_end(self, newest: int | None) -> None:
        """Raise AoError if a log ends before the slot that its source calls the newest."""
        if newest is not None and self._messages and self._last < newest:
            raise AoError(
                f"{self._remote.source} says that {self._process} has slots up to {newest}, and"
                f" lists none after {self._last}",
                stage="schedule",
                hint=f"nothing was forked; {self._process}@{self._last} forks what it lists",
            )

    @property
    def _is_enough(self) -> bool:
        return self._wanted is not None and self._last >= self._wanted

    @property
    def _last(self) -> int:
        """The last slot that was read."""
        return self._begin + len(self._messages) - 1

    def _progress(self, last: int | None, began: int, seconds: float) -> str:
        read = len(self._messages)
        size_read = f"{self._bytes / (1 << 20):.1f} MB"
        if last is None or read == began:
            return f"{read:,} slots read, {size_read}"
        left = seconds / (read - began) * (last - self._last)
        return f"{read:,} of {last + 1:,} slots read, {size_read}, {left:.0f} s left"

    async def _take(self, page: Sequence[Any]) -> None:
        where, remote = self._remote.source, self._remote
        # In a thread: signatures take a tenth of a millisecond each.
        found = await asyncio.to_thread(
            read_page, page, self._process, where, as_node=self._as_node
        )
        if self._following is None:
            fork = await remote.forked(self._process)
            self._following = Following(
                self._process,
                where,
                hyperbeam=remote.is_hyperbeam,
                begin=self._begin,
                unlinked=fork.slot if fork else -1,
            )
        for one in found:
            self._following.follow(one)
            if one.message is None:
                code = await remote.gateway.code(one.assigned.message)
                fetched = message_from_gateway(code, one.assigned)
                one = replace(fetched, scheduler=one.scheduler)
            self._messages.append(one)
        self._bytes += sum(len(json.dumps(edge)) for edge in page)
        if self._bytes > LARGEST_LOG:
            raise AoError(
                f"the log of {self._process} is larger than {size(LARGEST_LOG)}",
                stage="fork",
                hint="fork an earlier slot: PROCESS@SLOT",
            )
