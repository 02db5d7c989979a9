"""Gives messages their place: slot, time, block height, hash chain.

The time of a process's messages never goes back, even if the clock does: the log has the last time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aoshell.nodes.local.log.assigning import Assigner, first_link, next_link
from aoshell.nodes.local.log.rows import NETWORK, UNSIGNED, Arrival, Logged
from aoshell.nodes.local.log.store import Store
from aoshell.protocol.encoding import b64url

# Milliseconds: the time of Arweave's first block, and the average time of a block since then. They
# give a realistic height without asking the network.
_FIRST_BLOCK = 1_528_480_000_000
_BLOCK_MS = 129_000


def block_height(timestamp: int) -> int:
    """The block height at a time, milliseconds since the Unix epoch."""
    return (timestamp - _FIRST_BLOCK) // _BLOCK_MS


def block_time(height: int) -> int:
    """The time at which the block of a height begins; the inverse of `block_height`."""
    return _FIRST_BLOCK + height * _BLOCK_MS


@dataclass(slots=True)
class Head:
    """The end of a process's log.

    Attributes:
        network: id of the process if its chain has the network's form, else "".
        assignment: id of the last slot's assignment, "" if none is stored.
    """

    slot: int
    tick: int
    timestamp: int
    chain: str
    network: str = ""
    assignment: str = ""


class Scheduler:
    """Gives out numbers and slots. Commit them, or call `forget`, as a log has no gaps.

    Args:
        form_of: the form of a process's messages, by its number (`rows.FORMS`).
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int],
        assigner: Assigner,
        form_of: Callable[[int], str] = lambda _process: "",
    ) -> None:
        self._store = store
        self._form_of = form_of
        self._clock = clock
        self._assigner = assigner
        self._heads: dict[int, Head] = {}
        self._seq, self._process = store.last_numbers()

    def forget(self) -> None:
        """Go back to the numbers in the store, as numbers given out since were not written."""
        self._heads.clear()
        self._seq, self._process = self._store.last_numbers()

    def new_process(self, network: str = "") -> int:
        """A number for a process.

        Args:
            network: its id, if its chain must have the network's form.
        """
        self._process += 1
        if network:
            self._heads[self._process] = Head(-1, 0, 0, "", network)
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
            head = self._heads[process] = self._read_head(process)
        return head

    def _read_head(self, process: int) -> Head:
        last = self._store.head(process)
        if last is None:
            return Head(-1, 0, 0, "")
        head = Head(last.slot, last.tick, last.timestamp, last.chain)
        row = self._store.process_numbered(process)
        if row.chain == NETWORK:
            head.network = row.id
            head.assignment = self._store.assignment_of(process, last.slot)
        return head

    def assign(
        self,
        process: int,
        message_id: str,
        body: bytes,
        *,
        arrival: Arrival = UNSIGNED,
        cause: Logged | None = None,
        idx: int | None = None,
        ordinal: int = 0,
        tick: bool = False,
        exclude: Sequence[str] | None = None,
    ) -> Logged:
        """The next place in a process's log.

        Args:
            cause: the message that sent it; None for a message from outside, its own root.
            ordinal: how many messages the root has caused, including this one.
            tick: place it between slots (cron).
            exclude: for an assignment from outside: the fields that it leaves out. The assignment
                is then stored.
        """
        head = self.head(process)
        head.timestamp = max(head.timestamp, self._clock())
        if tick:
            head.tick += 1
        else:
            head.slot, head.tick = head.slot + 1, 0
            head.chain = _link(head, message_id)
        seq = self.new_seq()
        logged = Logged(
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
            signed=arrival.signed,
            body=body,
            client=arrival.client,
            form=arrival.form or self._form_of(process),
        )
        if (head.network or exclude is not None) and not tick:
            of = head.network or self._store.process_numbered(process).id
            item = self._assigner.assign(of, logged, exclude or ())
            head.assignment = item.id
            return logged._replace(assignment=item.id, assigned=item.raw)
        return logged


def _link(head: Head, message_id: str) -> str:
    """The next link of a chain; `head` has the new slot already."""
    if not head.network:
        return b64url(hashlib.sha256((head.chain + message_id).encode()).digest())
    return next_link(head.assignment, head.chain) if head.slot else first_link(head.network)
