"""Names and ids: the ids that `@name` stands for, and names for the ids that are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.lua.references import find_references, reference_to, replaced
from aoshell.nodes.base import Node
from aoshell.nodes.values import NotFoundError, ProcessInfo
from aoshell.protocol.encoding import has_id_form
from aoshell.shell.names.identities import Identities

ID = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])", re.ASCII)
SHORTEST = 6  # characters of an id that are enough to find it
_ELLIPSIS = "…"  # after a shortened id


def plain_reference(typed: str) -> str:
    """A reference without the `@`, quotes, or the ellipsis of a shortened id."""
    name = typed.removeprefix("@")
    if len(name) > 1 and name[0] in "\"'" and name[-1] == name[0]:
        return name[1:-1]
    return name.removesuffix(_ELLIPSIS)


def typed_name(name: str) -> str:
    """How dot commands take a name: in quotes where it has blanks, after `@` where it is a number.

    The inverse of `plain_reference`.
    """
    if name.isdecimal():
        return f"@{name}"
    if not any(mark.isspace() or mark in "\"'" for mark in name):
        return name
    return f"'{name}'" if '"' in name else f'"{name}"'


class Naming:
    """Names and ids of one node and one home.

    Args:
        identities: of the home.
    """

    def __init__(self, node: Node, identities: Identities) -> None:
        self._node = node
        self._identities = identities

    async def in_lua(self, code: str) -> str:
        """Lua to send, with ids instead of `@name`.

        Raises:
            AoError: stage "find", a name is not known, or stands for two things; or of the look-up.
        """
        wanted = dict.fromkeys(one.name for one in find_references(code))
        if not wanted:
            return code
        found = {name: await self.id_of(name) for name in wanted}
        return replaced(code, found.__getitem__)

    async def in_word(self, word: str) -> str:
        """A word of a dot command; if it begins with `@`, the id that it stands for.

        Raises:
            AoError: as `in_lua`.
        """
        name = plain_reference(word)
        return await self.id_of(name) if word.startswith("@") and name else word

    async def id_of(self, name: str) -> str:
        """The id of a process, or the address of an identity.

        Args:
            name: or an id, or its beginning (`SHORTEST`).

        Raises:
            AoError: stage "find", it is not known, or stands for two things; or of the look-up.
        """
        address = await self._address_of(name)
        process = await self._process_of(name)
        if address and process and address != process.id:
            raise AoError(
                f"{reference_to(name)} is a process and an identity",
                stage="find",
                hint=f"{reference_to(process.id[:8])} is the process, "
                f"{reference_to(address[:8])} the identity; .rename changes the name of a process",
            )
        if process:
            return process.id
        if address or has_id_form(name):
            return address or name
        raise AoError(
            f"{reference_to(name)} is no process and no identity here",
            stage="find",
            hint=await self.nearest(name) or ".ps lists the processes, .as the identities",
        )

    async def _address_of(self, name: str) -> str:
        """The address of an identity by its name, or by the beginning of its address; else ""."""
        who = self._identities
        if name in who.names():
            return (await who.named(name)).address
        if len(name) < SHORTEST:
            return ""
        return next((one for one in await who.addresses() if one.startswith(name)), "")

    async def _process_of(self, name: str) -> ProcessInfo | None:
        """A process that this home knows by that name or id; other nodes are not asked."""
        if self._node.remote:
            known = await self._node.processes()
            named = [info for info in known if name in (info.name, info.id)]
            if not named and len(name) >= SHORTEST:
                named = [info for info in known if info.id.startswith(name)]
            if len(named) > 1:
                ids = ", ".join(reference_to(info.id[:8]) for info in named[:4])
                what = f"{len(named)} processes are named {reference_to(name)}"
                raise AoError(what, stage="find", hint=f"give the id: {ids}")
            return named[0] if named else None
        with suppress(NotFoundError):
            return await self._node.find(name)
        return None

    async def nearest(self, name: str, *, plain: bool = False) -> str:
        """A hint with the name that was probably meant, or "".

        Args:
            plain: only names of processes, without `@`, as dot commands take them.
        """
        from difflib import get_close_matches

        known = [info.name for info in await self._node.processes() if info.name]
        known += [] if plain else self._identities.names()
        by_lower = {one.lower(): one for one in known}
        close = get_close_matches(name.lower(), by_lower, 3, 0.6)
        close += [one for one in by_lower if one.startswith(name.lower()) and one not in close][:3]
        shown = typed_name if plain else reference_to
        found = [shown(by_lower[one]) for one in close[:3]]
        return f"did you mean {' or '.join(found)}?" if found else ""

    async def of(self, ids: Iterable[str]) -> dict[str, str]:
        """The known names of ids: of identities, and of processes of this home."""
        names = await self._identities.addresses()
        wanted = {id for id in ids if id and id not in names}
        if self._node.remote:
            return {
                info.id: info.name for info in await self._node.processes() if info.name
            } | names
        for id in wanted:
            with suppress(AoError):
                names[id] = (await self._node.find(id)).name
        return {id: name for id, name in names.items() if name}
