"""Keeps messages that must wait, and releases them.

They wait in the queue of a paused process, or for a module, or because a line has caused too many.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from aoshell.nodes.local.delivery.push import Pusher, add_pushed
from aoshell.nodes.local.log.form import Wire
from aoshell.nodes.local.log.rows import HELD, QUEUED, Batch, Kept, Logged, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.local.waiting.roots import Roots

PAUSED = "paused"  # in the table of facts: ids of processes with a queue

Item = tuple[int, int, Kept]
"""Sender, its slot, and the message."""


class Keeping:
    """Keeps queues, and releases kept messages.

    Args:
        flush: writes what workers have answered.
        admit: writes released messages, and has them computed. Raises AoError.

    Attributes:
        paused: ids of the processes that have a queue for what others send.
    """

    def __init__(
        self,
        store: Store,
        roots: Roots,
        processes: ProcessRows,
        pusher: Pusher,
        flush: Callable[[], object],
        admit: Callable[[Batch, list[tuple[Logged, Wire]]], None],
    ) -> None:
        self._store = store
        self._roots = roots
        self._processes = processes
        self._pusher = pusher
        self._flush = flush
        self._admit = admit
        self.paused: frozenset[str] = frozenset(json.loads(store.meta(PAUSED) or "[]"))

    def pause(self, process: ProcessRow, on: bool) -> None:
        """Start or stop queueing messages of other processes to a process."""
        self._flush()
        self.paused = self.paused | {process.id} if on else self.paused - {process.id}
        self._store.set_meta(PAUSED, json.dumps(sorted(self.paused)))

    def queued(self, process: str) -> list[Item]:
        """The messages in the queue of a process."""
        self._flush()
        return self._store.kept(held=QUEUED, target=process)

    def release(self, items: list[Item]) -> None:
        """Deliver those kept messages that need not wait any more; the others stay kept."""
        self._flush()
        batch, ready = Batch(), []
        for sender, _slot, kept in items:
            cause = self._store.at_seq(kept.cause)
            root = self._roots.id_of(cause.root)
            pushed = self._pusher.release(self._processes.get(sender), cause, root, kept)
            if not any(item.held == kept.held for item in pushed.kept):
                batch.freed.append((kept.cause, kept.idx))
                add_pushed(batch, pushed)
                ready += pushed.scheduled
        if batch.freed:
            self._admit(batch, ready)

    def release_held(self) -> None:
        """Deliver messages that were held by a lower bound on pushes."""
        self._flush()
        self.release(self._store.kept(held=HELD))

    def release_left(self) -> None:
        """Deliver messages queued for processes that are not paused: a node ended in a cut."""
        queued = self._store.kept(held=QUEUED)
        self.release([item for item in queued if self._may_go(item[2])])

    def _may_go(self, kept: Kept) -> bool:
        return kept.target not in self.paused and self._processes.find(kept.target) is not None
