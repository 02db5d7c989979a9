"""What a HyperBEAM node's answer is worth: signed by the node, by nobody, or badly.

An answer that claims a signature and does not keep it is refused always; one without any is taken
unless the user wants signatures (`.verify on`), and then said to be so. With `.verify attested` the
one key that counts is that which an attestation vouches for; what ties its answers to the requests
is named, as nothing in a request is ever signed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.base import Pin, Verify
from aoshell.nodes.remote.answer import Answer, Headers
from aoshell.protocol import httpsig
from aoshell.protocol.structured import Value

Fields: TypeAlias = Mapping[str, Value]

# Headers that one answer may have for `_with_space` to try them.
_TRIED = 32
_RESULTS = frozenset(("compute", "dryrun", "now"))  # stages whose answers a person is shown
_BOUND = {
    "": "nothing in it names the request, so it could be the answer to another, or an old one",
    "ids": "it names what was asked for, and could be an old one",
}
_SHOW = ".signature shows what should have been signed"


class Trust:
    """The policy for one node.

    Args:
        endpoint: for messages.
        tell: called once for each kind of worth that answers have.

    Attributes:
        level: what is taken.
        pin: the attested key; None where there is none.
        address: of the node, "" until known; who else signs an answer is not the node.
        state: "verified", "unsigned" or "attested (…)", of the last answer; "" before the first.
        last_failure: what the last bad answer should have signed, as a person reads it.
    """

    def __init__(self, endpoint: str, tell: Callable[[str], None]) -> None:
        self.level = Verify.OFF
        self.pin: Pin | None = None
        self.address = ""
        self.state = ""
        self.last_failure = ""
        self._endpoint = endpoint
        self._tell = tell
        self._told: set[str] = set()

    def pinned(self) -> Pin | None:
        """The key whose answers alone are taken; None where others are taken as well.

        Raises:
            AoError: stage "verify", it is not attested any more.
        """
        if self.level is not Verify.ATTESTED:
            return None
        if self.pin is None or self.pin.until <= time.time():
            why = "is not attested" if self.pin is None else "was attested too long ago"
            raise AoError(
                f"{self._endpoint} {why}, so nothing of it is taken",
                stage="verify",
                hint=".attest does it now; .verify on takes what any key has signed",
            )
        return self.pin

    def read(self, answer: Answer, stage: str, expected: Fields | None = None) -> Fields:
        """What an answer says: of a signed one, no more than what was signed.

        Args:
            expected: what an answer to this very request has, where it names it.

        Raises:
            AoError: stage "verify", for an answer that is not to be believed.
        """
        headers, checked = answer.headers, httpsig.check(answer.headers, answer.body)
        if isinstance(checked.failure, httpsig.SignatureError):
            headers, checked = _with_space(answer) or (headers, checked)
        pin = self.pinned()
        if checked.outcome is httpsig.Outcome.BAD:
            raise self._bad(checked, stage)
        if pin is not None:
            return self._by(pin, headers, answer.body, stage, expected or {})
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

    def json(self, answer: Answer, stage: str, expected: Fields | None = None) -> Any:
        """The JSON of an answer, whose signature is over the bytes of its body.

        Raises:
            AoError: stage "verify", or it is no JSON.
        """
        covered = self.read(answer, stage, expected)
        if self.state != "unsigned":
            values = (value for value in covered.values() if isinstance(value, str))
            if answer.body not in (value.encode("utf-8", "surrogateescape") for value in values):
                self.unsigned()
        return answer.json(stage)

    def unsigned(self) -> None:
        """An answer came that nobody signed. Raises AoError where that is not enough."""
        if self.level is not Verify.OFF:
            raise AoError(
                f"{self._endpoint} does not sign this answer",
                stage="verify",
                hint=".verify off takes it as it is",
            )
        self.state = "unsigned"
        self._tell_once(f"{self._endpoint} does not sign its answers (.verify on refuses them)")

    def _by(self, pin: Pin, headers: Headers, body: bytes, stage: str, expected: Fields) -> Fields:
        """What the attested key has signed of an answer; nothing else of it is used."""
        from aoshell.attest import evidence, results
        from aoshell.attest.errors import EvidenceError

        asked = results.Asked(fields=expected)
        try:
            said = results.read(evidence.Answer(headers, body), pin.address, asked)
        except EvidenceError as error:
            self.state = "refused"
            raise AoError(
                f"the answer of {self._endpoint} ({stage}) is refused: {error.what}",
                stage="verify",
                hint=".attest attests its key now; .verify on takes what any key has signed",
            ) from None
        binding = ", ".join(said.binding)
        self.state = f"attested (bound to requests by {binding or 'nothing'})"
        how = _BOUND.get(binding, f"it is bound to the request by {binding}")
        if stage in _RESULTS:
            self._tell_once(f"{stage}: signed by the attested key; {how}")
        return said.message

    def _tell_once(self, said: str) -> None:
        if said not in self._told:
            self._told.add(said)
            self._tell(said)

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


def _with_space(answer: Answer) -> tuple[Headers, httpsig.Checked] | None:
    """An answer's headers as its node signed them, where HTTP took a space from the end of one.

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
            return whole, checked
    return None
