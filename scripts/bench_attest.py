"""The section "attest" of `bench.py`: whole verifications, in this process and in a new one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aoshell.attest.evidence import Collateral, Evidence, load_evidence
from aoshell.attest.policy import Policy
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.protocol.encoding import b64url
from aoshell.protocol.wallet import Wallet

REPO = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("AOSHELL_SHARED") or REPO.parent / "shared") / "snp"
RUNS, STARTS = 100, 12

Summary = Callable[[list[float]], dict[str, float]]


def attest(wallet: Wallet, folder: Path, summary: Summary) -> dict[str, Any]:
    """Times of verifications.

    Warm, in this process: a report with chain and CRL, and a node's answer with a challenge. Keys
    that are made here stand for AMD's. Cold, in a new process: `aoshell attest FILE --offline`, of
    a genuine report where there is shared data (it has no CRL), else of the report made here.
    """
    sys.path.insert(0, str(REPO / "tests" / "attest"))
    from amd import Line, Sample
    from attest_node import POLICY, SimulatedNode
    from cryptography.hazmat.primitives.asymmetric import rsa
    from der_writer import NOW

    ark, ask = (rsa.generate_private_key(public_exponent=65537, key_size=4096) for _ in range(2))
    line = Line("Milan", ark, ask, ask)
    sample: Sample = line.sample()
    node = SimulatedNode(wallet, line)
    asked = node.evidence(b64url(bytes(32)))

    def run(evidence: Evidence, collateral: Collateral, policy: Policy) -> Verdict:
        return verify_evidence(evidence, collateral, policy, NOW, test_roots=line.roots)

    def report() -> Verdict:
        return run(load_evidence(sample.report), sample.collateral, Policy())

    def answer() -> Verdict:
        return run(asked, node.sample.collateral, POLICY)

    assert report().verdict == answer().verdict == "PASS"
    return {
        "report_warm": summary(_timed(report, RUNS)),
        "node_warm": summary(_timed(answer, RUNS)),
        "command_cold": _cold(folder, sample, str(NOW), summary),
    }


def _cold(folder: Path, sample: Any, at: str, summary: Summary) -> dict[str, Any]:
    real = SHARED / "milan-v3-tav"
    if real.is_dir():
        files = {"--vek": real / "vek.der", "--chain": SHARED / "roots" / "ask_ark_milan.pem"}
        report = real / "report.bin"
    else:
        files = {f"--{name}": folder / name for name in ("vek", "chain", "crl")}
        for path in files.values():
            path.write_bytes(getattr(sample, path.name))
        report = folder / "report"
        report.write_bytes(sample.report)
    words = [word for flag, path in files.items() for word in (flag, str(path))]
    command = [str(REPO / "scripts" / "aoshell"), "attest", str(report), *words]
    env = os.environ | {"AOSHELL_HOME": str(folder / "home")}

    def start() -> None:
        ran = subprocess.run(
            [*command, "--offline", "--at", at], env=env, capture_output=True, check=False
        )
        # 3: there is no CRL for the genuine report. 1: the other root is not AMD's.
        assert ran.returncode == (3 if real.is_dir() else 1), ran

    start()
    return summary(_timed(start, STARTS)) | {"genuine": real.is_dir()}


def _timed(call: Callable[[], object], runs: int) -> list[float]:
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return times
