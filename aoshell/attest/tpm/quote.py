"""A quote against its key, its nonce, its PCRs, and the policy of its key.

Sources: TPM 2.0 Library Part 1, section 19.7 (policies); Part 3, sections 23.6 (PolicyOR), 23.7
(PolicyPCR) and 23.11 (PolicyCommandCode). The attestation key of such nodes is made with a policy
over the PCRs of its boot, so what it signs also says that they have not changed since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping

from aoshell.attest.errors import EvidenceError
from aoshell.attest.tpm.structures import BITMAP, SHA256, PublicArea, Quote

SALT = 32  # bytes of salt in a signature: as many as the hash has
REQUIRED_PCRS = (0, 1, 7, 11, 15)
POLICY_SETS = ((0, 1, 7, 10, 11, 14, 15), (0, 1, 4, 7, 10, 11, 14, 15))
"""The PCRs that the policy of an attestation key may be over: of older nodes, of newer ones."""

_POLICY_PCR, _POLICY_OR, _POLICY_COMMAND = 0x17F, 0x171, 0x16C
_ACTIVATE_CREDENTIAL = 0x147


def check_signature(quoted: bytes, signature: bytes, key: PublicArea) -> None:
    """Checks that an RSA key signed a quote: RSA-PSS, SHA-256, a salt of 32 bytes.

    Raises:
        EvidenceError: QUOTE_SIGNATURE; TPM_STRUCTURE if the public area holds no key.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    public = key.as_key()
    if not isinstance(public, RSAPublicKey):
        raise EvidenceError("QUOTE_SIGNATURE", "the attestation key is not an RSA key")
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), SALT)
    try:
        public.verify(signature, quoted, pss, hashes.SHA256())
    except InvalidSignature:
        what = "the attestation key has not signed this quote (RSA-PSS, SHA-256, salt of 32 bytes)"
        raise EvidenceError("QUOTE_SIGNATURE", what) from None


def check_signer(quote: Quote, qualified_name: bytes) -> None:
    """Checks that a quote names the key that must have signed it.

    Raises:
        EvidenceError: QUOTE_SIGNER.
    """
    if quote.qualified_signer != qualified_name:
        named = quote.qualified_signer.hex()
        raise EvidenceError("QUOTE_SIGNER", f"the quote names another key as its signer: {named}")


def check_nonce(quote: Quote, nonce: bytes) -> None:
    """Checks that a quote was made for a nonce.

    Raises:
        EvidenceError: QUOTE_NONCE.
    """
    if quote.extra_data != nonce:
        what = f"the quote was made for another nonce: {quote.extra_data.hex()}"
        raise EvidenceError("QUOTE_NONCE", what)


def check_selection(quote: Quote, reported: Collection[int]) -> tuple[int, ...]:
    """The quoted PCRs: of the SHA-256 bank alone, and those that the evidence reports.

    Raises:
        EvidenceError: QUOTE_BANK; QUOTE_SELECTION, also where a PCR is missing that is needed.
    """
    if [*quote.selection] != [SHA256]:
        banks = ", ".join(f"{bank:#06x}" for bank in quote.selection) or "no bank"
        raise EvidenceError("QUOTE_BANK", f"the quote is over {banks}, not over SHA-256 alone")
    quoted = quote.selection[SHA256]
    if quoted != tuple(sorted(reported)):
        what = f"PCRs {_listed(quoted)} are quoted, {_listed(sorted(reported))} reported"
        raise EvidenceError("QUOTE_SELECTION", what)
    if missing := sorted({*REQUIRED_PCRS} - {*quoted}):
        raise EvidenceError("QUOTE_SELECTION", f"the quote leaves out PCR {_listed(missing)}")
    return quoted


def check_digest(quote: Quote, values: Mapping[int, bytes]) -> None:
    """Checks that a quote is over these PCRs, with these values and no others.

    Args:
        values: by PCR, 32 bytes each.

    Raises:
        EvidenceError: QUOTE_DIGEST, QUOTE_SELECTION.
    """
    quoted = quote.selection.get(SHA256, ())
    if quoted != tuple(sorted(values)):
        what = f"PCRs {_listed(quoted)} are quoted, there are values of {_listed(sorted(values))}"
        raise EvidenceError("QUOTE_SELECTION", what)
    if quote.pcr_digest != _digest(values):
        raise EvidenceError("QUOTE_DIGEST", "the quote is not over the PCR values that are given")


def pcr_policy(values: Mapping[int, bytes]) -> bytes:
    """The policy of an attestation key that is bound to PCRs with these values (SHA-256).

    It lets the key be used for anything, or just for ActivateCredential: the latter takes a policy
    that names the command.
    """
    bitmap = sum(1 << pcr for pcr in values).to_bytes(BITMAP, "little")
    selection = (1).to_bytes(4, "big") + SHA256.to_bytes(2, "big") + bytes((BITMAP,)) + bitmap
    pcrs = _extended(bytes(32), _POLICY_PCR, selection + _digest(values))
    activating = _extended(pcrs, _POLICY_COMMAND, _ACTIVATE_CREDENTIAL.to_bytes(4, "big"))
    return _extended(bytes(32), _POLICY_OR, pcrs + activating)


def check_policy(
    key: PublicArea, policy_pcrs: Collection[int], values: Mapping[int, bytes]
) -> None:
    """Checks that an attestation key is bound to the PCRs that a quote is over.

    Args:
        policy_pcrs: what the evidence says that the policy is over.
        values: what was quoted, by PCR.

    Raises:
        EvidenceError: AK_POLICY_EMPTY, AK_POLICY_PCRS, AK_POLICY_MISMATCH.
    """
    if not key.policy:
        raise EvidenceError("AK_POLICY_EMPTY", "the attestation key has no policy")
    named = tuple(sorted(policy_pcrs))
    if named not in POLICY_SETS:
        what = f"a policy over PCRs {_listed(named)} is none that such nodes make"
        raise EvidenceError("AK_POLICY_PCRS", what)
    if named != tuple(sorted(values)):
        quoted = _listed(sorted(values))
        what = f"the policy is over PCRs {_listed(named)}, the quote over {quoted}"
        raise EvidenceError("AK_POLICY_PCRS", what)
    if key.policy != pcr_policy(values):
        what = "the policy of the attestation key is not that of the quoted PCR values"
        raise EvidenceError("AK_POLICY_MISMATCH", what)


def _digest(values: Mapping[int, bytes]) -> bytes:
    whole = hashlib.sha256()
    for pcr in sorted(values):
        whole.update(values[pcr])
    return whole.digest()


def _extended(policy: bytes, command: int, more: bytes) -> bytes:
    return hashlib.sha256(policy + command.to_bytes(4, "big") + more).digest()


def _listed(pcrs: Collection[int]) -> str:
    return " ".join(map(str, pcrs)) or "none"
