"""The answer of a HyperBEAM node to `~snp@1.0/generate`, and who signed it.

    address        of the node's key: SHA-256 of its modulus
    nonce          the 64 bytes that the node asked the firmware to put into the report
    report         the report, as JSON
    local-hashes   what the node was launched from (at the top level in the oldest versions)
    node-message   the node's configuration, without private keys

One key must have signed all five. Only the part that its signature covers is read. An HMAC does not
count as a signature, since its key is public.
"""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.envelope.ids import has_links, is_large, without_commitments
from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.evidence import Challenge, RawResponse
from aoshell.attest.launch.local_hashes import MEMBERS
from aoshell.attest.signed import SignedPart, check_size, decode_message, verify_answer
from aoshell.errors import AoError
from aoshell.protocol import signing
from aoshell.protocol.encoding import unb64url
from aoshell.protocol.tabm import LINK

LEAST_CHALLENGE = 16  # characters
NEEDED = ("address", "nonce", "report", "node-message")


def read_report_text(answer: RawResponse) -> bytes:
    """The report's JSON. Nothing is verified yet.

    Raises:
        EvidenceError: CONTENT_DIGEST, HTTPSIG_INVALID, JSON_MISSING_KEY, JSON_TYPE or JSON_LIMIT.
    """
    check_size(answer)
    message = decode_message(answer)
    report = message.get("report")
    if report is None:
        raise EvidenceError("JSON_MISSING_KEY", "there is no report in the answer")
    if not isinstance(report, str):
        raise EvidenceError("JSON_TYPE", "the report in the answer is not a text")
    return report.encode("utf-8", "surrogateescape")


def check_coverage(signed: SignedPart) -> None:
    """Checks that everything that counts is signed.

    Raises:
        EvidenceError: HTTPSIG_COVERAGE.
    """
    for name in NEEDED:
        if name in signed.message:
            continue
        why = "is not signed" if name in signed.uncovered else "is missing"
        if name + LINK in signed.message:
            why = "came as a link, not as a value"
        raise EvidenceError("HTTPSIG_COVERAGE", f"{name} {why}")
    if read_local_hashes(signed) is None:
        raise EvidenceError("HTTPSIG_COVERAGE", "local-hashes is missing, or not signed")


def read_local_hashes(signed: SignedPart) -> object:
    """What the node says it was launched from; None if it says nothing."""
    if "local-hashes" in signed.message:
        return signed.message["local-hashes"]
    members = signed.message.items()
    return {key: value for key, value in members if key.replace("-", "_") in MEMBERS} or None


def read_nonce(signed: SignedPart) -> bytes:
    """The 64 bytes that the node says it put into the report; b"" if it names none.

    Raises:
        EvidenceError: NONCE_FIELD_MISMATCH.
    """
    value = signed.message.get("nonce")
    try:
        return unb64url(value) if isinstance(value, str) else b""
    except ValueError:
        raise EvidenceError(
            "NONCE_FIELD_MISMATCH", "the nonce in the answer is not base64url"
        ) from None


def compute_node_message_id(signed: SignedPart) -> bytes:
    """The unsigned id of the configuration, computed again. The node put it into its report.

    Raises:
        InconclusiveError: NODE_MESSAGE_UNBOUND: it cannot be encoded as the node did.
    """
    message, profile = signed.message["node-message"], signed.commitment.profile
    try:
        as_came = signed.tabm.get("node-message")
        if isinstance(as_came, dict) and is_large(message) and not has_links(as_came):
            return unb64url(signing.tabm_id(without_commitments(as_came), profile))
        if isinstance(message, Mapping):
            # Raises where a link stands for a value: the id of a link is not that of its value.
            return unb64url(signing.unsigned_id(message, profile))
    except (AoError, ValueError):
        pass
    what = (
        "the id of the node's configuration cannot be computed, so nothing binds it to the report"
    )
    raise InconclusiveError("NODE_MESSAGE_UNBOUND", what)


def check_challenge(challenge: Challenge, answer: RawResponse, owner: bytes) -> str:
    """Checks that the key in the report has signed the challenge; returns under which name.

    Args:
        answer: the one with the report, which may hold the challenge as well.
        owner: the modulus of the key that the report vouches for.

    Raises:
        EvidenceError: CHALLENGE_FAILED.
    """
    try:
        signed = verify_answer(challenge.answer or answer)
    except EvidenceError as error:
        what = f"the answer to the challenge: {error.what}"
        raise EvidenceError("CHALLENGE_FAILED", what) from None
    if signed.commitment.owner != owner:
        raise EvidenceError("CHALLENGE_FAILED", "another key has signed the challenge")
    for key in ("challenge", "body"):
        # A short value may occur in any answer by chance ("200"), so it proves nothing.
        if len(challenge.value) >= LEAST_CHALLENGE and signed.message.get(key) == challenge.value:
            return key
    unsigned = {"challenge", "body"} & {*signed.uncovered}
    why = "is in the answer, but not signed" if unsigned else "is not in the answer"
    raise EvidenceError("CHALLENGE_FAILED", f"the challenge {why}")
