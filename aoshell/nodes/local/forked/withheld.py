"""Keeps signatures for live processes from leaving a home.

A fork and a stand-in (`.mock`) have the id of a process that others run. An item signed for that id
is valid there, so anyone who gets it could post it. This node signs no such item, but one may have
been uploaded, or assigned to another process, before the fork was made. It stays valid after the
fork is deleted, so the home keeps the ids of deleted forks.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from aoshell.errors import AoError
from aoshell.nodes.local.log import elsewhere, form
from aoshell.nodes.local.log.reading import Reader
from aoshell.nodes.local.log.rows import Logged, Upload
from aoshell.nodes.local.log.signed import load_signed, load_upload
from aoshell.nodes.values import HttpMessage, Signed
from aoshell.protocol.encoding import unb64url

if TYPE_CHECKING:
    from aoshell.nodes.transaction import Transaction

_NAMES = ("target", "process")  # of tags and header fields that name a message's target
_PRESENT = b"\1"  # before the target of an item (ANS-104)
_TAGGED = tuple(name.encode() + b"v" for name in _NAMES)  # then a value of 43 characters (Avro)
_BEFORE = max(map(len, _TAGGED))  # bytes
_LENGTH = b"V"  # the length before such a value (Avro)
_SMALLEST = 148  # bytes of an item with a target: a signature of 64, a key of 32


class Elsewhere:
    """The ids of forks and stand-ins of a home, including deleted ones.

    Attributes:
        stand_ins: ids of the stand-ins that are here.
    """

    def __init__(self, ids: Iterable[str], stand_ins: Iterable[str] = ()) -> None:
        self.stand_ins = frozenset(stand_ins)
        self._ids = self.stand_ins.union(ids)
        self._encoded = {id: tuple(_encoded_forms(id)) for id in self._ids}

    @classmethod
    def of(cls, reader: Reader) -> Elsewhere:
        """The ids in a database. Raises AoError if it cannot be read."""
        ids = [*elsewhere.forks(reader), *elsewhere.gone(reader)]
        return cls(ids, elsewhere.stand_ins(reader))

    def grown(self, reader: Reader, after: int) -> Elsewhere:
        """These, and the ids of processes with numbers above `after`."""
        new = [*elsewhere.forks(reader, after), *elsewhere.gone(reader)]
        stand_ins = elsewhere.stand_ins(reader, after)
        if not stand_ins and self._ids.issuperset(new):
            return self
        return Elsewhere(self._ids.union(new), self.stand_ins.union(stand_ins))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._ids)

    def __contains__(self, id: str) -> bool:
        return id in self._ids

    def addressee(self, signed: Signed | Transaction) -> str:
        """The one of these ids that a signed message is for, "" for none.

        Its target, or a tag Target or Process, has the id.
        """
        if not self._ids:
            return ""
        if isinstance(signed, HttpMessage):
            named = [value for name, value in signed.headers if name.lower() in _NAMES]
        else:
            named = [tag.value for tag in signed.tags if tag.name.lower() in _NAMES]
            named.append(signed.target)
        return next((id for id in named if id in self._ids), "")

    def within(self, data: bytes) -> str:
        """The one of these ids that an item within data is for, "" for none.

        It searches for the ids in all forms that items can have, also in base64 and hexadecimal.
        So it also finds items in bundles of bundles, and items that cannot be parsed here.
        """
        if len(data) < _SMALLEST:
            return ""
        return next((id for id in self._ids if self._is_addressed(data, id)), "")

    def stripped(self, logged: Logged, fork_point: int | None) -> Logged:
        """A message without a signature that a file must not have.

        Args:
            fork_point: the last slot from elsewhere of its process, None if it is no fork. Up to
                there, signatures are public, and guests may read them, so they stay.
        """
        if logged.signed is None or not self._ids:
            return logged
        if fork_point is not None and (logged.slot, logged.tick) <= (fork_point, 0):
            return logged
        with suppress(ValueError, TypeError, AoError):  # bytes that nobody has checked
            signed = load_signed(logged.id, logged.form, logged.signed)
            if fork_point is None and not self.addressee(signed):
                return logged
        return logged._replace(signed=None)

    def holds_back(self, upload: Upload) -> bool:
        """Whether an upload is, or contains, an item for one of these."""
        if not self._ids:
            return False
        with suppress(ValueError, TypeError, AoError):  # a damaged one has no signature
            return bool(self.within(upload.signed) or self.addressee(load_upload(upload)))
        return False

    def in_texts(self, bodies: Iterable[bytes]) -> str:
        """As `within`, for the texts of stored messages or results."""
        texts = (text for body in bodies for text in form.load_wire(body) if type(text) is str)
        return next(filter(None, (self.within(text.encode("latin-1")) for text in texts)), "")

    def _is_addressed(self, data: bytes, id: str) -> bool:
        """Whether bytes contain an item's target or tag that names a process."""
        if any(data.find(one) >= 0 for one in self._encoded[id]):
            return True
        name = id.encode()
        at = data.find(name)
        while at >= 0:
            if data[max(0, at - _BEFORE) : at].lower().endswith(_TAGGED):
                return True
            at = data.find(name, at + 1)
        return False


class Holding(NamedTuple):
    """A message that contains or sends an item for a process of `Elsewhere`."""

    process: int
    slot: int
    own: str  # whom the item is for


def holding(reader: Reader, process: int = 0) -> Iterator[Holding]:
    """Such messages of a process, or of all (0), without public ones up to a fork point.

    Raises:
        AoError: the database cannot be read.
    """
    known = Elsewhere.of(reader)
    if not known:
        return
    forks = dict(reader.select("SELECT process, slot FROM origins"))
    rows = reader.stream(
        "SELECT l.process, l.slot, l.body, r.body FROM log l LEFT JOIN results r USING (seq) "
        "WHERE ?1 IN (0, l.process) ORDER BY l.seq",
        process,
    )
    for number, slot, *bodies in rows:
        if slot > forks.get(number, -1) and (own := known.in_texts(filter(None, bodies))):
            yield Holding(number, slot, own)


def warnings(reader: Reader, process: int = 0) -> list[str]:
    """Warnings before a user passes on a file with a process, or with all (0).

    Raises:
        AoError: the database cannot be read.
    """
    found = holding(reader, process)
    if (first := next(found, None)) is None:
        return []
    row, own = reader.process_numbered(first.process), reader.process(first.own)
    more = sum(1 for _ in found)
    others = f", and so {'has' if more == 1 else 'have'} {more:,} more" if more else ""
    return [
        f"slot {first.slot} of {row.name or row.id} has in its data an item that is signed for"
        f" {(own and own.name) or first.own}, a live process{others}: whoever gets the file could"
        " post it there"
    ]


def _encoded_forms(id: str) -> Iterator[bytes]:
    """The forms of an id, as target or value of a tag, in bytes and texts.

    For bytes only the target: `_is_addressed` searches for tags itself.
    """
    values = [_LENGTH + id.encode()]
    with suppress(ValueError):  # the address of a stand-in may be one that no item can have
        values.append(_PRESENT + unb64url(id))
        yield values[-1]
    for value in values:
        yield value.hex().encode()
        yield value.hex().upper().encode()
        for skipped in range(3):  # where three bytes become four characters
            first = -(-8 * skipped // 6)  # character that has bits of the value only
            end = 8 * (skipped + len(value)) // 6
            for encode in (b64encode, urlsafe_b64encode):
                yield encode(bytes(skipped) + value)[first:end]
