"""A secret for the machine that an envelope is of. Only that machine can open it.

SEV-SNP: the secret is encrypted to the X25519 key in the envelope, which REPORT_DATA binds. TPM:
it is a credential for the attestation key (`tpm.credential`). The node answers with an HMAC under
the secret, in a message that it signs. Source: PermawebOS `dev_lapee_snp:unwrap_secret`,
`dev_measurement:activate_peer_secret_body`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from aoshell.attest.envelope import reading, snp, tpm
from aoshell.attest.envelope.reading import CREDENTIAL_TYPE, SNP, TPM
from aoshell.attest.errors import EvidenceError, InconclusiveError
from aoshell.attest.evidence import Activation, Exchange, RawResponse
from aoshell.attest.signed import SignedPart, verify_message
from aoshell.attest.tpm.credential import (
    ACTIVATION,
    PROOF,
    check_activation,
    check_proof,
    read_activation,
)
from aoshell.attest.tpm.evidence import read_tpm_evidence
from aoshell.errors import AoError
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.encoding import b64url
from aoshell.protocol.signing import unsigned_id
from aoshell.protocol.structured import Value

ANSWER_TYPE = "lapee-secret-activation"
ANSWER_TYPES = (ANSWER_TYPE, ACTIVATION)
SECRET_SIZE = 32  # bytes

_PREFIX = "lapee-snp-wrap-secret-v1:"


def make_activation(exchange: Exchange) -> Activation | None:
    """A secret for the machine of an exchange; None if its envelope is refused anyway."""
    try:
        signed = reading.verify_envelope(exchange.fresh)
        envelope = reading.resolve_envelope(signed, reading.Links(exchange.links))
        secret = os.urandom(SECRET_SIZE)
        if envelope.device == TPM:
            evidence = read_tpm_evidence(envelope.evidence)
            return Activation(secret, tpm.wrap_challenge(envelope, evidence, secret))
        snp.read_snp_evidence(envelope.evidence)
        key = snp.check_recipient(envelope)
        return Activation(secret, wrap_secret(secret, key, b64url(envelope.recipient_id)))
    except AoError:
        return None  # the checks report the reason


def wrap_secret(secret: bytes, key: bytes, recipient_id: str) -> dict[str, str]:
    """A secret, encrypted to the X25519 key of a recipient, as the message for the node.

    Args:
        key: 32 bytes.
        recipient_id: of the whole recipient, in base64url.

    Raises:
        EvidenceError: RECIPIENT_KEY_ID, as `snp.share_secret()`.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    own, shared = snp.share_secret(key)
    salt, iv = os.urandom(32), os.urandom(12)
    context = (_PREFIX + recipient_id).encode()
    cipher = AESGCM(HKDF(SHA256(), 32, salt, context).derive(shared))
    sealed = cipher.encrypt(iv, secret, context)
    return {
        "type": CREDENTIAL_TYPE,
        "version": "1.0",
        "measurement-device": SNP,
        "method": snp.METHOD,
        "subject-id": recipient_id,
        "ephemeral-public-key": b64url(own),
        "salt": b64url(salt),
        "iv": b64url(iv),
        "ciphertext": b64url(sealed[:-16]),
        "tag": b64url(sealed[-16:]),
    }


def check_snp_proof(
    answer: RawResponse, credential: Mapping[str, str], secret: bytes
) -> SignedPart:
    """Checks that an answer proves knowledge of the secret; returns what is signed of it.

    Raises:
        EvidenceError: ACTIVATION_SHAPE or ACTIVATION_PROOF.
        InconclusiveError: ACTIVATION_UNAVAILABLE.
    """
    signed = read_proof(answer, ANSWER_TYPE, "ACTIVATION_UNAVAILABLE")
    issued = issued_at(signed.message)
    try:
        sent = unsigned_id(credential, CURRENT)
    except AoError:
        raise EvidenceError("ACTIVATION_SHAPE", "the credential that was sent is invalid") from None
    lines = (
        "lapee-secret-activation-v1",
        f"measurement-device:{SNP}",
        f"method:{snp.METHOD}",
        f"issued-at-unix:{issued}",
        f"credential-id:{sent}",
    )
    made = signed.message
    if made.get("proof-alg") != PROOF:
        raise EvidenceError("ACTIVATION_SHAPE", f"the proof is not of the kind {PROOF}")
    digest, proof = made.get("credential-secret-sha256"), made.get("credential-secret-proof")
    check_proof(digest, proof, secret, "\n".join(lines).encode())
    return signed


def check_tpm_proof(
    answer: RawResponse, credential: Mapping[str, str], secret: bytes, ak_name: bytes
) -> SignedPart:
    """Checks that an answer proves that a TPM opened the secret; returns what is signed of it.

    Args:
        ak_name: the name of the attestation key, as computed from the key.

    Raises:
        EvidenceError: ACTIVATION_SHAPE or ACTIVATION_PROOF.
        InconclusiveError: AK_UNBOUND.
    """
    signed = read_proof(answer, ACTIVATION, "AK_UNBOUND")
    try:
        sent = tpm.read_credential(credential)
    except ValueError:
        raise EvidenceError("ACTIVATION_SHAPE", "the credential that was sent is invalid") from None
    check_activation(read_activation(signed.message), sent, ak_name, secret)
    return signed


def read_proof(answer: RawResponse, kind: str, unchecked: str) -> SignedPart:
    """The signed part of an answer to a secret.

    Args:
        kind: the type of the message that is due.
        unchecked: the error if its signature cannot be checked.

    Raises:
        EvidenceError: ACTIVATION_SHAPE.
        InconclusiveError: `unchecked`.
    """
    try:
        signed = verify_message(answer, kind)
    except InconclusiveError as error:
        raise InconclusiveError(unchecked, error.what, error.hint) from None
    except EvidenceError as error:
        raise EvidenceError("ACTIVATION_SHAPE", f"the answer to the secret: {error.what}") from None
    if signed.message.get("type") != kind:
        what = f"the answer to the secret has the type {signed.message.get('type')!r}"
        raise EvidenceError("ACTIVATION_SHAPE", what)
    return signed


def issued_at(message: Mapping[str, Value]) -> int:
    """When an answer was made, as the node says. Raises EvidenceError: ACTIVATION_SHAPE."""
    issued = message.get("issued-at-unix")
    if type(issued) is not int:
        raise EvidenceError("ACTIVATION_SHAPE", "the answer to the secret has no time")
    return issued
