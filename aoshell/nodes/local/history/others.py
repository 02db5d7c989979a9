"""Lets changes of a log wait for lines that other clients of this node have under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aoshell.errors import AoError
from aoshell.nodes.clients import CLIENT
from aoshell.nodes.local.history.longwork import LongWork
from aoshell.nodes.local.log.rows import Logged, ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.process_rows import ProcessRows
from aoshell.nodes.local.waiting.roots import Roots

PATIENCE = 2.0  # seconds that a change waits for another client's line before it is refused
_LOOK = 0.02  # seconds between two looks


class Others:
    """Looks for messages of other clients (`nodes.clients`) that are not settled yet.

    Args:
        flush: writes the results of workers.
    """

    def __init__(
        self,
        store: Store,
        roots: Roots,
        processes: ProcessRows,
        work: LongWork,
        flush: Callable[[], object],
    ) -> None:
        self._store = store
        self._roots = roots
        self._processes = processes
        self._work = work
        self._flush = flush

    async def wait(self, stage: str, process: ProcessRow | None = None) -> None:
        """Return when no other client's line is under way.

        Args:
            stage: stage of the error.
            process: the process that will be changed; None for all.

        Raises:
            AoError: a line is still under way after `PATIENCE` seconds.
        """
        line = self._line(process)
        if line is None:
            return
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        with self._work.seen("wait", f"for {self._described(line)}"):
            while line is not None:
                if loop.time() > end:
                    raise AoError(
                        f"{self._described(line)} is under way",
                        stage=stage,
                        hint="try again when it is done; Ctrl-C twice stops it where it was typed",
                    )
                await asyncio.sleep(_LOOK)
                line = self._line(process)

    def _line(self, process: ProcessRow | None) -> Logged | None:
        """The first line of another client that concerns the process."""
        self._flush()
        mine = CLIENT.get()
        found = (self._store.at_seq(root) for root in self._roots.unsettled)
        theirs = [root for root in found if root.client not in ("", mine)]
        if not theirs or process is None:
            return theirs[0] if theirs else None
        here = {logged.root for logged in self._store.pending() if logged.process == process.number}
        return next(
            (line for line in theirs if line.process == process.number or line.seq in here), None
        )

    def _described(self, line: Logged) -> str:
        row = self._processes.get(line.process)
        return f"slot {line.slot} of {row.name or row.id}, which {line.client} sent,"
