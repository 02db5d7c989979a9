"""Signed HTTP messages as AO's nodes speak them (`httpsig@1.0`, after RFC 9421).

What comes in:

- `check(headers, body)` says what a message holds and what of it is signed;
- `verify(headers, body)` returns its commitments, or raises;
- `decode(headers, body)` only reads it.

What goes out:

- `sign(wallet, message)` makes headers and a body of a message and a signature over all its keys;
- `request(wallet, path, message)` does as HyperBEAM's own client: the message is signed, and so is
  the request around it, method and path being keys of that.

Every signed message also carries the HMAC that is its unsigned id, as HyperBEAM has it. It proves
nothing: a message with that alone counts as unsigned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from aoshell.errors import AoError
from aoshell.protocol import wire
from aoshell.protocol.commitment import (
    EDGE,
    INPUT,
    RSA,
    SIGNATURE,
    Commitment,
    Profile,
    read_commitments,
    signature_base,
    write_commitments,
)
from aoshell.protocol.digest import HEADER as DIGEST
from aoshell.protocol.encoding import ProtocolError, brief
from aoshell.protocol.multipart import BODY_KEY
from aoshell.protocol.nested import carry
from aoshell.protocol.rebuild import (
    Rebuilder,
    SignatureError,
    UncheckableError,
    covered_keys,
    unsigned,
)
from aoshell.protocol.structured import Value, from_tabm, to_tabm
from aoshell.protocol.tabm import COMMITMENTS, LINK, Tabm
from aoshell.protocol.wallet import Wallet
from aoshell.protocol.wire import Headers

__all__ = [
    "Checked",
    "Commitment",
    "Request",
    "SignatureError",
    "SignatureStatus",
    "UncheckableError",
    "check",
    "commit",
    "decode",
    "request",
    "sign",
    "unsigned_id",
    "verify",
]


class SignatureStatus(Enum):
    """What can be said of the signatures of a message."""

    VERIFIED = "verified"
    UNSIGNED = "unsigned"
    BAD = "bad"
    UNCHECKABLE = "uncheckable"


@dataclass(frozen=True, slots=True)
class Checked:
    """A message that came in, and what became of its signatures.

    Attributes:
        outcome: VERIFIED if each commitment fits and one has a signer; UNSIGNED if nobody signed;
            BAD if one does not fit, or if the message cannot be read; UNCHECKABLE if one is of a
            kind that is not checked here.
        commitments: all of them, where the outcome is VERIFIED or UNSIGNED.
        message: everything that came, believed or not; {} where it cannot be read.
        verified: the part of it that signers stand for; {} unless VERIFIED.
        ids: of the maps in that part that somebody has signed, by key: the ids of these signatures,
            as far as the signature around the map names them. Theirs were checked.
        failure: why the outcome is BAD or UNCHECKABLE. A SignatureError shows what should have
            been signed.
    """

    outcome: SignatureStatus
    commitments: tuple[Commitment, ...] = ()
    message: Mapping[str, Value] = field(default_factory=dict)
    verified: Mapping[str, Value] = field(default_factory=dict)
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    failure: ProtocolError | None = None

    @property
    def committers(self) -> tuple[str, ...]:
        """Addresses of those who signed, in order, each once."""
        return tuple(sorted({one.committer for one in self.commitments if one.committer}))


def check(headers: Headers, body: bytes, *, shallow: bool = False) -> Checked:
    """What a message holds and what of it is signed. Raises nothing, whatever comes.

    Args:
        shallow: of what is signed, leave out the maps: those who signed them are not looked at.
    """
    message: dict[str, Value] = {}
    try:
        fields, commitments, tabm, in_body = _read(headers, body)
        message = from_tabm(tabm)
        checked, covered, ids = _check(fields, commitments, tabm, in_body, shallow)
        signed = any(one.committer for one in checked)
        outcome = SignatureStatus.VERIFIED if signed else SignatureStatus.UNSIGNED
        return Checked(outcome, checked, message, from_tabm(covered) if signed else {}, ids)
    except UncheckableError as failure:
        return Checked(SignatureStatus.UNCHECKABLE, (), message, failure=failure)
    except ProtocolError as failure:
        return Checked(SignatureStatus.BAD, (), message, failure=failure)


def verify(headers: Headers, body: bytes) -> tuple[Commitment, ...]:
    """The commitments of a message, all verified; () where it has none.

    Args:
        headers: a mapping, or pairs as they came, several of one name included; text or bytes.

    Raises:
        SignatureError: one does not fit; it has the signature base as rebuilt.
        UncheckableError: one is of a kind that is not checked here.
        ProtocolError: the message cannot be read.
    """
    fields, commitments, tabm, in_body = _read(headers, body)
    return _check(fields, commitments, tabm, in_body)[0]


def decode(headers: Headers, body: bytes) -> dict[str, Value]:
    """The message in headers and a body, its signatures neither looked at nor included.

    Raises:
        ProtocolError: it cannot be read.
    """
    return from_tabm(_read(headers, body)[2])


def _read(
    headers: Headers, body: bytes
) -> tuple[dict[str, str], tuple[Commitment, ...], Tabm, frozenset[str]]:
    fields = wire.join(headers)
    commitments = read_commitments(fields)
    signed = {name for one in commitments for name in one.components or ()}
    tabm, in_body = wire.decode(fields, body, keep=signed)
    return fields, commitments, tabm, in_body


def _check(
    fields: Mapping[str, str],
    commitments: tuple[Commitment, ...],
    tabm: Tabm,
    in_body: frozenset[str],
    shallow: bool = False,
) -> tuple[tuple[Commitment, ...], Tabm, dict[str, frozenset[str]]]:
    checked: list[Commitment] = []
    covered: Tabm = {}
    ids: dict[str, frozenset[str]] = {}
    rebuilders: dict[str, Rebuilder] = {}
    # Those that can be checked come first: one that does not fit makes the message bad, whatever
    # stands beside it.
    for one in sorted(commitments, key=lambda one: bool(one.uncheckable)):
        if one.uncheckable:
            raise UncheckableError(one.uncheckable, 0, f"header {INPUT}")
        one = replace(one, committed=covered_keys(one, tabm, in_body))
        rebuilder = rebuilders.setdefault(one.profile.name, Rebuilder(one.profile, shallow))
        # A bundled commitment signs the body as it came, and so does plain RFC 9421.
        as_sent = fields if one.bundle or one.profile.literal else None
        part = rebuilder.check(one, tabm, fields=as_sent)
        checked.append(one)
        if one.committer:
            kept = part.items() if not shallow else _texts(part)
            covered |= dict(kept)
            if (
                as_sent is None and not shallow
            ):  # else the bytes are signed, and nothing in them was looked at
                ids |= rebuilder.signed_ids(tabm, part)
    return tuple(checked), covered, ids


def _texts(part: Tabm) -> Iterable[tuple[str, str]]:
    """What of a message is no map; links stay out, as what they name did not come along."""
    return (
        (key, value)
        for key, value in part.items()
        if isinstance(value, str) and not key.endswith(LINK)
    )


RESERVED = frozenset((BODY_KEY, wire.IDS, DIGEST, SIGNATURE, INPUT, COMMITMENTS, "priv"))


def sign(
    wallet: Wallet,
    message: Mapping[str, Value],
    *,
    bundle: bool = False,
    profile: Profile = EDGE,
) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a message, signed over all its keys. Maps in it go along in the body.

    Args:
        bundle: sign maps in place; else by their ids.
        profile: of the node that shall verify it.

    Raises:
        AoError: stage "message", for what cannot be sent, such as a line break outside the data.
    """
    tabm = _prepared(message)
    commitments = commit(wallet, tabm, bundle=bundle, profile=profile)
    return _send(tabm, write_commitments(commitments), profile)


def _prepared(message: Mapping[str, Value]) -> Tabm:
    tabm = to_tabm(message)
    _refuse_reserved(tabm)
    if "data" in tabm and isinstance(tabm.get("body"), dict):
        what = "data is sent as the body, so `body` cannot be a map or a list beside it"
        raise AoError(what, stage="message", hint="give one of them another name")
    return tabm


def _refuse_reserved(tabm: Tabm) -> None:
    for key, value in tabm.items():
        if key in RESERVED or key.endswith(LINK):
            raise AoError(f"the key {brief(key)} belongs to the codec", stage="message")
        if isinstance(value, dict):
            _refuse_reserved(value)


def _send(
    tabm: Tabm, signatures: Mapping[str, str], profile: Profile
) -> tuple[list[tuple[str, str]], bytes]:
    fields, body = wire.encode(tabm, profile)
    wire.check_sendable(fields)
    return [*fields.items(), *signatures.items()], body or b""


def commit(
    wallet: Wallet, tabm: Tabm, *, bundle: bool = False, profile: Profile = EDGE
) -> tuple[Commitment, Commitment]:
    """A signature over all keys of a message, and its HMAC. The salt is random, so ids differ.

    Raises:
        AoError: stage "message", for maps that cannot be carried in parts of the body.
    """
    linked, hmac = _unsigned(tabm, bundle, profile)
    signer = replace(
        hmac, alg=RSA, keyid=profile.keyid(wallet.owner), committer=wallet.address, signature=b""
    )
    base = signature_base(signer, wire.encode(linked, profile)[0])
    return signer.signed(wallet.sign(base, "sha512")), hmac


@dataclass(frozen=True, slots=True)
class Request:
    """A signed request, ready to be sent.

    Attributes:
        headers: text; bytes that are not UTF-8 are surrogates, as everywhere.
        id: of the message in it, by which the node will know it; "" where there is none.
    """

    headers: list[tuple[str, str]]
    body: bytes
    id: str = ""


def request(
    wallet: Wallet,
    path: str,
    message: Mapping[str, Value] | None = None,
    *,
    method: str = "POST",
    profile: Profile = EDGE,
) -> Request:
    """A request as HyperBEAM's own client makes it, such as to schedule a message.

    The message is signed by itself and stands under `body`; method and path are signed around it.
    The answer is asked for with the maps in it rather than links to them.

    Raises:
        AoError: as `sign()`.
    """
    outer: Tabm = {"method": method, "path": path}
    id_ = ""
    if message is not None:
        inner = _prepared(message)
        commitments = commit(wallet, inner, profile=profile)
        id_ = commitments[0].id
        outer["body"] = carry(inner, commitments, lambda keys: unsigned(keys, profile).id)
    signatures = write_commitments(commit(wallet, outer, profile=profile))
    asked: Tabm = {"accept-bundle": "true", "ao-types": 'accept-bundle="atom"'}
    return Request(*_send(outer | asked, signatures, profile), id_)


def unsigned_id(message: Mapping[str, Value], profile: Profile = EDGE) -> str:
    """The id of a message that nobody signed: the HMAC over it, with maps linked to.

    Raises:
        AoError: stage "message", for what cannot be encoded.
    """
    return _unsigned(_prepared(message), False, profile)[1].id


def _unsigned(tabm: Tabm, bundle: bool, profile: Profile) -> tuple[Tabm, Commitment]:
    """What of a message of our own is signed, and the HMAC over it."""
    try:
        linked = tabm if bundle else Rebuilder(profile).link(tabm)[0]
        return linked, unsigned(linked, profile, bundle=bundle)
    except ProtocolError as error:
        raise AoError(error.what, stage="message") from None
