"""Checks of the certificates from AMD's pinned root down to the key that signed the report."""

from __future__ import annotations

import re

from aoshell.attest.checks.frame import Case, check
from aoshell.attest.errors import (
    EvidenceError,
    InconclusiveError,
    SkippedCheckError,
    UnusableFileError,
)
from aoshell.attest.products import TURIN, Product
from aoshell.attest.report import Report
from aoshell.attest.urls import crl_hint
from aoshell.attest.x509 import amd_profile
from aoshell.attest.x509.certificates import Certificate, check_signature, common_name, ec_key
from aoshell.attest.x509.crl import Crl

_LEAF = ("leaf-signature",)


@check(7, "product", "PRODUCT_MISMATCH UNSUPPORTED_PRODUCT VCEK_UNAVAILABLE CERT_PARSE", core=True)
def product(case: Case) -> str:
    """Milan, Genoa or Turin: each has its own root and its own meaning of TCB bytes. The report's
    CPUID, the certificate's issuer and the product in the certificate must agree. Reports of
    version 2 have no CPUID; then the certificate's issuer names the product."""
    # Runs before `root`, since the product decides which root is the right one.
    report = case.report
    if report.version > 2:
        if report.product is None:
            what = "the processor is unknown: family {:#x}, model {:#x}".format(*report.cpuid)
            raise EvidenceError("UNSUPPORTED_PRODUCT", what)
        case.product = report.product
    vek = case.vek
    named = _named_product(vek, report)
    if case.product not in (None, named):
        what = f"the report is from {report.product and report.product.name}, the certificate for"
        raise EvidenceError("PRODUCT_MISMATCH", f"{what} {named.name}")
    own = amd_profile.product_name(vek)
    if own and not re.fullmatch(rf"{named.name}(-[A-Z][0-9])?", own):
        what = f"the certificate is for {own!r}, but its issuer for {named.name}"
        raise EvidenceError("PRODUCT_MISMATCH", what)
    case.product = named
    return named.name


def _named_product(vek: Certificate, report: Report) -> Product:
    issuer = common_name(vek.issuer)
    named = amd_profile.product_of(issuer)
    if report.version == 2 and (named is TURIN or report.has_short_chip):
        # TCB_VERSION has another layout from Turin on (AMD 56860 section 2.2); only the CPUID,
        # which version 2 lacks, says which one.
        what = "the report is of version 2 and from Turin: the meaning of its TCB is unknown"
        raise EvidenceError("UNSUPPORTED_PRODUCT", what)
    if named is None:
        what = f"the certificate's issuer {issuer!r} belongs to no known product"
        raise EvidenceError("PRODUCT_MISMATCH", what)
    return named


@check(8, "root", "ROOT_NOT_PINNED CERT_PARSE CHAIN_UNAVAILABLE", needs=("product",), core=True)
def root(case: Case) -> str:
    """The chain must end at AMD's one root certificate (ARK) for this product. Its fingerprint is
    part of this program, so neither a web server nor the evidence can replace it."""
    assert case.product
    fingerprint = case.ark.fingerprint
    if fingerprint != case.roots.get(case.product.name):
        what = f"the root is not AMD's for {case.product.name}: its SHA-256 is {fingerprint}"
        raise EvidenceError("ROOT_NOT_PINNED", what)
    return f"ARK-{case.product.name}, {fingerprint[:16]}…"


@check(
    9,
    "root-signature",
    "CHAIN_ROOT_SIGNATURE CERT_ALGORITHM CERT_PARSE",
    needs=("root",),
    core=True,
)
def root_signature(case: Case) -> str:
    """The root has signed itself."""
    check_signature(case.ark.signed, case.ark.algorithm, case.ark, "CHAIN_ROOT_SIGNATURE")
    return "RSA-PSS, SHA-384"


@check(
    10,
    "intermediate-signature",
    "CHAIN_INTERMEDIATE_SIGNATURE CERT_ALGORITHM CERT_PARSE CHAIN_UNAVAILABLE",
    needs=("root-signature",),
    core=True,
)
def intermediate_signature(case: Case) -> str:
    """The root has signed the certificate below it (ASK, or ASVK for providers' keys)."""
    ask = case.ask
    check_signature(ask.signed, ask.algorithm, case.ark, "CHAIN_INTERMEDIATE_SIGNATURE")
    return "RSA-PSS, SHA-384"


@check(
    11,
    "leaf-signature",
    "CHAIN_LEAF_SIGNATURE CERT_ALGORITHM CERT_PARSE",
    needs=("intermediate-signature",),
    core=True,
)
def leaf_signature(case: Case) -> str:
    """The intermediate has signed the certificate of the key that signs reports (VCEK or VLEK)."""
    check_signature(case.vek.signed, case.vek.algorithm, case.ask, "CHAIN_LEAF_SIGNATURE")
    return "RSA-PSS, SHA-384"


@check(12, "certificate-profile", "CERT_PROFILE CERT_EXTENSION CERT_PARSE", needs=_LEAF, core=True)
def certificate_profile(case: Case) -> str:
    """Each certificate has the names and the uses of AMD's certificate in its place: only root and
    intermediate may sign certificates, and the intermediate only certificates that sign none."""
    # RFC 5280 sections 4.2.1.3 and 4.2.1.9. Without this, a chip's key could issue certificates.
    assert case.product
    top, middle = (
        amd_profile.root_of(case.product),
        amd_profile.issuer_of(case.product, case.is_vlek),
    )
    leaf = amd_profile.VLEK_NAME if case.is_vlek else amd_profile.VCEK_NAME
    amd_profile.check_authority(case.ark, top, top, last=False)
    amd_profile.check_authority(case.ask, middle, top, last=True)
    amd_profile.check_leaf(case.vek, leaf, middle)
    return f"{top}, {middle}, {leaf}"


@check(13, "leaf-key", "CERT_KEY_TYPE CERT_PARSE", needs=_LEAF, core=True)
def leaf_key(case: Case) -> str:
    """The key that signs reports is an elliptic-curve key on P-384."""
    ec_key(case.vek)
    return "P-384"


@check(14, "validity", "CERT_NOT_YET_VALID CERT_EXPIRED", needs=_LEAF, core=True)
def validity(case: Case) -> str:
    """All three certificates are valid at the time of evaluation. If one that came with the
    evidence is not, that is FAIL. If one of the verifier's own is not, that is INCONCLUSIVE: a
    newer one may exist."""
    # Both ends are included (RFC 5280 section 4.1.2.5). FAIL goes before INCONCLUSIVE.
    faults = [fault for one in (case.ark, case.ask, case.vek) if (fault := _out_of_date(case, one))]
    for fault in sorted(faults, key=lambda fault: isinstance(fault, InconclusiveError)):
        raise fault
    return f"all valid on {_day(case.at)}"


def _out_of_date(case: Case, one: Certificate) -> EvidenceError | None:
    if one.not_before <= case.at <= one.not_after:
        return None
    error, what = "CERT_EXPIRED", f"{one.common_name} expired on {_day(one.not_after)}"
    if case.at < one.not_before:
        error = "CERT_NOT_YET_VALID"
        what = f"{one.common_name} is not valid before {_day(one.not_before)}"
    if case.is_theirs(one):
        return EvidenceError(error, what)
    return InconclusiveError(
        error, what, "give a certificate that is valid then, or another time with --at"
    )


def _day(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


@check(
    15,
    "revocation",
    "CRL_SIGNATURE CRL_EXPIRED CRL_UNAVAILABLE CERT_REVOKED",
    needs=("certificate-profile",),
)
def revocation(case: Case) -> str:
    """AMD's list of revoked certificates (CRL) is signed by the root, is current, and names none of
    the three. It cannot revoke single chips: all their certificates have the serial number 0.
    Without a current list the result is INCONCLUSIVE."""
    if not case.policy.revocation:
        raise SkippedCheckError("left out by revocation = false in the policy")
    crl = _crl(case)
    # Before the dates: what an outdated list revokes stays revoked, whoever gave the list.
    for one in (case.ark, case.ask, case.vek):
        if one.serial in crl.serials:
            what = f"AMD has revoked {one.common_name}, serial number {one.serial}"
            if one is case.vek:
                what += ", which all chips' certificates have: this CRL is wrong"
            raise EvidenceError("CERT_REVOKED", what)
    _check_dates(crl, case)
    return f"none of the three is revoked, as of {_day(crl.this_update)}"


def _crl(case: Case) -> Crl:
    """The newest list that the root has signed, of the verifier's or else of the evidence's."""
    assert case.product
    pool = case.ours if case.ours.crls else case.theirs
    if not pool.crls:
        case.refuse_unreadable("crl", "CRL_SIGNATURE")
        what = "AMD's list of revoked certificates (CRL) is missing"
        raise InconclusiveError("CRL_UNAVAILABLE", what, crl_hint(case.product, case.is_vlek))
    named = [one for one in pool.crls if one.issuer == case.ark.subject]
    if not named:
        what = f"the CRL is of {common_name(pool.crls[0].issuer)!r}, not of {case.ark.common_name}"
        if pool.ours:
            raise UnusableFileError(
                "CRL_UNAVAILABLE", what, "crl", crl_hint(case.product, case.is_vlek)
            )
        raise EvidenceError("CRL_SIGNATURE", what)
    faults = {one: fault for one in named if (fault := _fault(one, case.ark))}
    signed = [one for one in named if one not in faults]
    if not signed:
        raise faults[named[0]]
    # A list from the future is the last choice: an older one may be current.
    return max(signed, key=lambda one: (one.this_update <= case.at, one.this_update))


def _fault(crl: Crl, ark: Certificate) -> EvidenceError | None:
    """Why a list does not count as the root's; None if it does."""
    if not amd_profile.may_sign_crls(ark):
        return EvidenceError("CRL_SIGNATURE", f"the key of {ark.common_name} may not sign CRLs")
    if unknown := [one.oid for one in crl.extensions if one.critical]:
        # RFC 5280 section 5.2: such a list may mean something else, as a delta CRL does.
        what = f"the CRL has the critical extension {unknown[0]}, which is unknown"
        return EvidenceError("CRL_SIGNATURE", what)
    try:
        check_signature(crl.signed, crl.algorithm, ark, "CRL_SIGNATURE")
    except EvidenceError as error:
        return EvidenceError("CRL_SIGNATURE", error.what)
    return None


def _check_dates(crl: Crl, case: Case) -> None:
    """Checks that a list is current (RFC 5280 sections 5.1.2.4 and 5.1.2.5). INCONCLUSIVE, whoever
    gave it: an old list says nothing against the evidence."""
    assert case.product
    hint = crl_hint(case.product, case.is_vlek)
    if case.at < crl.this_update:
        raise InconclusiveError(
            "CRL_EXPIRED", f"the CRL is not valid before {_day(crl.this_update)}", hint
        )
    if crl.next_update is None or case.at > crl.next_update:
        until = "names no end" if crl.next_update is None else f"ended on {_day(crl.next_update)}"
        raise InconclusiveError("CRL_EXPIRED", f"the CRL is outdated: its validity {until}", hint)


@check(16, "certificate-extensions", "CERT_EXTENSION", needs=_LEAF, core=True)
def certificate_extensions(case: Case) -> str:
    """The extensions that say which chip and which firmware a key belongs to (AMD 57230, chapter 3)
    are all there, each once and well formed."""
    assert case.product
    vek = amd_profile.read_vek(case.vek, case.product, case.is_vlek)
    return f"{vek.product}{', ' if vek.provider else ''}{vek.provider}"


@check(17, "certificate-tcb", "TCB_CERT_MISMATCH", needs=("certificate-extensions",), core=True)
def certificate_tcb(case: Case) -> str:
    """A chip has a key of its own for each TCB, derived from it. The reported TCB must be that of
    the certificate in every component: this proves the version of the firmware."""
    assert case.product
    reported = case.report.tcb["reported"].parts
    certified = amd_profile.read_vek(case.vek, case.product, case.is_vlek).tcb
    wrong = [
        f"{name} is {reported.get(name)} in the report and {value} in the certificate"
        for name, value in certified.items()
        if reported.get(name) != value
    ]
    if wrong:
        what = f"the certificate is for another TCB: {'; '.join(wrong)}"
        raise EvidenceError("TCB_CERT_MISMATCH", what)
    return str(case.report.tcb["reported"])


@check(18, "chip-id", "HWID_MISMATCH CHIP_ID_MASKED", needs=("certificate-extensions",))
def chip_id(case: Case) -> str:
    """The chip in the report is the one in the certificate. A provider's key (VLEK) has no chip. A
    host can hide its chip (AMD 56860, MASK_CHIP_ID), which the policy must permit."""
    assert case.product
    named = case.report.chip_id
    chip = amd_profile.read_vek(case.vek, case.product, case.is_vlek).chip
    if chip is None:
        raise SkippedCheckError("a provider's key (VLEK) belongs to no single chip")
    if not any(named):
        if case.policy.masked_chip:
            raise SkippedCheckError("the host hides its chip, which the policy permits")
        what = "the host hides its chip, so the certificate cannot be compared with it"
        raise EvidenceError("CHIP_ID_MASKED", what, "masked_chip = true in the policy permits it")
    if named != chip.ljust(64, b"\0"):
        what = (
            f"the report is from chip {named.hex()[:16]}…, the certificate for {chip.hex()[:16]}…"
        )
        raise EvidenceError("HWID_MISMATCH", what)
    return f"{chip.hex()[:16]}…"
