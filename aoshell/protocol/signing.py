"""Signed HTTP messages as AO's nodes speak them (`httpsig@1.0`, after RFC 9421): what goes out.

- `sign(wallet, message)` makes headers and a body, with a signature over all keys of the message;
- `request(wallet, path, message)` signs the message, and then the request around it, whose keys are
  method, path and body. HyperBEAM's own client does the same.

Every signed message also carries an HMAC, whose value is the message's unsigned id (HyperBEAM
`dev_codec_httpsig`). What comes in is in `httpsig`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from aoshell.errors import AoError
from aoshell.protocol import wire
from aoshell.protocol.commitment import (
    EDGE,
    INPUT,
    RSA,
    SIGNATURE,
    Commitment,
    Profile,
    signature_base,
    write_commitments,
)
from aoshell.protocol.digest import HEADER as DIGEST
from aoshell.protocol.encoding import ProtocolError, brief
from aoshell.protocol.multipart import BODY_KEY
from aoshell.protocol.nested import carry
from aoshell.protocol.rebuild import Rebuilder, unsigned
from aoshell.protocol.structured import LARGEST_READ, Value, to_tabm
from aoshell.protocol.tabm import COMMITMENTS, LINK, Tabm, in_order
from aoshell.protocol.wallet import Wallet

RESERVED = frozenset((BODY_KEY, wire.IDS, DIGEST, SIGNATURE, INPUT, COMMITMENTS, "priv"))
# Those that belong to the codec in the maps inside a node's message, too. These maps may use the
# others as keys: the quote of a TPM has a `signature`.
RESERVED_INSIDE = frozenset((COMMITMENTS, "priv"))


def sign(
    wallet: Wallet,
    message: Mapping[str, Value],
    *,
    bundle: bool = False,
    profile: Profile = EDGE,
) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a message, signed over all its keys. Maps in it are sent in the body.

    Args:
        bundle: sign the content of maps; else their ids.
        profile: that of the node which verifies the message.

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


def _refuse_reserved(
    tabm: Tabm, inside: frozenset[str] = RESERVED, reserved: frozenset[str] = RESERVED
) -> None:
    """Raise AoError if a key belongs to the codec: one of `reserved` in the message, or one of
    `inside` in a map in it."""
    for key, value in tabm.items():
        if key in reserved or key.endswith(LINK):
            raise AoError(f"the key {brief(key)} belongs to the codec", stage="message")
        if isinstance(value, dict):
            _refuse_reserved(value, inside, inside)


def _send(
    tabm: Tabm, signatures: Mapping[str, str], profile: Profile
) -> tuple[list[tuple[str, str]], bytes]:
    fields, body = wire.encode(tabm, profile)
    wire.check_sendable(fields)
    return [*fields.items(), *signatures.items()], body or b""


def commit(
    wallet: Wallet, tabm: Tabm, *, bundle: bool = False, profile: Profile = EDGE
) -> tuple[Commitment, Commitment]:
    """A signature over all keys of a message, and its HMAC.

    The salt of the signature is random, so each signature has another id.

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
    """A signed request as HyperBEAM's own client makes it, for example to schedule a message.

    The message is signed by itself and put under the key `body`; the outer signature covers method,
    path and body. `accept-bundle` asks for an answer that contains its maps, not links to them.

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


def lift(inner: Tabm, commitments: Iterable[Commitment]) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of a map that carries its own commitments, as a message that they sign. HTTP
    may be unable to carry the headers.

    Args:
        commitments: those of the map, checked.

    Raises:
        AoError: it cannot be encoded.
    """
    bare = {key: value for key, value in inner.items() if key != COMMITMENTS}
    signed = [replace(one, components=_components(one, bare)) for one in commitments]
    fields, body = wire.encode(bare, signed[0].profile if signed else EDGE)
    return [*fields.items(), *write_commitments(signed).items()], body or b""


def _components(one: Commitment, bare: Tabm) -> tuple[str, ...]:
    """The header fields that a commitment inside a message stands for."""
    part = {key: value for key, value in bare.items() if key.removesuffix(LINK) in one.committed}
    linked = part if one.bundle else Rebuilder(one.profile).link(part)[0]
    return tuple(in_order(wire.encode(linked, one.profile)[0]))


def unsigned_id(message: Mapping[str, Value], profile: Profile = EDGE) -> str:
    """The id of an unsigned message: the HMAC over its keys, each map replaced by a link. The
    message may be a node's, with longer integers than are sent from here.

    Raises:
        AoError: stage "message", for what cannot be encoded.
    """
    tabm = to_tabm(message, LARGEST_READ)
    _refuse_reserved(tabm, RESERVED_INSIDE)
    return _unsigned(tabm, False, profile)[1].id


def tabm_id(tabm: Tabm, profile: Profile = EDGE) -> str:
    """`unsigned_id()` of a message as received. In its large maps the order of the keys counts.

    Raises:
        AoError: stage "message", for what cannot be encoded.
    """
    return _unsigned(tabm, False, profile)[1].id


def _unsigned(tabm: Tabm, bundle: bool, profile: Profile) -> tuple[Tabm, Commitment]:
    """The keys of a message of our own as they are signed, and the HMAC over them."""
    try:
        linked = tabm if bundle else Rebuilder(profile).link(tabm)[0]
        return linked, unsigned(linked, profile, bundle=bundle)
    except ProtocolError as error:
        raise AoError(error.what, stage="message") from None
