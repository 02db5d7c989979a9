"""The origins of forks of live processes, and the rules for forks.

A fork has the id of a process that others run, so three rules hold. They follow from rows of the
database, so they hold after a kill, too:

- the node does not deliver what a slot from elsewhere sent: it was delivered there;
- messages to a fork are not signed here: the signature would be valid for the live process, too;
- a slot from elsewhere cannot be taken back: the log would give its number to another message.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from aoshell.errors import AoError, UsageError
from aoshell.nodes.local.forked.memories import Coming, Memories
from aoshell.nodes.local.forked.withheld import Elsewhere
from aoshell.nodes.local.log.checkpoint import Checkpoint
from aoshell.nodes.local.log.rows import AS_NODE, OF_UNIT, Logged, Origin, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.values import WithheldError


def sweep_memories(store: Store) -> None:
    """Remove memories that no fork of a store begins with. Call it while no fork is being added.

    Raises:
        AoError: the store cannot be read.
    """
    rows = store.select("SELECT DISTINCT memory FROM origins WHERE memory != ''")
    Memories(store.folder).remove_all_but({digest for (digest,) in rows})


class Origins:
    """The origins of a store's processes, kept in memory.

    Attributes:
        memories: the memories that forks begin with.
        accept_signed: whether forks take signed messages (`serve --accept-signed`).
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.memories = Memories(store.folder)
        self._known: dict[int, Origin | None] = {}
        self._elsewhere = Elsewhere(())
        self._elsewhere_of = (0, -1)
        self.accept_signed = False

    @property
    def elsewhere(self) -> Elsewhere:
        """The ids here that others run processes under, including deleted ones."""
        (newest,) = self._store.select_one("SELECT max(number) FROM processes")
        now = newest or 0, self._store.cuts  # grow with new and with deleted processes
        before = self._elsewhere_of
        if now[1] != before[1]:
            self._elsewhere = Elsewhere.of(self._store)
        elif now[0] != before[0]:
            self._elsewhere = self._elsewhere.grown(self._store, before[0])
        self._elsewhere_of = now
        return self._elsewhere

    def of(self, process: int) -> Origin | None:
        """The origin of a process by its number; None if it was made here."""
        if process not in self._known:
            self._known[process] = self._store.origin(process)
        return self._known[process]

    def forget_all(self) -> None:
        """Clear the cache: another process may get a number again."""
        self._known.clear()

    def is_foreign(self, logged: Logged) -> bool:
        """Whether a message was scheduled elsewhere, so that what it sends was delivered there."""
        origin = self.of(logged.process)
        return origin is not None and (logged.slot, logged.tick) <= (origin.slot, 0)

    def base_of(self, process: ProcessRow) -> tuple[Checkpoint, Logged] | None:
        """The memory that a process begins with, and the last message in it; None without a memory.

        Raises:
            AoError: the memory is missing or damaged.
        """
        origin = self.of(process.number)
        if origin is None or not origin.memory:
            return None
        found = self._store.at_slot(process.number, origin.memory_slot)
        if found is None:
            raise AoError(f"slot {origin.memory_slot} of {process.id} is missing", stage="store")
        image = self.memories.image(origin.memory)
        return Checkpoint(found[0].seq, origin.memory_slot, "", image), found[0]

    def check_computed_here(self, process: ProcessRow, slot: int) -> None:
        """Raise UsageError if a slot is before the memory, as its state is not known."""
        origin = self.of(process.number)
        if origin is not None and origin.memory and slot < origin.memory_slot:
            raise UsageError(
                f"{process.name or process.id} begins with a memory after slot"
                f" {origin.memory_slot}, which {origin.vouched} gave",
                hint="fork it with --replay to compute all slots here",
            )

    def check_copied(self, process: ProcessRow) -> None:
        """Raise UsageError if the process begins with a memory, which contains its id."""
        origin = self.of(process.number)
        if origin is not None and origin.memory:
            raise UsageError(
                f"the memory that {process.name or process.id} begins with holds its id, so no copy"
                " under another id can be made",
                hint="fork it with --replay; .snapshot and .restore go back to a slot",
            )

    def coming(self) -> AbstractContextManager[Coming]:
        """Takes the memories of a new fork. After the block, those that no fork needs are removed.

        If the block fails, this removes all of them.
        """
        return self.memories.coming(self.remove_unused)

    def remove_unused(self, digest: str) -> None:
        """Remove a memory if no fork begins with it any more."""
        if not self._store.select("SELECT 1 FROM origins WHERE memory = ? LIMIT 1", digest):
            self.memories.remove(digest)

    def takes_unsigned(self, process: ProcessRow) -> bool:
        """Whether messages to a process must not be signed: a live process has its id."""
        return process.id in self.elsewhere

    def takes_no_signed(self, process: ProcessRow) -> bool:
        """Whether a process refuses signed messages: it is a fork, or its id was a fork's here."""
        elsewhere = self.elsewhere
        return process.id in elsewhere and process.id not in elsewhere.stand_ins

    def form_of(self, process: int) -> str:
        """The form of messages that this node schedules on a process."""
        origin = self.of(process)
        return OF_UNIT if origin is not None and origin.module not in ("", AS_NODE) else ""

    def check_signed(self, process: ProcessRow, *, is_item: bool) -> None:
        """Raise AoError if a process that `takes_no_signed` must refuse this message."""
        if not self.accept_signed:
            raise AoError(
                f"{self._kind_of(process.id)}, and this message is signed: whoever has it could"
                " post it there",
                stage="message",
                hint="lines and .send at the prompt go to it unsigned; serve --accept-signed takes"
                " signed ones, too",
            )
        if not is_item:
            raise AoError(
                f"{self._kind_of(process.id)}, and takes ANS-104 items only",
                stage="message",
                hint="sign it as one",
            )

    def not_kept(self, own: str, what: str) -> AoError:
        """The error for a refused item, which is signed for such a process."""
        return AoError(
            f"{self._kind_of(own)}, and {what} is signed for it: whoever has it could post it"
            " there",
            stage="message",
            hint="nothing was kept",
        )

    def withheld(self, id: str, own: str) -> WithheldError:
        """The error for a message that holds an item for such a process."""
        return WithheldError(
            f"{id} is not given out: {self._kind_of(own)}, and an item in it is signed for that",
            stage="message",
            hint="whoever has the item could post it there",
        )

    def _kind_of(self, id: str) -> str:
        row = self._store.process(id)
        name = row.name or id if row else id
        if row and self.of(row.number) is not None:
            return f"{name} is a fork of a live process"
        if id in self.elsewhere.stand_ins:
            return f"{name} stands in for a live process"
        return f"{name} was a fork of a live process here, or stood in for one"

    def check_cut(self, process: ProcessRow, slot: int) -> None:
        """Raise UsageError if a cut would take back a slot from elsewhere."""
        origin = self.of(process.number)
        if origin is not None and slot <= origin.slot:
            raise UsageError(
                f"slot {slot} comes from {origin.source}: {process.name or process.id} was forked"
                f" after slot {origin.slot}",
                hint=f"fork it anew after an earlier slot: .fork {origin.source}"
                f" {process.id}@SLOT as NAME",
            )
