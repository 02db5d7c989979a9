"""Checks of an envelope of `~measurement@1.0`: its form, who signed it, what it is bound to."""

from __future__ import annotations

from aoshell.attest.checks.frame import Case, TpmCase, check
from aoshell.attest.envelope import reading, snp
from aoshell.attest.envelope.ids import is_large, stable_id
from aoshell.attest.envelope.reading import Envelope, Links, map_at
from aoshell.attest.errors import EvidenceError, InconclusiveError, SkippedCheckError
from aoshell.attest.evidence import Exchange
from aoshell.attest.kinds import ENVELOPES, Kind
from aoshell.attest.report import Report
from aoshell.attest.signed import SignedPart
from aoshell.attest.x509.certificates import ec_key
from aoshell.errors import AoError
from aoshell.protocol.encoding import b64url

_SNP = (Kind.SNP,)
_BOTH = (Kind.SNP, Kind.TPM)
_BOUND = ("report-version", "links")

# Members that must be equal in two envelopes for the same recipient of secrets (`dev_measurement`).
_IDENTITY = (
    "type",
    "version",
    "measurement-device",
    "method",
    "key-id",
    "public-material",
    "binding",
)


@check(
    42,
    "envelope",
    "ENVELOPE_SHAPE ENVELOPE_VERSION ENVELOPE_LIMIT MEASUREMENT_DEVICE_MOCK "
    "MEASUREMENT_DEVICE_UNSUPPORTED HTTPSIG_INVALID CONTENT_DIGEST JSON_SYNTAX JSON_LIMIT "
    "JSON_DUPLICATE_KEY",
    needs=(),
    core=True,
    kinds=ENVELOPES,
)
def envelope(case: Case) -> str:
    """The answer has an envelope of a known version and of a device whose evidence is checked here.
    A mock measures nothing and is refused."""
    exchange = exchange_of(case)
    device = reading.check_form(exchange.fresh)
    if exchange.boot:
        reading.check_form(exchange.boot)
    return f"of {device}"


@check(
    37,
    "outer-signature",
    "HTTPSIG_INVALID HTTPSIG_COVERAGE HTTPSIG_KEY_SCHEME HTTPSIG_UNCHECKABLE CONTENT_DIGEST "
    "JSON_LIMIT",
    needs=("envelope",),
    core=True,
    kinds=_BOTH,
)
def outer_signature(case: Case) -> str:
    """One RSA key has signed all keys of the envelope (RFC 9421). What it has not signed is not
    used."""
    case.signed = reading.verify_envelope(exchange_of(case).fresh)
    return f"signed by {case.signed.commitment.committer}"


@check(
    43,
    "links",
    "LINK_MISMATCH LINK_UNAVAILABLE ENVELOPE_LIMIT ENVELOPE_SHAPE HTTPSIG_INVALID "
    "HTTPSIG_COVERAGE HTTPSIG_KEY_SCHEME HTTPSIG_UNCHECKABLE CONTENT_DIGEST JSON_LIMIT "
    "JSON_SYNTAX JSON_DUPLICATE_KEY JSON_MISSING_KEY JSON_UNKNOWN_KEY JSON_TYPE JSON_RANGE "
    "JSON_LENGTH REPORT_FORM",
    needs=("outer-signature",),
    core=True,
    kinds=_BOTH,
)
def links(case: Case) -> str:
    """Parts of an envelope can come as links: the id of a message in place of the message. Each was
    fetched, and has the id that was signed. The evidence in it has the expected form."""
    assert case.signed
    exchange = exchange_of(case)
    case.envelope = reading.resolve_envelope(case.signed, Links(exchange.links))
    if exchange.boot:
        signed = reading.verify_envelope(exchange.boot)
        case.boot = reading.resolve_envelope(signed, Links(exchange.links))
    if case.kind is Kind.SNP:
        case.snp = snp.read_snp_evidence(case.envelope.evidence)
        case.raw = case.snp.report
    else:
        from aoshell.attest.tpm.evidence import read_tpm_evidence

        case.tpm = TpmCase(read_tpm_evidence(case.envelope.evidence))
    return f"{len(exchange.links)} fetched" if exchange.links else "none"


@check(38, "signer", "ADDRESS_MISMATCH", needs=("links",), core=True, kinds=_BOTH)
def signer(case: Case) -> str:
    """The key that signed the envelope is the one whose address is in the configuration that was
    measured. Without this, anyone could sign the envelope of someone else's machine again."""
    made = envelope_of(case)
    named = made.node.get("address")
    if made.signer != named:
        what = f"{made.signer} signed the envelope, but the node in it is {named!r}"
        raise EvidenceError("ADDRESS_MISMATCH", what)
    return made.signer


@check(44, "body-id", "BODY_ID_MISMATCH BODY_UNBOUND", needs=("links",), core=True, kinds=_BOTH)
def body_id(case: Case) -> str:
    """The id of the body, computed again, is the one that the device has measured. The body has the
    guest's statements about itself and the configuration of the node."""
    made = envelope_of(case)
    try:
        found = b64url(made.body_id)
    except AoError as error:
        what = f"the id of the body cannot be computed, so nothing binds it: {error.what}"
        raise InconclusiveError("BODY_UNBOUND", what) from None
    if case.kind is Kind.SNP:
        named = map_at(made.recipient, "binding").get("body-id")
    else:
        named = made.evidence.get("extended-subject")
    if named != found and is_large(made.body):
        what = "a large map in the body has its keys in an order that only the node knows"
        raise InconclusiveError("BODY_UNBOUND", what)
    if named != found:
        raise EvidenceError(
            "BODY_ID_MISMATCH", f"the envelope names {named!r}, the body is {found}"
        )
    permanent = made.node.get("initialized") == "permanent"
    return "bound" if permanent else "bound, but the operator may change the configuration later"


@check(45, "nonce", "NONCE_MISMATCH NONCE_MISSING", needs=("links",), core=True, kinds=_BOTH)
def nonce(case: Case) -> str:
    """The evidence was made for the random value that was sent with the request, so it is newer
    than that."""
    due = exchange_of(case).nonce
    if not due:
        what = "it is not known for which nonce the envelope was made, so not how old it is"
        raise InconclusiveError("NONCE_MISSING", what, "give the nonce that was sent: --nonce HEX")
    if _nonce(case) != due:
        raise EvidenceError("NONCE_MISMATCH", "the evidence was made for another nonce")
    when = "made for the nonce sent just now"
    return when if exchange_of(case).asked_now else "made for the nonce that is expected"


def _nonce(case: Case) -> bytes:
    """The nonce that the evidence names. Report data and quote show whether it was made for it."""
    return case.snp.nonce if case.snp else case.tpm.evidence.quote.nonce


@check(
    46,
    "snp-report-data",
    "REPORT_DATA_MISMATCH DEVICE_CONTEXT RECIPIENT_ID_MISMATCH RECIPIENT_KEY_ID BODY_ID_MISMATCH "
    "ENVELOPE_SHAPE",
    needs=(*_BOUND, "body-id"),
    core=True,
    kinds=_SNP,
)
def snp_report_data(case: Case) -> str:
    """The report holds the SHA-512 of the id of the body, the nonce, the key to which secrets are
    encrypted, and how the node asked for the report. So the report was made for this envelope, by
    the node with this configuration, and after the nonce was known."""
    made, evidence = envelope_of(case), case.snp
    assert evidence
    data = case.report.report_data
    if case.expected_data and data != case.expected_data:
        raise EvidenceError("REPORT_DATA_MISMATCH", f"the report data is {data.hex()}")
    if _due_data(made, evidence, case.report) != data:
        what = "the report was made for another body, nonce or recipient than the envelope's"
        raise EvidenceError("REPORT_DATA_MISMATCH", what)
    if evidence.report_data != data:
        raise EvidenceError("REPORT_DATA_MISMATCH", "the envelope names other report data")
    return "made for this envelope"


def _due_data(made: Envelope, evidence: snp.SnpEvidence, report: Report) -> bytes:
    """What a report of an envelope must hold. Raises EvidenceError."""
    snp.check_recipient(made)
    context = snp.check_context(made, evidence, report.vmpl)
    try:
        named = b64url(made.recipient_id)
    except AoError as error:
        what = f"the recipient of secrets has no id: {error.what}"
        raise EvidenceError("RECIPIENT_ID_MISMATCH", what) from None
    if evidence.recipient_id != named:
        what = "the evidence was made for another recipient of secrets"
        raise EvidenceError("RECIPIENT_ID_MISMATCH", what)
    return snp.compute_report_data(made.body_id, evidence.nonce, made.recipient_id, context)


@check(
    58,
    "pair",
    "PAIR_DEVICE PAIR_SIGNER PAIR_BODY PAIR_RECIPIENT PAIR_BOOT_SESSION",
    needs=("body-id", "report-signature", "snp-report-data"),
    kinds=_SNP,
)
def pair(case: Case) -> str:
    """The envelope that the node made when it started and the fresh one are of the same guest,
    node, configuration and key."""
    boot = check_pair(case)
    try:
        evidence = snp.read_snp_evidence(boot.evidence)
        report = Report.parse(evidence.report)
        due = _due_data(boot, evidence, report)
    except EvidenceError as error:
        raise EvidenceError(
            "PAIR_BOOT_SESSION", f"the envelope of the start: {error.what}"
        ) from None
    if report.report_data != due or not report.is_signed_by(ec_key(case.vek)):
        what = "the report of the start was not made for its envelope, or not on this chip"
        raise EvidenceError("PAIR_BOOT_SESSION", what)
    ours = case.report
    if (report.report_id, report.measurement) != (ours.report_id, ours.measurement):
        what = "the report of the start is of another guest"
        raise EvidenceError("PAIR_BOOT_SESSION", what)
    return "of the same guest"


def check_pair(case: Case) -> Envelope:
    """Checks what holds for the envelopes of all devices; returns that of the start.

    Raises:
        SkippedCheckError: there is none.
        EvidenceError: PAIR_DEVICE, PAIR_SIGNER, PAIR_BODY or PAIR_RECIPIENT.
    """
    fresh, boot = envelope_of(case), case.boot
    if boot is None:
        raise SkippedCheckError("the envelope came alone, without the one of the node's start")
    if boot.device != fresh.device:
        raise EvidenceError("PAIR_DEVICE", f"at its start the node used {boot.device}")
    if boot.signer != fresh.signer:
        raise EvidenceError("PAIR_SIGNER", f"{boot.signer} signed the envelope of the start")
    try:
        same_body = boot.body_id == fresh.body_id
        same_recipient = _identity(boot) == _identity(fresh)
    except AoError as error:
        raise EvidenceError("PAIR_BODY", f"the envelope of the start: {error.what}") from None
    if not same_body:
        raise EvidenceError("PAIR_BODY", "at its start the node measured another body")
    if not same_recipient:
        raise EvidenceError("PAIR_RECIPIENT", "at its start the node had another key for secrets")
    return boot


def _identity(made: Envelope) -> str:
    found = {key: made.recipient[key] for key in _IDENTITY if key in made.recipient}
    return stable_id(found)


@check(33, "measurement", "MEASUREMENT_MISMATCH", needs=_BOUND, kinds=_SNP)
def measurement(case: Case) -> str:
    """The measurement in the report is the one that was asked for. It cannot be computed again: an
    envelope does not say what the guest was launched from."""
    found = case.report.measurement
    if not case.expected_measurement:
        raise SkippedCheckError("an envelope has no hashes of what the guest was launched from")
    if found != case.expected_measurement:
        raise EvidenceError("MEASUREMENT_MISMATCH", f"the measurement is {found.hex()}")
    return "as expected"


@check(
    59,
    "activation",
    "ACTIVATION_PROOF ACTIVATION_SIGNER ACTIVATION_SHAPE ACTIVATION_UNAVAILABLE",
    needs=("snp-report-data", "signer"),
    kinds=_SNP,
)
def activation(case: Case) -> str:
    """The node has opened a secret that was encrypted to the key in the report. So that key is in
    use by the node that signed."""
    made, sent = envelope_of(case), exchange_of(case).activation
    if sent is None:
        raise SkippedCheckError("no secret was sent")
    if sent.answer is None:
        hint = "try again: .attest"
        raise InconclusiveError("ACTIVATION_UNAVAILABLE", sent.unanswered, hint)
    if sent.credential.get("subject-id") != b64url(made.recipient_id):
        raise EvidenceError("ACTIVATION_SHAPE", "the secret was sent to another key")
    from aoshell.attest.envelope.activation import check_snp_proof

    check_opener(made, check_snp_proof(sent.answer, sent.credential, sent.secret))
    if not exchange_of(case).asked_now:
        raise SkippedCheckError(
            "who kept this exchange knew the secret, so its answer proves nothing"
        )
    return "the node opened a secret for the key in the report"


def check_opener(made: Envelope, signed: SignedPart) -> None:
    """Checks that who signed an envelope has signed the answer to the secret. Raises EvidenceError:
    ACTIVATION_SIGNER."""
    if signed.commitment.committer != made.signer:
        what = f"{signed.commitment.committer} signed the answer to the secret"
        raise EvidenceError("ACTIVATION_SIGNER", what)


def exchange_of(case: Case) -> Exchange:
    """The exchange that is checked; there is one once `envelope` runs."""
    assert case.evidence.exchange
    return case.evidence.exchange


def envelope_of(case: Case) -> Envelope:
    """The fresh envelope; there is one once `links` passed."""
    assert case.envelope
    return case.envelope
