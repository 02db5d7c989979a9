"""What a HyperBEAM node's answer is worth: signed by the node, by nobody, or badly.

An answer that claims a signature and does not keep it is refused always; one without any is taken
unless the user wants signatures (`.verify on`), and then said to be so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.remote.answer import Answer
from aoshell.protocol import httpsig
from aoshell.protocol.structured import Value

Fields: TypeAlias = Mapping[str, Value]

# Headers that one answer may have for `_with_space` to try them.
_TRIED = 32
_SHOW = ".signature shows what should have been signed"


class Trust:
    """The policy for one node.

    Args:
        endpoint: for messages.
        tell: called once, at the first answer that nobody signed.

    Attributes:
        required: refuse what is not signed.
        address: of the node, "" until known; who else signs an answer is not the node.
        state: "verified" or "unsigned", of the last answer; "" before the first.
        last_failure: what the last bad answer should have signed, as a person reads it.
    """

    def __init__(self, endpoint: str, tell: Callable[[str], None]) -> None:
        self.required = False
        self.address = ""
        self.state = ""
        self.last_failure = ""
        self._endpoint = endpoint
        self._tell = tell
        self._told = False

    def read(self, answer: Answer, stage: str) -> Fields:
        """What an answer says: of a signed one, no more than what was signed.

        Raises:
            AoError: stage "verify", for an answer that is not to be believed.
        """
        checked = httpsig.check(answer.headers, answer.body)
        if isinstance(checked.failure, httpsig.SignatureError):
            checked = _with_space(answer) or checked
        if checked.outcome is httpsig.Outcome.BAD:
            raise self._bad(checked, stage)
        if checked.outcome is not httpsig.Outcome.VERIFIED:
            self.unsigned()
            return checked.message
        if self.address and self.address not in checked.committers:
            who = ", ".join(checked.committers)
            raise AoError(
                f"{self._endpoint} answers with the signature of {who}, and its own address is "
                f"{self.address}",
                stage="verify",
                hint="somebody stands between, or the node has a new key: .node asks it again",
            )
        self.state = "verified"
        return checked.verified

    def json(self, answer: Answer, stage: str) -> Any:
        """The JSON of an answer, whose signature is over the bytes of its body.

        Raises:
            AoError: stage "verify", or it is no JSON.
        """
        covered = self.read(answer, stage)
        if self.state == "verified":
            values = (value for value in covered.values() if isinstance(value, str))
            if answer.body not in (value.encode("utf-8", "surrogateescape") for value in values):
                self.unsigned()
        return answer.json(stage)

    def unsigned(self) -> None:
        """An answer came that nobody signed. Raises AoError where that is not enough."""
        if self.required:
            raise AoError(
                f"{self._endpoint} does not sign this answer",
                stage="verify",
                hint=".verify off takes it as it is",
            )
        self.state = "unsigned"
        if not self._told:
            self._told = True
            self._tell(f"{self._endpoint} does not sign its answers (.verify on refuses them)")

    def _bad(self, checked: httpsig.Checked, stage: str) -> AoError:
        failure = checked.failure
        what = failure.what if failure else "its signature does not fit"
        if isinstance(failure, httpsig.SignatureError):
            self.last_failure = failure.base.decode("utf-8", "replace")
        return AoError(
            f"the answer of {self._endpoint} ({stage}) is refused: {what}",
            stage="verify",
            hint=_SHOW if self.last_failure else "it may have been changed on its way",
        )


def _with_space(answer: Answer) -> httpsig.Checked | None:
    """The answer as its node signed it, where HTTP took a space from the end of one header.

    Prompts end with a space, and what carries HTTP strips it. Nothing is guessed: it counts only if
    the signature then fits.
    """
    for at in range(min(len(answer.headers), _TRIED)):
        name, value = answer.headers[at]
        if not value or name.startswith("signature"):
            continue
        whole = [*answer.headers[:at], (name, value + " "), *answer.headers[at + 1 :]]
        checked = httpsig.check(whole, answer.body)
        if checked.outcome is httpsig.Outcome.VERIFIED:
            return checked
    return None
