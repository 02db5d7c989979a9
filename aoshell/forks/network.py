"""Forks several live processes that send messages to each other.

Each is a separate fork: one that fails does not stop the others. What one sends from then on
reaches the others, because they are in the same home.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aoshell.errors import AoError, UsageError
from aoshell.forks.log import Tell, read_definition
from aoshell.forks.remote import Remote
from aoshell.forks.taking import check_new, parse_slot, take_defined
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.remote.memory import ids_named
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.encoding import brief, has_id_form
from aoshell.protocol.message import Message
from aoshell.shell.ports.forking import ForkedNetwork, NotTaken, TakenFork

MOST = 64  # processes of one network
_PLAIN = re.compile(r"[\w.-]{1,64}", re.ASCII)  # names in definitions that are kept


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A process to fork: its name or id, and its slot, None for its end."""

    place: str
    reference: str
    slot: int | None


async def take_network(
    node: Node,
    settings: Settings,
    source: str,
    places: Sequence[str],
    name: str,
    tell: Tell,
    gateway: str = "",
    *,
    replay: bool = False,
) -> ForkedNetwork:
    """Fork processes of the network that a URL or profile names.

    Args:
        places: NAME[@SLOT] or ID[@SLOT]; a name that this home knows, or that the owner of the
            first process gave.
        name: of the first one here; the others keep the names of their definitions.
        tell: shows the progress.
        gateway: URL of the gateway that the user named, "" for none.
        replay: compute all slots here, even where there are memories.

    Raises:
        UsageError: a place is invalid, or is named twice.
        AoError: none could be forked; it says why the first one failed.
    """
    wanted = _read(places)
    remote = Remote.named(source, settings, gateway)
    taking = _Taking(node, settings, remote, name, tell, replay, len(wanted))
    try:
        return await taking.all(wanted)
    finally:
        await remote.close()


def _read(places: Sequence[str]) -> list[_Wanted]:
    if len(places) > MOST:
        raise UsageError(f"{len(places)} processes are more than {MOST}", hint="fork some of them")
    found = [_Wanted(place, *parse_slot(place)) for place in places]
    references = [one.reference for one in found]
    twice = next((one for one in references if references.count(one) > 1), "")
    if twice:
        raise UsageError(f"{brief(twice)} is given twice", hint="a home holds one fork of an id")
    return found


class _Taking:
    def __init__(
        self,
        node: Node,
        settings: Settings,
        remote: Remote,
        name: str,
        tell: Tell,
        replay: bool,
        many: int,
    ) -> None:
        self._node = node
        self._settings = settings
        self._remote = remote
        self._name = name
        self._tell = tell
        self._replay = replay
        self._many = many
        self._owner = ""  # of the first process

    async def all(self, wanted: Sequence[_Wanted]) -> ForkedNetwork:
        """Fork all. Raises AoError if none can be forked."""
        taken: list[TakenFork] = []
        failed: list[NotTaken] = []
        for number, one in enumerate(wanted):
            try:
                taken.append(await self._take(number, one))
            except AoError as error:
                failed.append(NotTaken(one.place, error))
                if number + 1 < self._many:
                    self._tell(f"{one.place} is not forked: {error.what}")
        if not taken:
            raise failed[0].error
        return ForkedNetwork(tuple(taken), tuple(failed))

    async def _take(self, number: int, wanted: _Wanted) -> TakenFork:
        process = await self._find(wanted.reference)
        first = await read_definition(self._remote, process)
        assert first.message is not None
        name = self._name
        if number == 0:
            self._owner = first.message.owner
        else:
            name = await self._choose_name(number, wanted.reference, first.message)
        await check_new(self._node, process, name)
        where = f"{number + 1} of {self._many}, {name}: " if self._many > 1 else ""
        return await take_defined(
            self._node,
            self._settings,
            self._remote,
            first,
            wanted.slot,
            name,
            lambda text: self._tell(where + text),
            replay=self._replay,
        )

    async def _find(self, reference: str) -> str:
        """The id of a process. Raises AoError if there is none or more than one of that name."""
        if has_id_form(reference):
            return reference
        known = ids_named(self._settings.book, reference)
        if len(known) > 1:
            raise UsageError(
                f"{len(known)} processes that this home knows are named {brief(reference)}",
                hint=f"give the id: {', '.join(known[:4])}",
            )
        if known:
            return known[0]
        if not self._owner:
            raise NotFoundError(
                f"this home knows no live process named {brief(reference)}",
                stage="lookup",
                hint="give its id, 43 characters",
            )
        return await self._remote.gateway.find(reference, self._owner)

    async def _choose_name(self, number: int, reference: str, definition: Message) -> str:
        """The name here: as requested, or from its definition, or the first name with a number."""
        if not has_id_form(reference):
            return reference
        name = definition.tag("Name")
        if _PLAIN.fullmatch(name) and not has_id_form(name) and await self._is_free(name):
            return name
        return f"{self._name}-{number + 1}"

    async def _is_free(self, name: str) -> bool:
        try:
            await self._node.find(name)
        except NotFoundError:
            return True
        except AoError:  # several have it
            return False
        return False
