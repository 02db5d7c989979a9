"""What a home does not give out: signatures for processes that live elsewhere, too.

A fork and a stand-in (`.mock`) have the id of a process that others run. What a wallet has signed
for that id is valid there, and whoever gets it could post it. A home may have such an item though
nothing here signs one: it was uploaded, or assigned to another process, before the fork was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from aoshell.errors import AoError
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.reading import Reader
from aoshell.nodes.local.log.rows import Logged, Upload
from aoshell.nodes.local.log.signed import load_signed, load_upload
from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import HttpMessage, Signed
from aoshell.protocol.encoding import unb64url

MOCK = "Mock"  # the tag of a stand-in

_NAMES = ("target", "process")  # of tags and header fields that say whom a message is for
_PRESENT = b"\1"  # in front of the target of an item (ANS-104)
_TAGGED = tuple(name.encode() + b"v" for name in _NAMES)  # then a value of 43 characters (Avro)
_BEFORE = max(map(len, _TAGGED))  # bytes


class Elsewhere:
    """The ids of a home's processes that others run under the same ids."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = frozenset(ids)

    @classmethod
    def of(cls, reader: Reader) -> Elsewhere:
        """Those of a database. Raises AoError where it cannot be read."""
        forks = reader.select("SELECT id FROM processes JOIN origins ON process = number")
        mocks = reader.select(
            "SELECT p.id, l.body FROM processes p JOIN log l ON l.process = p.number "
            "WHERE l.slot = 0 AND l.tick = 0 AND instr(l.body, ?)",
            f'"{MOCK}"'.encode(),
        )
        return cls([*(id for (id,) in forks), *(id for id, body in mocks if is_mock(body))])

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._ids)

    def addressee(self, signed: Signed | Transaction) -> str:
        """Which of these a signed message is for, "" for none.

        That is its target, or what a tag Target or Process names.
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
        """Which of these an item in some data is for, "" for none.

        The data is searched for the ids as items have them, so that bundles in bundles, and items
        that cannot be read here, are found, too.
        """
        return next((id for id in self._ids if _is_addressed(data, id)), "")

    def stripped(self, logged: Logged, fork_point: int | None) -> Logged:
        """A message as a file may have it.

        Args:
            fork_point: the last slot from elsewhere of its process, None where it is no fork. What
                was signed up to there is in the public log, and guests may read it.
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


def is_mock(body: bytes) -> bool:
    """Whether a definition, as the log stores it, is that of a stand-in."""
    return form.find_tag(form.load_wire(body)[form.TAGS :], MOCK) == "true"


def _is_addressed(data: bytes, id: str) -> bool:
    """Whether some bytes have a target or a tag, as an item has them, that names a process."""
    with suppress(ValueError):  # the address of a stand-in may be one that no item can have
        if data.find(_PRESENT + unb64url(id)) >= 0:
            return True
    name = id.encode()
    at = data.find(name)
    while at >= 0:
        if data[max(0, at - _BEFORE) : at].lower().endswith(_TAGGED):
            return True
        at = data.find(name, at + 1)
    return False
