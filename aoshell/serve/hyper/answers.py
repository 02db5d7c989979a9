"""Answers in the codec that was asked for, signed by the node's key.

By default a message is written as nodes since September 2025 write it: texts and numbers as header
fields, maps as parts of the body, whose ids are signed. A message that header fields cannot carry
(a line break, more bytes than clients accept) is written as JSON, as is one that was asked for as
JSON. JSON holds its commitments. Signing takes milliseconds: call these functions outside the loop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from aoshell.errors import AoError
from aoshell.protocol import signing, wire
from aoshell.protocol.commitment import CURRENT, Commitment, write_commitments
from aoshell.protocol.jsonform import from_json
from aoshell.protocol.message import printable, raw
from aoshell.protocol.structured import Atom, read_types, write_types
from aoshell.protocol.tabm import COMMITMENTS, TYPES, Tabm, normal_key
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import JSON, TEXT, Response
from aoshell.serve.asgi.safety import FOREIGN_DATA
from aoshell.serve.hyper.messages import in_map
from aoshell.serve.hyper.results import is_plain

# Bytes of header fields, without signatures; a larger message is written as JSON. Node.js refuses
# more than 16 KB of header fields, and signatures add some 3 KB and the name of each field.
LARGEST_FIELDS = 6_000

OK = 200

MOST_SIGNED = 16  # signatures that are made for one answer at most, see `_legible`

RESULT = "ao-result"  # key that names the key under which an answer has its value
NOT_FOUND = Atom("not_found")


class Codec(Enum):
    """How an answer is written."""

    HTTPSIG = "httpsig@1.0"
    JSON = "json@1.0"


def write_answer(
    value: object,
    codec: Codec,
    key: Wallet,
    status: int = OK,
    more: Sequence[tuple[str, str]] = (),
) -> Response:
    """An answer with a value.

    Args:
        value: a message as a map; any other value becomes the only key of a message. A text that it
            has at `status` stays.
        status: of the HTTP answer.
        more: header fields that are not signed.

    Raises:
        AoError: no codec has a form for it.
    """
    message = _as_message(value)
    if status != OK or not _has_own_status(message):
        message["status"] = status
    if codec is Codec.HTTPSIG:
        try:
            return _in_httpsig(message, key, status, more)
        except AoError:
            pass  # JSON can hold it
    return _in_json(message, key, status, more)


def _as_message(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    return {RESULT: "body", "body": value}


def _has_own_status(message: Mapping[str, Any]) -> bool:
    """Whether a message has its own text `status`. A number is taken for the answer's status."""
    return any(key.lower() == "status" and isinstance(one, str) for key, one in message.items())


def _in_httpsig(
    message: Mapping[str, Any], key: Wallet, status: int, more: Sequence[tuple[str, str]]
) -> Response:
    tabm: Tabm = {}
    for name, value in _to_tabm(message).items():
        if normal_key(name) in tabm or not (is_plain(name) or name == TYPES):
            raise AoError(f"{name!r} is no key of a message over HTTP", stage="message")
        tabm[normal_key(name)] = value
    fields, body = wire.encode(tabm, CURRENT)
    sent = {name: value.removesuffix(" ") for name, value in fields.items()}
    wire.check_sendable(sent)
    if sum(len(name) + len(value) for name, value in fields.items()) > LARGEST_FIELDS:
        raise AoError("more header fields than clients take", stage="message")
    # Sign what arrives: in large maps the order counts, in which the parts have their keys.
    arrived, _ = wire.decode(fields, body or b"")
    signatures = write_commitments(_legible(arrived, key))
    headers = [*sent.items(), *signatures.items(), *FOREIGN_DATA, *more]
    if wire.TYPE not in fields:
        headers.append((wire.TYPE, TEXT))  # so that browsers do not guess that it is a page
    return Response(status, _as_bytes(headers), body or b"")


def _legible(tabm: Tabm, key: Wallet) -> tuple[Commitment, Commitment]:
    """A signature and an HMAC, at least one of which has a label without "_".

    wao 0.35.7 ignores labels with "_", which half of all labels have. If both have it, wao finds no
    value in the answer. Each signature has another label, as its salt is random: try again.
    """
    commitments = _commit(tabm, key)
    for _ in range(MOST_SIGNED):
        if any("_" not in one.label for one in commitments):
            break
        commitments = _commit(tabm, key)
    return commitments


def _in_json(
    message: Mapping[str, Any], key: Wallet, status: int, more: Sequence[tuple[str, str]]
) -> Response:
    plain = _clean(message)
    try:
        commitments = _commit(_to_tabm(plain), key)
    except AoError:  # a message in it has bytes that JSON cannot hold: its signatures would not fit
        plain = _without_commitments(plain)
        commitments = _commit(_to_tabm(plain), key)
    kept = {one.id: in_map(one) for one in commitments}
    body = json.dumps(plain | {COMMITMENTS: kept}).encode()
    headers = [("codec-device", Codec.JSON.value), (wire.TYPE, JSON), ("status", str(status))]
    return Response(status, _as_bytes([*headers, *FOREIGN_DATA, *more]), body)


def write_json(value: object) -> str:
    """A value as the text that `serialize~json@1.0` gives."""
    return json.dumps(_clean(value), separators=(",", ":"))


def _commit(tabm: Tabm, key: Wallet) -> tuple[Commitment, Commitment]:
    return signing.commit(key, tabm, profile=CURRENT)


def _to_tabm(message: Mapping[str, Any]) -> Tabm:
    """A message as TABM. Its keys and its atoms stay as they are."""
    tabm = from_json(message)
    atoms = {key: "atom" for key, value in message.items() if isinstance(value, Atom)}
    if not atoms:
        return tabm
    return tabm | {TYPES: write_types(read_types(tabm) | atoms)}


def _clean(value: Any) -> Any:
    """A copy of a value whose texts JSON can hold."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {printable(key): _clean(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(inner) for inner in value]
    return value


def _without_commitments(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _without_commitments(inner) for key, inner in value.items() if key != COMMITMENTS
        }
    if isinstance(value, list):
        return [_without_commitments(inner) for inner in value]
    return value


def _as_bytes(headers: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Header fields with one character for each byte, as they are sent."""
    return tuple((name, raw(value).decode("latin-1")) for name, value in headers)
