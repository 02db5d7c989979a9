"""The verdict over all checks: no check that must pass may be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from amd import Line, Sample
from attest_node import POLICY, SimulatedNode
from der_writer import NOW

from aoshell.attest import verify as attest
from aoshell.attest.checks.frame import Case, Check, Status
from aoshell.attest.errors import EvidenceError, InconclusiveError, SkippedCheckError
from aoshell.attest.evidence import Evidence
from aoshell.attest.policy import Policy
from aoshell.attest.verify import Verdict
from aoshell.protocol.wallet import Wallet

CORE = [one.name for one in attest.CHECKS if one.core]
OF_A_NODE = [
    "report-json",
    "outer-signature",
    "signer",
    "report-data",
    "node-message",
    "trusted-software",
]


@pytest.fixture(scope="module")
def node(wallet: Wallet, milan: Line) -> SimulatedNode:
    return SimulatedNode(wallet, milan)


def judge(node: SimulatedNode) -> Verdict:
    sample, evidence = node.sample, node.evidence("c" * 43)
    return attest.verify_evidence(evidence, sample.collateral, POLICY, NOW, test_roots=sample.roots)


def ending(monkeypatch: pytest.MonkeyPatch, name: str, error: Exception) -> None:
    """One check does its work, then ends otherwise than by passing."""

    def instead(run: Callable[[Case], str]) -> Callable[[Case], str]:
        def ended(case: Case) -> str:
            run(case)
            raise error

        return ended

    def changed(one: Check) -> Check:
        return replace(one, run=instead(one.run)) if one.name == name else one

    monkeypatch.setattr(attest, "CHECKS", tuple(map(changed, attest.CHECKS)))


def test_the_checks_that_must_pass() -> None:
    assert [
        *("report-size", "report-version", "reserved-bytes", "signature-algorithm"),
        *("policy-form", "signing-key", "product", "root", "root-signature"),
        *("intermediate-signature", "leaf-signature", "certificate-profile", "leaf-key"),
        *("validity", "certificate-extensions", "certificate-tcb", "signature-encoding"),
        *("report-signature", "tcb-order"),
    ] == CORE


@pytest.mark.parametrize("name", CORE)
def test_no_report_passes_without(monkeypatch: pytest.MonkeyPatch, good: Sample, name: str) -> None:
    ending(monkeypatch, name, SkippedCheckError("left out"))
    verdict = attest.verify_evidence(
        Evidence(raw=good.report), good.collateral, Policy(), NOW, test_roots=good.roots
    )
    assert (verdict.verdict, verdict.errors) == ("INCONCLUSIVE", ())


@pytest.mark.parametrize("name", [*OF_A_NODE, "report-signature"])
def test_no_node_passes_without(
    monkeypatch: pytest.MonkeyPatch, node: SimulatedNode, name: str
) -> None:
    ending(monkeypatch, name, SkippedCheckError("left out"))
    verdict = judge(node)
    assert (verdict.verdict, verdict.errors) == ("INCONCLUSIVE", ())


@pytest.mark.parametrize("error", [EvidenceError, InconclusiveError])
def test_each_check_counts(
    monkeypatch: pytest.MonkeyPatch, node: SimulatedNode, error: type[EvidenceError]
) -> None:
    """A check that ends badly decides the verdict, also one that need not pass."""
    good = judge(node)
    assert good.verdict == "PASS"
    for name in (one.name for one in good.checks if one.status is Status.PASS):
        with monkeypatch.context() as patch:
            ending(patch, name, error("SOME_ERROR", "it ends so"))
            verdict = judge(node)
        assert verdict.verdict == ("INCONCLUSIVE" if error is InconclusiveError else "FAIL"), name
        assert verdict.primary == verdict.check(name)
