"""The ids in a home of live processes that others run: those of forks and of stand-ins.

Rows of the database show which processes here are such. When one is deleted, the same transaction
stores its id in the table of facts: items signed for it stay valid elsewhere for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.reading import Reader

MOCK = "Mock"  # the tag of a stand-in
_GONE = "elsewhere:"  # begins the facts about deleted ones; the id follows
_BEHIND = "elsewhere;"  # the first text after all of these


def forks(reader: Reader, after: int = 0) -> list[str]:
    """The ids of forks that are here. Raises AoError if the database cannot be read.

    Args:
        after: only processes with numbers above this one.
    """
    query = "SELECT id FROM processes JOIN origins ON process = number WHERE number > ?"
    return [id for (id,) in reader.select(query, after)]


def stand_ins(reader: Reader, after: int = 0) -> list[str]:
    """The ids of stand-ins that are here, as `forks`."""
    rows = reader.select(
        "SELECT p.id, l.body FROM processes p JOIN log l ON l.process = p.number "
        "WHERE p.number > ? AND l.slot = 0 AND l.tick = 0 AND instr(l.body, ?)",
        after,
        f'"{MOCK}"'.encode(),
    )
    return [id for id, body in rows if _is_stand_in(body)]


def gone(reader: Reader) -> list[str]:
    """The ids of deleted forks and stand-ins. Raises AoError if the database cannot be read."""
    rows = reader.select(
        "SELECT key FROM meta WHERE key > ? AND key < ? ORDER BY key", _GONE, _BEHIND
    )
    return [key.removeprefix(_GONE) for (key,) in rows]


def facts_of(ids: Sequence[str]) -> dict[str, int | str]:
    """The facts to store when processes with these ids are deleted."""
    return {_GONE + id: 1 for id in ids}


def _is_stand_in(body: bytes) -> bool:
    """Whether a stored definition is that of a stand-in."""
    return form.find_tag(form.load_wire(body)[form.TAGS :], MOCK) == "true"
