"""Reports: their form, their signature, and every bit of them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from amd import (
    CHIP,
    FIELDS,
    ORDER,
    REPORTS,
    SIGNED,
    TCBS,
    Amd,
    Line,
    Sample,
    put,
    signature_field,
    tcb_bytes,
)
from amd import LAYOUTS as TCB_LAYOUTS
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from der_writer import NOW

from aoshell.attest.checks.frame import Case
from aoshell.attest.checks.report import report_signature
from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Evidence, load_evidence
from aoshell.attest.kinds import Kind
from aoshell.attest.policy import Policy
from aoshell.attest.products import product_by_cpuid
from aoshell.attest.report import SIZE, Report
from aoshell.attest.verify import all_checks, checks_of

LENIENT = Policy(vlek=True)
NOT_ASKED = {  # of a raw report by default
    *("report-json", "outer-signature", "signer", "certificate-table", "minimum-firmware"),
    *("mitigations", "report-data", "node-message", "measurement", "trusted-software"),
    *("guest-identity", "id-block", "challenge"),
}


CPUIDS = [
    *((0x19, model, "Milan") for model in (0x00, 0x01, 0x0F)),
    *((0x19, model, "Genoa") for model in (0x10, 0x11, 0x1F, 0xA0, 0xAF)),
    *((0x19, model, "") for model in (0x20, 0x9F, 0xB0, 0xFF)),
    *((0x1A, model, "Turin") for model in (0x00, 0x02, 0x11)),
    *((family, model, "") for family, model in ((0x1A, 0x12), (0x18, 0x01), (0x1B, 0x01), (0, 0))),
]


@pytest.mark.parametrize(("family", "model", "name"), CPUIDS)
def test_products_by_cpuid(family: int, model: int, name: str) -> None:
    product = product_by_cpuid(family, model)
    assert (product.name if product else "") == name


@pytest.mark.parametrize("version", [3, 5])
def test_each_field_is_where_amd_has_it(version: int) -> None:
    """Every byte another than its neighbours, so that a field of other bounds differs."""
    raw = bytearray(hashlib.shake_256(b"a report").digest(SIZE))
    put(raw, "version", version)
    put(raw, "cpuid", bytes((0x1A, 2, 1)))
    found = Report.parse(bytes(raw))
    for name, (at, size) in FIELDS.items():
        octets = bytes(raw[at : at + size])
        if name.endswith("_tcb"):
            parts = {part: octets[byte] for part, byte in TCB_LAYOUTS["Turin"].items()}
            assert found.tcb[name.removesuffix("_tcb")].parts == parts
        elif name in ("current", "committed"):
            version_found = getattr(found, name)
            assert (version_found.build, version_found.minor, version_found.major) == (*octets,)
        else:
            value = getattr(found, name)
            assert (
                value == octets
                or value == int.from_bytes(octets, "little")
                or (name == "cpuid" and bytes(value) == octets)
            ), name


def test_reports_of_version_2_have_the_older_layout(milan: Line) -> None:
    raw = bytearray(milan.body(2) + bytes(512))
    put(raw, "cpuid", bytes((0x1A, 2, 1)))  # reserved in this version
    assert Report.parse(bytes(raw)).tcb["reported"].parts == TCBS["Milan"]


@pytest.mark.parametrize(("product", "version"), REPORTS)
@pytest.mark.parametrize("vlek", [False, True])
def test_good_reports_pass(amd: Amd, product: str, version: int, vlek: bool) -> None:
    verdict = amd.lines[product].sample(version, vlek).verify(LENIENT)
    assert (verdict.verdict, verdict.errors) == ("PASS", ())
    assert verdict.product == product
    skipped = {one.name for one in verdict.checks if one.status.value == "SKIPPED"}
    assert skipped - {"chip-id", "minimum-tcb"} == NOT_ASKED


def test_a_synthetic_root_is_trusted_by_test_parameter_only(good: Sample) -> None:
    assert good.but(roots=None).verify().error == "ROOT_NOT_PINNED"


def test_turin_reports_of_version_2_are_refused(amd: Amd) -> None:
    assert amd.turin.sample(2).verify().error == "UNSUPPORTED_PRODUCT"
    # Its certificate tells, too, where neither chip nor TCB look like those of Turin.
    tcb = {f"{which}_tcb": bytes(8) for which in ("current", "reported", "committed", "launch")}
    assert amd.turin.sample(2, chip_id=CHIP, **tcb).verify().error == "UNSUPPORTED_PRODUCT"
    assert amd.milan.sample(2, chip_id=b"8 bytes." + bytes(56)).verify().error == (
        "UNSUPPORTED_PRODUCT"
    )


@pytest.mark.parametrize("size", [0, 1, 671, 672, 1183, 1185, 2368, 10 << 20])
def test_size(good: Sample, size: int) -> None:
    data = (good.report * 2 + bytes(size))[:size]
    verdict = good.verify(evidence=load_evidence(data))
    assert (verdict.verdict, verdict.error, verdict.evidence_id) == ("FAIL", "REPORT_SIZE", "")


BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    *(({"version": version}, "REPORT_VERSION") for version in (0, 1, 6, 255, 2**32 - 1)),
    *(({"signature_algorithm": number}, "SIGNATURE_ALGO") for number in (0, 2)),
    ({"policy": 0x10000}, "POLICY_MALFORMED"),
    *(({"policy": 0x30000 | 1 << bit}, "POLICY_MALFORMED") for bit in (26, 40, 63)),
    *(({"key_info": key << 2}, "SIGNER_KIND") for key in range(2, 7)),
    ({"key_info": 7 << 2}, "REPORT_UNSIGNED"),
    ({"key_info": 1 << 5}, "SIGNER_KIND"),
    ({"key_info": 1 << 31}, "SIGNER_KIND"),
    ({"key_info": 1 << 2}, "SIGNER_VLEK_NOT_ALLOWED"),
    ({"cpuid": bytes((0x1A, 0x50, 0))}, "UNSUPPORTED_PRODUCT"),
    ({"cpuid": bytes((0x17, 0x31, 0))}, "UNSUPPORTED_PRODUCT"),
    ({"cpuid": bytes(3)}, "UNSUPPORTED_PRODUCT"),
    ({"cpuid": bytes((0x19, 0x11, 1))}, "PRODUCT_MISMATCH"),
    ({"launch_mitigations": 1}, "RESERVED_NONZERO"),
    ({"reported_tcb": bytes((4, 0, 1, 0, 0, 0, 24, 219))}, "RESERVED_NONZERO"),
]


@pytest.mark.parametrize(("values", "error"), BAD_FIELDS)
def test_bad_fields(milan: Line, values: dict[str, Any], error: str) -> None:
    verdict = milan.sample(**values).verify()
    assert (verdict.verdict, verdict.error) == ("FAIL", error)


def test_a_vlek_report_needs_a_vlek_certificate(amd: Amd) -> None:
    sample = amd.milan.sample(vlek=True).but(vek=amd.milan.vek_draft().der())
    assert sample.verify(LENIENT).error == "SIGNER_KIND"
    sample = amd.milan.sample().but(vek=amd.milan.vek_draft(vlek=True).der())
    assert sample.verify(LENIENT).error == "SIGNER_KIND"


@pytest.mark.parametrize(("before", "after"), [(2, 3), (5, 2), (3, 2), (2, 5)])
def test_relabelled_versions(milan: Line, before: int, after: int) -> None:
    sample = milan.sample(before)
    report = after.to_bytes(4, "little") + sample.report[4:]
    # A v2 report that calls itself v3 says that its processor is of family 0.
    found = sample.but(report=report).verify().errors
    assert found[0] in ("REPORT_SIGNATURE", "RESERVED_NONZERO", "UNSUPPORTED_PRODUCT")


@pytest.mark.parametrize("report", [bytes(1184), b"\xff" * 1184])
def test_nothing_but_zeros_or_ones(good: Sample, report: bytes) -> None:
    assert good.but(report=report).verify().error == "REPORT_VERSION"


STRUCTURAL = {
    **{at: {"REPORT_VERSION", "RESERVED_NONZERO", "UNSUPPORTED_PRODUCT"} for at in range(0, 4)},
    **{at: {"POLICY_MALFORMED"} for at in range(0x8, 0x10)},
    **{at: {"SIGNATURE_ALGO"} for at in range(0x34, 0x38)},
    **{at: {"SIGNER_KIND", "SIGNER_VLEK_NOT_ALLOWED"} for at in range(0x48, 0x4C)},
    **{
        at: {"PRODUCT_MISMATCH", "UNSUPPORTED_PRODUCT", "RESERVED_NONZERO"}
        for at in range(0x188, 0x18B)
    },
    **{at: {"TCB_CERT_MISMATCH"} for at in range(0x180, 0x188)},
    **{at: {"HWID_MISMATCH"} for at in range(0x1A0, 0x1E0)},
}


@pytest.mark.parametrize("offset", range(0, 0x4A0, 7))
def test_each_byte_counts(good: Sample, offset: int) -> None:
    """One flipped bit of a report never passes, and its error says where it was."""
    report = bytearray(good.report)
    report[offset] ^= 1 << offset % 8
    verdict = good.but(report=bytes(report)).verify()
    assert verdict.verdict == "FAIL"
    if offset >= 0x330:
        allowed = {"RESERVED_NONZERO"}
    elif offset >= SIGNED:
        allowed = {"SIGNATURE_ENCODING", "REPORT_SIGNATURE"}
        if 0x2D0 <= offset < 0x2E8 or offset >= 0x318:
            allowed = {"SIGNATURE_ENCODING"}
    else:
        allowed = STRUCTURAL.get(offset, set()) | {"REPORT_SIGNATURE", "RESERVED_NONZERO"}
    assert verdict.error in allowed


R, S = range(0x2A0, 0x2D0), range(0x2E8, 0x318)  # 384 bits each; the rest must be zero


def sampled_bits() -> list[int]:
    """Every 13th bit of what is signed, of R and of S, hence of each byte at some place, and the
    outer bits of each field."""
    ranges = [(at, at + size) for at, size in FIELDS.values()]
    ranges += [(0, SIGNED), (R.start, R.stop), (S.start, S.stop)]
    edges = {8 * begin for begin, _ in ranges} | {8 * end - 1 for _, end in ranges}
    stride = {
        bit for part in (range(SIGNED), R, S) for bit in range(8 * part.start, 8 * part.stop, 13)
    }
    return sorted(edges | stride)


def test_the_bits_of_what_is_signed_count(good: Sample) -> None:
    """The signature check alone, for changed bits of what is signed, of R and of S."""
    case = Case(Evidence(), good.collateral, Policy(), NOW, good.roots)
    octets = bytearray(good.report)
    for bit in sampled_bits():
        octets[bit // 8] ^= 1 << bit % 8
        case.report = Report.parse(bytes(octets))
        with pytest.raises(EvidenceError) as raised:
            report_signature.run(case)
        assert raised.value.error == "REPORT_SIGNATURE", bit
        octets[bit // 8] ^= 1 << bit % 8
    case.report = Report.parse(bytes(octets))
    assert report_signature.run(case)


def r_s(sample: Sample) -> tuple[int, int]:
    return Report.parse(sample.report).signature


RS = {
    "R=0": (lambda _r, s: (0, s), "SIGNATURE_ENCODING"),
    "S=0": (lambda r, _s: (r, 0), "SIGNATURE_ENCODING"),
    "R=n": (lambda _r, s: (ORDER, s), "SIGNATURE_ENCODING"),
    "S=n": (lambda r, _s: (r, ORDER), "SIGNATURE_ENCODING"),
    "R=n+1": (lambda _r, s: (ORDER + 1, s), "SIGNATURE_ENCODING"),
    "R+n": (lambda r, s: (r + ORDER, s), "SIGNATURE_ENCODING"),
    "swapped": (lambda r, s: (s, r), "REPORT_SIGNATURE"),
    "both 0": (lambda _r, _s: (0, 0), "SIGNATURE_ENCODING"),
    "padding": (lambda r, s: (r | 1 << 384, s), "SIGNATURE_ENCODING"),
}


@pytest.mark.parametrize("how", RS)
def test_signature_numbers(good: Sample, how: str) -> None:
    change, error = RS[how]
    report = good.report[:SIGNED] + signature_field(*change(*r_s(good)))
    assert good.but(report=report).verify().error == error


def test_signature_forms(good: Sample) -> None:
    r, s = r_s(good)
    der = utils.encode_dss_signature(r, s)
    forms = [
        r.to_bytes(48, "big").ljust(72, b"\0") + s.to_bytes(48, "big").ljust(72, b"\0"),
        r.to_bytes(72, "big") + s.to_bytes(72, "big"),
        der.ljust(144, b"\0"),
        r.to_bytes(48, "little") + s.to_bytes(48, "little") + bytes(48),
    ]
    for form in forms:
        report = good.report[:SIGNED] + form + bytes(368)
        found = good.but(report=report).verify().error
        assert found in ("SIGNATURE_ENCODING", "REPORT_SIGNATURE")


def test_a_host_that_masks_its_key_signs_nothing(milan: Line, good: Sample) -> None:
    report = milan.body(key_info=2) + bytes(512)
    assert good.but(report=report).verify().error == "SIGNATURE_ENCODING"


def test_signatures_of_other_kinds(milan: Line, good: Sample) -> None:
    body = milan.body()
    for algorithm in (hashes.SHA256(), hashes.SHA512()):
        report = milan.signed(body, algorithm=algorithm)
        assert good.but(report=report).verify().error == "REPORT_SIGNATURE"
    for curve in (ec.SECP384R1(), ec.SECP256R1()):
        report = milan.signed(body, ec.generate_private_key(curve))
        assert good.but(report=report).verify().error == "REPORT_SIGNATURE"


def test_the_other_signature_of_a_report_is_the_same_evidence(good: Sample) -> None:
    r, s = r_s(good)
    other = good.but(report=good.report[:SIGNED] + signature_field(r, ORDER - s)).verify()
    assert other.verdict == "PASS"
    assert other.evidence_id == good.verify().evidence_id


def test_expected_values(good: Sample) -> None:
    report = Report.parse(good.report)
    wishes = {"report_data": report.report_data, "measurement": report.measurement}
    assert good.verify(**wishes).verdict == "PASS"
    assert good.verify(report_data=bytes(64)).error == "REPORT_DATA_MISMATCH"
    assert good.verify(measurement=bytes(48)).error == "MEASUREMENT_MISMATCH"


def test_the_verdict_as_json(good: Sample, milan: Line) -> None:
    members = good.verify().as_json()
    assert list(members) == ["verdict", "kind", "freshness", "checks", "report", "evidence_id"]
    assert (members["kind"], members["freshness"]) == ("report", "unknown")
    assert members["evidence_id"] == hashlib.sha256(good.report[:SIGNED]).hexdigest()
    checks = members["checks"]
    assert isinstance(checks, list)
    assert [one["name"] for one in checks] == [one.name for one in checks_of(Kind.REPORT)]
    assert all(list(one) == ["name", "status", "error", "detail"] for one in checks)
    report = members["report"]
    assert isinstance(report, dict)
    assert report["tcb"]["reported"] == TCBS["Milan"]
    assert report["product"] == "Milan"
    failed = milan.sample(policy=0xB0000).verify().as_json()
    assert failed["verdict"] == "FAIL"
    assert {one["error"] for one in failed["checks"]} == {None, "POLICY_DEBUG_ENABLED"}  # type: ignore[attr-defined]


IN_ENVELOPES = [42, 37, 43, 38, 44, 45]
NUMBERS = {
    Kind.REPORT: [39, 37, 38, 41, *range(1, 37), 40],
    Kind.GENERATE: [39, 37, 38, 41, *range(1, 37), 40],
    Kind.SNP: [*IN_ENVELOPES, *range(1, 31), *range(33, 37), 46, 58, 59],
    Kind.TPM: [*IN_ENVELOPES, 33, *range(47, 60)],
    Kind.UNKNOWN: [42],
}


@pytest.mark.parametrize("kind", Kind)
def test_the_checks_of_each_kind_have_the_order_that_was_agreed(kind: Kind) -> None:
    checks = checks_of(kind)
    assert [one.number for one in checks] == NUMBERS[kind]
    names = [one.name for one in checks]
    assert len({*names}) == len(names)
    everywhere = {one.name for one in all_checks()}
    for at, one in enumerate(checks):
        assert one.explanation and one.errors
        # What is needed runs before, or is for evidence of other kinds.
        assert not {*one.needs} & {*names[at:]} and {*one.needs} <= everywhere, one.name


def test_a_number_belongs_to_one_name() -> None:
    named = {(one.number, one.name) for one in all_checks()}
    assert sorted(number for number, _ in named) == [*range(1, 60)]


def test_what_a_failed_check_blocks_is_no_pass(milan: Line) -> None:
    verdict = milan.sample(version=9).verify()
    skipped = [one for one in verdict.checks if one.detail.startswith("not reached")]
    assert len(skipped) > 30
    assert verdict.check("report-signature") in skipped


def test_turin_tcb_bytes() -> None:
    assert tcb_bytes("Turin", TCBS["Turin"]) == bytes((1, 1, 1, 4, 0, 0, 0, 81))
