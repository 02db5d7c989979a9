"""The verdict over all checks: no check that must pass may be left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from amd import Line, Sample
from attest_node import POLICY, SimulatedNode
from der_writer import NOW
from envelope_node import POLICY as FOR_ENVELOPES
from envelope_node import EnvelopeNode, SnpNode, TpmNode

from aoshell.attest import verify as attest
from aoshell.attest.checks.frame import Case, Check, Status
from aoshell.attest.errors import EvidenceError, InconclusiveError, SkippedCheckError
from aoshell.attest.evidence import Collateral, Evidence
from aoshell.attest.kinds import Kind
from aoshell.attest.policy import Policy
from aoshell.attest.verify import Verdict
from aoshell.protocol.wallet import Wallet

CORE = [one.name for one in attest.checks_of(Kind.REPORT) if one.core]
IN_ENVELOPES = ["envelope", "outer-signature", "links", "signer", "body-id", "nonce"]
OF_A_TPM = [
    *("ek-certificate", "ek-chain", "ek-public", "ak", "quote", "ak-policy", "runtime-log"),
    *("event-log", "activation", "trusted-software"),
]
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

    known = attest.checks_of
    monkeypatch.setattr(attest, "checks_of", lambda kind: tuple(map(changed, known(kind))))


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


def judge_envelope(node: SnpNode | TpmNode, evidence: Evidence) -> Verdict:
    if isinstance(node, SnpNode):
        sample = node.sample()
        return attest.verify_evidence(
            evidence, sample.collateral, FOR_ENVELOPES, NOW, test_roots=sample.roots
        )
    policy = Policy(trusted=(node.image,), ek_revocation=False)
    return attest.verify_evidence(
        evidence, Collateral(), policy, NOW, test_ek_roots=node.maker.roots
    )


def judge_any(node: SimulatedNode | SnpNode | TpmNode) -> Callable[[], Verdict]:
    if isinstance(node, SimulatedNode):
        return lambda: judge(node)
    evidence = Evidence(exchange=node.exchange())
    return lambda: judge_envelope(node, evidence)


def test_the_checks_that_an_envelope_must_pass() -> None:
    of_snp, of_tpm = (
        [one.name for one in attest.checks_of(kind) if one.core] for kind in (Kind.SNP, Kind.TPM)
    )
    assert [*IN_ENVELOPES, *CORE, "snp-report-data"] == of_snp
    assert [*IN_ENVELOPES, *OF_A_TPM[:-1]] == of_tpm


@pytest.mark.parametrize("name", [*IN_ENVELOPES, *CORE, "snp-report-data", "trusted-software"])
def test_no_envelope_over_snp_passes_without(
    monkeypatch: pytest.MonkeyPatch, snp_node: SnpNode, name: str
) -> None:
    ending(monkeypatch, name, SkippedCheckError("left out"))
    assert judge_any(snp_node)().verdict == "INCONCLUSIVE"


@pytest.mark.parametrize("name", [*IN_ENVELOPES, *OF_A_TPM])
def test_no_envelope_over_a_tpm_passes_without(
    monkeypatch: pytest.MonkeyPatch, tpm_node: TpmNode, name: str
) -> None:
    ending(monkeypatch, name, SkippedCheckError("left out"))
    assert judge_any(tpm_node)().verdict == "INCONCLUSIVE"


@pytest.fixture(params=["node", "snp_node", "tpm_node"])
def any_node(request: pytest.FixtureRequest) -> SimulatedNode | EnvelopeNode:
    found: SimulatedNode | EnvelopeNode = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("error", [EvidenceError, InconclusiveError])
def test_each_check_counts(
    monkeypatch: pytest.MonkeyPatch,
    any_node: SimulatedNode | SnpNode | TpmNode,
    error: type[EvidenceError],
) -> None:
    """A check that ends badly decides the verdict, also one that need not pass."""
    judge = judge_any(any_node)
    good = judge()
    assert good.verdict == "PASS"
    for name in (one.name for one in good.checks if one.status is Status.PASS):
        with monkeypatch.context() as patch:
            ending(patch, name, error("SOME_ERROR", "it ends so"))
            verdict = judge()
        assert verdict.verdict == ("INCONCLUSIVE" if error is InconclusiveError else "FAIL"), name
        assert verdict.primary == verdict.check(name)
