"""Checks of the report itself: its form, its bytes, and the signature over them."""

from __future__ import annotations

from aoshell.attest import tables
from aoshell.attest.answer import read_raw_report
from aoshell.attest.checks.frame import Case, check
from aoshell.attest.errors import EvidenceError, SkippedCheckError
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
)
def report_json(case: Case) -> str:
    """A report that comes as JSON must be one of the two known forms, each number and byte there,
    once and in range. It is made bytes again, and nothing but these bytes is looked at afterwards:
    so a text cannot mean one thing here and another thing to someone else. A file that is plainly
    something else than a report is refused by the name of what it is."""
    case.raw = read_raw_report(case.evidence)
    if case.evidence.raw is not None:
        raise SkippedCheckError(f"the report came as bytes {case.evidence.form}".rstrip())
    return f"a report of {SIZE} bytes in JSON"


@check(41, "certificate-table", "CERT_TABLE", needs=())
def certificate_table(case: Case) -> str:
    """A host can hand out certificates along with a report. They are taken only from a table that
    is whole, and they prove nothing by lying there: each is checked like any other."""
    if not case.evidence.table:
        raise SkippedCheckError("none came along")
    found = tables.parse_table(case.evidence.table)
    return f"holds {', '.join(sorted(found)) or 'nothing that is known here'}"


@check(1, "report-size", "REPORT_SIZE", needs=("report-json",), core=True)
def report_size(case: Case) -> str:
    """A report is exactly 1184 bytes, of which the first 672 are signed."""
    form = case.evidence.form
    if len(case.raw) != SIZE and form:
        what = f"a report has {SIZE} bytes, this has {len(case.raw)} {form}"
        raise EvidenceError("REPORT_SIZE", what)
    return f"{len(case.report.raw)} bytes {form}".rstrip()


@check(2, "report-version", "REPORT_VERSION", needs=("report-size",), core=True)
def report_version(case: Case) -> str:
    """The version says where which field is. Unknown ones are not guessed at."""
    version = case.report.version
    if version not in VERSIONS:
        known = f"{VERSIONS[0]} to {VERSIONS[-1]} are known here"
        raise EvidenceError("REPORT_VERSION", f"a report of version {version}; {known}")
    return f"version {version}"


@check(3, "reserved-bytes", "RESERVED_NONZERO", core=True)
def reserved_bytes(case: Case) -> str:
    """Bytes without a meaning must be zero, those behind the signature, too, which nothing else
    protects: otherwise one report could have many forms, or say what is not understood here."""
    if found := case.report.reserved():
        what = f"{len(found)} reserved bytes are not zero, the first at {found[0]:#05x}"
        raise EvidenceError("RESERVED_NONZERO", what)
    return "all zero"


@check(4, "signature-algorithm", "SIGNATURE_ALGO", core=True)
def signature_algorithm(case: Case) -> str:
    """Reports are signed with ECDSA on P-384 over SHA-384; AMD has defined no other way."""
    number = case.report.signature_algorithm
    if number != _ECDSA_P384_SHA384:
        raise EvidenceError("SIGNATURE_ALGO", f"signature algorithm {number} is not known")
    return "ECDSA P-384 with SHA-384"


@check(5, "policy-form", "POLICY_MALFORMED", core=True)
def policy_form(case: Case) -> str:
    """The guest policy, which the firmware enforces, has one bit that is always set, and none that
    is unknown here: an unknown bit could permit the host anything."""
    policy = case.report.policy
    if not policy >> ALWAYS_ONE & 1:
        raise EvidenceError("POLICY_MALFORMED", f"bit {ALWAYS_ONE} of the guest policy is not set")
    unknown = unknown_bits(policy >> 16 << 16, {**GUEST_BITS, "": ALWAYS_ONE})
    if unknown:
        what = f"bits {', '.join(map(str, unknown))} of the guest policy are not known here"
        raise EvidenceError("POLICY_MALFORMED", what)
    return hex(policy)


@check(6, "signing-key", "SIGNER_KIND SIGNER_VLEK_NOT_ALLOWED REPORT_UNSIGNED", core=True)
def signing_key(case: Case) -> str:
    """A report is signed by the chip's own key (VCEK) or by one that a cloud provider has loaded
    (VLEK). The latter says nothing of which chip it is and is refused unless the policy permits it;
    a certificate must be of the kind that the report names."""
    report = case.report
    if report.signing_key == NO_KEY:
        raise EvidenceError("REPORT_UNSIGNED", "the firmware was told to sign no reports")
    kind = _KINDS.get(report.signing_key)
    if kind is None or report.key_info >> 5:
        raise EvidenceError("SIGNER_KIND", f"key info {report.key_info:#x} is not known here")
    if case.is_vlek and not case.policy.vlek:
        what = "signed by a key that a cloud provider has loaded (VLEK)"
        raise EvidenceError("SIGNER_VLEK_NOT_ALLOWED", what, "vlek = true in the policy permits it")
    try:
        name = case.vek.common_name
    except EvidenceError:
        return kind  # that it is missing, or cannot be read, the check of the product says
    if name in _KINDS.values() and name != kind:
        raise EvidenceError("SIGNER_KIND", f"the report names {kind}, the certificate {name}")
    return kind


@check(19, "signature-encoding", "SIGNATURE_ENCODING", core=True)
def signature_encoding(case: Case) -> str:
    """Both numbers of the signature must be in their range, in the form that firmware writes."""
    for name, number in zip("RS", case.report.signature, strict=True):
        if not 0 < number < _ORDER:
            raise EvidenceError("SIGNATURE_ENCODING", f"{name} is zero, or not below the order")
    return "R and S are in range"


@check(
    20,
    "report-signature",
    "REPORT_SIGNATURE",
    needs=("signature-algorithm", "leaf-key", "signature-encoding"),
    core=True,
)
def report_signature(case: Case) -> str:
    """The key in the chip's certificate has signed the first 672 bytes of the report, as they came.
    This is what makes the rest of the report worth reading."""
    if not case.report.is_signed_by(ec_key(case.vek)):
        what = "the key of this certificate did not sign this report"
        raise EvidenceError("REPORT_SIGNATURE", what)
    return f"signed by the key of {case.vek.common_name}"
