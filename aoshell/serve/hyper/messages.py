"""Converts messages of the log to HyperBEAM's form: maps with the commitments of their signers."""

from __future__ import annotations

from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.served import Stored
from aoshell.nodes.values import HttpMessage
from aoshell.protocol import httpsig, multipart
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import CURRENT, Commitment
from aoshell.protocol.encoding import b64url
from aoshell.protocol.httpsig import SignatureStatus
from aoshell.protocol.itemcommitment import DEVICE as ITEM_DEVICE
from aoshell.protocol.jsonform import from_json
from aoshell.protocol.message import Message, text
from aoshell.protocol.nested import to_map
from aoshell.protocol.tabm import COMMITMENTS, Tabm, normal_key
from aoshell.serve.hyper.results import to_keys

_ARWEAVE = 1  # the only signature type of items that HyperBEAM's commitments support


def signed_map(stored: Stored) -> dict[str, Any]:
    """A message as a map, with its commitments if clients can check them.

    Messages of processes and of cron have none. Items with two tags of one name, or of another
    signature type than Arweave's, get none either, as clients could not check these.
    """
    found: dict[str, Any] | None = None
    if isinstance(stored.signed, DataItem):
        found = _of_item(stored.signed)
    elif isinstance(stored.signed, HttpMessage):
        found = _of_httpsig(stored.signed)
    if found is not None and _can_be_checked(found):
        return found
    return in_keys(stored.message)


def in_keys(message: Message) -> dict[str, Any]:
    """A message of a log as a map, without its signatures."""
    fields: dict[str, Any] = {**to_keys(message.tags)}
    if message.target and message.tag("Type") != "Process":
        fields["target"] = message.target
    if message.anchor:
        fields["anchor"] = message.anchor
    if message.data:
        fields["data"] = text(message.data)
    return fields


def in_map(one: Commitment) -> dict[str, Any]:
    """A commitment as a value in a message; its keys are a list."""
    return {**to_map(one), "committed": list(one.committed)}


def _of_item(item: DataItem) -> dict[str, Any] | None:
    if item.type != _ARWEAVE:
        return None
    fields: dict[str, Any] = {normal_key(tag.name): tag.value for tag in item.tags}
    if item.target:
        fields["target"] = item.target
    if item.anchor:
        fields["anchor"] = b64url(item.anchor) if len(item.anchor) == 32 else text(item.anchor)
    if item.data:
        fields["data"] = text(item.data)
    tags = {str(n): {"name": t.name, "value": t.value} for n, t in enumerate(item.tags, 1)}
    committed = [key for key in ("data", "target", "anchor") if key in fields]
    commitment = {
        "bundle": "false",
        "commitment-device": ITEM_DEVICE,
        "committed": [*committed, *(normal_key(tag.name) for tag in item.tags)],
        "committer": item.owner_address,
        "keyid": f"publickey:{b64url(item.owner)}",
        "original-tags": tags,
        "signature": b64url(item.signature),
        "type": "rsa-pss-sha256",
    }
    return fields | {COMMITMENTS: {item.id: commitment}}


def _of_httpsig(sent: HttpMessage) -> dict[str, Any] | None:
    checked = httpsig.check(sent.headers, sent.body)
    if checked.outcome is not SignatureStatus.VERIFIED:
        return None
    kept = {one.id: in_map(one) for one in checked.commitments if not one.profile.literal}
    return {**checked.covered, COMMITMENTS: kept} if kept else None


def _can_be_checked(fields: dict[str, Any]) -> bool:
    """Whether the commitments of a map verify, and parts of a body can carry it."""
    try:
        tabm: Tabm = from_json(fields)
        if httpsig.check_map(tabm, CURRENT).outcome is not SignatureStatus.VERIFIED:
            return False
        multipart.encode({"body": tabm}, "body")
    except AoError:
        return False
    return True
