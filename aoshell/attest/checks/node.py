"""Checks that bind a report to the key of the node, its configuration and its software.

The readers of answers are imported only if there is an answer (see `unverified`).
"""

from __future__ import annotations

import hashlib

from aoshell.attest.checks.frame import IF_KNOWN, Case, check
from aoshell.attest.errors import EvidenceError, InconclusiveError, SkippedCheckError
from aoshell.attest.kinds import Kind

_ALONE = "the report did not come in a node's answer"
_REPORTS = (Kind.REPORT, Kind.GENERATE)
_BOUND = ("report-version", "outer-signature")


@check(
    37,
    "outer-signature",
    "HTTPSIG_INVALID HTTPSIG_COVERAGE HTTPSIG_KEY_SCHEME CONTENT_DIGEST",
    needs=("report-json",),
    kinds=_REPORTS,
)
def outer_signature(case: Case) -> str:
    """One RSA key has signed the node's answer (RFC 9421), and the signature covers all that
    counts: address, nonce, report, local-hashes and node-message. What it does not cover is not
    used."""
    if case.evidence.answer is None:
        raise SkippedCheckError(_ALONE)
    from aoshell.attest import answer
    from aoshell.attest.signed import verify_answer

    signed = verify_answer(case.evidence.answer)
    answer.check_coverage(signed)
    case.signed = signed
    left = f"; not signed, so not used: {', '.join(signed.uncovered)}" if signed.uncovered else ""
    return f"signed by {signed.commitment.committer}{left}"


@check(38, "signer", "ADDRESS_MISMATCH", needs=("outer-signature",), kinds=_REPORTS)
def signer(case: Case) -> str:
    """The key that signed the answer is the one whose address the answer names."""
    if case.signed is None:
        raise SkippedCheckError(_ALONE)
    committer, named = case.signed.commitment.committer, case.signed.message.get("address")
    if committer != named:
        what = f"{committer} signed the answer, but the answer names {named!r}"
        raise EvidenceError("ADDRESS_MISMATCH", what)
    return committer


@check(31, "report-data", "REPORT_DATA_MISMATCH NONCE_FIELD_MISMATCH", needs=_BOUND, kinds=_REPORTS)
def report_data(case: Case) -> str:
    """The report holds the hash of the key that signed the answer. Without this, anyone could
    present the genuine report of someone else's machine as their own."""
    data = case.report.report_data
    if case.expected_data and data != case.expected_data:
        raise EvidenceError("REPORT_DATA_MISMATCH", f"the report data is {data.hex()}")
    if case.signed is None:
        if not case.expected_data:
            raise SkippedCheckError(f"{_ALONE}; give the expected value with --report-data")
        return "as expected"
    from aoshell.attest import answer

    if data[:32] != hashlib.sha256(case.signed.commitment.owner).digest():
        what = "the report was made for another key than the one that signed this answer"
        raise EvidenceError("REPORT_DATA_MISMATCH", what)
    if data != answer.read_nonce(case.signed):
        what = "the nonce in the answer is not the one in the report"
        raise EvidenceError("NONCE_FIELD_MISMATCH", what)
    return "made for the key that signed the answer"


@check(
    32, "node-message", "NODE_MESSAGE_MISMATCH NODE_MESSAGE_UNBOUND", needs=_BOUND, kinds=_REPORTS
)
def node_message(case: Case) -> str:
    """The report holds the id of the node's configuration. It is computed again from the
    configuration in the answer."""
    if case.signed is None:
        raise SkippedCheckError(_ALONE)
    from aoshell.attest import answer

    if case.report.report_data[32:] != answer.compute_node_message_id(case.signed):
        what = "the configuration in the answer is not the one in the report"
        raise EvidenceError("NODE_MESSAGE_MISMATCH", what)
    message = case.signed.message["node-message"]
    permanent = isinstance(message, dict) and message.get("initialized") == "permanent"
    return "bound" if permanent else "bound, but the operator may change it later"


@check(
    33,
    "measurement",
    "MEASUREMENT_MISMATCH LOCAL_HASHES SOFTWARE_UNKNOWN",
    needs=_BOUND,
    kinds=_REPORTS,
)
def measurement(case: Case) -> str:
    """The measurement in the report is computed again, as the firmware does it, from the hashes of
    firmware, kernel, initrd and command line in the answer (AMD 56860 section 8.17.2)."""
    found = case.report.measurement
    if case.expected_measurement and found != case.expected_measurement:
        raise EvidenceError("MEASUREMENT_MISMATCH", f"the measurement is {found.hex()}")
    if case.signed is None:
        if not case.expected_measurement:
            raise SkippedCheckError(f"{_ALONE}; give the expected value with --measurement")
        return "as expected"
    from aoshell.attest import answer
    from aoshell.attest.launch.local_hashes import LocalHashes, compute_measurement

    hashes = LocalHashes.read(answer.read_local_hashes(case.signed))
    try:
        computed = compute_measurement(hashes)
    except InconclusiveError:
        if _is_named(case):
            raise SkippedCheckError(
                "it cannot be computed for this firmware; the measurement itself is trusted"
            ) from None
        raise
    if computed != found:
        what = "the hashes in the answer do not give the measurement in the report"
        raise EvidenceError("MEASUREMENT_MISMATCH", what)
    case.hashes = hashes.as_json()
    return found.hex()


def _covered(case: Case, name: str, covers_os: bool) -> str:
    """The name of trusted software. The guests of envelopes are usually launched from their
    firmware alone, which then reads an operating system from a disk that nothing measures."""
    if case.kind is Kind.SNP and not covers_os:
        what = f"what {name} starts from a disk is unknown: its measurement covers the firmware"
        hint = (
            "if a review found that it covers all: covers_os = true in the policy, or in the shell "
            ".trust --covers-os NAME"
        )
        raise InconclusiveError("SOFTWARE_UNKNOWN", what, hint)
    return name


def _is_named(case: Case) -> bool:
    """Whether the user trusts this measurement itself, rather than hashes that give it."""
    found = case.report.measurement
    return bool(case.expected_measurement) or any(
        image.measurement == found for image in case.policy.trusted
    )


@check(
    34, "trusted-software", "SOFTWARE_UNTRUSTED SOFTWARE_UNKNOWN", needs=(*_BOUND, "measurement")
)
def trusted_software(case: Case) -> str:
    """The measurement is one that the user trusts. Genuine hardware runs any software: without
    this, the other checks only show that some program runs on some machine."""
    found = case.report.measurement
    named = [image for image in case.policy.trusted if image.measurement or image.hashes]
    # If a measurement has two names, the one with review marks counts.
    for image in sorted(named, key=lambda one: case.kind is Kind.SNP and not one.covers_os):
        if image.matches(found, case.hashes):
            case.image = image
            return _covered(case, image.name, image.covers_os)
    if case.expected_measurement:  # compared by `measurement`, which this check needs
        return _covered(case, "that image", False)
    if not case.hashes and any(image.hashes for image in named):
        what = "the policy trusts images by their hashes, and this evidence has none"
        raise InconclusiveError("SOFTWARE_UNKNOWN", what, "give the measurement: --measurement HEX")
    if named:
        names = ", ".join(image.name for image in named)
        what = f"{found.hex()} is none of the software that you trust: {names}"
        raise EvidenceError("SOFTWARE_UNTRUSTED", what)
    if case.signed is None:
        raise SkippedCheckError("the policy names no software")
    what = f"unknown software: {found.hex()}"
    raise InconclusiveError("SOFTWARE_UNKNOWN", what, IF_KNOWN)


@check(
    40,
    "challenge",
    "CHALLENGE_FAILED",
    needs=("outer-signature", "report-data"),
    kinds=_REPORTS,
)
def challenge(case: Case) -> str:
    """The node has signed a fresh random value with the key that the report vouches for. So the key
    is in use now, and the answer is not a recording. This does not date the report."""
    asked = case.evidence.challenge
    if case.signed is None or case.evidence.answer is None:
        raise SkippedCheckError(_ALONE)
    if asked is None:
        raise SkippedCheckError("there was no challenge, so it is unknown when the key was used")
    if asked.unanswered:
        raise InconclusiveError("CHALLENGE_FAILED", asked.unanswered, "try again: .attest")
    from aoshell.attest import answer

    owner = case.signed.commitment.owner
    key = answer.check_challenge(asked, case.evidence.answer, owner)
    when = "now" if asked.fresh else "when it was kept, as its keeper says"
    return f"signed {when}, under {key!r}"
