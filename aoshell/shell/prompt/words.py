"""Reads names for completion from the node and the home: processes, snapshots, identities."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from aoshell.errors import AoError
from aoshell.shell.attached.feed import short_id
from aoshell.shell.prompt.completion import Lists, Named, wanted_kinds

if TYPE_CHECKING:
    from aoshell.shell.attached.session import Session


async def load_words(session: Session, before: str, lists: Lists) -> None:
    """Read the lists that completing a line needs."""
    for kind in wanted_kinds(before):
        with suppress(AoError):  # then there is nothing to offer
            lists.known[kind] = await _LOADERS[kind](session)


async def _processes(session: Session) -> list[Named]:
    return [
        Named(info.name, f"{short_id(info.id)}  {short_id(info.module)}", info.id)
        for info in await session.node.processes()
    ]


async def _targets(session: Session) -> list[Named]:
    addresses = await session.identities.addresses()
    people = [Named(name, f"{short_id(one)}  identity", one) for one, name in addresses.items()]
    return [*await _processes(session), *people]


async def _snapshots(session: Session) -> list[Named]:
    node = session.node.local
    if node is None:
        return []
    marks = await node.workbench.marks(session.attached.id)
    return [Named(name, f"slot {slot}") for name, slot in marks.items()]


async def _identities(session: Session) -> list[Named]:
    return [Named(name) for name in session.identities.names()]


_LOADERS: dict[str, Callable[[Session], Awaitable[list[Named]]]] = {
    "PROCESS": _processes,
    "TARGET": _targets,
    "SNAPSHOT": _snapshots,
    "IDENTITY": _identities,
}
