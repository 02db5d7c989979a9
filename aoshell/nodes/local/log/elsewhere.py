"""Which ids of a home are those of processes that others run, too: of forks and of stand-ins.

The rows say so of those that are here. Of one that is deleted the table of facts keeps the id, in
the transaction that begins to delete it: what was signed for it is valid elsewhere for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.reading import Reader

MOCK = "Mock"  # the tag of a stand-in
_GONE = "elsewhere:"  # in the table of facts, in front of the id of one that was deleted
_BEHIND = "elsewhere;"  # the first text behind all of these


def forks(reader: Reader, behind: int = 0) -> list[str]:
    """Those of forks that are here. Raises AoError where it cannot be read.

    Args:
        behind: number of a process; only those behind it.
    """
    query = "SELECT id FROM processes JOIN origins ON process = number WHERE number > ?"
    return [id for (id,) in reader.select(query, behind)]


def stand_ins(reader: Reader, behind: int = 0) -> list[str]:
    """Those of stand-ins that are here, as `forks`."""
    rows = reader.select(
        "SELECT p.id, l.body FROM processes p JOIN log l ON l.process = p.number "
        "WHERE p.number > ? AND l.slot = 0 AND l.tick = 0 AND instr(l.body, ?)",
        behind,
        f'"{MOCK}"'.encode(),
    )
    return [id for id, body in rows if _is_stand_in(body)]


def gone(reader: Reader) -> list[str]:
    """Those of such processes that were deleted. Raises AoError where it cannot be read."""
    rows = reader.select(
        "SELECT key FROM meta WHERE key > ? AND key < ? ORDER BY key", _GONE, _BEHIND
    )
    return [key.removeprefix(_GONE) for (key,) in rows]


def facts_of(ids: Sequence[str]) -> dict[str, int | str]:
    """What the table of facts says where these are gone."""
    return {_GONE + id: 1 for id in ids}


def _is_stand_in(body: bytes) -> bool:
    """Whether a definition, as the log stores it, is that of a stand-in."""
    return form.find_tag(form.load_wire(body)[form.TAGS :], MOCK) == "true"
