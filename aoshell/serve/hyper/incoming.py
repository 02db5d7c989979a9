"""Signed messages in requests: ANS-104 items, and httpsig as several clients write it.

- HyperBEAM and aoshell: the message is a map under `body`, with its own commitments. These are
  checked; the signature of the request covers only method and path.
- ao-core-libs: the request is the message, as far as its signature covers it.
- hbsig, the signer of wao: the message is under `body` too, but nobody else can read its
  commitments. The signature of the request covers the bytes of the body and "@path".

A read carries a signed message too, but only the codec that it asks for is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.httpitem import HttpItem, http_item
from aoshell.nodes.values import HttpMessage
from aoshell.protocol import httpsig, signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import CURRENT, EDGE, INPUT, SIGNATURE
from aoshell.protocol.digest import HEADER as DIGEST
from aoshell.protocol.digest import check_digest
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import Checked, Received, SignatureStatus
from aoshell.protocol.message import by_lower_name, text
from aoshell.protocol.tabm import Tabm, normal_key
from aoshell.protocol.wire import TYPE
from aoshell.serve.asgi.http import OCTETS, Request, RequestError
from aoshell.serve.items import read_item

Incoming: TypeAlias = DataItem | HttpItem

ITEM, ITEM_CODEC = "application/ans104", "ans104@1.0"
_INSIDE = "body"  # key of the message in a request with a signature of its own
_BODY_NAME = "inline-body-key"  # header in which ao-core-libs names the key of the body
_OF_REQUEST = frozenset(("path", "method", "body-keys"))  # signed keys that are not the message's


def has_item(request: Request) -> bool:
    """Whether the body of a request is an ANS-104 item."""
    kind = request.header(TYPE).partition(";")[0].strip().lower()
    if kind == ITEM or request.header("codec-device") == ITEM_CODEC:
        return True
    return kind == OCTETS and not request.header(INPUT) and bool(request.body)


def asked_in(request: Request) -> Mapping[str, str]:
    """The texts of the message in a request, by names in lower case; not verified. Raises nothing.

    For an item these are its tags, else the headers, and texts in the body. {} without a body.
    """
    if not request.body:
        return {}
    try:
        if has_item(request):
            return by_lower_name(DataItem.parse(request.body).tags)
        headers = [(name, _as_text(value)) for name, value in request.headers]
        tabm = httpsig.receive(headers, request.body).tabm
        return {normal_key(key): one for key, one in tabm.items() if isinstance(one, str)}
    except ProtocolError:
        return {}


def read_incoming(request: Request) -> Incoming | None:
    """The message in a request, its signature verified; None if it has none. Takes long.

    Raises:
        RequestError: 400, it cannot be read, is not signed, or its signature does not fit.
    """
    if has_item(request):
        return read_item(request.body)
    if not (request.header(INPUT) or request.header(SIGNATURE) or request.body):
        return None
    return _read_httpsig(request)


def _read_httpsig(request: Request) -> HttpItem:
    _refuse_lost_body(request)
    headers = [(name, _as_text(value)) for name, value in request.headers]
    derived = {
        "@method": request.method,
        "@path": _as_text(request.path),
        "@query": f"?{_as_text(request.query)}",
    }
    try:
        received = httpsig.receive(headers, request.body, derived)
    except ProtocolError as error:
        raise RequestError(400, f"the signed message cannot be read: {error.what}") from None
    inner = received.tabm.get(_INSIDE)
    try:
        if isinstance(inner, dict):
            own = _own_check(inner)
            if own.outcome is SignatureStatus.VERIFIED:
                lifted, body = signing.lift(inner, own.commitments)
                return http_item(HttpMessage(_id_of(own), tuple(lifted), body), own)
        return _by_the_request(request, received, inner if isinstance(inner, dict) else None)
    except AoError as error:
        raise RequestError(400, error.what) from None


def _own_check(inner: Tabm) -> Checked:
    """Check a map by its own commitments. The ids of maps in it depend on the signer's software."""
    checked = httpsig.check_map(inner, CURRENT)
    if checked.outcome is SignatureStatus.BAD:
        checked = httpsig.check_map(inner, EDGE)
    return checked


def _by_the_request(request: Request, received: Received, inner: Tabm | None) -> HttpItem:
    """The message that the signature of the request covers.

    Args:
        inner: the map under `body`, None without one.
    """
    checked = httpsig.check_received(received)
    if checked.outcome is not SignatureStatus.VERIFIED:
        why = checked.failure.what if checked.failure else "nobody has signed it"
        raise RequestError(400, f"the message is not verified: {why}")
    covered = checked.covered.get(_INSIDE) if inner is not None else None
    if inner is not None and not isinstance(covered, dict):
        raise RequestError(400, "the message is not verified: its signature leaves out the body")
    if not isinstance(covered, dict):
        covered = {key: one for key, one in checked.covered.items() if key not in _OF_REQUEST}
        if isinstance(named := covered.pop(_BODY_NAME, None), str) and _INSIDE in covered:
            covered[named] = covered.pop(_INSIDE)
    sent = HttpMessage(_id_of(checked), _kept(request, checked), request.body)
    return http_item(sent, replace(checked, covered=covered))


def _kept(request: Request, checked: Checked) -> tuple[tuple[str, str], ...]:
    """The signed header fields, the signatures, and the fields that are needed to read the body."""
    names = {name for one in checked.commitments for name in one.components or ()}
    names |= {SIGNATURE, INPUT, TYPE, DIGEST}
    return tuple((name, _as_text(value)) for name, value in request.headers if name in names)


def _id_of(checked: Checked) -> str:
    return next(one.id for one in checked.commitments if one.committer)


def _refuse_lost_body(request: Request) -> None:
    """Raise RequestError, which names the cause, if a client signs a body and sends none.

    Measured: @permaweb/ao-core-libs 0.0.9 does so where a value has a line break, which it moves
    into the body.
    """
    digest = request.header(DIGEST)
    if digest and not request.body and not _is_of_nothing(digest):
        raise RequestError(
            400,
            "the client has signed a body and sent none (content-length 0): @permaweb/ao-core-libs"
            " 0.0.9 loses it where a value has a line break. Send the message as ANS-104"
            " ('signing-format': 'ans104'), which carries every value",
        )


def _is_of_nothing(digest: str) -> bool:
    try:
        check_digest(digest, b"")
    except ProtocolError:
        return False
    return True


def _as_text(latin: str) -> str:
    """A header or path as text; each character of it stands for a byte."""
    return text(latin.encode("latin-1"))
