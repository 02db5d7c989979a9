"""Checks of the report itself: its form, its bytes, and the signature over them."""

from __future__ import annotations

from aoshell.attest import tables
from aoshell.attest.checks.frame import Case, check
from aoshell.attest.errors import EvidenceError, SkippedCheckError
from aoshell.attest.kinds import Kind
from aoshell.attest.report import (
    ALWAYS_ONE,
    GUEST_BITS,
    NO_KEY,
    SIZE,
    VCEK,
    VERSIONS,
    VLEK,
    unknown_bits,
)
from aoshell.attest.unverified import read_raw_report
from aoshell.attest.x509.amd_profile import VCEK_NAME, VLEK_NAME
from aoshell.attest.x509.certificates import ec_key

_ORDER = int(  # of the group of P-384
    "ffffffffffffffffffffffffffffffffffffffffffffffff"
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)
_ECDSA_P384_SHA384 = 1
_KINDS = {VCEK: VCEK_NAME, VLEK: VLEK_NAME}


@check(
    39,
    "report-json",
    "JSON_SYNTAX JSON_DUPLICATE_KEY JSON_MISSING_KEY JSON_UNKNOWN_KEY JSON_TYPE JSON_RANGE "
    "JSON_LENGTH JSON_LIMIT REPORT_FORM HTTPSIG_INVALID CONTENT_DIGEST",
    needs=(),
    kinds=(Kind.REPORT, Kind.GENERATE),
)
def report_json(case: Case) -> str:
    """A report in JSON must have one of the two known forms: each number and byte is there, once,
    in range. It is turned into the report's bytes, and only these are checked from then on, so that
    no text can mean one thing here and another elsewhere. A file that is something else than a
    report is refused, and the error says what it is."""
    case.raw = read_raw_report(case.evidence)
    if case.evidence.raw is not None:
        raise SkippedCheckError(f"the report is not JSON but bytes {case.evidence.form}".rstrip())
    return f"a report of {SIZE} bytes in JSON"


@check(41, "certificate-table", "CERT_TABLE", needs=(), kinds=(Kind.REPORT, Kind.GENERATE))
def certificate_table(case: Case) -> str:
    """A host can give certificates with a report (AMD 56421 section 4.1.8.1). They are read only
    from a complete table, and each is checked like any other."""
    if not case.evidence.table:
        raise SkippedCheckError("the report has no certificate table")
    found = tables.parse_table(case.evidence.table)
    return f"holds {', '.join(sorted(found)) or 'nothing known'}"


@check(1, "report-size", "REPORT_SIZE", needs=("report-json", "links"), core=True)
def report_size(case: Case) -> str:
    """A report is exactly 1184 bytes, of which the first 672 are signed."""
    form = case.evidence.form
    if len(case.raw) != SIZE and form:
        what = f"a report has {SIZE} bytes, this has {len(case.raw)} {form}"
        raise EvidenceError("REPORT_SIZE", what)
    return f"{len(case.report.raw)} bytes {form}".rstrip()


@check(2, "report-version", "REPORT_VERSION", needs=("report-size",), core=True)
def report_version(case: Case) -> str:
    """The version says where which field is. An unknown one could mean anything."""
    version = case.report.version
    if version not in VERSIONS:
        known = f"{VERSIONS[0]} to {VERSIONS[-1]} are known"
        raise EvidenceError("REPORT_VERSION", f"the report has version {version}; {known}")
    return f"version {version}"


@check(3, "reserved-bytes", "RESERVED_NONZERO", core=True)
def reserved_bytes(case: Case) -> str:
    """Bytes without a meaning must be zero, also those after the signature, which are not signed.
    Otherwise one report could have many forms, or say something that is not understood."""
    if found := case.report.reserved():
        what = f"{len(found)} reserved bytes are not zero, the first at {found[0]:#05x}"
        raise EvidenceError("RESERVED_NONZERO", what)
    return "all zero"


@check(4, "signature-algorithm", "SIGNATURE_ALGO", core=True)
def signature_algorithm(case: Case) -> str:
    """Reports are signed with ECDSA on P-384 and SHA-384. AMD has defined no other algorithm."""
    number = case.report.signature_algorithm
    if number != _ECDSA_P384_SHA384:
        raise EvidenceError(
            "SIGNATURE_ALGO", f"signature algorithm {number} is unknown; 1 is expected"
        )
    return "ECDSA P-384 with SHA-384"


@check(5, "policy-form", "POLICY_MALFORMED", core=True)
def policy_form(case: Case) -> str:
    """The guest policy (AMD 56860 section 4.3) has one bit that is always set, and none that is
    unknown: an unknown bit could permit the host anything."""
    policy = case.report.policy
    if not policy >> ALWAYS_ONE & 1:
        raise EvidenceError("POLICY_MALFORMED", f"bit {ALWAYS_ONE} of the guest policy is not set")
    unknown = unknown_bits(policy >> 16 << 16, {**GUEST_BITS, "": ALWAYS_ONE})
    if unknown:
        what = f"bits {', '.join(map(str, unknown))} of the guest policy are unknown"
        raise EvidenceError("POLICY_MALFORMED", what)
    return hex(policy)


@check(6, "signing-key", "SIGNER_KIND SIGNER_VLEK_NOT_ALLOWED REPORT_UNSIGNED", core=True)
def signing_key(case: Case) -> str:
    """A report is signed by the chip's own key (VCEK), or by one that a cloud provider has loaded
    (VLEK). A VLEK does not say which chip it is, and is refused unless the policy permits it. The
    certificate must be of the kind that the report names."""
    report = case.report
    if report.signing_key == NO_KEY:
        raise EvidenceError("REPORT_UNSIGNED", "the host told the firmware to sign no reports")
    kind = _KINDS.get(report.signing_key)
    if kind is None or report.key_info >> 5:  # bits 5 to 31 are reserved
        what = f"the report's key info {report.key_info:#x} names no known kind of key"
        raise EvidenceError("SIGNER_KIND", what)
    if case.is_vlek and not case.policy.vlek:
        what = "a key that a cloud provider has loaded (VLEK) signed the report"
        raise EvidenceError("SIGNER_VLEK_NOT_ALLOWED", what, "vlek = true in the policy permits it")
    try:
        name = case.vek.common_name
    except EvidenceError:
        return (
            kind  # `product`, the next check to need it, reports that it is missing or unreadable
        )
    if name in _KINDS.values() and name != kind:
        raise EvidenceError("SIGNER_KIND", f"the report names {kind}, the certificate is a {name}")
    return kind


@check(19, "signature-encoding", "SIGNATURE_ENCODING", core=True)
def signature_encoding(case: Case) -> str:
    """Both numbers of the signature, R and S, must be above zero and below the order of the
    curve."""
    # FIPS 186-5 section 6.4.2. The fields have 576 bits, so R + n would be another form of R.
    for name, number in zip("RS", case.report.signature, strict=True):
        if not 0 < number < _ORDER:
            raise EvidenceError("SIGNATURE_ENCODING", f"{name} is out of range")
    return "R and S are in range"


@check(
    20,
    "report-signature",
    "REPORT_SIGNATURE",
    needs=("signature-algorithm", "leaf-key", "signature-encoding"),
    core=True,
)
def report_signature(case: Case) -> str:
    """The key in the certificate has signed the first 672 bytes of the report, as they came.
    Without this, no field of the report means anything."""
    if not case.report.is_signed_by(ec_key(case.vek)):
        what = "the report was changed, or the key of this certificate did not sign it"
        raise EvidenceError("REPORT_SIGNATURE", what)
    return f"signed by the key of {case.vek.common_name}"
