"""The section "attest" of `bench.py`: whole verifications, in this process and in a new one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aoshell.attest.evidence import (
    Collateral,
    Evidence,
    RawResponse,
    load_evidence,
    save_evidence,
)
from aoshell.attest.policy import Policy
from aoshell.attest.tpm.eventlog import read_event_log
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.nodes.remote.hyperbeam.evidence import ask
from aoshell.protocol.encoding import b64url
from aoshell.protocol.wallet import Wallet
from aoshell.protocol.wallet import verify as verify_signature

REPO = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("AOSHELL_SHARED") or REPO.parent / "shared") / "snp"
RUNS, STARTS, TRIPS = 100, 12, 20
EVENTS = 40  # in the log of a boot

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
        return run(_unread(asked), node.sample.collateral, POLICY)

    assert report().verdict == answer().verdict == "PASS"
    return {
        "report_warm": summary(_timed(report, RUNS)),
        "node_warm": summary(_timed(answer, RUNS)),
        "command_cold": _cold(folder, sample, str(NOW), summary),
        "envelope": _envelopes(wallet, folder, summary),
    }


def _envelopes(wallet: Wallet, folder: Path, summary: Summary) -> dict[str, Any]:
    """Times of envelopes over a TPM whose boot has a log of `EVENTS` events.

    Warm: one envelope with its secret; and that with the one of the start, as a node that is asked
    gives them. Over loopback: asking for all of it and verifying it; the node signs its answers in
    this process. Cold, in a new process: a kept exchange, and a node. `to_signatures` says how many
    verifications of one RSA-4096 signature a warm one takes.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa
    from der_writer import NOW
    from ek import Maker
    from envelope_node import NONCE, TpmNode
    from served import served
    from tpm_writer import boot_log

    log = boot_log(sections={f".part{number}": b"content" for number in range(10)})
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    node = TpmNode(wallet=wallet, maker=Maker(), ak_key=key, parts={"log": log})
    assert len(read_event_log(node.tpm.raw_log).events) == EVENTS
    policy = Policy(trusted=(node.image,), ek_revocation=False)
    pair = Evidence(exchange=node.exchange(), origin="http://127.0.0.1", taken=NOW)
    assert pair.exchange
    single = replace(pair, exchange=replace(pair.exchange, boot=None))

    def verify(evidence: Evidence) -> None:
        roots = node.maker.roots
        found = verify_evidence(evidence, Collateral(), policy, NOW, test_ek_roots=roots)
        assert found.verdict == "PASS", found.primary

    kept = folder / "envelope"
    kept.write_bytes(save_evidence(pair, Collateral()))
    signed = wallet.sign(b"x" * 48)
    floor = summary(_timed(lambda: verify_signature(wallet.owner, b"x" * 48, signed), RUNS))
    report: dict[str, Any] = {
        "single_warm": summary(_timed(lambda: verify(_unread(single)), RUNS)),
        "pair_warm": summary(_timed(lambda: verify(_unread(pair)), RUNS)),
        "kept_cold": _command(folder, [str(kept), "--offline", "--at", str(NOW)], summary),
    }
    for one in ("single_warm", "pair_warm"):
        ratio = report[one]["median_ms"] / floor["median_ms"]
        report[one]["to_signatures"] = round(ratio, 1)
    with served(node.respond) as url:

        def trip() -> None:
            verify(asyncio.run(ask(url, NONCE)))

        report["loopback"] = summary(_timed(trip, TRIPS))
        report["loopback_cold"] = _command(folder, [url, "--at", str(NOW)], summary)
    return report


def _command(folder: Path, arguments: list[str], summary: Summary) -> dict[str, float]:
    """`aoshell attest`, which trusts no root made here: exit code 1."""
    env = os.environ | {"AOSHELL_HOME": str(folder / "home")}

    def start() -> None:
        command = [str(REPO / "scripts" / "aoshell"), "attest", *arguments]
        ran = subprocess.run(command, env=env, capture_output=True, check=False)
        assert ran.returncode == 1 and b"EK_ROOT_NOT_PINNED" in ran.stdout, ran

    start()
    return summary(_timed(start, STARTS))


def _unread(evidence: Evidence) -> Evidence:
    """The same evidence unread: answers cache what was read from them."""

    def again(answer: RawResponse | None) -> RawResponse | None:
        return RawResponse(answer.headers, answer.body) if answer else None

    exchange, challenge = evidence.exchange, evidence.challenge
    if exchange:
        sent = exchange.activation
        exchange = replace(
            exchange,
            fresh=again(exchange.fresh) or exchange.fresh,
            boot=again(exchange.boot),
            activation=sent and replace(sent, answer=again(sent.answer)),
        )
    if challenge:
        challenge = replace(challenge, answer=again(challenge.answer))
    answer = again(evidence.answer)
    return replace(evidence, answer=answer, exchange=exchange, challenge=challenge)


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
