"""The evidence of `snp@1.0` in an envelope, and the 64 bytes that its report must hold.

The report is bound to the envelope by REPORT_DATA, the SHA-512 of

    "lapee-measurement-v1" ‖ body id (32) ‖ nonce ‖ recipient id (32) ‖ device context digest (32)

The nonce has no length of its own. All else has a fixed one, so no two nonces give the same bytes.
Source: PermawebOS `dev_lapee_snp:report_data`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aoshell.attest import jsonreport
from aoshell.attest.envelope.ids import stable_digest
from aoshell.attest.envelope.reading import (
    SNP,
    Envelope,
    Links,
    map_at,
    octets_at,
    resolve_envelope,
    verify_envelope,
)
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral, Evidence, Exchange
from aoshell.attest.report import SIZE
from aoshell.attest.x509 import material
from aoshell.errors import AoError
from aoshell.protocol.encoding import b64url
from aoshell.protocol.structured import Value

TYPE = "lapee-snp-evidence"
CONTEXT = "lapee-measurement-v1"
METHOD = "snp-report-data-x25519-hkdf-sha256-aes-256-gcm"
KEY_SIZE = 32  # bytes of an X25519 key
LONGEST_NONCE = 64  # bytes
MOST_CERTIFICATES = 16
LARGEST_CERTIFICATE = 64 << 10  # bytes; also of a CRL

_LEAVES, _CHAIN, _CRL = ("vlek", "vcek"), ("ask", "asvk", "ark"), "crl"


@dataclass(frozen=True, slots=True)
class SnpEvidence:
    """Evidence of SEV-SNP.

    Attributes:
        report: as it came, perhaps of a wrong size.
        nonce: that the node says it was asked with.
        report_data: that the node says it put into the report.
        recipient_id: the id of the recipient, in base64url, as the node says.
        context: what the node says of how it asked for the report.
        certificates: that came along; hints, checked like any other.
    """

    report: bytes
    nonce: bytes
    report_data: bytes
    recipient_id: str
    context: Mapping[str, Value]
    certificates: Collateral


def read_snp_evidence(evidence: Mapping[str, Value]) -> SnpEvidence:
    """The evidence of an envelope.

    Raises:
        EvidenceError: ENVELOPE_SHAPE, or JSON_… if the report is in JSON.
    """
    if evidence.get("type") != TYPE:
        raise EvidenceError("ENVELOPE_SHAPE", f"the evidence has not the type {TYPE}")
    return SnpEvidence(
        report=_read_report(evidence),
        nonce=octets_at(evidence, "nonce", LONGEST_NONCE, "ENVELOPE_SHAPE"),
        report_data=octets_at(evidence, "report-data", 64, "ENVELOPE_SHAPE"),
        recipient_id=str(evidence.get("secret-recipient-id", "")),
        context=map_at(evidence, "device-context"),
        certificates=_read_certificates(evidence.get("certificates")),
    )


def find_report(exchange: Exchange) -> Evidence:
    """The report of an envelope, and the certificates beside it, as evidence of its own; its
    `fault` says why there is none. Only who signed the envelope is verified."""
    try:
        signed = verify_envelope(exchange.fresh)
        found = read_snp_evidence(resolve_envelope(signed, Links(exchange.links)).evidence)
    except EvidenceError as fault:
        return Evidence(fault=fault)
    return Evidence(raw=found.report, collateral=found.certificates)


def _read_report(evidence: Mapping[str, Value]) -> bytes:
    text = evidence.get("report-json")  # in the first version of the device
    if "report-raw" not in evidence and isinstance(text, str):
        return jsonreport.report_from_json(text.encode("utf-8", "surrogateescape"))
    return octets_at(evidence, "report-raw", 2 * SIZE, "ENVELOPE_SHAPE")


def _read_certificates(value: Value) -> Collateral:
    """The certificates in evidence: a map by type, or a list in an older version."""
    entries: list[tuple[str, Value]] = []
    if isinstance(value, Mapping):
        entries = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        entries = [("", one) for one in value]
    if len(entries) > MOST_CERTIFICATES:
        raise EvidenceError(
            "ENVELOPE_LIMIT", f"there are more than {MOST_CERTIFICATES} certificates"
        )
    found: dict[str, bytes] = {}
    for name, entry in entries:
        if not isinstance(entry, Mapping) or "data" not in entry:
            continue
        kind = str(entry.get("type", name)).lower()
        found.setdefault(kind, octets_at(entry, "data", LARGEST_CERTIFICATE, "ENVELOPE_SHAPE"))
    vek, chain = (
        material.bundle_as_pem(found[name] for name in names if name in found)
        for names in (_LEAVES, _CHAIN)
    )
    return Collateral(vek, chain, found.get(_CRL, b""))


def compute_report_data(
    body_id: bytes, nonce: bytes, recipient_id: bytes, context_digest: bytes
) -> bytes:
    """The 64 bytes that the report of an envelope must hold."""
    whole = hashlib.sha512(CONTEXT.encode())
    for part in (body_id, nonce, recipient_id, context_digest):
        whole.update(part)
    return whole.digest()


def check_recipient(envelope: Envelope) -> bytes:
    """Checks that the recipient of secrets is one of this method, for this body; returns its key.

    Raises:
        EvidenceError: ENVELOPE_SHAPE, RECIPIENT_KEY_ID or BODY_ID_MISMATCH.
        AoError: the id of the body cannot be computed.
    """
    recipient = envelope.recipient
    for name, due in (("measurement-device", SNP), ("method", METHOD)):
        if recipient.get(name) != due:
            raise EvidenceError("ENVELOPE_SHAPE", f"the {name} of the recipient is not {due}")
    key = octets_at(
        map_at(recipient, "public-material"), "x25519-public-key", KEY_SIZE, "ENVELOPE_SHAPE"
    )
    if len(key) != KEY_SIZE:
        raise EvidenceError("ENVELOPE_SHAPE", f"the key of the recipient has not {KEY_SIZE} bytes")
    share_secret(key)
    if recipient.get("key-id") != b64url(hashlib.sha256(key).digest()):
        raise EvidenceError(
            "RECIPIENT_KEY_ID", "the id of the recipient's key is not that of its key"
        )
    if map_at(recipient, "binding").get("body-id") != b64url(envelope.body_id):
        raise EvidenceError("BODY_ID_MISMATCH", "the recipient was made for another body")
    return key


def share_secret(key: bytes) -> tuple[bytes, bytes]:
    """(a new X25519 key of ours, 32 bytes; the secret that it shares with the recipient's key).

    Raises:
        EvidenceError: RECIPIENT_KEY_ID: the recipient's key gives each sender the same secret
            (RFC 7748 section 6.1), so anybody can open what is encrypted to it.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    own = X25519PrivateKey.generate()
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(key))
    except (ValueError, UnsupportedAlgorithm):
        what = "the key of the recipient shares no secret"
        raise EvidenceError("RECIPIENT_KEY_ID", what) from None
    return own.public_key().public_bytes_raw(), shared


def check_context(envelope: Envelope, evidence: SnpEvidence, vmpl: int) -> bytes:
    """Checks how the node says that it asked for the report; returns the digest of that.

    Args:
        vmpl: the privilege level in the report.

    Raises:
        EvidenceError: DEVICE_CONTEXT.
    """
    binding = map_at(envelope.recipient, "binding")
    context = map_at(binding, "device-context")
    due = {"vmpl": vmpl, "report-data-context": CONTEXT, "secret-method": METHOD}
    for name, value in due.items():
        if context.get(name) != value or type(context.get(name)) is bool:
            what = f"{name} of the device context is {context.get(name)!r}, not {value!r}"
            raise EvidenceError("DEVICE_CONTEXT", what)
    try:
        digest = stable_digest(context)
    except AoError as error:
        raise EvidenceError("DEVICE_CONTEXT", f"it has no id: {error.what}") from None
    if binding.get("device-context-digest") != b64url(digest):
        raise EvidenceError("DEVICE_CONTEXT", "the digest of the device context is another one")
    if dict(evidence.context) != dict(context):
        raise EvidenceError("DEVICE_CONTEXT", "evidence and recipient have different contexts")
    return digest
