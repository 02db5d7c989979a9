"""Pages of a HyperBEAM log with its signatures: those of the messages and those of the scheduler.

A node lists its log as JSON, in which nobody's signature is, and as one message whose parts carry
their commitments. Here the latter is read, and each signature in it is checked.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from aoshell.errors import AoError
from aoshell.forks.messages import Assigned, ForeignMessage, message_of
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.hyperbeam import placed
from aoshell.nodes.remote.results import words
from aoshell.nodes.remote.schedules import no_schedule
from aoshell.protocol import httpsig
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import Checked, SignatureStatus
from aoshell.protocol.message import Message
from aoshell.protocol.tabm import Tabm

BUNDLE = "bundle"  # the key under which a page has an answer as it came
_RSA = "rsa-pss-sha512"
_CHECKED = (SignatureStatus.VERIFIED, SignatureStatus.UNSIGNED, SignatureStatus.UNCHECKABLE)


def keep_answer(answer: Response) -> dict[str, Any]:
    """An answer as it came, for JSON."""
    body = base64.b64encode(answer.body).decode()
    return {BUNDLE: [list(map(list, answer.headers)), body]}


def lists_assignments(answer: Response) -> bool:
    """Whether an answer has assignments with their commitments."""
    try:
        return bool(_assignments(answer.headers, answer.body))
    except ProtocolError:
        return False


def read_bundle(page: Mapping[str, Any], process: str, where: str) -> list[ForeignMessage]:
    """The messages of an answer that `keep_answer` kept, their signatures checked.

    Raises:
        AoError: stage "schedule", it is none; stage "verify", a signature is wrong.
    """
    try:
        headers, body = page[BUNDLE]
        fields = [(str(name), str(value)) for name, value in headers]
        listed = _assignments(fields, base64.b64decode(body, validate=True))
    except (KeyError, TypeError, ValueError, binascii.Error, ProtocolError) as error:
        raise no_schedule(where, error) from None
    found = [_read(assignment, process, where) for assignment in listed]
    return sorted(found, key=lambda one: one.assigned.slot)


def _assignments(headers: Any, body: bytes) -> list[Tabm]:
    listed = httpsig.receive(headers, body).tabm.get("assignments")
    parts = listed.values() if isinstance(listed, dict) else ()
    return [part for part in parts if isinstance(part, dict) and isinstance(part.get("body"), dict)]


def _read(assignment: Tabm, process: str, where: str) -> ForeignMessage:
    body = assignment["body"]
    assert isinstance(body, dict)
    _complete(body)
    checked, inner = httpsig.check_map(assignment), httpsig.check_map(body)
    said = dict(checked.verified or checked.message)
    message = placed.to_message({**said, "body": inner.verified or inner.message}, (), where)
    place = message.assignment
    assert place is not None
    for one, what in ((checked, "assignment"), (inner, "message")):
        if one.outcome not in _CHECKED:
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
    by = checked.committers if checked.outcome is SignatureStatus.VERIFIED else ()
    taken = _taken(message, identity, owner, assigned)
    return ForeignMessage(assigned, taken, None, is_signed, by[0] if len(by) == 1 else "")


def _taken(message: Message, identity: str, owner: str, assigned: Assigned) -> Message:
    return message_of(identity, owner, message.tags, message.data, message.anchor, assigned)


def _signer(checked: Checked, part: Tabm) -> tuple[str, str]:
    """Id and address of who signed a part; as the part itself says it where nobody can tell."""
    for one in checked.commitments:
        if one.committer:
            return one.id, one.committer
    said = part.get("commitments")
    for identity, commitment in said.items() if isinstance(said, dict) else ():
        if isinstance(commitment, dict) and commitment.get("committer"):
            return identity, words(commitment["committer"])
    return "", ""


def _complete(body: Tabm) -> None:
    """Put the type of a signature back where it is missing: nodes lose that of a definition. The
    signature then tells whether it is the right one."""
    said = body.get("commitments")
    for commitment in said.values() if isinstance(said, dict) else ():
        if not isinstance(commitment, dict) or "type" in commitment:
            continue
        if str(commitment.get("keyid", "")).startswith("publickey:"):
            commitment["type"] = _RSA
