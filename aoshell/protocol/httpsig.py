"""Signed HTTP messages as AO's nodes speak them (`httpsig@1.0`, after RFC 9421): what comes in.

- `check(headers, body)` returns what a message holds and what of it is signed; it raises nothing;
- `check_inside(headers, body, key)` does so for a map in it that carries its own signatures, and
  `check_map(tabm)` for such a map alone;
- `verify(headers, body)` returns its commitments, or raises;
- `read_part(headers, body, id_)` returns what of it has an id;
- `decode(headers, body)` reads it and checks nothing;
- `receive(headers, body)` reads it once for several of these: `check_received()`,
  `check_inside_received()`.

What goes out is in `signing`.

Every signed message also carries an HMAC, whose value is the message's unsigned id (HyperBEAM
`dev_codec_httpsig`). Its key is public, so it proves nothing: a message with an HMAC alone is
unsigned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from aoshell.errors import AoError
from aoshell.protocol import wire
from aoshell.protocol.commitment import (
    CURRENT,
    INPUT,
    Commitment,
    Profile,
    read_commitments,
)
from aoshell.protocol.encoding import ProtocolError, brief
from aoshell.protocol.rebuild import (
    SORTED,
    Rebuilder,
    SignatureError,
    UncheckableError,
    covered_keys,
    unsigned,
)
from aoshell.protocol.structured import (
    Value,
    from_tabm,
    read_types,
    value_of,
    write_types,
)
from aoshell.protocol.tabm import LINK, TYPES, Tabm
from aoshell.protocol.wire import Headers

__all__ = [
    "Checked",
    "Commitment",
    "Received",
    "SignatureError",
    "SignatureStatus",
    "UncheckableError",
    "check",
    "check_inside",
    "check_inside_received",
    "check_map",
    "check_received",
    "decode",
    "find_part",
    "read_part",
    "receive",
    "verify",
]


class SignatureStatus(Enum):
    """What checking the signatures of a message came to."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    BAD = "bad"
    UNCHECKABLE = "uncheckable"


@dataclass(frozen=True, slots=True)
class Checked:
    """A received message and the outcome of checking its signatures.

    Attributes:
        outcome: VERIFIED if every commitment fits and at least one has a signer; UNSIGNED if none
            has a signer; BAD if one does not fit or the message cannot be read; UNCHECKABLE if one
            is of a kind that is not checked here.
        commitments: all of them, where the outcome is VERIFIED or UNSIGNED.
        message: everything received, signed or not; {} where it cannot be read.
        verified: the part of it that signers have signed; {} unless VERIFIED.
        ids: for each key of that part that holds a signed map, the ids of the map's signatures that
            the signature around the map covers. The signatures of the maps themselves were
            checked.
        failure: why the outcome is BAD or UNCHECKABLE. A SignatureError holds the signature base
            that should have been signed.
        covered: `verified` as TABM, with the keys of its maps in the order received.
    """

    outcome: SignatureStatus
    commitments: tuple[Commitment, ...] = ()
    message: Mapping[str, Value] = field(default_factory=dict)
    verified: Mapping[str, Value] = field(default_factory=dict)
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    failure: ProtocolError | None = None
    covered: Tabm = field(default_factory=dict)

    @property
    def committers(self) -> tuple[str, ...]:
        """Addresses of the signers, sorted, each once."""
        return tuple(sorted({one.committer for one in self.commitments if one.committer}))


@dataclass(frozen=True)
class Received:
    """A message as it was received, decoded and not yet checked.

    Attributes:
        fields: the header fields, each name once, and what a signature may cover besides them.
        in_body: keys of `tabm` that came in the body.
    """

    fields: Mapping[str, str]
    commitments: tuple[Commitment, ...]
    tabm: Tabm
    in_body: frozenset[str]

    @cached_property
    def message(self) -> Mapping[str, Value]:
        """All of it but its signatures. Raises ProtocolError: a value is not of its type."""
        return from_tabm(self.tabm)


def receive(
    headers: Headers, body: bytes, derived: Mapping[str, str] = MappingProxyType({})
) -> Received:
    """Reads a message and checks nothing. Raises ProtocolError: it cannot be read.

    Args:
        derived: components of the request that it came with ("@method", "@path"), by name (RFC 9421
            section 2.2).
    """
    fields = wire.join(headers)
    commitments = read_commitments(fields)
    # A signer may cover a field that HTTP itself uses, such as `date`: then it is part of the
    # message.
    signed = {name for one in commitments for name in one.components or ()}
    tabm, in_body = wire.decode(fields, body, keep=signed)
    return Received({**fields, **derived}, commitments, tabm, in_body)


def check(headers: Headers, body: bytes, *, shallow: bool = False) -> Checked:
    """Check a message; the result says what it holds and what of it is signed. Raises nothing.

    Args:
        shallow: leave maps out of what is signed, and do not check their own signatures.
    """
    try:
        received = receive(headers, body)
    except ProtocolError as failure:
        return Checked(SignatureStatus.BAD, failure=failure)
    return check_received(received, shallow=shallow)


def check_received(received: Received, *, shallow: bool = False) -> Checked:
    """As `check()`, for a message that was read already."""
    message: Mapping[str, Value] = {}
    try:
        message = received.message
        signed = _check(received, shallow)
        if not any(one.committer for one in signed.commitments):
            return Checked(SignatureStatus.UNSIGNED, signed.commitments, message)
        verified = from_tabm(signed.covered)
        return Checked(
            SignatureStatus.VERIFIED,
            signed.commitments,
            message,
            verified,
            signed.ids,
            covered=signed.covered,
        )
    except UncheckableError as failure:
        return Checked(SignatureStatus.UNCHECKABLE, (), message, failure=failure)
    except ProtocolError as failure:
        return Checked(SignatureStatus.BAD, (), message, failure=failure)


def check_inside(headers: Headers, body: bytes, key: str) -> Checked:
    """Check the map that a message has under a key, by the commitments that the map itself carries.
    What is around it is not checked. Raises nothing."""
    try:
        received = receive(headers, body)
    except ProtocolError as failure:
        return Checked(SignatureStatus.BAD, failure=failure)
    return check_inside_received(received, key)


def check_inside_received(received: Received, key: str) -> Checked:
    """As `check_inside()`, for a message that was read already."""
    inner = received.tabm.get(key)
    if not isinstance(inner, dict):
        what = f"there is no map under {brief(key)}"
        return Checked(SignatureStatus.BAD, failure=ProtocolError(what, 0, "the message"))
    return check_map(inner)


def check_map(tabm: Tabm, profile: Profile = CURRENT, *, shallow: bool = False) -> Checked:
    """Check a map by the commitments that it carries under `commitments`. Raises nothing.

    Args:
        shallow: as `check()` has it.
    """
    message: dict[str, Value] = {}
    try:
        message = from_tabm(tabm)
        rebuilder = Rebuilder(profile, shallow)
        checked = rebuilder.check_commitments(tabm)
        covered: Tabm = {}
        for one, part in checked:
            covered |= part if one.committer else {}
        commitments = tuple(one for one, _ in checked)
        if not any(one.committer for one in commitments):
            return Checked(SignatureStatus.UNSIGNED, commitments, message)
        ids = {} if shallow else rebuilder.signed_ids(tabm, covered)
        verified = from_tabm(covered)
        verdict = SignatureStatus.VERIFIED
        return Checked(verdict, commitments, message, verified, ids, covered=covered)
    except UncheckableError as failure:
        return Checked(SignatureStatus.UNCHECKABLE, (), message, failure=failure)
    except ProtocolError as failure:
        return Checked(SignatureStatus.BAD, (), message, failure=failure)


def verify(headers: Headers, body: bytes) -> tuple[Commitment, ...]:
    """The commitments of a message, all verified; () where it has none.

    Args:
        headers: a mapping, or pairs in the order received; a name may repeat. Text or bytes.

    Raises:
        SignatureError: one does not fit; the error holds the signature base as rebuilt.
        UncheckableError: one is of a kind that is not checked here.
        ProtocolError: the message cannot be read.
    """
    return _check(receive(headers, body)).commitments


def decode(headers: Headers, body: bytes) -> dict[str, Value]:
    """The message in headers and a body, without its signatures, which are not checked.

    Raises:
        ProtocolError: it cannot be read.
    """
    return from_tabm(receive(headers, body).tabm)


def read_part(headers: Headers, body: bytes, id_: str) -> Value:
    """The map or list that an answer holds under its id: what its one signer has signed, or else
    all of it, perhaps without the answer's status. Returns nothing that the id does not cover.

    Raises:
        ProtocolError: it cannot be read, or none has this id.
    """
    received = receive(headers, body)
    signers = [one for one in received.commitments if one.committer]
    if [one.id for one in signers] == [id_]:
        return value_of(_check(received).covered)
    return find_part(received.tabm, id_)


def find_part(tabm: Tabm, id_: str) -> Value:
    """The value of a message whose unsigned id is `id_`, with or without the status that a node
    adds to its answers. Raises ProtocolError: it has another id."""
    for whole in (tabm, _without_status(tabm)):
        try:
            linked, part = Rebuilder(CURRENT).link(whole)
            orders = (False, True) if len(linked) > SORTED else (False,)
            if id_ in {unsigned(linked, CURRENT, as_came=one).id for one in orders}:
                return value_of(part)
        except AoError as error:
            raise ProtocolError(error.what, 0, "the message") from None
    raise ProtocolError(f"the node answers another message than {brief(id_)}", 0, "the message")


def _without_status(tabm: Tabm) -> Tabm:
    """A message without the status that a node adds to each answer, and without its type."""
    types = {key: kind for key, kind in read_types(tabm).items() if key != "status"}
    plain = {key: value for key, value in tabm.items() if key not in ("status", TYPES)}
    return plain | ({TYPES: write_types(types)} if types else {})


class _Signed(NamedTuple):
    """What the commitments of a message cover; see `Checked` for `ids`."""

    commitments: tuple[Commitment, ...]
    covered: Tabm
    ids: dict[str, frozenset[str]]


def _check(received: Received, shallow: bool = False) -> _Signed:
    tabm = received.tabm
    checked: list[Commitment] = []
    covered: Tabm = {}
    ids: dict[str, frozenset[str]] = {}
    rebuilders: dict[str, Rebuilder] = {}
    # The checkable ones come first: if one does not fit, the message is bad, not uncheckable.
    for one in sorted(received.commitments, key=lambda one: bool(one.uncheckable)):
        if one.uncheckable:
            raise UncheckableError(one.uncheckable, 0, f"header {INPUT}")
        one = replace(one, committed=covered_keys(one, tabm, received.in_body))
        rebuilder = rebuilders.setdefault(one.profile.name, Rebuilder(one.profile, shallow))
        # A bundled commitment signs the body as it was sent, and so does plain RFC 9421.
        as_sent = received.fields if one.bundle or one.profile.literal else None
        part = rebuilder.check(one, tabm, fields=as_sent)
        checked.append(one)
        if one.committer:  # anybody can make an HMAC, so it makes no key verified
            covered |= _texts(part) if shallow else part
            # Where the body was signed as bytes, the maps in it were not checked.
            if as_sent is None and not shallow:
                ids |= rebuilder.signed_ids(tabm, part)
    return _Signed(tuple(checked), covered, ids)


def _texts(part: Tabm) -> dict[str, str]:
    """The values of a message that are not maps. Links are left out: their maps were not sent."""
    return {
        key: value
        for key, value in part.items()
        if isinstance(value, str) and not key.endswith(LINK)
    }
