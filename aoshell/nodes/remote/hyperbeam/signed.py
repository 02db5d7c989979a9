"""Who has signed what of an answer."""

from __future__ import annotations

from aoshell.nodes.remote.http.answer import Answer
from aoshell.protocol import httpsig
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import Checked

# Headers that one answer may have for `_with_space` to try them.
_TRIED = 32


def examine(answer: Answer) -> Checked:
    """What an answer holds and what of it is signed. Raises nothing, whatever came."""
    checked = httpsig.check(answer.headers, answer.body)
    if isinstance(checked.failure, httpsig.SignatureError):
        return _with_space(answer) or checked
    return checked


def _with_space(answer: Answer) -> Checked | None:
    """An answer as its node signed it, where HTTP took a space from the end of a header.

    Prompts end with a space, and what carries HTTP strips it. Nothing is guessed: it counts only if
    the signature then fits.
    """
    for at in range(min(len(answer.headers), _TRIED)):
        name, value = answer.headers[at]
        if not value or name.startswith("signature"):
            continue
        whole = (*answer.headers[:at], (name, value + " "), *answer.headers[at + 1 :])
        checked = httpsig.check(whole, answer.body)
        if checked.outcome is httpsig.Outcome.VERIFIED:
            return checked
    return None


def why(failure: ProtocolError | None, *, withheld: bool) -> str:
    """What is wrong with a signature.

    Args:
        withheld: leave out what is quoted from the answer.
    """
    if failure is None:
        return "its signature does not fit"
    if not withheld:
        return failure.what
    if isinstance(failure, httpsig.SignatureError):
        return "the signature is not of this message"
    return "it is not the message that was signed, or cannot be read"
