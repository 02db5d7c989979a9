"""Fetches modules that this node does not have from the network.

The transaction of the message that asks for such a spawn keeps the spawn, marked as `FETCHING`.
Once the module has come, or cannot be fetched, the spawn is delivered as usual. The next start
fetches the modules of spawns that are still marked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from aoshell.errors import AoError
from aoshell.nodes.local.delivery.keeping import Item
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import FETCHING, Kept
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.modules import Modules
from aoshell.nodes.local.waiting.events import Events
from aoshell.nodes.local.waiting.roots import Roots
from aoshell.nodes.values import Module
from aoshell.protocol.encoding import has_id_form

Fetch = Callable[[str], Awaitable[Module]]


class Fetching:
    """Fetches each module once, however many spawns wait for it.

    Args:
        fetch: returns the verified module of a transaction; None without a network.
        release: delivers kept messages.
    """

    def __init__(
        self,
        fetch: Fetch | None,
        store: Store,
        modules: Modules,
        roots: Roots,
        events: Events,
        release: Callable[[list[Item]], None],
    ) -> None:
        self._fetch = fetch
        self._store = store
        self._modules = modules
        self._roots = roots
        self._events = events
        self._release = release
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def can_fetch(self, module: str) -> bool:
        """Whether there is a network, and the name has the form of an id."""
        return self._fetch is not None and has_id_form(module)

    async def fetch_module(self, module: str) -> Module:
        """The module of a transaction, stored here with the transaction's id as its name.

        Raises:
            AoError: it cannot be fetched, or is no module.
        """
        if self._fetch is None:
            raise AoError("this node asks no network", stage="module", hint="publish it here")
        found = await self._fetch(module)
        checked = self._modules.check(found.data, module)
        self._modules.keep(checked)
        return replace(checked, id=module)

    def begin(self, kept: Kept) -> None:
        """Fetch the module of a kept spawn, in the background."""
        module = _module_of(kept)
        if module not in self._tasks:
            self._events.notice(f"module {module} is not here; it is fetched")
            self._tasks[module] = asyncio.create_task(self._bring(module))

    def resume(self) -> None:
        """Fetch modules that were being fetched when the node stopped. Their roots stay open."""
        waiting = [kept for _, _, kept in self._store.kept(held=FETCHING)]
        for seq in sorted({kept.cause for kept in waiting}):
            self._roots.begin(self._store.at_seq(seq))
        for kept in waiting:
            self.begin(kept)

    async def _bring(self, module: str) -> None:
        try:
            await self.fetch_module(module)
        except AoError as error:
            self._events.notice(f"module {module} cannot be had: {error.what}")
        except Exception as error:  # after any error, waiting spawns must get an answer
            why = f"{type(error).__name__}: {error}"
            self._events.notice(f"module {module} cannot be had: {why}")
        del self._tasks[module]
        self._spawn(module)

    def _spawn(self, module: str) -> None:
        """Release the spawns that wait for a module: they succeed, or get a Spawn-Error."""
        waiting = self._store.kept(held=FETCHING)
        mine = [item for item in waiting if _module_of(item[2]) == module]
        self._release(mine)
        others = {kept.cause for _, _, kept in waiting if _module_of(kept) != module}
        for seq in sorted({kept.cause for _, _, kept in mine} - others):
            self._roots.done(self._store.at_seq(seq))
        for root in self._roots.take_settled():
            self._roots.settle(root)

    def stop(self) -> None:
        """Cancel all fetches; the next start begins them again."""
        for task in self._tasks.values():
            task.cancel()

    async def close(self) -> None:
        """Cancel all fetches and wait until they have ended."""
        self.stop()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)


def _module_of(kept: Kept) -> str:
    return form.find_tag(form.load_wire(kept.body)[form.TAGS :], "Module")
