"""The part of a node's answer that one key has signed. Nothing else of an answer is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.evidence import LARGEST_BODY, RawResponse
from aoshell.attest.jsonreport import unique_members
from aoshell.bounded import jsontext
from aoshell.protocol import httpsig
from aoshell.protocol.commitment import HMAC, RSA, Commitment, read_commitments
from aoshell.protocol.digest import HEADER, read_digests
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import Checked, SignatureStatus
from aoshell.protocol.jsonform import check_json
from aoshell.protocol.structured import Value
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wire import join

MODULUS = 512  # bytes: RSA-4096, as all AO wallets
MOST_HEADERS = 256
LARGEST_HEADERS = 256 << 10  # characters of names and values


@dataclass(frozen=True, slots=True)
class SignedPart:
    """The part of an answer that one key has signed.

    Attributes:
        message: by key, as rich values.
        commitment: the signature.
        uncovered: keys that are not signed, hence not used.
        tabm: what `message` is of. Ids of large maps depend on the order of its keys.
    """

    message: Mapping[str, Value]
    commitment: Commitment
    uncovered: tuple[str, ...]
    tabm: Tabm = field(default_factory=dict)


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
    return answer.once(_verified_part)


def _verified_part(answer: RawResponse) -> SignedPart:
    return _signed_part(_check_answer(answer))


def _check_answer(answer: RawResponse) -> Checked:
    check_size(answer)
    try:
        fields = join(answer.headers)
        check_body(fields, answer.body)
        _check_schemes(read_commitments(fields))
        return httpsig.check_received(answer.received)
    except ProtocolError as error:
        raise EvidenceError("HTTPSIG_INVALID", error.what) from None


def _signed_part(checked: Checked) -> SignedPart:
    if checked.failure is not None:
        raise EvidenceError("HTTPSIG_INVALID", checked.failure.what)
    signers = [one for one in checked.commitments if one.committer]
    if len(signers) != 1:
        what = f"{len(signers)} keys signed the answer; one is expected, that of the node"
        raise EvidenceError("HTTPSIG_INVALID", what)
    uncovered = sorted(checked.message.keys() - checked.verified.keys())
    return SignedPart(checked.verified, signers[0], tuple(uncovered), checked.covered)


def verify_message(answer: RawResponse, kind: str) -> SignedPart:
    """The signed part of a message of this type. Nodes give it as the answer, or as the `body` of
    an answer; and as JSON to those who asked for that.

    Raises:
        EvidenceError: as `verify_answer()`.
        InconclusiveError: HTTPSIG_UNCHECKABLE: it came in a form that does not keep all that was
            signed, as JSON.
    """
    check_size(answer)
    if is_json(answer):
        return _verify_json(_unwrapped(read_json(answer.body), kind))
    message = decode_message(answer)
    inner = message.get("body")
    if message.get("type") == kind or not isinstance(inner, Mapping):
        return _checkable_part(_check_answer(answer))
    checked = httpsig.check_inside_received(answer.received, "body")
    if checked.outcome is not SignatureStatus.UNSIGNED:
        return _inner_part(checked)
    around = _checkable_part(_check_answer(answer))
    covered = around.message.get("body")
    if not isinstance(covered, Mapping):
        raise EvidenceError("HTTPSIG_COVERAGE", "the body of the answer is not signed")
    within = around.tabm.get("body")
    return SignedPart(
        covered,
        around.commitment,
        tuple(sorted(inner.keys() - covered.keys())),
        within if isinstance(within, dict) else {},
    )


def read_message(answer: RawResponse, kind: str) -> Mapping[str, object]:
    """The same message, with nothing verified yet.

    Raises:
        EvidenceError: HTTPSIG_INVALID, CONTENT_DIGEST, JSON_SYNTAX or JSON_LIMIT: it cannot be
            read.
    """
    check_size(answer)
    if is_json(answer):
        return _unwrapped(read_json(answer.body), kind)
    return _unwrapped(decode_message(answer), kind)


def _unwrapped(message: Mapping[str, object], kind: str) -> Mapping[str, object]:
    inner = message.get("body")
    return inner if message.get("type") != kind and isinstance(inner, Mapping) else message


def decode_message(answer: RawResponse) -> Mapping[str, Value]:
    """A message in headers and a body, not verified. Raises EvidenceError as `read_message()`."""
    try:
        check_body(join(answer.headers), answer.body)
        return answer.received.message
    except ProtocolError as error:
        raise EvidenceError("HTTPSIG_INVALID", f"the answer cannot be read: {error.what}") from None


def is_json(answer: RawResponse) -> bool:
    """Whether an answer came as JSON."""
    kinds = [value for name, value in answer.headers if name.lower() == "content-type"]
    return any(kind.partition(";")[0].strip().lower() == "application/json" for kind in kinds)


def read_json(body: bytes) -> dict[str, object]:
    """An object of JSON. Raises EvidenceError: JSON_SYNTAX, JSON_LIMIT, JSON_DUPLICATE_KEY."""
    try:
        value = jsontext.parse(body, largest=LARGEST_BODY, pairs=unique_members)
    except jsontext.JsonLimitError as error:
        raise EvidenceError("JSON_LIMIT", f"the JSON {error}") from None
    except ValueError as error:
        raise EvidenceError("JSON_SYNTAX", f"this is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise EvidenceError("JSON_SYNTAX", "a JSON object is expected")
    return value


def _verify_json(value: Mapping[str, object]) -> SignedPart:
    checked = check_json(value)
    return _inner_part(checked, " in this JSON")


def _inner_part(checked: Checked, where: str = "") -> SignedPart:
    if checked.failure is None:
        _check_schemes(checked.commitments)
    return _checkable_part(checked, where)


def _checkable_part(checked: Checked, where: str = "") -> SignedPart:
    if checked.outcome is SignatureStatus.UNCHECKABLE and checked.failure:
        what = f"the signature cannot be checked{where}: {checked.failure.what}"
        raise InconclusiveError("HTTPSIG_UNCHECKABLE", what, "attest the URL of the node itself")
    return _signed_part(checked)


def check_body(fields: Mapping[str, str], body: bytes) -> None:
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
