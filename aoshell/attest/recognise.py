"""Whether an answer is evidence at all. Nothing is verified here.

A proxy's page, a login form, an empty answer and a message about something else say nothing about
the machine at the URL. So they are not bad evidence, but none. The checks judge everything that
claims to be evidence, and signed answers that cannot be read: somebody may have changed these.
"""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.envelope import activation, reading
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import RawResponse, is_envelope
from aoshell.attest.signed import decode_message, read_message
from aoshell.protocol.commitment import INPUT
from aoshell.protocol.tabm import LINK

_OF_ENVELOPES = ("measurement-device", *reading.OLDER)


def has_report(answer: RawResponse) -> bool:
    """Whether an answer seems to be one of `~snp@1.0/generate`."""
    try:
        message = decode_message(answer)
    except EvidenceError:
        return is_signed(answer)
    return "report" in message or "report" + LINK in message


def has_envelope(answer: RawResponse) -> bool:
    """Whether an answer seems to be an envelope of `~measurement@1.0`."""
    message = _message(answer, reading.TYPE)
    if message is None:
        return is_signed(answer) or is_envelope(answer.body)
    return message.get("type") == reading.TYPE or any(key in message for key in _OF_ENVELOPES)


def has_proof(answer: RawResponse) -> bool:
    """Whether an answer seems to be one to a secret."""
    for kind in activation.ANSWER_TYPES:
        message = _message(answer, kind)
        if message is None:
            return is_signed(answer)
        if message.get("type") == kind or "credential-secret-proof" in message:
            return True
    return False


def has_challenge(answer: RawResponse, challenge: str) -> bool:
    """Whether an answer seems to be one to a challenge. Any signed answer does."""
    return is_signed(answer) or challenge.encode() in answer.body


def has_part(answer: RawResponse, link: str) -> bool:
    """Whether an answer seems to be one for the id of a message: it has that id, or is signed."""
    if is_signed(answer):
        return True
    try:
        answer.once(reading.read_part, link)
    except EvidenceError:
        return False
    return True


def is_signed(answer: RawResponse) -> bool:
    """Whether an answer is signed, or claims to be."""
    return any(name.lower() == INPUT for name, _ in answer.headers)


def _message(answer: RawResponse, kind: str) -> Mapping[str, object] | None:
    try:
        return read_message(answer, kind)
    except EvidenceError:
        return None
