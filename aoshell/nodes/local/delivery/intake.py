"""Takes messages from outside, and remembers the addresses that sign them.

A definition becomes slot 0 of a new process, any other message the next slot of its target. If a
process sends a message to an address that signs here, it counts as delivered: the shell shows it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.clients import CLIENT
from aoshell.nodes.local.delivery.push import FORGED
from aoshell.nodes.local.forked.origins import Origins
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.form import Wire
from aoshell.nodes.local.log.rows import Arrival, Batch, Logged, ProcessRow
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.signed import dump_signed
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message

if TYPE_CHECKING:
    from aoshell.nodes.httpitem import HttpItem

Incoming: TypeAlias = "DataItem | HttpItem"
"""A message whose signature was checked."""

WALLETS = "wallets"  # in the table of facts: addresses of the shell's identities, a JSON list


class Signers:
    """Addresses of wallets; owners of processes on this node need no entry."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = self._stored()

    def add(self, addresses: Iterable[str]) -> None:
        """Store addresses, even if they have signed nothing yet."""
        stored = self._stored()
        if new := set(addresses) - stored:
            self._store.set_meta(WALLETS, json.dumps(sorted(stored | new)))
        self._known |= new

    def note(self, address: str) -> None:
        """Remember an address while the node is open."""
        self._known.add(address)

    def has(self, address: str) -> bool:
        """Whether an address belongs to a known wallet."""
        return address in self._known or self._store.is_owner(address)

    def _stored(self) -> set[str]:
        return set(json.loads(self._store.meta(WALLETS) or "[]"))


class Intake:
    """Schedules messages. A message that comes again keeps its first slot.

    Args:
        admit: writes messages, with fsync, and has them computed. Raises AoError.
    """

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        modules: Modules,
        processes: ProcessRows,
        signers: Signers,
        origins: Origins,
        admit: Callable[[Batch, list[tuple[Logged, Wire]]], None],
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._modules = modules
        self._processes = processes
        self._signers = signers
        self._origins = origins
        self._admit = admit

    def spawn(
        self, item: Incoming, name: str = "", *, authority: str | None = None, client: str = ""
    ) -> Logged:
        """Schedule a signed definition as slot 0 of a new process, durably. Raises AoError.

        Args:
            authority: for a process from the network's clients: the owner of messages pushed to it
                ("" for the node). None for a process of the prompt.
        """
        if (there := self._processes.find(item.id)) is not None:
            return self._first(there, item.id)
        owner, tags = item.owner_address, _tag_list(item)
        wanted = form.find_tag(tags, "Module") or "aos"
        module = self._modules.find(wanted, network=authority is not None)
        row = self._processes.create(
            item.id,
            module,
            owner=owner,
            tags=tags,
            name=name,
            authority=authority or "",
            network=authority is not None,
        )
        body = [item.id, owner, owner, item.id, *_rest(item), *tags]
        return self._schedule(row, item, body, Batch(processes=[row]), client)

    def send(self, process: ProcessRow, item: Incoming, client: str = "") -> Logged:
        """Schedule a signed message, durably. Raises AoError."""
        if first := self._store.signed_in(process.number, item.id):
            return first
        if self._origins.takes_no_signed(process):
            if first := self._scheduled(process, item.id):
                return first
            self._origins.check_signed(process, is_item=isinstance(item, DataItem))
        tags = _tag_list(item)
        owner = item.owner_address
        # As on the network: From-Process becomes From. From then differs from Owner, so a process
        # handles the message only if it trusts one of them as authority (`trusted`, process.lua).
        sender = form.find_tag(tags, "From-Process") or owner
        target = form.narrow(item.target or process.id)
        body = [item.id, sender, owner, target, *_rest(item), *tags]
        return self._schedule(process, item, body, Batch(), client)

    def say(self, process: ProcessRow, message: Message, client: str = "") -> Logged:
        """Schedule an unsigned message with the owner that it states, durably.

        Raises:
            AoError: the process is neither a fork nor a stand-in, so it takes only signed messages;
                or the message cannot be written.
        """
        if not self._origins.takes_unsigned(process):
            raise AoError(
                f"{process.name or process.id} is no fork, and takes signed messages only",
                stage="message",
                hint="sign it",
            )
        if first := self._scheduled(process, message.id):
            return first
        body = form.from_message(message)
        body[form.TARGET] = process.id
        logged = self._scheduler.assign(
            process.number,
            message.id,
            form.dump_wire(body),
            arrival=Arrival(None, "", client or CLIENT.get()),
        )
        self._admit(Batch(log=[logged]), [(logged, body)])
        return logged

    def _scheduled(self, process: ProcessRow, message_id: str) -> Logged | None:
        """The message of that id in the log of a process, signed or not."""
        slot = self._store.slot_of(process.number, message_id)
        found = None if slot is None else self._store.at_slot(process.number, slot)
        return found[0] if found else None

    def _first(self, process: ProcessRow, item_id: str) -> Logged:
        """The definition that is here already. Raises AoError if slot 0 is another message."""
        if first := self._store.signed_in(process.number, item_id):
            return first
        raise AoError(
            f"process {process.id} is on this node, and not made by this definition",
            stage="schedule",
            hint="at the prompt, .delete it first to replace it",
        )

    def _schedule(
        self, process: ProcessRow, item: Incoming, body: Wire, batch: Batch, client: str
    ) -> Logged:
        self._signers.note(item.owner_address)
        arrival = dump_signed(
            item if isinstance(item, DataItem) else item.sent, client or CLIENT.get()
        )
        if self._origins.takes_no_signed(process):
            # A signature for a fork is not stored: anyone who gets the home could post it.
            arrival = arrival._replace(signed=None)
        logged = self._scheduler.assign(
            process.number, item.id, form.dump_wire(body), arrival=arrival
        )
        batch.log.append(logged)
        self._admit(batch, [(logged, body)])
        return logged


def _tag_list(item: Incoming) -> list[str]:
    flat: list[str] = []
    for tag in item.tags:
        if tag.name not in FORGED:
            flat += (form.narrow(tag.name), form.narrow(tag.value))
    return flat


def _rest(item: Incoming) -> list[str]:
    """Data, anchor and Pushed-For of a signed message."""
    return [item.data.decode("latin-1"), item.anchor.decode("latin-1"), ""]
