"""Envelopes over SEV-SNP: what the report is bound to, and what it is checked against.

Each case is one edit of an envelope that passes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amd import Amd, Line
from envelope_edits import ended, set_
from envelope_node import IMAGE, MEASUREMENT, NONCE, POLICY, SnpNode, raw
from test_attest_real import AT, IDS, NO_CRL, collateral

from aoshell.attest.envelope import snp
from aoshell.attest.envelope.ids import stable_id
from aoshell.attest.envelope.snp import find_report
from aoshell.attest.evidence import Evidence
from aoshell.attest.kinds import Kind
from aoshell.attest.policy import Image, Policy
from aoshell.attest.verify import Verdict, checks_of, verify_evidence
from aoshell.attest.x509.material import read_der_values
from aoshell.protocol.encoding import b64url
from aoshell.protocol.wallet import Wallet


def test_constants() -> None:
    """Computed by the project that makes such envelopes, for VMPL 0 and 1."""
    due = {
        0: "1Zi_JD2dG5WvecBA1bB3U3UuO0z8vryNNPuyBaGy6gY",
        1: "EJndD3rYi43a6SsGjRJDg1xy2o3eWQJXAEMpEe4TJUE",
    }
    for vmpl, digest in due.items():
        context = {"vmpl": vmpl, "report-data-context": snp.CONTEXT, "secret-method": snp.METHOD}
        assert stable_id(context) == digest


@pytest.mark.parametrize("vmpl", [0, 1])
@pytest.mark.parametrize("product", ["Milan", "Genoa", "Turin"])
@pytest.mark.parametrize("version", [3, 5])
def test_products(wallet: Wallet, amd: Amd, product: str, version: int, vmpl: int) -> None:
    node = SnpNode(wallet=wallet, line=amd.lines[product], version=version, vmpl=vmpl)
    verdict = node.verify()
    assert (verdict.verdict, verdict.product) == ("PASS", product)


def before(path: str, value: Any) -> dict[str, Any]:
    """A recipient that is changed before it is measured."""
    return {"recipient_": set_(path, value)}


def after(path: str, value: Any) -> dict[str, Any]:
    """Evidence that is changed once it is made."""
    return {"evidence_": set_(path, value)}


OTHER_KEY = b64url(b"\1" * 32)
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "recipient for another body": (before("binding/body-id", OTHER_KEY), "BODY_ID_MISMATCH"),
    "no body id": (before("binding/body-id", None), "BODY_ID_MISMATCH"),
    "key, not its id": (
        before("public-material/x25519-public-key", OTHER_KEY),
        "RECIPIENT_KEY_ID",
    ),
    "id of another key": (before("key-id", OTHER_KEY), "RECIPIENT_KEY_ID"),
    "short key": (before("public-material/x25519-public-key", "AAAA"), "ENVELOPE_SHAPE"),
    "long key": (
        before("public-material/x25519-public-key", b64url(b"\1" * 33)),
        "ENVELOPE_SHAPE",
    ),
    "no key": (before("public-material", None), "ENVELOPE_SHAPE"),
    "method of a TPM": (before("method", "tpm2-activate-credential"), "ENVELOPE_SHAPE"),
    "device of a TPM": (before("measurement-device", "tpm@2.0a"), "ENVELOPE_SHAPE"),
    "digest of the context": (
        before("binding/device-context-digest", OTHER_KEY),
        "DEVICE_CONTEXT",
    ),
    "no context": (before("binding/device-context", None), "DEVICE_CONTEXT"),
    "context of the evidence": (after("device-context/vmpl", 1), "DEVICE_CONTEXT"),
    "id of the recipient": (after("secret-recipient-id", OTHER_KEY), "RECIPIENT_ID_MISMATCH"),
    "no id of the recipient": (after("secret-recipient-id", None), "RECIPIENT_ID_MISMATCH"),
    "report data": (after("report-data", b64url(b"\1" * 64)), "REPORT_DATA_MISMATCH"),
    "short report data": (after("report-data", b64url(b"\1" * 63)), "REPORT_DATA_MISMATCH"),
    "long report data": (after("report-data", b64url(b"\1" * 65)), "ENVELOPE_SHAPE"),
    "no nonce": (after("nonce", None), "ENVELOPE_SHAPE"),
    "other nonce": (after("nonce", b64url(b"n" * 32)), "NONCE_MISMATCH"),
    "type": (after("type", "lapee-tpm-evidence"), "ENVELOPE_SHAPE"),
    "no report": (after("report-raw", None), "ENVELOPE_SHAPE"),
    "report that is no text": (after("report-raw", 5), "ENVELOPE_SHAPE"),
    "report in another alphabet": (after("report-raw", "+/" * 800), "ENVELOPE_SHAPE"),
}


@pytest.mark.parametrize("name", CASES)
def test_edits(snp_node: SnpNode, name: str) -> None:
    parts, error = CASES[name]
    node = snp_node.but(**parts)
    # The envelope of the start is the good one where it would be refused first.
    ended(node.verify(exchange=snp_node.exchange(fresh=raw(node.measured()))), error)


@pytest.mark.parametrize("size", [0, 671, 1183, 1185, 2368, 4000])
def test_reports_of_another_size(snp_node: SnpNode, size: int) -> None:
    def resized(evidence: Any, node: Any) -> Any:
        whole = node.sample().report + bytes(4000)
        return evidence | {"report-raw": b64url(whole[:size])}

    verdict = snp_node.but(evidence_=resized).verify()
    ended(verdict, "REPORT_SIZE" if size <= 2368 else "ENVELOPE_SHAPE")


def test_the_summary_is_not_believed(snp_node: SnpNode) -> None:
    false = {"measurement": "00" * 48, "report_data": "00" * 64, "vmpl": 3, "policy": {"debug": 1}}
    for summary in (false, {}, None, "text", 5):
        assert snp_node.but(evidence_=set_("report", summary)).verify().verdict == "PASS"


def test_the_recipient_replaced(snp_node: SnpNode) -> None:
    """By one whose ids fit each other, but not the report."""
    other = snp_node.but(seed=b"o" * 32)

    def replaced(envelope: Any, _node: Any) -> Any:
        evidence = envelope["evidence"] | {"secret-recipient-id": stable_id(other.recipient)}
        return envelope | {"secret-recipient": other.recipient, "evidence": evidence}

    node = snp_node.but(message=replaced)
    ended(
        node.verify(exchange=snp_node.exchange(fresh=raw(node.measured()))), "REPORT_DATA_MISMATCH"
    )


def test_a_body_edited_with_all_ids(snp_node: SnpNode) -> None:
    """Everything but the report is that of another body."""
    other = snp_node.but(configuration={"port": 1})
    genuine = snp_node.made_evidence(NONCE)["report-raw"]

    def moved(evidence: Any, _node: Any) -> Any:
        return evidence | {"report-raw": genuine}

    fresh = other.but(evidence_=moved)
    exchange = fresh.exchange(boot=None)
    ended(fresh.verify(exchange=exchange), "REPORT_DATA_MISMATCH")


def test_anothers_envelope_with_the_own_address(snp_node: SnpNode, attacker: Wallet) -> None:
    """The report of another node, for a body with the attacker's address."""
    own = snp_node.but(wallet=attacker)
    genuine = snp_node.made_evidence(NONCE)["report-raw"]
    node = own.but(evidence_=set_("report-raw", genuine))
    ended(node.verify(exchange=node.exchange(boot=None)), "REPORT_DATA_MISMATCH")


def test_the_report_of_generate_is_no_report_of_an_envelope(snp_node: SnpNode, amd: Amd) -> None:
    sample = amd.milan.sample(vmpl=0, measurement=MEASUREMENT)
    node = snp_node.but(evidence_=set_("report-raw", b64url(sample.report)))
    ended(node.verify(exchange=node.exchange(boot=None)), "REPORT_DATA_MISMATCH")


@pytest.mark.parametrize("vmpl", [1, 2, 3, "0", 0.5, True, False, None])
def test_the_context_names_another_level(snp_node: SnpNode, vmpl: Any) -> None:
    node = snp_node.but(context=set_("vmpl", vmpl))
    ended(node.verify(), "DEVICE_CONTEXT")


def test_a_level_that_the_policy_refuses(snp_node: SnpNode) -> None:
    ended(snp_node.but(vmpl=2).verify(), "VMPL")
    strict = replace(POLICY, vmpl=0)
    ended(snp_node.but(vmpl=1).verify(strict), "VMPL")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"policy": 0xB0000}, "POLICY_DEBUG_ENABLED"),
        ({"policy": 0x70000}, "POLICY_MIGRATE_MA"),
        ({"signature_algorithm": 2}, "SIGNATURE_ALGO"),
        ({"chip_id": b"\1" * 64}, "HWID_MISMATCH"),
        ({"key_info": 4}, "SIGNER_VLEK_NOT_ALLOWED"),
        ({"measurement": b"\1" * 48}, "SOFTWARE_UNTRUSTED"),
        ({"report_data": b"\1" * 64}, "REPORT_DATA_MISMATCH"),
    ],
)
def test_checks_of_the_report_stay(snp_node: SnpNode, values: dict[str, Any], error: str) -> None:
    assert error in snp_node.but(report_values=values).verify().errors


def test_certificates_in_the_envelope(snp_node: SnpNode, amd: Amd) -> None:
    sample = snp_node.sample()
    ask, ark = amd.milan.ask, amd.milan.ark

    def verdict(certificates: Any) -> Verdict:
        node = snp_node.but(evidence_=set_("certificates", certificates))
        evidence = Evidence(exchange=node.exchange())
        return sample.but(vek=b"", chain=b"").verify(POLICY, evidence=evidence)

    def entry(der: bytes, **more: str) -> dict[str, str]:
        return {"source": "platform-certificate-table", "data": b64url(der), **more}

    good = {"vcek": entry(sample.vek), "ask": entry(ask), "ark": entry(ark)}
    assert verdict(good).verdict == "PASS"
    listed = [one | {"type": kind} for kind, one in good.items()]
    assert verdict(listed).verdict == "PASS"
    upper = {key.upper(): one for key, one in good.items()}
    assert verdict(upper).verdict == "PASS"
    ended(verdict({}), "VCEK_UNAVAILABLE", "INCONCLUSIVE")
    ended(verdict(good | {"ark": None}), "CHAIN_UNAVAILABLE", "INCONCLUSIVE")
    foreign = verdict(good | {"ark": entry(amd.genoa.ark), "ask": entry(amd.genoa.ask)})
    assert foreign.verdict != "PASS"
    ended(verdict(good | {"vcek": entry(b"\x30\x03abc")}), "CERT_PARSE")
    ended(verdict(good | {"vcek": {"data": 5}}), "ENVELOPE_SHAPE")
    many = {f"t{number}": entry(ask) for number in range(17)}
    ended(verdict(many), "ENVELOPE_LIMIT")
    ended(verdict(good | {"ark": entry(bytes(70_000))}), "ENVELOPE_SHAPE")


def test_a_foreign_root_of_the_same_name(snp_node: SnpNode, amd: Amd) -> None:
    """A whole chain of the right names, signed by keys of the attacker's."""
    keys = [amd.stranger] * 4
    theirs = Amd(keys).milan
    sample = theirs.sample()

    def forged(evidence: Any, node: Any) -> Any:
        report = node.but(line=theirs).sample().report
        found = {"vcek": sample.vek, "ask": theirs.ask, "ark": theirs.ark}
        certificates = {kind: {"data": b64url(der)} for kind, der in found.items()}
        return evidence | {"report-raw": b64url(report), "certificates": certificates}

    node = snp_node.but(evidence_=forged)
    evidence = Evidence(exchange=node.exchange())
    verdict = snp_node.sample().but(vek=b"", chain=b"").verify(POLICY, evidence=evidence)
    assert verdict.verdict == "FAIL"
    assert verdict.error in ("ROOT_NOT_PINNED", "CHAIN_SIGNATURE")


def test_no_flipped_bit_of_the_report_passes(snp_node: SnpNode) -> None:
    report = snp_node.sample().report
    exchange = snp_node.exchange()
    for bit in range(0, 8 * len(report), 8 * len(report) // 40 + 3):
        flipped = bytearray(report)
        flipped[bit // 8] ^= 1 << bit % 8
        node = snp_node.but(evidence_=set_("report-raw", b64url(bytes(flipped))))
        fresh = raw(node.measured())
        assert snp_node.verify(exchange=replace(exchange, fresh=fresh)).verdict == "FAIL", bit


def test_the_report_of_the_start(snp_node: SnpNode) -> None:
    for values, error in (
        ({"report_id": b"\1" * 32}, "PAIR_BOOT_SESSION"),
        ({"measurement": b"\1" * 48}, "PAIR_BOOT_SESSION"),
        ({"report_data": b"\1" * 64}, "PAIR_BOOT_SESSION"),
    ):
        other = snp_node.but(report_values=values)
        exchange = snp_node.exchange(boot=raw(other.measured(b"b" * 32)))
        ended(snp_node.verify(exchange=exchange), error)


def test_the_report_of_the_start_by_another_chip(snp_node: SnpNode) -> None:
    line = snp_node.line
    other = snp_node.but(line=Line("Milan", line.ark_key, line.ask_key, line.asvk_key))
    exchange = snp_node.exchange(boot=raw(other.measured(b"b" * 32)))
    ended(snp_node.verify(exchange=exchange), "PAIR_BOOT_SESSION")


# --- what was booted


def test_the_measurement_covers_the_firmware_only(snp_node: SnpNode) -> None:
    alone = Policy(trusted=(Image("firmware", measurement=MEASUREMENT),))
    ended(snp_node.verify(alone), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    assert snp_node.verify(Policy(trusted=(IMAGE,))).image == "the image"
    # Of two names for one measurement, what a review found decides.
    assert snp_node.verify(Policy(trusted=(*alone.trusted, IMAGE))).image == "the image"
    ended(snp_node.verify(Policy()), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    other = Policy(trusted=(Image("other", measurement=b"\1" * 48, covers_os=True),))
    ended(snp_node.verify(other), "SOFTWARE_UNTRUSTED")
    hashed = Policy(trusted=(Image("by hashes", hashes={"kernel": "00" * 32}),))
    ended(snp_node.verify(hashed), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    of_a_tpm = Policy(trusted=(Image("of a TPM", efi=(b"\1" * 32,), covers_os=True),))
    ended(snp_node.verify(of_a_tpm), "SOFTWARE_UNKNOWN", "INCONCLUSIVE")
    ended(snp_node.verify(POLICY, measurement=b"\1" * 48), "MEASUREMENT_MISMATCH")
    named = snp_node.verify(Policy(), measurement=MEASUREMENT)
    ended(named, "SOFTWARE_UNKNOWN", "INCONCLUSIVE")


# --- genuine reports


@pytest.fixture(scope="module")
def genuine(shared: Path) -> Path:
    folder = shared / "snp"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


@pytest.mark.parametrize("name", IDS)
def test_genuine_reports_in_an_envelope(genuine: Path, snp_node: SnpNode, name: str) -> None:
    """All but what an envelope binds is as for the report alone; and it was not made for this
    envelope."""
    report = (genuine / name / "report.bin").read_bytes()
    known = collateral(genuine, name)
    alone = verify_evidence(Evidence(raw=report), known, NO_CRL, AT)
    vmpl = int.from_bytes(report[0x30:0x34], "little")
    node = snp_node.but(vmpl=vmpl, evidence_=set_("report-raw", b64url(report)))
    found = verify_evidence(Evidence(exchange=node.exchange()), known, NO_CRL, AT)
    same = {one.name for one in checks_of(Kind.SNP)} & {one.name for one in checks_of(Kind.REPORT)}
    same -= {"outer-signature", "signer", "measurement", "trusted-software"}
    assert len(same) == 32
    for one in same:
        assert found.check(one) == alone.check(one), one
    bound = found.check("snp-report-data")
    if alone.report:
        assert (bound.status.value, bound.error) == ("FAIL", "REPORT_DATA_MISMATCH")
    assert found.verdict == "FAIL"


def test_the_certificates_of_a_genuine_report_may_be_enclosed(
    genuine: Path, snp_node: SnpNode
) -> None:
    name = "genoa-v3-tav"
    report = (genuine / name / "report.bin").read_bytes()
    known = collateral(genuine, name)
    ask, ark = read_der_values(known.chain, "a chain")
    certificates = {
        kind: {"data": b64url(der)}
        for kind, der in {"vcek": known.vek, "ask": ask, "ark": ark}.items()
    }

    def enclosed(evidence: Any, _node: Any) -> Any:
        return evidence | {"report-raw": b64url(report), "certificates": certificates}

    node = snp_node.but(evidence_=enclosed)
    exchange = node.exchange()
    found = find_report(exchange)
    assert found.raw == report and found.collateral.vek
    verdict = verify_evidence(
        Evidence(exchange=exchange), replace(known, vek=b"", chain=b""), NO_CRL, AT
    )
    for check in ("root", "leaf-signature", "report-signature", "chip-id", "certificate-tcb"):
        assert verdict.check(check).status.value == "PASS", check
    assert verdict.check("snp-report-data").error in ("REPORT_DATA_MISMATCH", "DEVICE_CONTEXT")
