"""Converts signed messages to and from the database's form: the received bytes and their form."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from aoshell.bounded import jsontext
from aoshell.errors import AoError
from aoshell.nodes.local.log.rows import HTTPSIG, TRANSACTION, Arrival, Logged, Upload
from aoshell.nodes.values import HttpMessage, Signed
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url

if TYPE_CHECKING:
    from aoshell.nodes.transaction import Transaction


def dump_signed(item: Signed, client: str = "") -> Arrival:
    """A signed message as stored: the item itself; for httpsig a line of headers and the body."""
    if isinstance(item, DataItem):
        return Arrival(item.raw, "", client)
    head = json.dumps(item.headers, separators=(",", ":")).encode()
    return Arrival(head + b"\n" + item.body, HTTPSIG, client)


def load_upload(upload: Upload) -> DataItem | Transaction:
    """The item or transaction of an upload. Raises ValueError or ProtocolError if it is neither."""
    if upload.form == TRANSACTION:
        from aoshell.nodes.transaction import Transaction  # imported here, as few homes need it

        return Transaction.load(upload.id, upload.signed)
    return DataItem.parse(upload.signed)


def signature_of(logged: Logged) -> str:
    """The signature of a message that came as an item, base64url; "" if it is not signed."""
    if logged.signed is None:
        return ""
    with contextlib.suppress(AoError):
        return b64url(DataItem.parse(logged.signed).signature)
    return ""


def load_signed(message_id: str, form: str, stored: bytes) -> Signed:
    """The inverse of `dump_signed`. Raises ValueError or ProtocolError for malformed bytes."""
    if form != HTTPSIG:
        return DataItem.parse(stored)
    head, _, body = stored.partition(b"\n")
    headers = tuple((str(name), str(value)) for name, value in jsontext.parse(head))
    return HttpMessage(message_id, headers, body)
