"""Evidence in, verdict out: all checks in their order, from raw bytes to AMD's pinned root.

    verdict = verify(evidence.load(data), Collateral(vek, chain, crl), Policy(), at)
    verdict.verdict        "PASS", "FAIL" or "INCONCLUSIVE"

PASS takes every check that applies; INCONCLUSIVE says what is missing. No clock, no network, no
files, and nothing is raised, whatever the evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aoshell.attest.checks import chain, node, policy, report
from aoshell.attest.checks.frame import Case, Check, CheckResult, Status
from aoshell.attest.custody import Custody, State, judge_custody
from aoshell.attest.errors import (
    EvidenceError,
    InconclusiveError,
    SkippedCheckError,
    UnusableFileError,
)
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.policy import Policy
from aoshell.attest.products import PINNED_ROOTS
from aoshell.attest.report import Report


def _all_checks() -> tuple[Check, ...]:
    rooms = (report, chain, policy, node)
    found = [one for room in rooms for one in vars(room).values() if isinstance(one, Check)]
    first = {39: -4, 37: -3, 38: -2, 41: -1}  # the envelope before its content
    return tuple(sorted(found, key=lambda one: first.get(one.number, one.number)))


CHECKS = _all_checks()
"""In the order in which they run; the first that fails names the error of a verdict."""

# Of a node also these: without them a report says nothing about who answers.
_NODE_CORE = (
    "report-json",
    "outer-signature",
    "signer",
    "report-data",
    "node-message",
    "trusted-software",
)
CUSTODY, NOT_EXCLUSIVE = "key-custody", "KEY_NOT_EXCLUSIVE"
_ABOUT_CUSTODY = (
    f"{CUSTODY}\nOnly with `exclusive_key = true` in the policy: a review of the image must have "
    f"found that its key exists in this guest alone.\nErrors: {NOT_EXCLUSIVE}"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of evidence.

    Attributes:
        verdict: "PASS", "FAIL" or "INCONCLUSIVE".
        checks: in the order in which they ran.
        report: None where it could not be read; unproven unless the verdict is PASS.
        product: name, "" where it is not known.
        address: of the node's key, "" for a report alone; attested only with PASS.
        image: the user's name for the software, "" where it has none.
        custody: where else the node's key may be; None for a report alone.
        evidence_id: SHA-256 of the signed bytes of the report, in hexadecimal, or "".
    """

    verdict: str
    checks: tuple[CheckResult, ...]
    report: Report | None
    product: str
    address: str
    image: str
    custody: Custody | None
    evidence_id: str

    @property
    def primary(self) -> CheckResult | None:
        """The check that decided: the first that failed, else the first that could not tell."""
        for status in (Status.FAIL, Status.INCONCLUSIVE):
            for result in self.checks:
                if result.status is status:
                    return result
        return None

    @property
    def error(self) -> str:
        """The name of the primary error, "" with PASS."""
        return self.primary.error if self.primary else ""

    @property
    def errors(self) -> tuple[str, ...]:
        """Names of all errors, in order."""
        return tuple(result.error for result in self.checks if result.error)

    def check(self, name: str) -> CheckResult:
        """The result of one check. Raises KeyError."""
        return {result.name: result for result in self.checks}[name]

    def as_json(self) -> dict[str, object]:
        """For programs."""
        report = self.report.as_json() | {"product": self.product or None} if self.report else {}
        members: dict[str, object] = {
            "verdict": self.verdict,
            "checks": [result.as_json() for result in self.checks],
            "report": report,
            "evidence_id": self.evidence_id,
        }
        if self.custody:
            members["address"] = self.address
            members["key_custody"] = self.custody.state.value
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
) -> Verdict:
    """Runs all checks. Raises nothing.

    Args:
        collateral: of the verifier; what is missing in it is taken from the evidence.
        at: the time of evaluation, seconds since the Unix epoch.
        report_data, measurement: what the report must hold (64 and 48 bytes); b"" for no wish.
        test_roots: fingerprints of roots by product instead of AMD's, for tests only: nothing that
            a user can write leads here.
    """
    case = Case(
        evidence,
        collateral,
        policy,
        at,
        PINNED_ROOTS if test_roots is None else test_roots,
        report_data,
        measurement,
    )
    results: dict[str, CheckResult] = {}
    blocked: set[str] = set()
    for one in CHECKS:
        result = _run(one, case, blocked)
        results[one.name] = result
        if result.status in (Status.FAIL, Status.INCONCLUSIVE) or blocked & {*one.needs}:
            blocked.add(one.name)
    kept = judge_custody(case, bound=results["node-message"].status is Status.PASS)
    if policy.exclusive_key:
        results[CUSTODY] = _custody_result(kept)
    known = results["report-size"].status is Status.PASS
    return Verdict(
        _overall(results, case.is_node),
        tuple(results.values()),
        case.report if known else None,
        case.product.name if case.product else "",
        case.signed.commitment.committer if case.signed else "",
        case.image.name if case.image else "",
        kept,
        case.report.id if known else "",
    )


def _run(one: Check, case: Case, blocked: set[str]) -> CheckResult:
    if unmet := [name for name in one.needs if name in blocked]:
        return CheckResult(one.name, Status.SKIPPED, detail=f"not reached: it needs {unmet[0]}")
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


def _custody_result(kept: Custody | None) -> CheckResult:
    if kept and kept.state is State.EXCLUSIVE:
        return CheckResult(CUSTODY, Status.PASS, detail=kept.detail)
    detail = kept.detail if kept else "a report alone says nothing of who answers with its key"
    return CheckResult(CUSTODY, Status.FAIL, NOT_EXCLUSIVE, detail)


def _overall(results: Mapping[str, CheckResult], is_node: bool) -> str:
    statuses = {result.status for result in results.values()}
    if Status.FAIL in statuses:
        return "FAIL"
    core = [one.name for one in CHECKS if one.core]
    if is_node:
        core += _NODE_CORE
    passed = all(results[name].status is Status.PASS for name in core)
    return "PASS" if passed and Status.INCONCLUSIVE not in statuses else "INCONCLUSIVE"


def explain_check(name: str) -> str:
    """What a check does and why, or which checks end with an error of that name; for people.

    Raises:
        KeyError: neither a check nor an error is called so.
    """
    if name == CUSTODY or name.upper() == NOT_EXCLUSIVE:
        return _ABOUT_CUSTODY
    found = [
        one for one in CHECKS if name in (one.name, str(one.number)) or name.upper() in one.errors
    ]
    if not found:
        raise KeyError(name)
    return "\n\n".join(
        f"{one.number} {one.name}\n{one.explanation}\nErrors: {', '.join(one.errors)}"
        for one in found
    )
