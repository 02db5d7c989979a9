"""The recipient of secrets in an envelope of `tpm@2.0a`: the attestation key of the evidence.

Source: PermawebOS `dev_tpm2:secret_recipient`, `make_credential_for_subject`.
"""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.envelope.reading import CREDENTIAL_TYPE, TPM, Envelope, map_at
from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.credential import Credential, make_credential
from aoshell.attest.tpm.evidence import TpmEvidence, read_key_forms
from aoshell.attest.tpm.keys import check_ek_template
from aoshell.attest.tpm.structures import read_public
from aoshell.protocol.encoding import b64url, unb64url

TYPE = "lapee-tpm-credential-subject"
METHOD = "tpm2-activate-credential"

_MATERIAL = ("ek-public", "ek-pub-pem", "ak-public", "ak-pub-pem", "ak-name")


def check_recipient(envelope: Envelope, evidence: TpmEvidence) -> None:
    """Checks that the recipient of secrets is the attestation key of the evidence.

    Raises:
        EvidenceError: RECIPIENT_MISMATCH, RECIPIENT_KEY_ID or ENVELOPE_SHAPE.
    """
    recipient = envelope.recipient
    for name, due in (("type", TYPE), ("measurement-device", TPM), ("method", METHOD)):
        if recipient.get(name) != due:
            raise EvidenceError("ENVELOPE_SHAPE", f"the {name} of the recipient is not {due}")
    for name, key in (("ek", evidence.ek), ("ak", evidence.ak)):
        if read_key_forms(recipient, name, "secret-recipient") != key:
            what = f"the recipient of secrets has another {name.upper()} than the evidence"
            raise EvidenceError("RECIPIENT_MISMATCH", what)
    material = map_at(recipient, "public-material")
    if any(material.get(name) != recipient.get(name) for name in _MATERIAL):
        raise EvidenceError("RECIPIENT_MISMATCH", "the recipient of secrets has two sets of keys")
    if recipient.get("key-id") != b64url(evidence.ak.name):
        raise EvidenceError("RECIPIENT_KEY_ID", "the id of the recipient is not the name of the AK")


def wrap_challenge(envelope: Envelope, evidence: TpmEvidence, challenge: bytes) -> dict[str, str]:
    """A challenge that only the TPM of the endorsement key opens, as the message for the node.

    Raises:
        EvidenceError: EK_TEMPLATE, TPM_STRUCTURE.
    """
    ek = read_public(evidence.ek.public, "ek-public")
    check_ek_template(ek)
    ak = read_public(evidence.ak.public, "ak-public")
    credential = make_credential(ek, ak.name, challenge)
    return {
        "type": CREDENTIAL_TYPE,
        "version": "1.0",
        "measurement-device": TPM,
        "method": METHOD,
        "subject-id": b64url(envelope.recipient_id),
        "credential-blob": b64url(credential.blob),
        "secret": b64url(credential.secret),
    }


def read_credential(message: Mapping[str, str]) -> Credential:
    """The credential in a message that `wrap_challenge()` made. Raises ValueError."""
    return Credential(*(unb64url(message.get(name, "")) for name in ("credential-blob", "secret")))
