"""Gives messages their place: slot, time, block height, hash chain.

The time of a process's messages never goes back, whatever the clock does; the log holds it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from aoshell.nodes.local.log.rows import Logged
from aoshell.nodes.local.log.store import Store
from aoshell.protocol.encoding import b64url

# Milliseconds: the time of Arweave's first block, and about how long a block has taken since. They
# give a height of the right size without asking the network.
_FIRST_BLOCK = 1_528_480_000_000
_BLOCK_MS = 129_000


def block_height(timestamp: int) -> int:
    """The block height at a time, milliseconds since the Unix epoch."""
    return (timestamp - _FIRST_BLOCK) // _BLOCK_MS


@dataclass(slots=True)
class Head:
    """The end of a process's log."""

    slot: int
    tick: int
    timestamp: int
    chain: str


class Scheduler:
    """Numbers messages. Commit what it hands out, or call `forget`: a log has no gaps."""

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._heads: dict[int, Head] = {}
        self._seq, self._process = store.last_numbers()

    def forget(self) -> None:
        """Go back to the numbers in the store: what was handed out since was not written."""
        self._heads.clear()
        self._seq, self._process = self._store.last_numbers()

    def new_process(self) -> int:
        """A number for a process."""
        self._process += 1
        return self._process

    def new_seq(self) -> int:
        """A number for a message."""
        self._seq += 1
        return self._seq

    @property
    def last_seq(self) -> int:
        return self._seq

    def head(self, process: int) -> Head:
        """The end of a process's log; slot -1 before its definition."""
        head = self._heads.get(process)
        if head is None:
            last = self._store.head(process)
            head = (
                Head(last.slot, last.tick, last.timestamp, last.chain)
                if last
                else Head(-1, 0, 0, "")
            )
            self._heads[process] = head
        return head

    def assign(
        self,
        process: int,
        message_id: str,
        body: bytes,
        *,
        signed: bytes | None = None,
        cause: Logged | None = None,
        idx: int | None = None,
        ordinal: int = 0,
        tick: bool = False,
    ) -> Logged:
        """The next place in a process's log.

        Args:
            cause: the message that sent it; None for one from outside, which is its own root.
            ordinal: how many messages the root has caused, this one included.
            tick: place it between slots (cron).
        """
        head = self.head(process)
        now = self._clock()
        head.timestamp = max(head.timestamp, now)
        if tick:
            head.tick += 1
        else:
            head.slot, head.tick = head.slot + 1, 0
            head.chain = b64url(hashlib.sha256((head.chain + message_id).encode()).digest())
        seq = self.new_seq()
        return Logged(
            seq=seq,
            process=process,
            slot=head.slot,
            tick=head.tick,
            id=message_id,
            cause=cause.seq if cause else None,
            idx=idx,
            root=cause.root if cause else seq,
            ordinal=ordinal,
            timestamp=head.timestamp,
            height=block_height(head.timestamp),
            chain=head.chain,
            signed=signed,
            body=body,
        )
