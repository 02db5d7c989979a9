"""Genuine evidence, where the folder of shared data has it."""

from __future__ import annotations

import base64
import calendar
import json
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aoshell.attest import answer
from aoshell.attest.checks import node
from aoshell.attest.checks.frame import Case
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Collateral, Evidence, RawResponse, load_evidence
from aoshell.attest.jsonreport import report_from_json
from aoshell.attest.launch.local_hashes import LocalHashes, compute_measurement
from aoshell.attest.policy import Policy
from aoshell.attest.products import PINNED_ROOTS
from aoshell.attest.report import Report
from aoshell.attest.signed import SignedPart
from aoshell.attest.verify import Verdict, verify_evidence
from aoshell.attest.x509.material import bundle_as_pem
from aoshell.protocol.commitment import EDGE, make_commitment

AT = calendar.timegm((2026, 3, 1, 0, 0, 0))
CHAINS = {"Milan": "milan", "Genoa": "genoa", "Turin": "turin_vcek", "Milan-VLEK": "milan_vlek"}
IDS = [
    "milan-v2-debug-gsg",
    "milan-v2-hbos",
    "milan-v3-tav",
    "genoa-v3-tav",
    "turin-v5-tav",
    "milan-v3-vlek-aws",
    "genoa-v5-siena-ars",
]

# The verdicts speak of cryptography and policy: no genuine CRL is at hand.
NO_CRL = Policy(revocation=False)


@pytest.fixture(scope="module")
def snp(shared: Path) -> Path:
    folder = shared / "snp"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def case(snp: Path, name: str) -> dict[str, Any]:
    cases = json.loads((snp / "index.json").read_text())["cases"]
    return next(one for one in cases if one["id"] == name)


def collateral(snp: Path, name: str) -> Collateral:
    known = case(snp, name)
    vek = snp / name / "vek.der"
    chain = snp / "roots" / f"ask_ark_{CHAINS[known.get('chain', 'Milan')]}.pem"
    return Collateral(vek.read_bytes() if vek.exists() else b"", chain.read_bytes())


def verdict_of(snp: Path, name: str, policy: Policy = NO_CRL, at: int = AT) -> Verdict:
    report = (snp / name / "report.bin").read_bytes()
    return verify_evidence(load_evidence(report), collateral(snp, name), policy, at)


def test_the_pinned_roots_are_amds(snp: Path) -> None:
    assert json.loads((snp / "index.json").read_text())["pinned_ark_sha256_der"] == PINNED_ROOTS


@pytest.mark.versions
@pytest.mark.parametrize("name", IDS)
def test_cryptography(snp: Path, name: str) -> None:
    """All checks of certificates and signature pass, but for the date of one."""
    at = AT if name != "milan-v3-vlek-aws" else calendar.timegm((2025, 6, 1, 0, 0, 0))
    verdict = verdict_of(snp, name, replace(NO_CRL, vlek=True), at)
    states = {one.name: one.status.value for one in verdict.checks}
    for number in (
        "reserved-bytes",
        "policy-form",
        "product",
        "root",
        "leaf-signature",
        "certificate-profile",
        "certificate-extensions",
        "certificate-tcb",
        "signature-encoding",
        "report-signature",
        "tcb-order",
    ):
        assert states[number] == "PASS", number
    assert states["chip-id"] == ("SKIPPED" if "vlek" in name else "PASS")


@pytest.mark.parametrize("name", IDS)
def test_policy(snp: Path, name: str) -> None:
    """The verdict is that of the index."""
    expected = case(snp, name)["expected"]
    policy = NO_CRL
    wanted = expected["default_policy"]
    if floor := re.search(r"bl(\d+)/tee(\d+)/snp(\d+)/ucode(\d+)", wanted):
        assert verdict_of(snp, name).errors == ("TCB_BELOW_MINIMUM",)
        parts = dict(
            zip(("bootloader", "tee", "snp", "microcode"), map(int, floor.groups()), strict=True)
        )
        policy = replace(policy, minimum_tcb={"Milan": parts})
    verdict = verdict_of(snp, name, policy)
    assert verdict.verdict == ("PASS" if wanted.startswith("accept") else "FAIL")
    assert {*expected.get("errors", ())} <= {*verdict.errors}
    if wanted.startswith("accept"):
        without = verdict_of(snp, name, replace(policy, revocation=True))
        assert (without.verdict, without.errors) == ("INCONCLUSIVE", ("CRL_UNAVAILABLE",))


@pytest.mark.parametrize("name", IDS)
def test_forms_do_not_change_a_verdict(snp: Path, name: str) -> None:
    """Genuine evidence in each order and company: all roots of all products in one file."""
    known, report = collateral(snp, name), (snp / name / "report.bin").read_bytes()
    roots = [path.read_bytes() for path in sorted((snp / "roots").glob("*.pem"))]
    header = struct.pack("<II24x", 0, len(report)) + report
    as_it_is = verdict_of(snp, name)
    for chain in (bundle_as_pem(roots), bundle_as_pem(roots[::-1])):
        for found in (Collateral(known.vek, chain), Collateral(bundle_as_pem([chain, known.vek]))):
            for written in (report, header, report.hex().encode(), base64.b64encode(header)):
                verdict = verify_evidence(load_evidence(written), found, NO_CRL, AT)
                assert (verdict.verdict, verdict.errors) == (as_it_is.verdict, as_it_is.errors)
                assert verdict.evidence_id == as_it_is.evidence_id
    kept = replace(load_evidence(report), collateral=Collateral(bundle_as_pem([*roots, known.vek])))
    verdict = verify_evidence(kept, Collateral(), NO_CRL, AT)
    assert (verdict.verdict, verdict.errors) == (as_it_is.verdict, as_it_is.errors)


def test_the_vlek_within_its_time(snp: Path) -> None:
    at = calendar.timegm((2025, 6, 1, 0, 0, 0))
    name = "milan-v3-vlek-aws"
    assert verdict_of(snp, name, replace(NO_CRL, vlek=True), at).errors == ("PROVISIONAL_FIRMWARE",)
    lenient = replace(NO_CRL, vlek=True, provisional_firmware=True)
    assert verdict_of(snp, name, lenient, at).verdict == "PASS"


@pytest.mark.parametrize("name", IDS)
def test_what_a_report_says(snp: Path, name: str) -> None:
    known = case(snp, name)["report"]
    report = Report.parse((snp / name / "report.bin").read_bytes())
    short = {"bl": "bootloader", "ucode": "microcode"}
    for key, which in {
        "rep": "reported",
        "cur": "current",
        "com": "committed",
        "lau": "launch",
    }.items():
        assert report.tcb[which].parts == {short.get(k, k): v for k, v in known[key].items()}
    assert (report.version, report.vmpl) == (known["version"], known["vmpl"])
    assert (str(report.current), str(report.committed)) == (known["cur_v"], known["com_v"])
    assert bytes(report.cpuid).hex() == known["fms"]
    assert [hex(report.launch_mitigations), hex(report.current_mitigations)] == known["mit"]
    assert report.measurement.hex() == known["measurement"]


def test_a_certificate_that_amd_did_not_sign(snp: Path) -> None:
    known = collateral(snp, "milan-v2-hbos")
    vek = (snp / "vek-invalid-legacy" / "vek.der").read_bytes()
    report = (snp / "milan-v2-hbos" / "report.bin").read_bytes()
    assert verify_evidence(load_evidence(report), replace(known, vek=vek), NO_CRL, AT).error == (
        "CHAIN_LEAF_SIGNATURE"
    )


def test_certificates_of_other_products(snp: Path) -> None:
    genoa = collateral(snp, "genoa-v3-tav")
    report = load_evidence((snp / "milan-v3-tav" / "report.bin").read_bytes())
    assert verify_evidence(report, genoa, NO_CRL, AT).error == "PRODUCT_MISMATCH"
    mixed = replace(collateral(snp, "milan-v3-tav"), chain=genoa.chain)
    verdict = verify_evidence(report, mixed, NO_CRL, AT)
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "ROOT_NOT_PINNED")
    assert verdict.check("root").unusable == "chain"
    came = verify_evidence(replace(report, collateral=mixed), Collateral(), NO_CRL, AT)
    assert (came.verdict, came.error) == ("FAIL", "ROOT_NOT_PINNED")


@pytest.mark.parametrize("name", ["hb-admissible", "hb-snp-attestation"])
def test_reports_without_a_certificate(snp: Path, name: str) -> None:
    text = (snp / name / "report.json").read_bytes()
    verdict = verify_evidence(load_evidence(text), collateral(snp, name), NO_CRL, AT)
    assert (verdict.verdict, verdict.errors) == ("INCONCLUSIVE", ("VCEK_UNAVAILABLE",))
    assert f"/vcek/v1/Milan/{case(snp, name)['report']['chip_id_prefix']}" in (
        verdict.check("product").hint
    )


def test_a_report_without_a_signature(snp: Path) -> None:
    text = (snp / "hb-snp-measurement" / "report.json").read_bytes()
    verdict = verify_evidence(load_evidence(text), Collateral(), NO_CRL, AT)
    assert verdict.error == "JSON_MISSING_KEY"
    assert "signature" in verdict.check("report-json").detail


def test_the_same_report_as_json(snp: Path) -> None:
    folder = snp / "milan-v2-hbos"
    assert (
        report_from_json((folder / "report.json").read_bytes())
        == (folder / "report.bin").read_bytes()
    )


def test_a_genuine_measurement(snp: Path) -> None:
    known = case(snp, "hb-admissible")
    hashes = LocalHashes.read(known["local_hashes"])
    assert compute_measurement(hashes).hex() == known["report"]["measurement"]


def test_a_genuine_answer(snp: Path) -> None:
    """Its report is for the node's key and software, but its nonce names another configuration."""
    message = erlang((snp / "hb-admissible" / "message.eterm").read_text())
    owner = (
        b"\0" * 512
    )  # of which only the hash is known; so the check of the key itself is not run
    commitment = make_commitment(b"", EDGE, alg="rsa-pss-sha512", keyid=EDGE.keyid(owner))
    found = Case(Evidence(answer=RawResponse((), b"")), Collateral(), NO_CRL, AT, PINNED_ROOTS)
    found.raw = report_from_json(message["report"].encode())
    found.signed = SignedPart(message, commitment, ())
    data = found.report.report_data
    assert data[:32] == answer.unb64url(message["address"])
    assert node.measurement.run(found)
    assert answer.read_nonce(found.signed)[32:] == answer.compute_node_message_id(found.signed)
    assert data != answer.read_nonce(found.signed)
    with pytest.raises(EvidenceError) as raised:
        node.node_message.run(found)
    assert raised.value.error == "NODE_MESSAGE_MISMATCH"


TOKEN = re.compile(r'\s*(<<"(?:[^"\\]|\\.)*">>|#\{|\}|\[|\]|=>|,|\d+|\.)', re.DOTALL)


def erlang(text: str) -> Any:
    """The value of an Erlang term of maps, lists, binaries and numbers."""
    tokens = iter([found[1] for found in TOKEN.finditer(text)])

    def value(token: str) -> Any:
        if token == "#{":
            pairs = {}
            while (key := next(tokens)) != "}":
                if key != ",":
                    assert next(tokens) == "=>"
                    pairs[value(key)] = value(next(tokens))
            return pairs
        if token == "[":
            items = []
            while (item := next(tokens)) != "]":
                if item != ",":
                    items.append(value(item))
            return items
        return re.sub(r"\\(.)", r"\1", token[3:-3]) if token.startswith("<<") else int(token)

    return value(next(tokens))
