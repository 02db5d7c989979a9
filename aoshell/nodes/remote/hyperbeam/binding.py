"""Checks that a signed answer belongs to its request.

A node does not sign requests. But a signed answer may name a process, slot or message: then this
must be the requested one. Also, each answer gets a new signature, so a signature that comes again
for another request is an old answer's. The same is true for the hashpath that is signed with
results, as it depends only on the request. Source: HyperBEAM `hb_path:hashpath`, RFC 9421 section
7.2.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aoshell.protocol.encoding import brief
from aoshell.protocol.httpsig import Checked
from aoshell.protocol.structured import Value

PROCESS, SLOT, MESSAGE = "process", "slot", "message"
SEEN = 8192  # answers whose marks are remembered, for each open node

_OTHER = "so it could be the answer to another, or an old one"
# The keys of each fact in answers; a state has "at-slot", an assignment its message as "body".
_KEYS = {PROCESS: ("process",), SLOT: ("slot", "at-slot"), MESSAGE: ("body",)}


class ContradictionError(Exception):
    """A signed answer belongs to another request; the text says what shows it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Facts about a request.

    Attributes:
        name: a different text for each request; "" if one answer may serve several requests.
        fields: the PROCESS, SLOT and MESSAGE that the answer must name, if it names any.
    """

    name: str = ""
    fields: Mapping[str, str | int] = field(default_factory=dict)


ANY = Asked()


def named(
    message: Mapping[str, Value], ids: Mapping[str, frozenset[str]], asked: Asked
) -> tuple[str, ...]:
    """The facts of a request that the signed part of its answer names.

    Args:
        ids: ids of the signatures of maps in it, by key; a text that was sent twice may have two.

    Raises:
        ContradictionError: it names another process, slot or message.
    """
    found = []
    for name, due in asked.fields.items():
        for key in _KEYS[name]:
            value = None if name == MESSAGE else message.get(key)
            alone = {str(value)} if isinstance(value, (str, int)) else set()
            values = ids.get(key, alone)
            if values and str(due) not in values:
                raise ContradictionError(f"it is for {name} {brief(min(values))}, not {due}")
            if values:
                found.append(name)
    return tuple(dict.fromkeys(found))


def strength(found: Iterable[str], asked: Asked) -> str:
    """A text for users on what `named()` found."""
    has = set(found)
    if not has:
        return f"nothing in it names the request, {_OTHER}"
    parts = " and the ".join(name for name in asked.fields if name in has)
    if has == set(asked.fields):
        return f"it names the {parts} that was asked for, and could be an old one"
    return f"it names the {parts} and no more, {_OTHER}"


class Seen:
    """Marks of earlier answers, to detect one that comes again for another request."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def note(self, checked: Checked, asked: Asked) -> None:
        """Remember an answer.

        Raises:
            ContradictionError: it came before, as the answer to another request.
        """
        if not asked.name:
            return
        for mark in _marks(checked, asked):
            if self._names.setdefault(mark, asked.name) != asked.name:
                raise ContradictionError("it came before, as the answer to another request")
        while len(self._names) > SEEN:
            del self._names[next(iter(self._names))]


def _marks(checked: Checked, asked: Asked) -> Iterable[str]:
    for one in checked.commitments:
        if one.committer:
            yield one.id
            # A hashpath of a single id names a message only, and two slots may have the same.
            if SLOT in asked.fields and "/" in one.tag:
                yield one.tag
