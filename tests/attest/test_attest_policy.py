"""What a policy asks, and how it is written down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from amd import TCBS, Amd, Line, tcb_bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.attest import evidence
from aoshell.attest.evidence import Collateral
from aoshell.attest.explaining import explain
from aoshell.attest.policy import MILAN_FLOOR, Bits, Image, Policy, load_policy
from aoshell.attest.report import Version
from aoshell.attest.verify import verify_evidence
from aoshell.errors import AoError


def milan_tcb(**parts: int) -> bytes:
    return tcb_bytes("Milan", TCBS["Milan"] | parts)


REPORTS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"policy": 0xB0000}, {}, "POLICY_DEBUG_ENABLED"),
    ({"policy": 0x70000}, {}, "POLICY_MIGRATE_MA"),
    ({"report_id_ma": bytes(32)}, {}, "POLICY_MIGRATE_MA"),
    ({"policy": 0x230000}, {}, "POLICY_CXL"),
    ({}, {"guest": Bits(refused=("smt",))}, "POLICY_SMT"),
    ({}, {"guest": Bits(("single-socket",))}, "POLICY_SINGLE_SOCKET"),
    ({}, {"guest": Bits(("aes-256",))}, "POLICY_AES_256"),
    ({}, {"guest": Bits(("rapl-disabled",))}, "POLICY_RAPL_DISABLED"),
    ({}, {"guest": Bits(("ciphertext-hiding",))}, "POLICY_CIPHERTEXT_HIDING"),
    ({}, {"guest": Bits(("page-swap-disabled",))}, "POLICY_PAGE_SWAP_DISABLED"),
    ({"policy": 0x30113}, {"minimum_abi": (1, 20)}, "POLICY_ABI"),
    ({"policy": 0x30114}, {"minimum_abi": (1, 20)}, ""),
    ({"vmpl": 2}, {}, "VMPL"),
    ({"vmpl": 3}, {}, "VMPL"),
    ({"vmpl": 1}, {"vmpl": 0}, "VMPL"),
    ({"vmpl": 0}, {}, ""),
    ({}, {"platform": Bits(refused=("smt",))}, "PLATFORM_INFO"),
    ({}, {"platform": Bits(("alias-check",))}, "PLATFORM_INFO"),
    ({"platform": 0x41}, {}, ""),
    ({"current_tcb": milan_tcb(snp=23)}, {}, "TCB_ORDER"),
    ({"committed_tcb": milan_tcb(snp=25)}, {}, "TCB_ORDER"),
    ({"launch_tcb": milan_tcb(microcode=220)}, {}, "TCB_ORDER"),
    ({"committed_tcb": milan_tcb(snp=23)}, {}, "PROVISIONAL_FIRMWARE"),
    ({"committed": bytes((28, 55, 1))}, {}, "PROVISIONAL_FIRMWARE"),
    ({"committed": bytes((28, 55, 1))}, {"provisional_firmware": True}, ""),
    ({"launch_tcb": milan_tcb(microcode=212)}, {}, "LAUNCH_TCB_BELOW_MINIMUM"),
    (
        {"launch_tcb": milan_tcb(microcode=212)},
        {"minimum_launch_tcb": {"Milan": MILAN_FLOOR | {"microcode": 212}}},
        "",
    ),
    ({}, {"minimum_firmware": Version(1, 55, 30)}, "FIRMWARE_BELOW_MINIMUM"),
    ({}, {"minimum_firmware": Version(1, 56, 0)}, "FIRMWARE_BELOW_MINIMUM"),
    ({}, {"minimum_firmware": Version(1, 55, 29)}, ""),
    (  # the committed version counts, not the one that runs
        {"committed": bytes((28, 55, 1))},
        {"provisional_firmware": True, "minimum_firmware": Version(1, 55, 29)},
        "FIRMWARE_BELOW_MINIMUM",
    ),
    ({"committed_tcb": milan_tcb(snp=23)}, {"provisional_firmware": True}, ""),
    ({}, {"mitigations": 1}, "MITIGATION_MISSING"),
    ({"chip_id": bytes(64)}, {}, "CHIP_ID_MASKED"),
    ({"chip_id": bytes(64)}, {"masked_chip": True}, ""),
    ({}, {"host_data": b"h" * 32}, "HOST_DATA_MISMATCH"),
    ({"host_data": b"h" * 32}, {"host_data": b"h" * 32}, ""),
    ({}, {"family_id": b"f" * 16}, "FAMILY_ID_MISMATCH"),
    ({}, {"image_id": b"i" * 16}, "IMAGE_ID_MISMATCH"),
    ({}, {"report_id": b"r" * 32}, "REPORT_ID_MISMATCH"),
    ({}, {"minimum_guest_svn": 1}, "GUEST_SVN_BELOW_MINIMUM"),
    ({"guest_svn": 2}, {"minimum_guest_svn": 1}, ""),
    ({}, {"id_keys": (b"k" * 48,)}, "ID_KEY_UNTRUSTED"),
    ({"id_key_digest": b"k" * 48}, {"id_keys": (b"k" * 48,)}, ""),
    ({"author_key_digest": b"k" * 48}, {"author_keys": (b"k" * 48,)}, "ID_KEY_UNTRUSTED"),
    ({"author_key_digest": b"k" * 48, "key_info": 1}, {"author_keys": (b"k" * 48,)}, ""),
    ({}, {"trusted": (Image("other", b"m" * 48),)}, "SOFTWARE_UNTRUSTED"),
    ({"measurement": b"m" * 48}, {"trusted": (Image("this", b"m" * 48),)}, ""),
    ({}, {"trusted": (Image("h", hashes={"kernel": "ab"}),)}, "SOFTWARE_UNKNOWN"),
    ({"policy": 0xB0000}, {"debug": True}, ""),
    ({"policy": 0x70000}, {"migration": True}, ""),
]


@pytest.mark.parametrize(("values", "asked", "error"), REPORTS)
def test_reports(milan: Line, values: dict[str, Any], asked: dict[str, Any], error: str) -> None:
    verdict = milan.sample(**values).verify(replace(Policy(), **asked))
    assert verdict.error == error
    missing = error == "SOFTWARE_UNKNOWN"
    assert verdict.verdict == ("INCONCLUSIVE" if missing else "FAIL" if error else "PASS")


def test_mitigations_of_version_5(milan: Line) -> None:
    sample = milan.sample(5)
    assert sample.verify(Policy(mitigations=3)).verdict == "PASS"
    assert sample.verify(Policy(mitigations=7)).error == "MITIGATION_MISSING"
    at_launch = milan.sample(5, launch_mitigations=1)
    assert at_launch.verify(Policy(mitigations=3)).error == "MITIGATION_MISSING"


@pytest.mark.parametrize("product", TCBS)
def test_each_component_has_a_floor(amd: Amd, product: str) -> None:
    sample, tcb = amd.lines[product].sample(), TCBS[product]
    assert sample.verify(Policy(minimum_tcb={product: tcb})).verdict == "PASS"
    for part in tcb:
        floor = tcb | {part: tcb[part] + 1}
        verdict = sample.verify(Policy(minimum_tcb={product: floor}))
        assert verdict.error == "TCB_BELOW_MINIMUM"
        assert f"{part} {tcb[part]} < {tcb[part] + 1}" in verdict.check("minimum-tcb").detail


def test_the_floor_is_for_the_reported_tcb_not_the_current_one(amd: Amd) -> None:
    """A host may report an older TCB than the one that runs, and sign with its key."""
    older = TCBS["Milan"] | {"snp": 21}
    sample = amd.milan.sample(reported_tcb=tcb_bytes("Milan", older))
    sample = sample.but(vek=amd.milan.vek_draft(older).der())
    assert sample.verify().errors == ("TCB_BELOW_MINIMUM",)
    lower = Policy(minimum_tcb={"Milan": older}, minimum_launch_tcb={"Milan": MILAN_FLOOR})
    assert sample.verify(lower).verdict == "PASS"


def test_a_floor_for_the_launch_alone(amd: Amd) -> None:
    floor = TCBS["Genoa"] | {"snp": TCBS["Genoa"]["snp"] + 1}
    alone = Policy(minimum_tcb={}, minimum_launch_tcb={"Genoa": floor})
    assert amd.genoa.sample().verify(alone).error == "LAUNCH_TCB_BELOW_MINIMUM"


def test_a_reported_tcb_is_not_newer_than_the_current_one(amd: Amd) -> None:
    newer = TCBS["Milan"] | {"snp": TCBS["Milan"]["snp"] + 1}
    sample = amd.milan.sample(reported_tcb=tcb_bytes("Milan", newer))
    assert sample.but(vek=amd.milan.vek_draft(newer).der()).verify().errors == ("TCB_ORDER",)


def test_no_floor_is_said(amd: Amd) -> None:
    assert (
        amd.genoa.sample().verify().check("minimum-tcb").detail
        == "the policy sets no minimum for Genoa"
    )


def test_the_values_that_were_compared_are_named(milan: Line) -> None:
    sample = milan.sample(host_data=b"h" * 32, guest_svn=2)
    for policy, detail in (
        (Policy(host_data=b"h" * 32), "host_data"),
        (Policy(minimum_guest_svn=2), "guest_svn"),
        (Policy(host_data=b"h" * 32, minimum_guest_svn=2), "host_data, guest_svn"),
    ):
        assert sample.verify(policy).check("guest-identity").detail == detail


def test_unknown_platform_bits_are_shown(milan: Line) -> None:
    detail = milan.sample(platform=0x65).verify().check("platform").detail
    assert detail == "smt, ecc, alias-check; unknown bits 6"


FILE = b"""
debug = true
vlek = true
vmpl = 0
revocation = false
minimum_firmware = "1.55.16"
minimum_abi = "1.51"
minimum_guest_svn = 3
mitigations = 0xb
host_data = "%s"
id_keys = ["%s"]
exclusive_key = true
minimum_tcb.Genoa = {bootloader = 1, tee = 2, snp = 3, microcode = 4}
guest = {required = ["single-socket"], refused = ["smt", "cxl"]}
platform.required = ["alias-check"]

[[trusted]]
name = "by measurement"
measurement = "%s"
exclusive_key = true

[[trusted]]
name = "by hashes"
hashes = {firmware = "%s", kernel = "%s", initrd = "%s", append = "%s", vcpus = 2}
""" % tuple(b"ab" * size for size in (32, 48, 48, 48, 32, 32, 32))


def test_a_whole_file() -> None:
    policy = load_policy(FILE)
    assert (policy.debug, policy.migration, policy.vlek) == (True, False, True)
    assert policy.minimum_firmware == Version(1, 55, 16)
    assert policy.minimum_abi == (1, 51)
    assert policy.mitigations == 0xB
    assert policy.host_data == b"\xab" * 32
    assert policy.id_keys == (b"\xab" * 48,)
    assert policy.minimum_tcb["Genoa"]["microcode"] == 4
    assert policy.guest == Bits(("single-socket",), ("smt", "cxl"))
    assert policy.platform == Bits(("alias-check",))
    first, second = policy.trusted
    assert first == Image("by measurement", b"\xab" * 48, exclusive_key=True)
    assert second.hashes["vcpus"] == 2


def test_an_empty_file_is_the_default() -> None:
    assert load_policy(b"") == Policy()


BAD = [
    b"debug = 1",
    b"debug = 'yes'",
    b"unknown = 1",
    b"test_roots = {Milan = 'ab'}",
    b"vmpl = 4",
    b"vmpl = -1",
    b"vmpl = true",
    b"minimum_firmware = '1.55'",
    b"minimum_firmware = '1.55.x'",
    b"minimum_tcb = {Rome = {snp = 1}}",
    b"minimum_tcb = {Milan = {snp = 1}}",
    b"minimum_tcb = {Milan = {bootloader = 1, tee = 0, snp = 1, microcode = 256}}",
    b"minimum_tcb = 5",
    b"guest = {required = ['debug']}",
    b"guest = {wanted = ['smt']}",
    b"guest = {required = 'smt'}",
    b"guest = {required = [1]}",
    b"platform = {refused = ['cxl']}",
    b"host_data = 'ab'",
    b"host_data = 'zz'",
    b"id_keys = []",
    b"id_keys = 5",
    b"id_keys = {" + b"ab" * 48 + b" = 1}",
    b"id_keys = '" + b"ab" * 48 + b"'",
    b"trusted = []",
    b"[[trusted]]\nname = 'x'",
    b"[[trusted]]\nname = ''\nmeasurement = '" + b"ab" * 48 + b"'",
    b"[[trusted]]\nname = 'x'\nmeasurement = 'ab'",
    b"[[trusted]]\nname = 'x'\nhashes = {vcpus = 1}",
    b"[[trusted]]\nname = 'x'\nhashes = {}",
    b"[[trusted]]\nname = 'x'\nhashes = {root = 'ab'}",
    b"[[trusted]]\nname = 'x'\nother = 1\nmeasurement = '" + b"ab" * 48 + b"'",
    b"debug = true\ndebug = false",
    b"\xff",
    b"[",
    b"a = " + b"[" * 5000,
    b"#" * ((1 << 20) + 1),
]


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:40]))
def test_bad_files(data: bytes) -> None:
    with pytest.raises(AoError) as raised:
        load_policy(data, "p.toml")
    assert raised.value.stage == "policy"
    assert raised.value.what.startswith("p.toml: ")
    assert raised.value.hint


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"[[trusted]]\nname = 'x'\nmeasurement = 'ab'", "trusted: entry 1: measurement: "),
        (
            b"[[trusted]]\nname = 'x'\npcr11 = '" + b"ab" * 32 + b"'\n"
            b"[[trusted]]\nname = 'y'\nefi = ['" + b"ab" * 32 + b"', 'ab']",
            "trusted: entry 2: efi: entry 2: 64 hexadecimal digits",
        ),
        (b"[[trusted]]\nname = 5\npcr11 = 'ab'", "trusted: entry 1: name: a text"),
        (b"[[trusted]]\nname = 'x'\ncovers_os = 1\npcr11 = 'ab'", "covers_os: true or false"),
        (
            "[[trusted]]\nname = 'x'\nhashes = {{firmware = '{0}{1}', kernel = '{0}', "
            "initrd = 5, append = '{0}'}}".format("ab" * 32, "ab" * 16).encode(),
            "trusted: entry 1: hashes: initrd: ",
        ),
        (b"id_keys = ['" + b"ab" * 48 + b"', 'x']", "id_keys: entry 2: "),
        (b"db_signers = [5]", "db_signers: entry 1: "),
        (
            b"minimum_tcb.Milan = {bootloader = 1, tee = 0, snp = 1, microcode = 256}",
            "minimum_tcb: Milan.microcode: a number from 0 to 255",
        ),
        (b"ek_vendors = ['INTC', 'Intel']", "ek_vendors: entry 2: 'Intel' is no vendor id; "),
        (b"ek_vendors = [5]", "entry 1: '5' is no vendor id; there are AMD, ANT"),
    ],
)
def test_where_a_file_is_bad(data: bytes, place: str) -> None:
    with pytest.raises(AoError) as raised:
        load_policy(data, "p.toml")
    assert place in raised.value.what


def test_vendors_are_named_by_their_ids() -> None:
    assert load_policy(b"ek_vendors = ['INTC', 'IFX']").ek_vendors == ("INTC", "IFX")


@given(st.text(max_size=80) | st.sampled_from([one.decode("latin-1") for one in BAD]))
@settings(max_examples=60, deadline=None)
def test_any_text(text: str) -> None:
    try:
        load_policy(text.encode("utf-8", "surrogatepass"))
    except AoError as error:
        assert error.stage == "policy"


def test_a_report_alone_has_no_exclusive_key() -> None:
    policy = Policy(exclusive_key=True)
    verdict = verify_evidence(evidence.load_evidence(b"\0" * 1184), Collateral(), policy, 0)
    assert verdict.check("key-custody").error == "KEY_NOT_EXCLUSIVE"
    assert explain("key-custody") in explain("key_not_exclusive")
