"""A cache of the rows of processes; new rows are made here."""

from __future__ import annotations

import sys
from collections.abc import Callable

from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import NETWORK, ProcessRow
from aoshell.nodes.local.log.scheduler import Scheduler
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes import cron
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.values import Limits, NotFoundError
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.message import printable


class ProcessRows:
    """Rows by id and by number, including those that the next transaction will write."""

    def __init__(
        self,
        store: Store,
        scheduler: Scheduler,
        modules: Modules,
        clock: Callable[[], int],
        get_limits: Callable[[], Limits],
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._modules = modules
        self._clock = clock
        self._get_limits = get_limits
        self._rows: dict[int, ProcessRow] = {}
        self._numbers: dict[str, int] = {}

    def find(self, process_id: str) -> ProcessRow | None:
        """A process by id, None if it is not on this node."""
        number = self._numbers.get(process_id)
        if number is not None:
            return self._rows[number]
        row = self._store.process(process_id)
        return self.keep(row) if row is not None else None

    def look_up(self, process_id: str) -> ProcessRow:
        """A process by id. Raises NotFoundError if it is not on this node."""
        row = self.find(process_id)
        if row is None:
            raise NotFoundError(
                f"no process {process_id} is on this node", stage="node", hint="see .ps"
            )
        return row

    def get(self, number: int) -> ProcessRow:
        """A process by number. Raises AoError if there is none."""
        return self._rows.get(number) or self.keep(self._store.process_numbered(number))

    def keep(self, row: ProcessRow) -> ProcessRow:
        """Keep a row in memory; it replaces an older row of the same process."""
        # Thousands may exist, and most have these texts in common.
        shared = (row.owner, row.module, row.environment, row.authority, row.cron)
        owner, module, environment, authority, cron_text = map(sys.intern, shared)
        row = row._replace(
            owner=owner, module=module, environment=environment, authority=authority, cron=cron_text
        )
        self._rows[row.number] = row
        self._numbers[row.id] = row.number
        return row

    def create(
        self,
        process_id: str,
        module: str,
        *,
        owner: str,
        tags: list[str],
        name: str = "",
        authority: str = "",
        network: bool = False,
    ) -> ProcessRow:
        """A row for a new process, not yet written. Raises UsageError for a bad Cron-Interval.

        Args:
            authority: owner of messages pushed to it, "" for the node.
            network: whether it has the network's form, as processes of clients have.
        """
        now = self._clock()
        wanted = form.find_tag(tags, "Module")
        row = ProcessRow(
            number=self._scheduler.new_process(process_id if network else ""),
            id=process_id,
            name=printable(name or form.widen(form.find_tag(tags, "Name"))),
            owner=owner,
            module=module,
            environment=self._modules.environment,
            created=now,
            cron=cron.dump_schedules(cron.parse_schedules(tags, now)),
            memory=self._get_limits().memory,
            alias=wanted if network and wanted != module and has_id_form(wanted) else "",
            authority=authority,
            chain=NETWORK if network else "",
            monitored=int(not network),
        )
        return self.keep(row)

    def forget_all(self) -> None:
        """Empty the cache, as some rows may not have been written."""
        self._rows.clear()
        self._numbers.clear()
