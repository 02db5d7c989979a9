"""Decides whether to accept an answer of a HyperBEAM node, by its signatures.

An answer with a wrong signature is always refused, and so is one that names another process or slot
than the requested one. An unsigned answer is accepted, and the user is told so, unless the user
wants signatures. With `.verify on` only the node's own key counts, with `.verify attested` only the
attested key. Notices say how an answer is bound to its request, as nodes do not sign requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import WITHHELD, Response
from aoshell.nodes.remote.hyperbeam.binding import (
    ANY,
    Asked,
    ContradictionError,
    Seen,
    named,
    strength,
)
from aoshell.nodes.remote.hyperbeam.generation import JSON
from aoshell.nodes.remote.hyperbeam.refusal import Refusal, refusal_in
from aoshell.nodes.remote.hyperbeam.signed import examine, is_message_in_json, why
from aoshell.nodes.values import Pin, Verify
from aoshell.protocol import httpsig
from aoshell.protocol.httpsig import Checked, SignatureStatus
from aoshell.protocol.structured import Value

Fields: TypeAlias = Mapping[str, Value]

UNSIGNED, REFUSED, UNCHECKABLE = "unsigned", "refused", "not checkable"
_RESULTS = frozenset(("compute", "dryrun", "now"))  # stages whose answers users see
_SHOW = ".signature shows what should have been signed"
_NOT_SIGNED = " does not sign its answers (.verify on refuses them)"
_NOT_THESE = " signs its answers, but not these: {} (.verify on refuses them)"
_NOT_CHECKABLE = " signs answers in a way that cannot be checked here"
_OTHER = "somebody stands between, or the node has a new key: .node asks it again"


class NotSignedError(AoError):
    """An unsigned answer was refused, as the user wants signatures."""


class Trust:
    """The policy for one node.

    Args:
        endpoint: the node's URL, for texts.
        tell: called with a notice, once for each different one.
        heard: called with each answer whose signatures fit.

    Attributes:
        level: which answers are accepted.
        pin: the attested key; None if there is none.
        address: the node's address, "" until known; any other signer is not the node. If answers
            are verified, it must be known before the first answer is read.
        state: the last answer: "verified", "unsigned", "refused" or "attested (…)"; "" before it.
        named: the facts of its request that the last answer names, signed.
        last_failure: what the last bad answer should have signed, for users.
    """

    def __init__(
        self,
        endpoint: str,
        tell: Callable[[str], None],
        heard: Callable[[Checked], None] = lambda _: None,
    ) -> None:
        self.level = Verify.OFF
        self.pin: Pin | None = None
        self.address = ""
        self.state = ""
        self.named: tuple[str, ...] = ()
        self.last_failure = ""
        self._endpoint = endpoint
        self._tell = tell
        self._heard = heard
        self._examined: tuple[Response, Checked] | None = None
        self._noted: set[str] = set()
        self._seen = Seen()
        self._signs = False

    @property
    def verifies(self) -> bool:
        """Whether only signed answers are accepted."""
        return self.level is not Verify.OFF

    @property
    def refused(self) -> bool:
        """Whether answers are verified, and the last one was refused."""
        return self.verifies and self.state == REFUSED

    def pinned(self) -> Pin | None:
        """The only key whose answers are accepted; None if others are accepted, too.

        Raises:
            AoError: stage "verify", no key is attested, or not any more.
        """
        if self.level is not Verify.ATTESTED:
            return None
        if self.pin is None or self.pin.until <= time.time():
            why_not = "is not attested" if self.pin is None else "was attested too long ago"
            raise AoError(
                f"{self._endpoint} {why_not}, so nothing of it is taken",
                stage="verify",
                hint=".attest does it now; .verify on takes what the node's own key has signed",
            )
        return self.pin

    def met(self, *, signed: bool) -> None:
        """Note that the node gave its address; sets `state` if no answer was read before."""
        self._signs |= signed
        if not self.state:
            self.state = "verified" if signed else UNSIGNED
            if not signed:
                self._tell_once(self._endpoint + _NOT_SIGNED)

    def read(
        self, answer: Response, stage: str, asked: Asked = ANY, *, whole: bool = False
    ) -> Fields:
        """The fields of an answer; for a signed one, only the signed fields.

        Args:
            whole: all fields, if unsigned answers are accepted.

        Raises:
            AoError: stage "verify", the answer is refused.
        """
        fields = self._read(answer, stage, asked)
        self._judge(stage, asked)
        rest = self._examine(answer).message
        if whole and not self.verifies and rest.keys() - fields.keys():
            self._tell_once(self._endpoint + _NOT_THESE.format(stage))
            return rest
        return fields

    def json(self, answer: Response, stage: str, asked: Asked = ANY) -> Any:
        """The JSON of an answer whose signature covers the bytes of its body.

        Raises:
            AoError: stage "verify", the answer is refused; other stages, it is not JSON.
        """
        covered = self._read(answer, stage, asked)
        if self.state not in (UNSIGNED, UNCHECKABLE):
            values = (value for value in covered.values() if isinstance(value, str))
            whole = answer.body in (value.encode("utf-8", "surrogateescape") for value in values)
            # The content type must be signed, too: a process may print text that looks like JSON.
            if not whole or not str(covered.get("content-type", "")).startswith(JSON):
                self._unsigned(answer, stage)
        fields = answer.json(stage)
        if isinstance(fields, dict):
            try:
                self.named += named(fields, {}, asked)
            except ContradictionError as error:
                raise self._refused(answer, stage, str(error)) from None
        self._judge(stage, asked)
        return fields

    def is_checkable(self, answer: Response) -> bool:
        """Whether the signatures of an answer can be checked."""
        return self._examine(answer).outcome is not SignatureStatus.UNCHECKABLE

    def refusal(self, answer: Response, stage: str, asked: Asked = ANY) -> Refusal:
        """The refusal in an error, from the fields that count; raises nothing."""
        try:
            fields = self._read(answer, stage, asked)
        except AoError:
            return Refusal()
        if self.verifies and fields.get("status") != answer.status:
            return Refusal()
        return refusal_in({**dict(answer.headers), **fields} if not self.verifies else fields)

    def failure(
        self, answer: Response, stage: str, what: str, asked: Asked = ANY, about: str = ""
    ) -> str:
        """A sentence on an error, with the node's text if that counts.

        Args:
            what: what the node does not do, as the status shows.
            about: what the request was about, for a text without the node's words.
        """
        if not self.verifies:
            words = self.refusal(answer, stage, asked).words or _plain_words(answer)
            return f"{self._who(answer)} {what}: {answer.status} {words}".rstrip()
        fields: Fields = {}
        try:
            fields = self._read(answer, stage, asked)
            self.state = "verified"
        except NotSignedError:
            pass
        except AoError as error:
            return f"{error.what} (status {answer.status})"
        if fields.get("status") != answer.status:
            self.state = REFUSED
            to = f" when asked about {about}" if about else ""
            return f"{self._who(answer)} answers {answer.status}{to} {WITHHELD}"
        words = refusal_in(fields).words
        return f"{self._who(answer)} {what}: {answer.status} {words}".rstrip()

    def _examine(self, answer: Response) -> Checked:
        """`examine()` of an answer, cached for the last answer."""
        if self._examined is None or self._examined[0] is not answer:
            self._examined = answer, examine(answer)
        return self._examined[1]

    def _read(self, answer: Response, stage: str, asked: Asked) -> Fields:
        checked = self._examine(answer)
        self.named, self.state = (), ""
        if checked.outcome is SignatureStatus.BAD:
            raise self._bad(answer, checked, stage)
        self.pinned()
        if checked.outcome is not SignatureStatus.VERIFIED:
            self._unsigned(answer, stage, checked)
            return checked.message
        self._by_the_node(answer, checked, stage)
        self._heard(checked)
        try:
            _same_status(answer, checked)
            self.named = named(checked.verified, checked.ids, asked)
            self._seen.note(checked, asked)
        except ContradictionError as error:
            raise self._refused(answer, stage, str(error)) from None
        self._signs = True
        return checked.verified

    def _judge(self, stage: str, asked: Asked) -> None:
        """Set `state`, and report once for each kind of result how it is bound to its request."""
        if self.state in (UNSIGNED, UNCHECKABLE):
            return
        self.state = "verified"
        if self.level is Verify.ATTESTED:
            by = ", ".join(dict.fromkeys(self.named)) or "nothing"
            self.state = f"attested (bound to requests by {by})"
        if self.verifies and stage in _RESULTS:
            whose = "attested" if self.level is Verify.ATTESTED else "node's own"
            self._tell_once(f"{stage}: signed by the {whose} key; {strength(self.named, asked)}")

    def _by_the_node(self, answer: Response, checked: Checked, stage: str) -> None:
        """Raise AoError unless exactly the node's key has signed."""
        whose = "attested key" if self.pin and self.level is Verify.ATTESTED else "node's own key"
        due = self.pin.address if self.pin and self.level is Verify.ATTESTED else self.address
        if checked.committers == (due,) or not (due or self.verifies):
            return
        what = f"signed by {' and '.join(checked.committers)}, not by the {whose} {due}".rstrip()
        raise self._refused(answer, stage, what, _OTHER)

    def _unsigned(self, answer: Response, stage: str, checked: Checked | None = None) -> None:
        """Handle an answer that is not signed, or whose signature cannot be checked.

        Raises:
            NotSignedError: only signed answers are accepted.
        """
        failure = checked.failure if checked else None
        uncheckable = checked is not None and checked.outcome is SignatureStatus.UNCHECKABLE
        because = f": {failure.what}" if failure and not self.verifies else ""
        if self.verifies:
            self.state = REFUSED
            what = f"does not sign this answer ({stage}, {answer.status})"
            if uncheckable:
                what = f"signs this answer ({stage}) in a way that cannot be checked here"
            raise NotSignedError(
                f"{self._who(answer)} {what}", stage="verify", hint=".verify off takes it as it is"
            )
        self.state = UNCHECKABLE if uncheckable else UNSIGNED
        not_signed = _NOT_THESE.format(stage) if self._signs else _NOT_SIGNED
        text = not_signed if not uncheckable else f"{_NOT_CHECKABLE}{because}"
        self._tell_once(self._endpoint + text)

    def _tell_once(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            self._tell(text)

    def _bad(self, answer: Response, checked: Checked, stage: str) -> AoError:
        failure = checked.failure
        if isinstance(failure, httpsig.SignatureError):
            self.last_failure = failure.base.decode("utf-8", "replace")
        hint = _SHOW if self.last_failure else "it may have been changed on its way"
        return self._refused(answer, stage, why(failure, withheld=self.verifies), hint)

    def _refused(self, answer: Response, stage: str, what: str, hint: str = "") -> AoError:
        self.state = REFUSED
        return AoError(
            f"the answer of {self._who(answer)} ({stage}) is refused: {what}",
            stage="verify",
            hint=hint or "somebody may stand between, and answer with what was said before",
        )

    def _who(self, answer: Response) -> str:
        return answer.by or self._endpoint


def _same_status(answer: Response, checked: Checked) -> None:
    """Raise ContradictionError if the signed status is not the status of the answer."""
    status = checked.verified.get("status")
    if isinstance(status, int) and not isinstance(status, bool) and status != answer.status:
        raise ContradictionError(f"status {status} was signed, and {answer.status} came")


def _plain_words(answer: Response) -> str:
    """The text of an error that is not a message: its body, or the title of a page. In messages,
    other parts and fields are stack traces."""
    if is_message_in_json(answer) or answer.header("content-type").startswith("multipart/"):
        return ""
    return answer.summary().removeprefix(f"{answer.status} - ")
