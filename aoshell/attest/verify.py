"""Runs all checks on evidence, in their order, and derives the verdict.

    verdict = verify_evidence(load_evidence(data), Collateral(vek, chain, crl), Policy(), at)
    verdict.verdict        "PASS", "FAIL" or "INCONCLUSIVE"

PASS means that every check that applies passed. INCONCLUSIVE means that something is missing. This
module uses no clock, no network and no files, and raises nothing for any evidence.

PASS takes all checks, whatever the order. The order decides which error is reported when several
checks fail, so the deepest cause comes first; `needs` keeps a check from relying on one that
failed.

1. What is around the report (42, 39, 37, 43, 38, 44, 45, 41), then its form (1-6): the version says
   where which field is (AMD 56860, table ATTESTATION_REPORT).
2. The product (7), which says which root counts, then the certificates from that root down (8-18),
   each after the signature of its issuer (RFC 5280 section 6.1).
3. The signature of the report (19, 20). With a bad one no field means anything, so it comes before
   all checks of fields.
4. The policy (21-30, 35, 36) and the binding to the node and its software (31-34, 46).
5. The challenge (40): it only shows something about the key that the report vouches for (31).
6. Of a TPM, its keys (47-51), what it signed (52-54), and what it booted (55-57).
7. The envelope of the start, and the secret (58, 59).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

from aoshell.attest.checks import chain, node, policy, report
from aoshell.attest.checks.custody import Custody, CustodyState, judge_custody
from aoshell.attest.checks.frame import Case, Check, CheckResult, Status, TpmCase
from aoshell.attest.errors import (
    EvidenceError,
    InconclusiveError,
    SkippedCheckError,
    UnusableFileError,
)
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.kinds import ENVELOPES, Kind
from aoshell.attest.policy import Image, Policy
from aoshell.attest.products import PINNED_ROOTS
from aoshell.attest.report import Report

if TYPE_CHECKING:
    from aoshell.attest.tpm.roots import EkRoot

_OF_REPORTS = (report, chain, policy, node)


@cache
def all_checks() -> tuple[Check, ...]:
    """In the order in which they run. The first one that fails names the error of the verdict."""
    from aoshell.attest.checks import envelope, tpm

    return _in_order(envelope, *_OF_REPORTS, tpm)


@cache
def checks_of(kind: Kind) -> tuple[Check, ...]:
    """The checks that evidence of this kind must pass, in the order in which they run."""
    return tuple(one for one in _in_order(*_modules_of(kind)) if kind in one.kinds)


def _modules_of(kind: Kind) -> Iterator[ModuleType]:
    """Those that have the checks of a kind. The others are much of what there is to load."""
    yield from _OF_REPORTS
    if kind in ENVELOPES:
        from aoshell.attest.checks import envelope

        yield envelope
    if kind is Kind.TPM:
        from aoshell.attest.checks import tpm

        yield tpm


def _in_order(*modules: ModuleType) -> tuple[Check, ...]:
    found = [one for module in modules for one in vars(module).values() if isinstance(one, Check)]
    # The frame of a report comes before its content: it decides which bytes are the report, and
    # which part of an answer later checks may read.
    first = (42, 39, 37, 43, 38, 44, 45, 41)
    order = {number: place - len(first) for place, number in enumerate(first)}
    return tuple(sorted(found, key=lambda one: order.get(one.number, one.number)))


# Evidence of a node must also pass these. Without them the report is genuine, but says nothing
# about the answering node or its software. SKIPPED does not count as passed, here and in `core`.
_NODE_CORE: Mapping[Kind, tuple[str, ...]] = {
    Kind.GENERATE: (
        "report-json",
        "outer-signature",
        "signer",
        "report-data",
        "node-message",
        "trusted-software",
    ),
    Kind.SNP: ("trusted-software",),
    Kind.TPM: ("trusted-software",),
    Kind.UNKNOWN: ("trusted-software",),  # for which it never runs: there is no PASS
}
# The checks that bind the configuration to the evidence; and those that must pass to show its age,
# by the value of `Verdict.freshness`.
_BINDS = {
    Kind.GENERATE: "node-message",
    Kind.SNP: "snp-report-data",
    Kind.TPM: "runtime-log",
}
_DATES = {
    Kind.GENERATE: (("challenge",), "challenge"),
    Kind.SNP: (("nonce", "report-signature", "snp-report-data"), "nonce"),
    Kind.TPM: (("nonce", "quote"), "nonce"),
}
CUSTODY, NOT_EXCLUSIVE = "key-custody", "KEY_NOT_EXCLUSIVE"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of all checks.

    Attributes:
        verdict: "PASS", "FAIL" or "INCONCLUSIVE".
        checks: in the order in which they ran.
        report: None if it could not be read. Unproven unless the verdict is PASS.
        product: name, "" if unknown.
        address: of the node's key, "" for a report alone. Attested only if the verdict is PASS.
        image: the user's name for the software, "" if it has none.
        custody: who else may have the node's key; None for a report alone.
        evidence_id: SHA-256 of the signed bytes of the report or of the quote, in hexadecimal, or
            "".
        kind: of the evidence.
        freshness: what shows how new the evidence is: "nonce", the evidence was made for a nonce of
            this verifier; "challenge", the key is in use now, and the age of the report is unknown;
            "kept", one of these, when the file was made, as its keeper says; "unknown".
        software: the software without a name; None if unknown.
        tpm: what was found of a TPM; None for other evidence.
        configuration_now: how the node's configuration now differs from the attested one, for
            people; "" if it does not, or if the node was not asked now.
    """

    verdict: str
    checks: tuple[CheckResult, ...]
    report: Report | None
    product: str
    address: str
    image: str
    custody: Custody | None
    evidence_id: str
    kind: Kind
    freshness: str
    software: Image | None
    tpm: TpmCase | None
    configuration_now: str

    @property
    def primary(self) -> CheckResult | None:
        """The check that decided: the first FAIL, else the first INCONCLUSIVE, else None."""
        for status in (Status.FAIL, Status.INCONCLUSIVE):
            for result in self.checks:
                if result.status is status:
                    return result
        return None

    @property
    def error(self) -> str:
        """The name of the error that decided, "" if there is none."""
        return self.primary.error if self.primary else ""

    @property
    def errors(self) -> tuple[str, ...]:
        """Names of all errors, in order."""
        return tuple(result.error for result in self.checks if result.error)

    def check(self, name: str) -> CheckResult:
        """The result of one check. Raises KeyError."""
        return {result.name: result for result in self.checks}[name]

    def as_json(self) -> dict[str, object]:
        """The object that `--json` prints (docs/json.md)."""
        report = self.report.as_json() | {"product": self.product or None} if self.report else {}
        members: dict[str, object] = {
            "verdict": self.verdict,
            "kind": self.kind.value,
            "freshness": self.freshness,
            "checks": [result.as_json() for result in self.checks],
            "report": report,
            "evidence_id": self.evidence_id,
        }
        if self.tpm:
            members["tpm"] = describe_tpm(self.tpm)
        if self.custody:
            members["address"] = self.address
            members["key_custody"] = self.custody.state.value
        if self.configuration_now:
            members["configuration_now"] = self.configuration_now
        return members


def verify_evidence(
    evidence: Evidence,
    collateral: Collateral,
    policy: Policy,
    at: int,
    *,
    report_data: bytes = b"",
    measurement: bytes = b"",
    test_roots: Mapping[str, str] | None = None,
    test_ek_roots: Mapping[str, EkRoot] | None = None,
) -> Verdict:
    """Runs all checks. Raises nothing.

    Args:
        collateral: the verifier's. What it lacks is taken from the evidence.
        at: the time of evaluation, seconds since the Unix epoch.
        report_data, measurement: what the report must hold (64 and 48 bytes); b"" for anything.
        test_roots: fingerprints of roots by product, instead of AMD's. test_ek_roots: roots of
            TPMs by fingerprint. For tests only: no flag and no file sets them.
    """
    case = Case(
        evidence,
        collateral,
        policy,
        at,
        PINNED_ROOTS if test_roots is None else test_roots,
        test_ek_roots,
        report_data,
        measurement,
    )
    results = _run_all(case)
    bound = _passed(results, _BINDS.get(case.kind, ""))
    overall = _overall(results, case.kind)
    kept = judge_custody(case, verified=bound and overall == "PASS")
    if policy.exclusive_key:
        results[CUSTODY] = _custody_result(kept, overall)
        overall = _overall(results, case.kind)
    return Verdict(
        overall,
        tuple(results.values()),
        case.report if _passed(results, "report-size") else None,
        case.product.name if case.product else "",
        case.signed.commitment.committer if case.signed else "",
        case.image.name if case.image else "",
        kept,
        _evidence_id(case, results),
        case.kind,
        _freshness(case, results),
        _software(case, results),
        case.tpm if _passed(results, "links") and case.kind is Kind.TPM else None,
        _changes(case) if bound else "",
    )


def _changes(case: Case) -> str:
    """How the configuration of a node now differs from the attested one."""
    from aoshell.attest.checks.configuration import describe_changes  # see `unverified`

    return describe_changes(case)


def _evidence_id(case: Case, results: Mapping[str, CheckResult]) -> str:
    if _passed(results, "report-size"):
        return case.report.id
    if _passed(results, "quote"):
        return hashlib.sha256(case.tpm.evidence.quote.quoted).hexdigest()
    return ""


def _software(case: Case, results: Mapping[str, CheckResult]) -> Image | None:
    """What runs there, without a name."""
    if _passed(results, "report-size"):
        return Image("", measurement=case.report.measurement)
    if not _passed(results, "event-log"):
        return None
    from aoshell.attest.checks.tpm import SECTIONS

    sections = case.tpm.evidence.quote.values[SECTIONS]
    if case.tpm.programs:
        return Image("", efi=case.tpm.programs, pcr11=sections)
    # PCR 11 alone is software only where Secure Boot admits the policy's signers and no others.
    return Image("", pcr11=sections) if _passed(results, "trusted-software") else None


def describe_tpm(tpm: TpmCase) -> dict[str, object]:
    """What was found of a TPM, for JSON (docs/json.md). Unproven unless the verdict is PASS."""
    certificate, quote, boot = tpm.certificate, tpm.quote, tpm.secure_boot
    return {
        "vendor": certificate.vendor if certificate else None,
        "model": certificate.model if certificate else None,
        "ek_certificate": certificate.certificate.fingerprint if certificate else None,
        "firmware_version": quote.firmware_version if quote else None,
        "pcrs": {str(pcr): value.hex() for pcr, value in sorted(tpm.evidence.quote.values.items())},
        "programs": [program.hex() for program in tpm.programs],
        "secure_boot": boot.enabled if boot else None,
        "db": [one.identity for one in boot.lists["db"]] if boot else None,
    }


def _passed(results: Mapping[str, CheckResult], name: str) -> bool:
    return name in results and results[name].status is Status.PASS


def _freshness(case: Case, results: Mapping[str, CheckResult]) -> str:
    names, shown = _DATES.get(case.kind, ((), ""))
    if not names or not all(_passed(results, name) for name in names):
        return "unknown"
    return shown if case.asked_now else "kept"


def _run_all(case: Case) -> dict[str, CheckResult]:
    """The results of all checks of its kind, by name, in the order in which they ran."""
    results: dict[str, CheckResult] = {}
    blocked: set[str] = set()
    for one in checks_of(case.kind):
        result = _run(one, case, blocked)
        results[one.name] = result
        # A check that needs a blocked one is blocked itself, so that nothing relies on unchecked
        # facts. SKIPPED for another reason blocks nothing: the policy or the evidence says so.
        if result.status in (Status.FAIL, Status.INCONCLUSIVE) or blocked & {*one.needs}:
            blocked.add(one.name)
    return results


def _run(one: Check, case: Case, blocked: set[str]) -> CheckResult:
    if unmet := [name for name in one.needs if name in blocked]:
        return CheckResult(one.name, Status.SKIPPED, detail=f"not reached: {unmet[0]} did not pass")
    try:
        return CheckResult(one.name, Status.PASS, detail=one.run(case))
    except SkippedCheckError as skipped:
        return CheckResult(one.name, Status.SKIPPED, detail=str(skipped))
    except InconclusiveError as missing:
        unusable = missing.part if isinstance(missing, UnusableFileError) else ""
        found = (missing.error, missing.what, missing.hint, unusable)
        return CheckResult(one.name, Status.INCONCLUSIVE, *found)
    except EvidenceError as error:
        return CheckResult(one.name, Status.FAIL, error.error, error.what, error.hint)


def _custody_result(kept: Custody | None, overall: str) -> CheckResult:
    if kept and kept.state is CustodyState.EXCLUSIVE:
        return CheckResult(CUSTODY, Status.PASS, detail=kept.detail)
    if kept and kept.state is CustodyState.UNKNOWN and overall != "PASS":
        return CheckResult(
            CUSTODY, Status.SKIPPED, detail="not reached: another check did not pass"
        )
    detail = kept.detail if kept else "a report alone does not show who has a key"
    return CheckResult(CUSTODY, Status.FAIL, NOT_EXCLUSIVE, detail)


def _overall(results: Mapping[str, CheckResult], kind: Kind) -> str:
    statuses = {result.status for result in results.values()}
    if Status.FAIL in statuses:
        return "FAIL"
    core = [one.name for one in checks_of(kind) if one.core]
    passed = all(_passed(results, name) for name in (*core, *_NODE_CORE.get(kind, ())))
    return "PASS" if passed and Status.INCONCLUSIVE not in statuses else "INCONCLUSIVE"
