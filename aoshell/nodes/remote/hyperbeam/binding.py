"""What ties a signed answer to the request that it came for.

A node signs nothing of a request. What is signed may name the process, the slot or the message all
the same: then it must be the one that was asked for. And each answer is signed anew, so a signature
that comes again, for something else, is that of an old answer. The same holds of the hashpath that
is signed with results: it follows from the request, whatever the result. Source: HyperBEAM
`hb_path:hashpath`, RFC 9421 section 7.2.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aoshell.protocol.encoding import brief
from aoshell.protocol.httpsig import Checked
from aoshell.protocol.structured import Value

PROCESS, SLOT, MESSAGE = "process", "slot", "message"
SEEN = 8192  # answers whose marks are remembered, for each node that is open

_OTHER = "so it could be the answer to another, or an old one"
# Keys under which answers name it; a state says "at-slot", and an assignment holds its message.
_KEYS = {PROCESS: ("process",), SLOT: ("slot", "at-slot"), MESSAGE: ("body",)}


class ContradictionError(Exception):
    """A signed answer that is one to something else; the text says how that shows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request.

    Attributes:
        name: tells it from other requests; "" where an answer may serve several.
        fields: what the answer must say of PROCESS, SLOT and MESSAGE, where it says it.
    """

    name: str = ""
    fields: Mapping[str, str | int] = field(default_factory=dict)


ANY = Asked()


def named(
    said: Mapping[str, Value], ids: Mapping[str, frozenset[str]], asked: Asked
) -> tuple[str, ...]:
    """What of a request the signed part of its answer names.

    Args:
        ids: of the signatures of maps in it, by key: a text that was sent twice may have two.

    Raises:
        ContradictionError: it names another.
    """
    found = []
    for name, due in asked.fields.items():
        for key in _KEYS[name]:
            value = None if name == MESSAGE else said.get(key)
            alone = {str(value)} if isinstance(value, (str, int)) else set()
            values = ids.get(key, alone)
            if values and str(due) not in values:
                raise ContradictionError(f"it is for {name} {brief(min(values))}, not {due}")
            if values:
                found.append(name)
    return tuple(dict.fromkeys(found))


def strength(found: Iterable[str], asked: Asked) -> str:
    """What `named()` found comes to, as a person reads it."""
    has = set(found)
    if not has:
        return f"nothing in it names the request, {_OTHER}"
    parts = " and the ".join(name for name in asked.fields if name in has)
    if has == set(asked.fields):
        return f"it names the {parts} that was asked for, and could be an old one"
    return f"it names the {parts} and no more, {_OTHER}"


class Seen:
    """Marks of the answers that came so far, to tell one that comes again for something else."""

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
            # One id alone stands for a message, and two slots may give the same.
            if SLOT in asked.fields and "/" in one.tag:
                yield one.tag
