"""Reads pages of a HyperBEAM log with all signatures, those of messages and of the scheduler.

A node lists its log in two forms: as JSON without signatures, and as one message whose parts carry
their commitments. This module reads the second form, and checks each signature in it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from aoshell.errors import AoError
from aoshell.forks.messages import Assigned, ForeignMessage, check_number, message_of
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.hyperbeam import placed
from aoshell.nodes.remote.results import words
from aoshell.nodes.remote.schedules import no_schedule
from aoshell.protocol import httpsig
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import Checked, SignatureStatus
from aoshell.protocol.message import Message
from aoshell.protocol.tabm import Tabm
from aoshell.sandbox.luerl import pack

BUNDLE = "bundle"  # the key under which a page has an answer as it came
EDGES = "edges"  # and that under which it has the same messages as JSON, if they are needed
_RSA = "rsa-pss-sha512"


def keep_answer(answer: Response) -> dict[str, Any]:
    """An answer as it came, as a value for JSON."""
    body = base64.b64encode(answer.body).decode()
    return {BUNDLE: [list(map(list, answer.headers)), body]}


def lists_assignments(answer: Response) -> bool:
    """Whether an answer has assignments with their commitments."""
    try:
        return bool(_assignments(answer.headers, answer.body))
    except ProtocolError:
        return False


def is_garbled(answer: Response) -> bool:
    """Whether a message of an answer differs from what was signed.

    Nodes do not escape line breaks in the values of a part, so the rest of such a value is read as
    other fields. The form in JSON has the whole message.
    """
    for assignment in _assignments(answer.headers, answer.body):
        body = assignment["body"]
        assert isinstance(body, dict)
        _complete(body)
        if httpsig.check_map(body).outcome is SignatureStatus.BAD:
            return True
    return False


def read_bundle(
    page: Mapping[str, Any], process: str, where: str, *, as_node: bool
) -> list[ForeignMessage]:
    """The messages of an answer that `keep_answer` kept, their signatures checked.

    Args:
        as_node: whether they are wanted as a node gives them to a process in Lua
            (`ForeignMessage.as_node`).

    Raises:
        AoError: stage "schedule", it is not such an answer; stage "verify", a signature is wrong.
    """
    try:
        headers, body = page[BUNDLE]
        fields = [(str(name), str(value)) for name, value in headers]
        listed = _assignments(fields, base64.b64decode(body, validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error, ProtocolError) as error:
        raise no_schedule(where, error) from None
    edges = {_slot_of(edge): edge for edge in page.get(EDGES, ())}
    found = [_read(assignment, edges, process, where, as_node) for assignment in listed]
    return sorted(found, key=lambda one: one.assigned.slot)


def _assignments(headers: Any, body: bytes) -> list[Tabm]:
    listed = httpsig.receive(headers, body).tabm.get("assignments")
    parts = listed.values() if isinstance(listed, dict) else ()
    return [part for part in parts if isinstance(part, dict) and isinstance(part.get("body"), dict)]


def _slot_of(edge: Any) -> str:
    tags = edge["node"]["assignment"]["Tags"] if isinstance(edge, Mapping) else ()
    return next((words(tag["value"]) for tag in tags if tag["name"] == "Slot"), "")


def _whole(body: Tabm, edge: Any) -> Tabm:
    """A message with its values from JSON, and with its commitments."""
    message = edge["node"]["message"]
    values = {words(tag["name"]).lower(): words(tag["value"]) for tag in message["Tags"]}
    values |= {name.lower(): words(message.get(name)) for name in ("Data", "Target", "Anchor")}
    commitments = body.get("commitments")
    named = commitments.values() if isinstance(commitments, dict) else ()
    listed = [one.get("committed") for one in named if isinstance(one, dict)]
    keys = {key for one in listed if isinstance(one, dict) for key in one.values()}
    kept: Tabm = {key: value for key, value in values.items() if key in keys}
    return kept | {"commitments": commitments or {}}


def _read(
    assignment: Tabm, edges: Mapping[str, Any], process: str, where: str, as_node: bool
) -> ForeignMessage:
    body = assignment["body"]
    assert isinstance(body, dict)
    check_number(len(body), where)
    # Before parts are removed below.
    commitments_of = [_commitments(part) for part in (body, assignment)] if as_node else []
    for part in (body, assignment):
        _complete(part)
    edge = edges.get(str(assignment.get("slot")))
    if edge is not None and httpsig.check_map(body).outcome is SignatureStatus.BAD:
        assignment = {**assignment, "body": (body := _whole(body, edge))}
    checked, inner = httpsig.check_map(assignment), httpsig.check_map(body)
    fields = dict(checked.verified or checked.message)
    message = placed.to_message({**fields, "body": inner.verified or inner.message}, (), where)
    place = message.assignment
    assert place is not None
    for one, what in ((checked, "assignment"), (inner, "message")):
        is_wrong = isinstance(one.failure, httpsig.SignatureError)
        if is_wrong or (one.outcome is SignatureStatus.BAD and edge is None):
            raise AoError(
                f"the {what} of slot {place.slot} of {process}, as {where} has it, is refused:"
                f" {one.failure}",
                stage="verify",
                hint="nothing was forked",
            )
    identity, owner = _signer(inner, body)
    assigned = Assigned(
        _signer(checked, assignment)[0],
        place.process,
        identity,
        place.slot,
        place.timestamp,
        place.block_height,
        place.hash_chain,
        0,
    )
    is_signed = inner.outcome is SignatureStatus.VERIFIED
    by = checked.committers  # () where the outcome is not VERIFIED
    taken = _taken(message, identity, owner, assigned)
    scheduler = by[0] if len(by) == 1 else ""
    several = len(inner.committers) > 1
    packed = b""
    if as_node:
        request = {**fields, **commitments_of[1]}
        request["body"] = {**(inner.verified or inner.message), **commitments_of[0]}
        packed = _packed(request)
    return ForeignMessage(assigned, taken, None, is_signed, scheduler, several, packed)


def _commitments(part: Tabm) -> dict[str, object]:
    """The commitments of a part in the form that scripts on the node get."""
    commitments = part.get("commitments")
    if not isinstance(commitments, dict):
        return {}
    found: dict[str, object] = {}
    for identity, commitment in commitments.items():
        if isinstance(commitment, dict):
            keys = commitment.get("committed")
            numbered = keys.items() if isinstance(keys, dict) else ()
            listed = sorted((int(at), key) for at, key in numbered if at.isdecimal())
            found[identity] = {**commitment, "committed": [key for _at, key in listed]}
    return {"commitments": found}


def _packed(request: dict[str, object]) -> bytes:
    """An assignment for a guest; b"" if a guest cannot get it."""
    try:
        return pack(request)
    except ValueError:
        return b""


def _taken(message: Message, identity: str, owner: str, assigned: Assigned) -> Message:
    return message_of(identity, owner, message.tags, message.data, message.anchor, assigned)


def _signer(checked: Checked, part: Tabm) -> tuple[str, str]:
    """Id of a part and address of its signer; unverified if that cannot be checked."""
    for one in checked.commitments:
        if one.committer:
            return one.id, one.committer
    commitments = part.get("commitments")
    for identity, commitment in commitments.items() if isinstance(commitments, dict) else ():
        if isinstance(commitment, dict) and commitment.get("committer"):
            return identity, words(commitment["committer"])
    return "", ""


def _complete(part: Tabm) -> None:
    """Restore keys of commitments that some nodes lose, such as the file store of a node of 2025.

    A missing type of a signature can only be RSA; the check of the signature confirms that. An HMAC
    is left out: everybody knows its key, so it proves nothing.
    """
    commitments = part.get("commitments")
    for identity, commitment in list(commitments.items()) if isinstance(commitments, dict) else ():
        if not isinstance(commitment, dict):
            continue
        if str(commitment.get("keyid", "")).startswith("publickey:"):
            commitment.setdefault("type", _RSA)
        elif "committer" not in commitment and isinstance(commitments, dict):
            del commitments[identity]
