"""What verdicts, checks and errors mean, for people (`--explain`)."""

from __future__ import annotations

from collections.abc import Mapping

from aoshell.attest.verify import CUSTODY, NOT_EXCLUSIVE, all_checks

NO_EVIDENCE = "EVIDENCE_UNAVAILABLE"
EVIDENCE = "evidence"  # the only check of a node without evidence

VERDICTS = {
    "PASS": "Every check that applies passed. docs/attest.md says what that proves, and what not.",
    "FAIL": "A check refuses the evidence: it is wrong, or the policy does not permit it. It proves"
    " nothing about the node. In the shell FAIL ends the pin.",
    "INCONCLUSIVE": "Nothing is wrong so far, but something is missing, so the evidence shows "
    "nothing yet. The output says what is missing and how to get it. In the shell a pin stays if "
    "key and software are the same.",
}

OPEN = frozenset(
    (
        *(NO_EVIDENCE, "ACTIVATION_UNAVAILABLE", "AK_UNBOUND", "BODY_UNBOUND", "CHAIN_UNAVAILABLE"),
        *("CRL_EXPIRED", "CRL_UNAVAILABLE", "EK_CHAIN_UNAVAILABLE", "EK_CRL_UNAVAILABLE"),
        *("EVENT_LOG_MISSING", "HTTPSIG_UNCHECKABLE", "LINK_UNAVAILABLE", "NODE_MESSAGE_UNBOUND"),
        *("MEASUREMENT_DEVICE_UNSUPPORTED", "NONCE_MISSING", "SECURE_BOOT_UNKNOWN"),
        *("SOFTWARE_UNKNOWN", "VCEK_UNAVAILABLE"),
    )
)
"""Errors that are INCONCLUSIVE."""

_NOT_OURS = "INCONCLUSIVE if it is in what you or AMD's service gave, else FAIL"
SOMETIMES_OPEN = {
    **dict.fromkeys(
        ("CERT_EXPIRED", "CERT_NOT_YET_VALID", "CERT_PARSE", "CRL_SIGNATURE"), _NOT_OURS
    ),
    **dict.fromkeys(("EK_CERT_EXPIRED", "EK_CERT_PARSE", "ROOT_NOT_PINNED"), _NOT_OURS),
    "CHALLENGE_FAILED": "INCONCLUSIVE if the node did not answer, else FAIL",
}
"""Errors that are INCONCLUSIVE in some cases, and in which."""

_POLICY_BIT = (
    "What the guest allows its host, or demands of it, is not as `guest` in your policy asks."
)
_OTHER_VALUE = "The value in the report is not the one in your policy."

ERRORS: Mapping[str, str] = {
    NO_EVIDENCE: "The node did not answer, has no evidence (of the kind that was asked for), or "
    "something else came in its place, as the page of a proxy.",
    # --- answers and their signatures
    "ADDRESS_MISMATCH": "Another key signed the answer than the one that it names as the node's.",
    "CONTENT_DIGEST": "The body of the answer is not the one whose hash is in its head: it was "
    "changed or cut off.",
    "HTTPSIG_COVERAGE": "Something that counts is not signed, or is missing.",
    "HTTPSIG_INVALID": "The signature does not fit the answer, or the answer cannot be read.",
    "HTTPSIG_KEY_SCHEME": "No RSA-4096 key signed the answer. An HMAC proves nothing: everybody "
    "has its key.",
    "HTTPSIG_UNCHECKABLE": "The answer came in a form, such as JSON, that does not keep all that "
    "was signed. Ask the node itself.",
    "JSON_DUPLICATE_KEY": "A key occurs twice in an object. Two readers could take different ones.",
    "JSON_LENGTH": "A list in the report has more or fewer members than it must have.",
    "JSON_LIMIT": "There is more than is read: bytes, headers, or levels of nesting.",
    "JSON_MISSING_KEY": "The report, or a file that `--save` made, lacks a key.",
    "JSON_RANGE": "A number is outside of the range that its place has.",
    "JSON_SYNTAX": "This is not JSON.",
    "JSON_TYPE": "A value is of another type than its place has.",
    "JSON_UNKNOWN_KEY": "The report, or a file that `--save` made, has a key that is unknown.",
    "REPORT_FORM": "This is no report in a known form. The output says what it seems to be.",
    # --- envelopes
    "BODY_ID_MISMATCH": "The device measured another body than the one in the envelope: what the "
    "guest says of itself, or the configuration of the node, was changed.",
    "BODY_UNBOUND": "The id of the body cannot be computed here as the node computes it, so "
    "nothing binds it to the evidence.",
    "DEVICE_CONTEXT": "How the node says that it asked for the report does not fit the report.",
    "ENVELOPE_LIMIT": "The envelope, with what it links to, has more than is read.",
    "ENVELOPE_SHAPE": "A part of the envelope is missing or has another form.",
    "ENVELOPE_VERSION": "The envelope is of a version that is unknown here.",
    "LINK_MISMATCH": "What the node gave for a link is not what was signed.",
    "LINK_UNAVAILABLE": "The node did not give a part that came as a link.",
    "MEASUREMENT_DEVICE_MOCK": "The node measures itself by a mock, which measures nothing.",
    "MEASUREMENT_DEVICE_UNSUPPORTED": "The node measures itself by a device that is not checked "
    "here.",
    "NONCE_MISMATCH": "The evidence was made for another nonce: it may be old, or somebody else's.",
    "NONCE_MISSING": "It is unknown for which nonce the evidence was made. Give it: --nonce HEX.",
    "RECIPIENT_ID_MISMATCH": "The report was made for another recipient of secrets than the "
    "envelope has.",
    "RECIPIENT_KEY_ID": "The id of the key for secrets is not that of the key, or anybody can open "
    "what is encrypted to it.",
    "RECIPIENT_MISMATCH": "The recipient of secrets is not the attestation key of the evidence.",
    **dict.fromkeys(
        ("PAIR_BODY", "PAIR_DEVICE", "PAIR_RECIPIENT", "PAIR_SIGNER"),
        "The envelope of the node's start has another body, device, key for secrets or signer than "
        "the fresh one.",
    ),
    "PAIR_BOOT_SESSION": "The envelope of the node's start is of another guest, or of a boot "
    "before this one.",
    # --- secrets and challenges
    "ACTIVATION_PROOF": "The answer to the secret does not show that the node could open it.",
    "ACTIVATION_SHAPE": "The answer to the secret cannot be read, or is for another one.",
    "ACTIVATION_SIGNER": "Another key signed the answer to the secret than the envelope.",
    "ACTIVATION_UNAVAILABLE": "The node did not answer the secret, or does not open secrets.",
    "AK_UNBOUND": "Nothing ties the key that signed the quote to the certified TPM: no secret was "
    "opened just now. A kept file never shows it; ask the node itself.",
    "CHALLENGE_FAILED": "The key in the report did not sign the fresh random value.",
    # --- the report of SEV-SNP
    "LOCAL_HASHES": "What the node says it was launched from cannot be read.",
    "MEASUREMENT_MISMATCH": "The measurement is not the one that was asked for with --measurement, "
    "or not the one that the hashes in the answer give. Evidence of a TPM has none.",
    "NODE_MESSAGE_MISMATCH": "The report was made for another configuration than the answer has.",
    "NODE_MESSAGE_UNBOUND": "The id of the configuration cannot be computed here, so nothing binds "
    "it to the report.",
    "NONCE_FIELD_MISMATCH": "The nonce in the answer is not the one in the report.",
    "REPORT_DATA_MISMATCH": "The report was made for another key, envelope or value. Genuine "
    "reports of other machines look so. Evidence of a TPM has no report data.",
    "REPORT_SIGNATURE": "The key in the certificate did not sign these bytes: the report was "
    "changed, or the certificate is another chip's.",
    "REPORT_SIZE": "A report has 1184 bytes, and this has not.",
    "REPORT_UNSIGNED": "The host told the firmware to sign no reports.",
    "REPORT_VERSION": "The report is of a version that is unknown here.",
    "RESERVED_NONZERO": "Bytes that must be zero are not.",
    "SIGNATURE_ALGO": "The report names an algorithm of its signature that is unknown.",
    "SIGNATURE_ENCODING": "A number of the signature is out of range.",
    "SIGNER_KIND": "The report names another kind of key than the certificate is of.",
    "SIGNER_VLEK_NOT_ALLOWED": "A key of a cloud provider signed the report, and your policy does "
    "not permit that.",
    "SOFTWARE_UNKNOWN": "It is not known what runs there, or your policy names nothing that it "
    "could be. Name it once you know what it is.",
    "SOFTWARE_UNTRUSTED": "What runs there is none of the software that your policy names.",
    # --- certificates of AMD
    "CERT_ALGORITHM": "A certificate is signed by another algorithm than AMD's are.",
    "CERT_EXPIRED": "A certificate is not valid any more.",
    "CERT_EXTENSION": "An extension of a certificate is missing, there twice, or badly formed.",
    "CERT_KEY_TYPE": "The key of the certificate is not one on P-384.",
    "CERT_NOT_YET_VALID": "A certificate is not valid yet.",
    "CERT_PARSE": "A certificate cannot be read.",
    "CERT_PROFILE": "A certificate has not the names or uses that AMD's have in its place.",
    "CERT_REVOKED": "AMD's list of revoked certificates names one of these.",
    "CERT_TABLE": "The certificate table after the report is not whole.",
    **dict.fromkeys(
        ("CHAIN_INTERMEDIATE_SIGNATURE", "CHAIN_LEAF_SIGNATURE", "CHAIN_ROOT_SIGNATURE"),
        "The certificate above did not sign this one.",
    ),
    "CHAIN_UNAVAILABLE": "A certificate above that of the signing key is missing.",
    "CHIP_ID_MASKED": "The host hides its chip, and your policy does not permit that.",
    "CRL_EXPIRED": "AMD's list of revoked certificates is outdated. Give a newer one.",
    "CRL_SIGNATURE": "The list of revoked certificates is not signed by AMD's root.",
    "CRL_UNAVAILABLE": "AMD's list of revoked certificates is missing.",
    "HWID_MISMATCH": "The certificate is of another chip than the report.",
    "PRODUCT_MISMATCH": "Report and certificate are of different processors.",
    "ROOT_NOT_PINNED": "The certificates do not lead to AMD's root for this processor.",
    "TCB_CERT_MISMATCH": "The certificate is for other versions of the firmware than the report's.",
    "UNSUPPORTED_PRODUCT": "The processor is none of Milan, Genoa and Turin, or cannot be told.",
    "VCEK_UNAVAILABLE": "The certificate of the key that signed the report is missing.",
    # --- the policy, of SEV-SNP
    **dict.fromkeys(
        ("FAMILY_ID_MISMATCH", "HOST_DATA_MISMATCH", "IMAGE_ID_MISMATCH", "REPORT_ID_MISMATCH"),
        _OTHER_VALUE,
    ),
    "FIRMWARE_BELOW_MINIMUM": "The committed firmware is older than your policy asks for.",
    "GUEST_SVN_BELOW_MINIMUM": "The guest's own version is lower than your policy asks for.",
    "ID_KEY_UNTRUSTED": "No owner whom your policy names signed the launch.",
    "LAUNCH_TCB_BELOW_MINIMUM": "The guest was launched on firmware older than your policy "
    "permits.",
    "MITIGATION_MISSING": "A mitigation that your policy asks for is missing.",
    "PLATFORM_INFO": "A property of the host is not as `platform` in your policy asks.",
    "POLICY_ABI": "The guest agrees to run on an older firmware interface than your policy "
    "permits.",
    **dict.fromkeys(
        (
            *("POLICY_AES_256", "POLICY_CIPHERTEXT_HIDING", "POLICY_CXL", "POLICY_RAPL_DISABLED"),
            *("POLICY_PAGE_SWAP_DISABLED", "POLICY_SINGLE_SOCKET", "POLICY_SMT"),
        ),
        _POLICY_BIT,
    ),
    "POLICY_DEBUG_ENABLED": "The host can read and change the memory of the guest.",
    "POLICY_MALFORMED": "The guest's policy has bits that are unknown, or lacks one that all have.",
    "POLICY_MIGRATE_MA": "A migration agent can move the guest, with its key, to another machine.",
    "PROVISIONAL_FIRMWARE": "The host can roll its firmware back to an older version.",
    "TCB_BELOW_MINIMUM": "The firmware of the machine is older than your policy permits. Its "
    "provider can update it.",
    "TCB_ORDER": "A version of the firmware is newer than the current one. Only broken firmware "
    "says that.",
    "VMPL": "Software with less privilege in the guest than your policy permits asked for the "
    "report.",
    NOT_EXCLUSIVE: "Your policy has `exclusive_key = true`, and it is not shown that the node's "
    "key is in this guest only.",
    # --- a TPM: its endorsement key
    "EK_CERT_EXPIRED": "A certificate of the TPM is not valid at this time.",
    "EK_CERT_MISSING": "The evidence has no certificate of the TPM's endorsement key.",
    "EK_CERT_PARSE": "A certificate of the TPM cannot be read.",
    "EK_CERT_PROFILE": "A certificate of the TPM has not the form or the uses that are due.",
    "EK_CHAIN_SIGNATURE": "A certificate is not signed by the one that it names above it.",
    "EK_CHAIN_UNAVAILABLE": "A certificate above that of the TPM is missing. Give it: --ek-chain "
    "FILE.",
    "EK_CRL_UNAVAILABLE": "A list of revoked certificates of the TPM's maker is missing. Many "
    "makers publish none; `ek_revocation = false` in your policy does without.",
    "EK_KEY_MISMATCH": "The certificate is of another key than the endorsement key in the "
    "evidence.",
    "EK_REVOKED": "The maker of the TPM has revoked one of its certificates.",
    "EK_ROOT_NOT_PINNED": "The certificates of the TPM lead to no root that this program knows.",
    "EK_TEMPLATE": "The endorsement key is not made as the TCG says. So it may open secrets for "
    "anybody.",
    "EK_VENDOR_MISMATCH": "The certificate is of another maker than the TPM names, or than its "
    "root.",
    "EK_VENDOR_REFUSED": "The maker of the TPM is not among `ek_vendors` in your policy.",
    # --- a TPM: its attestation key and the quote
    "AK_ATTRIBUTES": "The attestation key is not restricted to what the TPM itself made, so it "
    "could have signed anything.",
    "AK_KEY_MISMATCH": "The attestation key is written in two forms, and they are two keys.",
    "AK_NAME": "The name of the attestation key is not the one that follows from the key.",
    "AK_POLICY_EMPTY": "The attestation key can be used whatever the machine booted.",
    "AK_POLICY_MISMATCH": "The attestation key is bound to other values than those that were "
    "quoted.",
    "AK_POLICY_PCRS": "The attestation key is bound to other PCRs than those that were quoted.",
    "AK_QUALIFIED_NAME": "The attestation key is not directly below the endorsement hierarchy.",
    "AK_SCHEME": "The attestation key signs by another scheme than RSA-PSS with SHA-256.",
    "QUOTE_BANK": "The quote is over other hashes than SHA-256.",
    "QUOTE_DIGEST": "The quote is over other PCR values than those in the evidence.",
    "QUOTE_MAGIC": "What was signed was not made by a TPM.",
    "QUOTE_NONCE": "The quote was made for another nonce than the evidence names.",
    "QUOTE_SELECTION": "The quote is over other PCRs than the evidence says, or leaves out one "
    "that is needed.",
    "QUOTE_SIGNATURE": "The attestation key did not sign the quote.",
    "QUOTE_SIGNER": "The quote names another key as its signer.",
    "QUOTE_TRAILING": "There are bytes after the end of the quote.",
    "QUOTE_TYPE": "The TPM signed something else than a quote.",
    "TPM_STRUCTURE": "A structure of the TPM cannot be read, or holds no key.",
    # --- a TPM: what was booted
    "DB_SIGNER_UNTRUSTED": "Secure Boot admits signers whom your policy does not name.",
    "EVENT_DATA_DIGEST": "The data of an event is not what was measured: the log was edited.",
    "EVENT_LOG_MALFORMED": "The event log cannot be read.",
    "EVENT_LOG_MISSING": "The evidence has no event log, so it is unknown what was booted.",
    "EVENT_LOG_REPLAY": "The event log does not lead to the PCR values that were quoted.",
    "PCR15_EXTRA_EVENT": "More was measured into PCR 15 than the node's configuration and the log.",
    "PCR15_LOG_TIP": "PCR 15 holds the hash of another event log.",
    "PCR15_REPLAY": "The runtime log does not lead to the value of PCR 15 that was quoted.",
    "PCR15_SUBJECT": "PCR 15 holds the id of another body: the quote is of another node, or of "
    "another configuration.",
    "SECURE_BOOT_OFF": "Secure Boot is off, and your policy asks for it.",
    "SECURE_BOOT_UNKNOWN": "The log does not show whether Secure Boot was on, or it was changed "
    "after it was measured.",
}
"""What each error means, by its name."""

_ABOUT_CUSTODY = (
    "Runs only with `exclusive_key = true` in the policy. A review of the image must have found "
    f"that its key exists in this guest alone.\nErrors: {NOT_EXCLUSIVE}"
)
_ABOUT_EVIDENCE = (
    "There is evidence to check. Where a node does not answer, has none, has none of the kind that "
    "was asked for, or where something else comes in its place (a page of a proxy, a form to log "
    f"in), this says nothing of the machine it runs on.\nErrors: {NO_EVIDENCE}"
)


def explain(name: str) -> str:
    """What a verdict, a check or an error means, for people; of an error also which checks end
    with it. A line for each paragraph.

    Args:
        name: a check's may be its number.

    Raises:
        KeyError: there is none of that name.
    """
    if (meant := VERDICTS.get(name.upper())) is not None:
        return f"{name.upper()}\n{meant}"
    error = name.upper()
    if error not in ERRORS:
        return "\n\n".join(_checks(name))
    verdict = "INCONCLUSIVE" if error in OPEN else SOMETIMES_OPEN.get(error, "FAIL")
    words = [f"{word}: {VERDICTS[word]}" for word in ("FAIL", "INCONCLUSIVE") if word in verdict]
    about = [f"{error}\n{ERRORS[error]}\nVerdict: {verdict}.", *words]
    return "\n\n".join([*about, *_checks(name, error)])


def _checks(name: str, error: str = "") -> list[str]:
    """The descriptions of the checks of a name or number, or of those that end with an error."""
    found = [
        f"{one.number} {one.name}\n{one.explanation}\nErrors: {', '.join(one.errors)}"
        for one in all_checks()
        if name in (one.name, str(one.number)) or error in one.errors
    ]
    for own, about, end in (
        (CUSTODY, _ABOUT_CUSTODY, NOT_EXCLUSIVE),
        (EVIDENCE, _ABOUT_EVIDENCE, NO_EVIDENCE),
    ):
        if name == own or error == end:
            found.append(f"{own}\n{about}")
    if not found:
        raise KeyError(name)
    return found
