"""Makes a HyperBEAM node run a process at intervals (`~cron@1.0`).

A process there computes only on request for its state. So for a monitored process, the node's own
cron requests the state. Source: HyperBEAM `dev_cron`, measured on nodes of September and November
2025.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aoshell.errors import AoError
from aoshell.nodes.remote.hyperbeam.binding import ANY
from aoshell.nodes.remote.hyperbeam.reading import Reading, plain
from aoshell.protocol.encoding import has_id_form
from aoshell.protocol.wallet import Wallet

DEFAULT_INTERVAL = "30-seconds"  # of processes that name none
UNKNOWN_TASK = 400  # status of the answer to a stop of an unknown task
TASK = "cron"  # kind of facts in the book: the task of a process
_INTERVAL = re.compile(r"[1-9][0-9]{0,9}-(?:millisecond|second|minute|hour|day)s?", re.I)


class Monitoring(Reading):
    """The part of the node that starts and stops tasks."""

    async def monitor(self, wallet: Wallet, process: str, on: bool) -> None:
        del wallet
        task = str(self._book.get(self.endpoint, TASK, process) or "")
        if not (task or on):
            what = f"{self.endpoint} runs no task of this home for {process}"
            raise AoError(what, stage="monitor")
        if task:
            await self._cron(f"stop?task={task}", "does not stop it", gone=True)
            self._book.put(self.endpoint, TASK, process, "")
        if on:
            every = await self._interval(process)
            computed = f"/{process}~process@1.0/now"
            fields = await self._cron(
                f"every?interval={every}&cron-path={computed}", "runs no cron"
            )
            if not has_id_form(plain(fields)):
                what = f"{self.endpoint} does not say which task it runs, so .unmonitor stops none"
                raise AoError(what, stage="monitor")
            self._book.put(self.endpoint, TASK, process, plain(fields))

    async def _cron(self, rest: str, what: str, *, gone: bool = False) -> Mapping[str, object]:
        """The answer of the node's cron. Never repeated, as each request makes another task.

        Args:
            gone: accept that the node does not know the task, as after a restart.
        """
        await self._ready()
        headers = (await self._accepted()).items()
        answer = await self._client.ask("monitor", "GET", f"/~cron@1.0/{rest}", headers=headers)
        if not (gone and answer.status == UNKNOWN_TASK):
            self._expect(answer, "monitor", what)
        return self._trust.read(answer, "monitor", ANY)

    async def _interval(self, process: str) -> str:
        """The interval of a process, from a tag of its definition."""
        (definition,) = await self.schedule(process, 0, 0) or (None,)
        tags = definition.tags if definition else ()
        every = next((tag.value for tag in tags if tag.name.lower() == "cron-interval"), "")
        return every if _INTERVAL.fullmatch(every) else DEFAULT_INTERVAL
