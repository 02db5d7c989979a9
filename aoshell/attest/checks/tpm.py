"""Checks of the evidence of a TPM 2.0 in an envelope: its keys, its quote, and what it booted.

A quote proves little by itself: anybody can own its key. Only the secret that the TPM opens
(`activation`) binds the attestation key (AK) to the endorsement key (EK) that the maker of the TPM
has certified.
"""

from __future__ import annotations

from aoshell.attest.checks.envelope import check_opener, check_pair, envelope_of, exchange_of
from aoshell.attest.checks.frame import IF_KNOWN, Case, check
from aoshell.attest.envelope.activation import check_tpm_proof
from aoshell.attest.envelope.reading import map_at
from aoshell.attest.envelope.tpm import check_recipient
from aoshell.attest.errors import EvidenceError, InconclusiveError, SkippedCheckError
from aoshell.attest.kinds import Kind
from aoshell.attest.policy import Image
from aoshell.attest.tpm import ek_certificate as certificates
from aoshell.attest.tpm import eventlog, keys, quote, runtime, secureboot
from aoshell.attest.tpm.ek_path import find_path
from aoshell.attest.tpm.ek_revocation import check_revocation
from aoshell.attest.tpm.evidence import TpmEvidence, read_policy_pcrs, read_tpm_evidence
from aoshell.attest.tpm.structures import Quote, read_public, read_quote
from aoshell.attest.x509.keys import public_key

_TPM = (Kind.TPM,)
PROGRAMS, IMA, SECTIONS = secureboot.PROGRAM_PCR, 10, secureboot.SECTION_PCR
_BOUND = ("ak-policy", "runtime-log", "body-id")


@check(
    33,
    "measurement",
    "MEASUREMENT_MISMATCH REPORT_DATA_MISMATCH",
    needs=("envelope",),
    kinds=_TPM,
)
def measurement(case: Case) -> str:
    """Evidence of a TPM has no measurement of a launch and no report data. So a value that was
    asked for is not there."""
    wanted = {
        "MEASUREMENT_MISMATCH": (case.expected_measurement, "measurement"),
        "REPORT_DATA_MISMATCH": (case.expected_data, "report data"),
    }
    for error, (value, name) in wanted.items():
        if value:
            what = f"{name} was asked for, and evidence of a TPM has none"
            hint = "leave it out; the policy names what a machine with a TPM boots: efi, pcr11"
            raise EvidenceError(error, what, hint)
    raise SkippedCheckError("evidence of a TPM has no launch measurement")


@check(
    47,
    "ek-certificate",
    "EK_CERT_MISSING EK_CERT_PARSE EK_CERT_PROFILE EK_CERT_EXPIRED EK_VENDOR_MISMATCH",
    needs=("links",),
    core=True,
    kinds=_TPM,
)
def ek_certificate(case: Case) -> str:
    """There is a certificate of an endorsement key (TCG EK Credential Profile 2.6), valid now, of
    the maker that the TPM itself names."""
    evidence = case.tpm.evidence
    read = certificates.read_ek_certificate(evidence.ek_certificate.encode("utf-8", "replace"))
    found = certificates.check_profile(read)
    certificates.check_validity(read, case.at)
    if evidence.manufacturer not in (0, found.manufacturer):
        what = f"the certificate is of a TPM of {found.vendor}, and the TPM names another maker"
        raise EvidenceError("EK_VENDOR_MISMATCH", what)
    case.tpm.certificate = found
    return f"of {found.vendor}, model {found.model!r}"


@check(
    48,
    "ek-chain",
    "EK_ROOT_NOT_PINNED EK_CHAIN_SIGNATURE EK_CHAIN_UNAVAILABLE EK_VENDOR_MISMATCH "
    "EK_VENDOR_REFUSED EK_CERT_PROFILE EK_CERT_EXPIRED EK_CERT_PARSE",
    needs=("ek-certificate",),
    core=True,
    kinds=_TPM,
)
def ek_chain(case: Case) -> str:
    """The certificates above it lead to the root of that maker, by its fingerprint. They come with
    the evidence or from your files; nothing is fetched."""
    found = case.tpm.certificate
    assert found
    allowed = case.policy.ek_vendors
    if allowed and found.vendor not in allowed:
        what = f"the TPM is of {found.vendor}, the policy permits {', '.join(allowed)}"
        raise EvidenceError("EK_VENDOR_REFUSED", what)
    case.tpm.path = find_path(found, case.ek_pool, case.at, test_roots=case.ek_roots)
    return f"leads to {case.tpm.path.root.name}"


@check(49, "ek-revocation", "EK_REVOKED EK_CRL_UNAVAILABLE", needs=("ek-chain",), kinds=_TPM)
def ek_revocation(case: Case) -> str:
    """None of these certificates is in a list of revoked ones. The lists come from your files. Many
    makers have none; then the policy must do without."""
    if not case.policy.ek_revocation:
        raise SkippedCheckError("the policy skips it: ek_revocation = false")
    assert case.tpm.path
    return check_revocation(case.tpm.path, case.ek_pool.crls, case.at)


@check(
    50,
    "ek-public",
    "EK_KEY_MISMATCH EK_TEMPLATE TPM_STRUCTURE",
    needs=("ek-certificate",),
    core=True,
    kinds=_TPM,
)
def ek_public(case: Case) -> str:
    """The certified key is the one in the evidence, and is made by a template of TCG's: it never
    leaves its TPM, and decrypts for the TPM only. A key that anyone can use opens any secret."""
    tpm = case.tpm
    assert tpm.certificate
    forms = tpm.evidence.ek
    public = read_public(forms.public, "ek-public")
    name = keys.check_ek_template(public)
    keys.check_ek_forms(public, forms.pem, forms.name, forms.qualified_name)
    if public_key(tpm.certificate.certificate) != public.as_key():
        raise EvidenceError("EK_KEY_MISMATCH", "the certificate is of another key than ek-public")
    return f"made by the template {name}"


@check(
    51,
    "ak",
    "AK_NAME AK_QUALIFIED_NAME AK_ATTRIBUTES AK_SCHEME AK_KEY_MISMATCH RECIPIENT_MISMATCH "
    "RECIPIENT_KEY_ID TPM_STRUCTURE ENVELOPE_SHAPE",
    needs=("links",),
    core=True,
    kinds=_TPM,
)
def ak(case: Case) -> str:
    """The attestation key is restricted: its TPM signs with it only what it made itself. Its names
    are computed again, and the recipient of secrets is this key."""
    forms = case.tpm.evidence.ak
    public = read_public(forms.public, "ak-public")
    keys.check_ak_template(public)
    keys.check_ak_forms(public, forms.pem, forms.name, forms.qualified_name)
    if case.tpm.evidence.hierarchy != "endorsement":
        what = f"the key is said to be in the hierarchy {case.tpm.evidence.hierarchy!r}"
        raise EvidenceError("AK_QUALIFIED_NAME", what)
    check_recipient(envelope_of(case), case.tpm.evidence)
    case.tpm.ak = public
    return f"{public.name.hex()[4:20]}…, restricted"


@check(
    52,
    "quote",
    "QUOTE_SIGNATURE QUOTE_MAGIC QUOTE_TYPE QUOTE_SIGNER QUOTE_NONCE QUOTE_BANK QUOTE_SELECTION "
    "QUOTE_DIGEST QUOTE_TRAILING TPM_STRUCTURE",
    needs=("ak",),
    core=True,
    kinds=_TPM,
)
def quote_(case: Case) -> str:
    """The attestation key has signed a quote for the nonce, over the PCR values in the evidence, of
    the SHA-256 bank, and with PCR 0, 1, 7, 11 and 15 among them."""
    case.tpm.quote = _check_quote(case.tpm.evidence, case)
    state = "" if case.tpm.quote.safe else "; its clock may have been set back"
    return f"over PCR {' '.join(map(str, sorted(case.tpm.evidence.quote.values)))}{state}"


def _check_quote(evidence: TpmEvidence, case: Case) -> Quote:
    """The quote in evidence, checked. Raises EvidenceError."""
    assert case.tpm.ak
    forms = evidence.quote
    quote.check_signature(forms.quoted, forms.signature, case.tpm.ak)
    read = read_quote(forms.quoted)
    quote.check_signer(read, evidence.ak.qualified_name)
    quote.check_nonce(read, forms.nonce)
    quote.check_selection(read, forms.selection)
    quote.check_digest(read, forms.values)
    return read


@check(
    53,
    "ak-policy",
    "AK_POLICY_EMPTY AK_POLICY_MISMATCH AK_POLICY_PCRS ENVELOPE_SHAPE",
    needs=("quote",),
    core=True,
    kinds=_TPM,
)
def ak_policy(case: Case) -> str:
    """The attestation key can be used only while the PCRs have the values that are quoted."""
    assert case.tpm.ak
    pcrs = read_policy_pcrs(map_at(envelope_of(case).recipient, "binding"))
    quote.check_policy(case.tpm.ak, pcrs, case.tpm.evidence.quote.values)
    return "bound to the quoted PCRs"


@check(
    54,
    "runtime-log",
    "PCR15_REPLAY PCR15_SUBJECT PCR15_EXTRA_EVENT PCR15_LOG_TIP",
    needs=("quote", "body-id"),
    core=True,
    kinds=_TPM,
)
def runtime_log(case: Case) -> str:
    """PCR 15 holds the id of the body and the hash of the event log, and nothing else. So the boot
    that the TPM vouches for is that of this node with this configuration."""
    evidence = case.tpm.evidence
    if evidence.extended_pcr != runtime.PCR:
        what = f"the node says that it extended PCR {evidence.extended_pcr}, not {runtime.PCR}"
        raise EvidenceError("PCR15_SUBJECT", what)
    quoted = evidence.quote.values[runtime.PCR]
    runtime.check_runtime(evidence.runtime, quoted, envelope_of(case).body_id, evidence.log)
    return "holds the id of the body" + (" and the event log" if evidence.log else "")


@check(
    55,
    "event-log",
    "EVENT_LOG_MALFORMED EVENT_LOG_REPLAY EVENT_LOG_MISSING",
    needs=("quote", "runtime-log"),
    core=True,
    kinds=_TPM,
)
def event_log(case: Case) -> str:
    """The log of what firmware and loaders measured leads to every quoted PCR that it can have
    events of. What an event says counts only where it was what was measured."""
    evidence = case.tpm.evidence
    if evidence.log is None:
        what = "the evidence has no event log, so what the quoted values stand for is unknown"
        raise InconclusiveError("EVENT_LOG_MISSING", what)
    log = eventlog.read_event_log(evidence.log)
    pcrs = eventlog.check_replay(log, evidence.quote.values)
    case.tpm.log = log
    return f"{len(log.events)} events lead to PCR {' '.join(map(str, pcrs))}"


@check(
    56,
    "secure-boot",
    "SECURE_BOOT_OFF SECURE_BOOT_UNKNOWN DB_SIGNER_UNTRUSTED EVENT_DATA_DIGEST",
    needs=("event-log",),
    kinds=_TPM,
)
def secure_boot(case: Case) -> str:
    """Secure Boot as the firmware measured it in PCR 7: whether it is on, and whose programs it
    starts. Asked for with secure_boot or db_signers in the policy."""
    assert case.tpm.log
    asked = case.policy.secure_boot or bool(case.policy.db_signers)
    try:
        found = secureboot.read_secure_boot(case.tpm.log)
    except InconclusiveError as unknown:
        if asked:
            raise
        raise SkippedCheckError(f"the policy asks for nothing; {unknown.what}") from None
    signers = {one.identity for one in found.lists["db"]}
    if asked and not found.enabled:
        raise EvidenceError("SECURE_BOOT_OFF", "Secure Boot is off")
    if case.policy.db_signers and (strange := sorted(signers - {*case.policy.db_signers})):
        what = f"the firmware also starts what others signed: {', '.join(strange[:3])}"
        raise EvidenceError("DB_SIGNER_UNTRUSTED", what)
    if case.policy.db_signers and not signers:
        what = "db is empty, so no signer can have admitted what was started"
        raise InconclusiveError("SECURE_BOOT_UNKNOWN", what)
    case.tpm.secure_boot = found
    warned = "".join(f"; {one}" for one in found.actions)
    count = "1 signer" if len(signers) == 1 else f"{len(signers)} signers"
    return f"{'on' if found.enabled else 'off'}, {count}{warned}"


@check(
    57,
    "trusted-software",
    "SOFTWARE_UNTRUSTED SOFTWARE_UNKNOWN EVENT_DATA_DIGEST",
    needs=(*_BOUND, "event-log", "secure-boot"),
    kinds=_TPM,
)
def trusted_software(case: Case) -> str:
    """What was booted is what the policy trusts: the hashes of all programs that the firmware
    started (PCR 4), or, where Secure Boot admits only signers of the policy, the sections of the
    image (PCR 11). What the guest says of itself counts for nothing."""
    programs, unknown = _booted(case)
    sections = case.tpm.evidence.quote.values[SECTIONS]
    case.tpm.programs = programs
    named = [image for image in case.policy.trusted if image.efi or image.pcr11]
    # If a boot has two names, the one with review marks counts.
    for image in sorted(named, key=lambda one: not one.fixed_cmdline):
        if image.matches_boot(programs, sections, guarded=_is_guarded(case)):
            case.image = image
            return _started(case, image)
    if unknown:
        raise InconclusiveError("SOFTWARE_UNKNOWN", unknown)
    booted = ", ".join(one.hex() for one in programs)
    if named:
        names = ", ".join(image.name for image in named)
        what = f"{booted} is none of the software that you trust: {names}"
        raise EvidenceError("SOFTWARE_UNTRUSTED", what)
    what = f"unknown software: {booted}"
    raise InconclusiveError("SOFTWARE_UNKNOWN", what, IF_KNOWN)


def _started(case: Case, image: Image) -> str:
    """The name of trusted software, if it was started as its maker meant it."""
    if image.fixed_cmdline or _is_enforced(case):
        return image.name
    what = f"{image.name}, but Secure Boot is off or unknown: it may have another command line"
    hint = "if a review found that it takes none: fixed_cmdline = true in the policy"
    raise InconclusiveError("SOFTWARE_UNKNOWN", what, hint)


def _booted(case: Case) -> tuple[tuple[bytes, ...], str]:
    """The programs that the firmware started, and "" or why they are unknown."""
    assert case.tpm.log
    if PROGRAMS not in case.tpm.evidence.quote.values:
        return (), "what was booted is unknown: the quote leaves out PCR 4"
    try:
        programs = secureboot.read_programs(case.tpm.log)
    except InconclusiveError as unknown:
        return (), unknown.what
    return programs, "" if programs else "what was booted is unknown: the log has no program"


def _is_guarded(case: Case) -> bool:
    """Whether only what signers of the policy signed could be started. The check `secure-boot` has
    compared them."""
    return bool(case.policy.db_signers) and _is_enforced(case)


def _is_enforced(case: Case) -> bool:
    """Whether Secure Boot is on, and no debugger of the firmware, which can start anything."""
    found = case.tpm.secure_boot
    return bool(found and found.enabled and secureboot.DEBUG_MODE not in found.actions)


@check(
    58,
    "pair",
    "PAIR_DEVICE PAIR_SIGNER PAIR_BODY PAIR_RECIPIENT PAIR_BOOT_SESSION",
    needs=("body-id", "quote"),
    kinds=_TPM,
)
def pair(case: Case) -> str:
    """The envelope that the node made when it started and the fresh one are of the same boot, node,
    configuration and keys. PCR 10 (IMA) may have changed since."""
    boot = check_pair(case)
    try:
        evidence = read_tpm_evidence(boot.evidence)
        before = _check_quote(evidence, case)
    except EvidenceError as error:
        what = f"the envelope of the start: {error.what}"
        raise EvidenceError("PAIR_BOOT_SESSION", what) from None
    now = case.tpm.quote
    assert now
    if (evidence.ek, evidence.ak) != (case.tpm.evidence.ek, case.tpm.evidence.ak):
        raise EvidenceError("PAIR_BOOT_SESSION", "at its start the node had other keys in its TPM")
    if _session(before) != _session(now) or before.clock > now.clock:
        raise EvidenceError("PAIR_BOOT_SESSION", "the TPM was reset since the node started")
    if _without_ima(evidence) != _without_ima(case.tpm.evidence):
        raise EvidenceError("PAIR_BOOT_SESSION", "the PCRs have changed since the node started")
    return "of the same boot"


def _session(one: Quote) -> tuple[int, int, int]:
    return one.reset_count, one.restart_count, one.firmware_version


def _without_ima(evidence: TpmEvidence) -> dict[int, bytes]:
    return {pcr: value for pcr, value in evidence.quote.values.items() if pcr != IMA}


@check(
    59,
    "activation",
    "ACTIVATION_PROOF ACTIVATION_SIGNER ACTIVATION_SHAPE AK_UNBOUND",
    needs=("ek-public", "ak", "signer"),
    core=True,
    kinds=_TPM,
)
def activation(case: Case) -> str:
    """The TPM of the certified key has opened a secret of this verifier for the attestation key. So
    both keys are in the same TPM. Without this, anybody could sign quotes with a key of his own. A
    kept exchange does not show it: who keeps it knows the secret."""
    assert case.tpm.ak
    exchange = exchange_of(case)
    sent, hint = exchange.activation, "only the node itself shows it now: attest its URL"
    if sent is None or sent.answer is None:
        why = sent.unanswered if sent else "no secret was sent"
        what = f"nothing ties the attestation key to the certified TPM: {why}"
        raise InconclusiveError("AK_UNBOUND", what, hint)
    signed = check_tpm_proof(sent.answer, sent.credential, sent.secret, case.tpm.ak.name)
    check_opener(envelope_of(case), signed)
    if not exchange.asked_now:
        what = "who kept this exchange knew the secret, so its answer proves nothing to others"
        raise InconclusiveError("AK_UNBOUND", what, hint)
    return "the certified TPM opened a secret for this key"
