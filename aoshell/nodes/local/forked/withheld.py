"""What a home does not give out: signatures for processes that live elsewhere, too.

A fork and a stand-in (`.mock`) have the id of a process that others run. What a wallet has signed
for that id is valid there, and whoever gets it could post it. Nothing here signs such an item, but
it may have been uploaded, or assigned to another process, before the fork was made. It stays valid
when the fork is deleted, so the home keeps the ids of deleted forks.
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

_NAMES = ("target", "process")  # of tags and header fields that say whom a message is for
_PRESENT = b"\1"  # in front of the target of an item (ANS-104)
_TAGGED = tuple(name.encode() + b"v" for name in _NAMES)  # then a value of 43 characters (Avro)
_BEFORE = max(map(len, _TAGGED))  # bytes
_LENGTH = b"V"  # of such a value, as it stands in front of it
_SMALLEST = 148  # bytes of an item with a target: a signature of 64, a key of 32


class Elsewhere:
    """The ids of a home's processes that others run under the same ids, also of those deleted.

    Attributes:
        stand_ins: those of stand-ins that are here.
    """

    def __init__(self, ids: Iterable[str], stand_ins: Iterable[str] = ()) -> None:
        self.stand_ins = frozenset(stand_ins)
        self._ids = self.stand_ins.union(ids)
        self._encoded = {id: tuple(_encoded_forms(id)) for id in self._ids}

    @classmethod
    def of(cls, reader: Reader) -> Elsewhere:
        """Those of a database. Raises AoError where it cannot be read."""
        ids = [*elsewhere.forks(reader), *elsewhere.gone(reader)]
        return cls(ids, elsewhere.stand_ins(reader))

    def grown(self, reader: Reader, behind: int) -> Elsewhere:
        """These, with those of processes whose numbers are higher."""
        new = [*elsewhere.forks(reader, behind), *elsewhere.gone(reader)]
        stand_ins = elsewhere.stand_ins(reader, behind)
        if not stand_ins and self._ids.issuperset(new):
            return self
        return Elsewhere(self._ids.union(new), self.stand_ins.union(stand_ins))

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._ids)

    def __contains__(self, id: str) -> bool:
        return id in self._ids

    def addressee(self, signed: Signed | Transaction) -> str:
        """Which of these a signed message is for, "" for none.

        Its target names that, or a tag Target or Process.
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
        """Which of these some item within data is for, "" for none.

        It searches for the ids in all forms that items give them, also in base64 and hexadecimal.
        So it finds bundles in bundles, and items that cannot be read here, too.
        """
        if len(data) < _SMALLEST:
            return ""
        return next((id for id in self._ids if self._is_addressed(data, id)), "")

    def stripped(self, logged: Logged, fork_point: int | None) -> Logged:
        """A message as a file may have it.

        Args:
            fork_point: the last slot from elsewhere of its process, None where it is no fork. Up to
                there, signatures are in the public log, and guests may read them.
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
        """Whether an upload is, or has in it, an item for one of these."""
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
        """Whether bytes hold a target or a tag of an item that names a process."""
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
    """A message that brought or sent an item for a process of `Elsewhere`."""

    process: int
    slot: int
    own: str  # whom the item is for


def holding(reader: Reader, process: int = 0) -> Iterator[Holding]:
    """Such messages of a process, or of all; without those up to a fork point, which are public.

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
    """What a person should know before handing on a file with a process, or with all.

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
    """The forms that a target, or the value of a tag, has in bytes and texts.

    For bytes it gives the target only: `_is_addressed` looks for tags itself.
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
