"""The answer of a HyperBEAM node to `~snp@1.0/generate`, and who signed it.

    address        of the node's key: SHA-256 of its modulus
    nonce          the 64 bytes that the node asked the firmware to put into the report
    report         the report, as JSON
    local-hashes   what the node was launched from (at the top level in the oldest versions)
    node-message   the node's configuration, without private keys

One key must have signed all five. What is read here is read from the part that its signature
covers. An HMAC counts as no signature, since its key is public.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.attest import jsonreport
from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.evidence import LARGEST_BODY, Challenge, Evidence, RawResponse
from aoshell.attest.launch.local_hashes import MEMBERS
from aoshell.errors import AoError
from aoshell.protocol import httpsig
from aoshell.protocol.commitment import HMAC, RSA, Commitment, read_commitments
from aoshell.protocol.digest import HEADER, read_digests
from aoshell.protocol.encoding import ProtocolError, unb64url
from aoshell.protocol.structured import Value
from aoshell.protocol.tabm import LINK
from aoshell.protocol.wire import join

MODULUS = 512  # bytes: RSA-4096, as all AO wallets
MOST_HEADERS = 256
LARGEST_HEADERS = 256 << 10  # characters of names and values
LEAST_CHALLENGE = 16  # characters
NEEDED = ("address", "nonce", "report", "node-message")


@dataclass(frozen=True, slots=True)
class SignedPart:
    """The part of an answer that one key has signed.

    Attributes:
        message: by key, as rich values.
        commitment: the signature.
        uncovered: keys that are not signed, hence not used.
    """

    message: Mapping[str, Value]
    commitment: Commitment
    uncovered: tuple[str, ...]


def read_raw_report(evidence: Evidence) -> bytes:
    """The bytes of the report in evidence. Nothing is verified yet.

    Raises:
        EvidenceError: JSON_…, HTTPSIG_INVALID, CONTENT_DIGEST or REPORT_FORM: there is no report.
    """
    if evidence.fault:
        raise evidence.fault
    if evidence.raw is not None:
        return evidence.raw
    text = read_report_text(evidence.answer) if evidence.answer else evidence.text
    return jsonreport.report_from_json(text or b"")


def read_report_text(answer: RawResponse) -> bytes:
    """The report's JSON. Nothing is verified yet.

    Raises:
        EvidenceError: CONTENT_DIGEST, HTTPSIG_INVALID, JSON_MISSING_KEY, JSON_TYPE or JSON_LIMIT.
    """
    check_size(answer)
    try:
        _check_digest(join(answer.headers), answer.body)
        message = httpsig.decode(answer.headers, answer.body)
    except ProtocolError as error:
        raise EvidenceError("HTTPSIG_INVALID", f"the answer cannot be read: {error.what}") from None
    report = message.get("report")
    if report is None:
        raise EvidenceError("JSON_MISSING_KEY", "there is no report in the answer")
    if not isinstance(report, str):
        raise EvidenceError("JSON_TYPE", "the report in the answer is not a text")
    return report.encode("utf-8", "surrogateescape")


def check_size(answer: RawResponse) -> None:
    """Raises EvidenceError: JSON_LIMIT."""
    length = sum(len(name) + len(value) for name, value in answer.headers)
    too_many = len(answer.headers) > MOST_HEADERS or length > LARGEST_HEADERS
    if too_many or len(answer.body) > LARGEST_BODY:
        what = f"the answer has more than {LARGEST_BODY} bytes, or {MOST_HEADERS} headers"
        raise EvidenceError("JSON_LIMIT", what)


def verify_answer(answer: RawResponse) -> SignedPart:
    """The part of an answer that one RSA key has signed.

    Raises:
        EvidenceError: CONTENT_DIGEST, HTTPSIG_KEY_SCHEME, HTTPSIG_INVALID or JSON_LIMIT.
    """
    check_size(answer)
    try:
        fields = join(answer.headers)
        _check_digest(fields, answer.body)
        _check_schemes(read_commitments(fields))
        checked = httpsig.check(answer.headers, answer.body)
    except ProtocolError as error:
        raise EvidenceError("HTTPSIG_INVALID", error.what) from None
    if checked.failure is not None:
        raise EvidenceError("HTTPSIG_INVALID", checked.failure.what)
    signers = [one for one in checked.commitments if one.committer]
    if len(signers) != 1:
        what = f"{len(signers)} keys signed the answer; one is expected, that of the node"
        raise EvidenceError("HTTPSIG_INVALID", what)
    uncovered = sorted(checked.message.keys() - checked.verified.keys())
    return SignedPart(checked.verified, signers[0], tuple(uncovered))


def _check_digest(fields: Mapping[str, str], body: bytes) -> None:
    import hashlib

    if HEADER not in fields:
        return
    try:
        digests = read_digests(fields[HEADER])
    except ProtocolError as error:
        raise EvidenceError("CONTENT_DIGEST", error.what) from None
    if digests.get("sha-256") != hashlib.sha256(body).digest():
        why = "does not fit its body" if "sha-256" in digests else "has no sha-256"
        raise EvidenceError("CONTENT_DIGEST", f"the content-digest of the answer {why}")


def _check_schemes(commitments: tuple[Commitment, ...]) -> None:
    for one in commitments:
        if one.alg == HMAC and one.keyid.startswith("secret:"):
            what = "an HMAC with a secret key cannot be checked, and proves nothing"
            raise EvidenceError("HTTPSIG_KEY_SCHEME", what)
        if one.alg not in (HMAC, RSA):
            what = f"the signature algorithm {one.alg!r} is unknown"
            raise EvidenceError("HTTPSIG_KEY_SCHEME", what)
        if one.alg == RSA and len(one.owner) != MODULUS:
            raise EvidenceError("HTTPSIG_KEY_SCHEME", "the key that signed is not RSA-4096")
    if not any(one.alg == RSA for one in commitments):
        what = "the answer is not signed" + (": an HMAC proves nothing" if commitments else "")
        raise EvidenceError("HTTPSIG_KEY_SCHEME", what)


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
    message = signed.message["node-message"]
    try:
        if isinstance(message, Mapping):
            # Raises where a link stands for a value: the id of a link is not that of its value.
            return unb64url(httpsig.unsigned_id(message, signed.commitment.profile))
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
        # A short value may stand in any answer by chance ("200"), so it proves nothing.
        if len(challenge.value) >= LEAST_CHALLENGE and signed.message.get(key) == challenge.value:
            return key
    unsigned = {"challenge", "body"} & {*signed.uncovered}
    why = "is in the answer, but not signed" if unsigned else "is not in the answer"
    raise EvidenceError("CHALLENGE_FAILED", f"the challenge {why}")
