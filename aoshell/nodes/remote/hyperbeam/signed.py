"""Finds out who has signed which part of an answer."""

from __future__ import annotations

from aoshell.bounded import jsontext
from aoshell.nodes.remote.http.answer import Response
from aoshell.protocol import httpsig
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.fields import escaped
from aoshell.protocol.httpsig import Checked, SignatureError, SignatureStatus
from aoshell.protocol.jsonform import check_json
from aoshell.protocol.message import raw
from aoshell.protocol.rebuild import fits

CODEC = "json@1.0"  # value of `codec-device` for a message in JSON

# Headers of an answer that `_with_space` tries; each costs one signature check.
_TRIED = 32


def is_message_in_json(answer: Response) -> bool:
    """Whether an answer is a message as JSON, which holds its own commitments."""
    return answer.header("codec-device") == CODEC


def examine(answer: Response) -> Checked:
    """What an answer holds, and which part of it is signed. Raises nothing.

    In an error only texts and numbers count: its maps are traces with messages that passed through
    Lua, so their signatures do not fit any more.
    """
    if is_message_in_json(answer):
        return _examine_json(answer)
    checked = httpsig.check(answer.headers, answer.body, shallow=not answer.ok)
    if isinstance(checked.failure, SignatureError):
        return _with_space(answer, checked.failure) or checked
    return checked


def _examine_json(answer: Response) -> Checked:
    try:
        value = jsontext.parse(answer.body)
    except (jsontext.JsonLimitError, ValueError):
        value = None
    if isinstance(value, dict):
        return check_json(value, shallow=not answer.ok)
    failure = ProtocolError("its body is no message in JSON", 0, "body")
    return Checked(SignatureStatus.BAD, failure=failure)


def _with_space(answer: Response, failure: SignatureError) -> Checked | None:
    """An answer as its node signed it, if HTTP removed a space from the end of a header.

    Prompts end with a space, which HTTP software strips. This is safe: it counts only if the
    signature then fits.
    """
    base = b"\n" + failure.base
    for at, (name, value) in enumerate(answer.headers[:_TRIED]):
        line = raw(f"\n{escaped(name)}: {value}")
        before, found, after = base.partition(line + b"\n")
        spaced = before + line + b" \n" + after
        if value and found and fits(failure.commitment, spaced[1:]):
            # The full check costs as much as the first one, so do it only once.
            whole = (*answer.headers[:at], (name, value + " "), *answer.headers[at + 1 :])
            checked = httpsig.check(whole, answer.body, shallow=not answer.ok)
            return checked if checked.outcome is SignatureStatus.VERIFIED else None
    return None


def why(failure: ProtocolError | None, *, withheld: bool) -> str:
    """What is wrong with a signature.

    Args:
        withheld: leave out quotations from the answer.
    """
    if failure is None:
        return "its signature does not fit"
    if not withheld:
        return failure.what
    if isinstance(failure, httpsig.SignatureError):
        return "the signature is not of this message"
    return "it is not the message that was signed, or cannot be read"
