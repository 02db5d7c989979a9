"""What a HyperBEAM node says about itself (`~snp@1.0/generate`), and who signed it.

    address        of the node's key: SHA-256 of its modulus
    nonce          the 64 bytes it asked the firmware to put into the report
    report         the report, as JSON
    local-hashes   what it says it was launched from (in the oldest versions, at the top level)
    node-message   its configuration, private keys aside

One key has signed all five, or the answer is worth nothing: what is read here is read from the part
that this key's signature covers. HMACs sign nothing, their key is public.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.attest import jsonreport
from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.evidence import LARGEST_BODY, Challenge, Evidence, RawResponse
from aoshell.attest.measurement import MEMBERS
from aoshell.errors import AoError
from aoshell.protocol import httpsig
from aoshell.protocol.commitment import HMAC, RSA, Commitment, read_commitments
from aoshell.protocol.digest import HEADER, read_digests
from aoshell.protocol.encoding import ProtocolError, unb64url
from aoshell.protocol.structured import Value
from aoshell.protocol.tabm import LINK
from aoshell.protocol.wire import join

MODULUS = 512
MOST_HEADERS = 256
LARGEST_HEADERS = 256 << 10
NEEDED = ("address", "nonce", "report", "node-message")


@dataclass(frozen=True, slots=True)
class SignedPart:
    """The part of an answer that one key has signed.

    Attributes:
        message: by key, as rich values.
        commitment: the signature.
        uncovered: keys that came along unsigned, to be left aside.
    """

    message: Mapping[str, Value]
    commitment: Commitment
    uncovered: tuple[str, ...]


def read_raw_report(evidence: Evidence) -> bytes:
    """The bytes of the report in evidence, before anything is believed.

    Raises:
        EvidenceError: JSON_…, HTTPSIG_INVALID, CONTENT_DIGEST: there are none to be had.
    """
    if evidence.fault:
        raise evidence.fault
    if evidence.raw is not None:
        return evidence.raw
    text = read_report_text(evidence.answer) if evidence.answer else evidence.text
    return jsonreport.report_from_json(text or b"")


def read_report_text(answer: RawResponse) -> bytes:
    """The report's JSON, before anything is believed.

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
        raise EvidenceError("JSON_TYPE", "the report in the answer is no text")
    return report.encode("utf-8", "surrogateescape")


def check_size(answer: RawResponse) -> None:
    """Raises EvidenceError: JSON_LIMIT."""
    length = sum(len(name) + len(value) for name, value in answer.headers)
    too_many = len(answer.headers) > MOST_HEADERS or length > LARGEST_HEADERS
    if too_many or len(answer.body) > LARGEST_BODY:
        raise EvidenceError("JSON_LIMIT", "the answer is larger than any node's")


def verify_answer(answer: RawResponse) -> SignedPart:
    """What one RSA key has signed of an answer.

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
        what = f"{len(signers)} signatures: which of them answers cannot be told"
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
        why = "is of another body" if "sha-256" in digests else "names no sha-256"
        raise EvidenceError("CONTENT_DIGEST", f"the digest of the answer {why}")


def _check_schemes(commitments: tuple[Commitment, ...]) -> None:
    for one in commitments:
        if one.alg == HMAC and one.keyid.startswith("secret:"):
            what = "an HMAC whose key cannot be known claims to be a signature"
            raise EvidenceError("HTTPSIG_KEY_SCHEME", what)
        if one.alg not in (HMAC, RSA):
            what = f"signed by {one.alg!r}, which is not known here"
            raise EvidenceError("HTTPSIG_KEY_SCHEME", what)
        if one.alg == RSA and len(one.owner) != MODULUS:
            raise EvidenceError("HTTPSIG_KEY_SCHEME", "the key is not RSA-4096")
    if not any(one.alg == RSA for one in commitments):
        what = "nobody has signed the answer" + (": an HMAC proves nothing" if commitments else "")
        raise EvidenceError("HTTPSIG_KEY_SCHEME", what)


def check_coverage(signed: SignedPart) -> None:
    """That all that counts is signed.

    Raises:
        EvidenceError: HTTPSIG_COVERAGE.
    """
    for name in NEEDED:
        if name in signed.message:
            continue
        why = "is not signed" if name in signed.uncovered else "is missing"
        if name + LINK in signed.message:
            why = "came as a link, which says nothing"
        raise EvidenceError("HTTPSIG_COVERAGE", f"{name} {why}")
    if read_local_hashes(signed) is None:
        raise EvidenceError("HTTPSIG_COVERAGE", "local-hashes is missing, or not signed")


def read_local_hashes(signed: SignedPart) -> object:
    """What the node says it was launched from, None where it says nothing."""
    if "local-hashes" in signed.message:
        return signed.message["local-hashes"]
    members = signed.message.items()
    return {key: value for key, value in members if key.replace("-", "_") in MEMBERS} or None


def read_nonce(signed: SignedPart) -> bytes:
    """The 64 bytes that the node says are in the report.

    Raises:
        EvidenceError: NONCE_FIELD_MISMATCH.
    """
    value = signed.message.get("nonce")
    try:
        return unb64url(value) if isinstance(value, str) else b""
    except ValueError:
        raise EvidenceError("NONCE_FIELD_MISMATCH", "the key nonce is no base64url") from None


def compute_node_message_id(signed: SignedPart) -> bytes:
    """The unsigned id of the configuration, which the node had put into its report.

    Raises:
        InconclusiveError: NODE_MESSAGE_UNBOUND, where it cannot be encoded here as there.
    """
    message = signed.message["node-message"]
    try:
        if isinstance(message, Mapping) and not _links(message):
            return unb64url(httpsig.unsigned_id(message, signed.commitment.profile))
    except (AoError, ValueError):
        pass
    what = "the node's configuration cannot be rebuilt, so it is not bound to the report"
    raise InconclusiveError("NODE_MESSAGE_UNBOUND", what)


def _links(message: Mapping[str, Value]) -> bool:
    return any(
        key.endswith(LINK) or (isinstance(value, Mapping) and _links(value))
        for key, value in message.items()
    )


def check_challenge(challenge: Challenge, answer: RawResponse, owner: bytes) -> str:
    """That the key of the report has signed the challenge; returns where.

    Args:
        answer: with the report, which may hold the challenge, too.
        owner: the modulus that the report vouches for.

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
        if len(challenge.value) >= 16 and signed.message.get(key) == challenge.value:
            return key
    unsigned = {"challenge", "body"} & {*signed.uncovered}
    why = "is there, but not signed" if unsigned else "is missing"
    raise EvidenceError("CHALLENGE_FAILED", f"the challenge {why}")
