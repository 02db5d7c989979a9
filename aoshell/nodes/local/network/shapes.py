"""Converts rows of the database to the values that units get."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.assigning import EXCLUDE, Assigner
from aoshell.nodes.local.log.form import Wire
from aoshell.nodes.local.log.rows import Logged, Upload
from aoshell.nodes.local.log.signed import load_signed, load_upload
from aoshell.nodes.served import Scheduled, Stored
from aoshell.nodes.transaction import Transaction
from aoshell.nodes.values import HttpMessage, Signed
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, text

Original: TypeAlias = "Logged | Upload | None"
"""The message or upload that an assignment is of."""


def stored_of(process: str, row: Logged | Upload) -> Stored:
    """A message of a process's log, or an upload."""
    if isinstance(row, Upload):
        item = load_upload(row)
        return Stored(row.seq, process, _uploaded(item), item, row.client, row.timestamp)
    message = form.to_message(form.load_wire(row.body), form.to_assignment(process, row))
    return Stored(row.seq, process, message, _signed(row), row.client, row.timestamp)


def _uploaded(item: DataItem | Transaction) -> Message:
    owner = item.owner_address
    return Message(
        item.id, owner, owner, item.target, item.tags, item.data, anchor=text(item.anchor)
    )


def scheduled_of(process: str, logged: Logged, original: Original, assigner: Assigner) -> Scheduled:
    """A message with its assignment: the stored one, or one made now."""
    stored = stored_of(process, logged)
    if isinstance(original, Upload):
        stored = replace(stored, signed=load_upload(original))
    elif original is not None:
        stored = replace(stored, signed=_signed(original))
    item = _assignment(logged) or assigner.assign(process, logged)
    exclude = next((tag.value for tag in item.tags if tag.name == EXCLUDE), "")
    names = tuple(exclude.split(",")) if exclude else ()
    return Scheduled(stored, item, original is not None, names)


def data_of(stored: Stored) -> bytes:
    """The data as it was signed; an assigned message may have less than its original."""
    signed = stored.signed
    if signed is None:
        return stored.message.data
    return signed.body if isinstance(signed, HttpMessage) else signed.data


def texts_of(result: Result) -> tuple[bytes, ...]:
    """The parts of a result that may contain a signed item: its output, and the data it sent."""
    output = result.output.encode("utf-8", "surrogateescape")
    return (output, *(sent.data for sent in result.messages))


def with_texts(result: Result, texts: Iterable[bytes]) -> Result:
    """A result with other parts in place of those of `texts_of`."""
    output, *data = texts
    sent = tuple(replace(one, data=new) for one, new in zip(result.messages, data, strict=True))
    return replace(result, output=output.decode("utf-8", "surrogateescape"), messages=sent)


# These bytes are checked, as a process may come from a file whose import did not check them.


def _signed(row: Logged) -> Signed | None:
    """The signed message as received; None if the bytes are of another message."""
    if row.signed is None:
        return None
    try:
        found = load_signed(row.id, row.form, row.signed)
    except (ValueError, TypeError, AoError):
        return None
    return found if found.id == row.id else None


def _assignment(logged: Logged) -> DataItem | None:
    """The stored assignment; None if there is none, or it is of another message."""
    if logged.assigned is None:
        return None
    try:
        item = DataItem.parse(logged.assigned)
    except AoError:
        return None
    return item if item.id == logged.assignment else None


def excluded(wire: Wire, exclude: Sequence[str]) -> Wire:
    """A message without the fields of these names; only data, anchor and tags can be left out."""
    cut = list(wire)
    if "Data" in exclude:
        cut[form.DATA] = ""
    if "Anchor" in exclude:
        cut[form.ANCHOR] = ""
    if "Tags" in exclude:
        del cut[form.TAGS :]
    return cut
