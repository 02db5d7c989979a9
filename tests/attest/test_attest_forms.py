"""Reports in the forms that the field's tools write, and nothing else for a report."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Callable

import pytest
from amd import Line, Sample
from der_writer import pem
from edits import edited
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_json import version_5
from test_attest_tables import ARK, ASK, CRL, VCEK, table

from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import load_evidence
from aoshell.attest.frames import LARGEST_FRAME
from aoshell.attest.x509.material import read_material

SIZE = 1184
RUNTIME = json.dumps({"keys": [], "user-data": "00" * 64}).encode()
HASHES = {1: "sha256", 2: "sha384", 3: "sha512"}


def header(status: int = 0, size: int = SIZE, reserved: bytes = bytes(24)) -> bytes:
    return struct.pack("<II", status, size) + reserved


def hcl(
    report: bytes,
    runtime: bytes | None = RUNTIME,
    version: int = 2,
    kind: int = 2,
    hashed: int = 1,
    end: int = 2600,
) -> bytes:
    """The frame in the vTPM of a confidential VM of Azure's; without runtime data its beginning."""
    head = b"HCLA" + struct.pack("<7I", version, end, 2, 0, 0, 0, 0) + report
    if runtime is None:
        return head
    data = struct.pack("<5I", 20 + len(runtime), 1, kind, hashed, len(runtime)) + runtime
    return (head + data).ljust(end, b"\0")


def vouching(milan: Line, hashed: int = 1) -> bytes:
    """A report that has the hash of Azure's runtime data."""
    digest = hashlib.new(HASHES[hashed], RUNTIME).digest()
    return milan.report(report_data=digest.ljust(64, b"\0"))


def flat(report: bytes) -> bytes:
    lines = [b"address: -q_bZCJGupSiZvjNg", b"local-hashes/vcpus: 32", b"report: " + report]
    return b"\n".join([*lines, b"node-message/initialized: permanent"]) + b"\n"


def lines(text: bytes, width: int = 60) -> bytes:
    return b"\n".join(text[at : at + width] for at in range(0, len(text), width)) + b"\n"


TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "hexadecimal": lambda data: data.hex().encode(),
    "xxd -p": lambda data: lines(data.hex().encode()),
    "0x": lambda data: b"0x" + data.hex().upper().encode() + b"\n",
    "spaces": lambda data: data.hex(" ").encode() + b"\r\n",
    "UTF-16": lambda data: lines(data.hex().encode()).decode().encode("utf-16"),
    "base64": base64.encodebytes,
    "one line of base64": base64.b64encode,
    "base64 without padding": lambda data: base64.b64encode(data).rstrip(b"="),
    "base64url": base64.urlsafe_b64encode,
    "base64url without padding": lambda data: base64.urlsafe_b64encode(data).rstrip(b"="),
    "byte order mark": lambda data: b"\xef\xbb\xbf" + base64.b64encode(data),
}
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "alone": lambda report: report,
    "header": lambda report: header() + report,
    "empty header": lambda report: bytes(32) + report,
    "ioctl": lambda report: (header() + report).ljust(4000, b"\0"),
    "HCL": hcl,
    "HCL, version 1": lambda report: hcl(report, version=1),
    "HCL without zeros": lambda report: hcl(report, end=0),
    "HCL's beginning": lambda report: hcl(report, None),
}


@pytest.mark.parametrize("text", ["", *TEXTS])
@pytest.mark.parametrize("form", BYTES)
def test_each_form(milan: Line, good: Sample, form: str, text: str) -> None:
    report = vouching(milan)
    data = BYTES[form](report)
    evidence = load_evidence(TEXTS[text](data) if text else data)
    assert evidence.raw == report
    assert bool(evidence.form) == bool(text or form != "alone")
    verdict = good.verify(evidence=evidence)
    assert verdict.verdict == "PASS"
    assert verdict.check("report-size").detail == f"1184 bytes {evidence.form}".rstrip()


@pytest.mark.parametrize("hashed", HASHES)
def test_the_hashes_of_azures_runtime_data(milan: Line, good: Sample, hashed: int) -> None:
    evidence = load_evidence(hcl(vouching(milan, hashed), hashed=hashed))
    assert good.verify(evidence=evidence).verdict == "PASS"


@pytest.mark.parametrize("text", ["hexadecimal", "base64"])
def test_a_table_behind_a_report_as_text(milan: Line, good: Sample, text: str) -> None:
    whole = table((VCEK, good.vek), (ASK, milan.ask), (ARK, milan.ark), (CRL, good.crl))
    evidence = load_evidence(TEXTS[text](good.report + whole))
    alone = good.but(vek=b"", chain=b"", crl=b"")
    assert alone.verify(evidence=evidence).verdict == "PASS"


def test_a_flat_dump_of_hyperbeam(good: Sample) -> None:
    text = version_5(good.report)
    crlf, nested = flat(text).replace(b"\n", b"\r\n"), b"# mine\nsnp/report: " + text
    for data in (flat(text), crlf, nested):
        verdict = good.verify(evidence=load_evidence(data))
        assert verdict.verdict == "PASS" and verdict.custody is None
        assert verdict.check("report-json").status.value == "PASS"
    twice = good.verify(evidence=load_evidence(flat(text) + flat(text)))
    assert (twice.verdict, twice.error) == ("FAIL", "REPORT_FORM")
    assert "2 reports" in twice.check("report-json").detail
    changed = flat(text.replace(b'"vmpl":1', b'"vmpl":0'))
    assert changed != flat(text)
    assert good.verify(evidence=load_evidence(changed)).error == "REPORT_SIGNATURE"


HOLDS = [b"\nreport: {}\n", b"HCLA\2\0\0\0", b"-----BEGIN CERTIFICATE-----\n", b"0x00 " * 12]


@pytest.mark.parametrize("text", HOLDS)
def test_a_report_that_holds_text_is_read_as_bytes(milan: Line, good: Sample, text: bytes) -> None:
    report = milan.report(report_data=text.ljust(64, b"\0"))
    assert good.verify(evidence=load_evidence(report)).verdict == "PASS"
    assert good.verify(evidence=load_evidence(report.hex().encode())).verdict == "PASS"


# --- what is none, and is told by its name

REFUSED: dict[str, tuple[Callable[[Line], bytes], str]] = {
    "no report": (lambda m: header(0x16) + m.report(), "status 0x16"),
    "an answer in a page": (
        lambda m: (header() + m.report()).ljust(4096, b"\0"),
        "4096 bytes; it has 1216",
    ),
    "an answer, more behind": (
        lambda m: (header() + m.report()).ljust(3999, b"\0") + b"x",
        "zero after the report",
    ),
    "HCL of TDX": (lambda m: hcl(vouching(m), kind=4), "a report of kind 4"),
    "HCL, other data": (lambda m: hcl(m.report()), "does not hold the hash of its runtime data"),
    "HCL, version 3": (lambda m: hcl(vouching(m), version=3), "version 3"),
    "HCL, cut": (lambda m: hcl(vouching(m))[:1230], "it is cut off"),
    "HCL, cut data": (lambda m: hcl(vouching(m))[:1260], "its length differs"),
    "HCL, more behind": (lambda m: hcl(vouching(m)) + b"x", "its length differs"),
    "HCL, hash 9": (lambda m: hcl(vouching(m), hashed=9), "hash 9"),
    "HCL, too large": (lambda m: hcl(vouching(m), end=LARGEST_FRAME + 1), "is unknown"),
    "HCL, a report cut": (lambda m: hcl(vouching(m))[:900], "900 bytes"),
    "HCL in hexadecimal": (lambda m: hcl(m.report()).hex().encode(), "Azure's HCL frame"),
    "Erlang": (lambda _: b'#{\n\t<<"report">> => <<"{}">>}', "an Erlang term"),
    "textproto": (lambda _: b"report: {\n  version: 2\n}", "a textproto of go-sev-guest"),
    "protobuf": (lambda m: b"\x0a\xa4\x09\x08\x02\x10\0" + m.report(), "a protobuf"),
    "xxd": (
        lambda _: b"00000000: 0200 0000 0000 0000 1f00 0300 0000 0000  ................\n",
        "a hex dump with offsets (`xxd -p` writes",
    ),
    "hexdump -C": (
        lambda _: b"00000000  02 00 00 00 00 00 00 00  1f 00 03 00 00 00 00 00  |........|\n",
        "a hex dump with offsets",
    ),
    "HTML": (lambda _: b"<html>busy</html>", "an HTML page"),
    "text": (lambda _: b"404 - Not Found", "text: '404 - Not Found'"),
    "a certificate": (lambda m: pem(m.ark), "PEM (CERTIFICATE)"),
    "DER": (lambda m: m.ark, "DER"),
    "flat without a report": (lambda _: b"operator/label: x\non: y\n", "flat codec"),
    "gzip": (lambda _: b"\x1f\x8b\x08\0" + bytes(99), "a gzip archive"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_forms_are_refused_by_name(milan: Line, good: Sample, kind: str) -> None:
    make, told = REFUSED[kind]
    verdict = good.verify(evidence=load_evidence(make(milan)))
    assert (verdict.verdict, verdict.error) == ("FAIL", "REPORT_FORM")
    assert told in verdict.check("report-json").detail


def test_a_report_of_another_size_says_how_it_came(good: Sample) -> None:
    for cut in (good.report[:-1], good.report + b"\0", good.report[100:]):
        for text, told in (("hexadecimal", "in hexadecimal"), ("base64url", "in base64")):
            result = good.verify(evidence=load_evidence(TEXTS[text](cut))).check("report-size")
            assert result.error == "REPORT_SIZE"
            assert result.detail == f"a report has 1184 bytes, this has {len(cut)} {told}"
    result = good.verify(evidence=load_evidence(good.report[:-1])).check("report-size")
    assert (result.error, result.hint) == (
        "REPORT_SIZE",
        "docs/attest.md lists the forms that are read",
    )


STRICT: dict[str, Callable[[bytes], bytes]] = {
    "reserved": lambda report: header(reserved=bytes(23) + b"\1") + report,
    "size 1185": lambda report: header(size=1185) + report,
    "something behind": lambda report: (header() + report).ljust(3999, b"\0") + b"\1",
    "4001 bytes": lambda report: (header() + report).ljust(4001, b"\0"),
    "two headers": lambda report: header() + header() + report,
    "zeros behind": lambda report: report + bytes(1),
    "odd digits": lambda report: report.hex().encode() + b"0",
    "two alphabets": lambda report: b"+-" + base64.b64encode(report)[2:],
    "bits that base64 does not use": lambda report: base64.b64encode(report)[:-2] + b"B=",
    "base64 twice": lambda report: base64.b64encode(base64.b64encode(report)),
    "hexadecimal of base64": lambda report: base64.b64encode(report).hex().encode(),
    "two reports in base64": lambda report: base64.b64encode(report) * 2,
}


@pytest.mark.parametrize("form", STRICT)
def test_forms_are_told_strictly(good: Sample, form: str) -> None:
    verdict = good.verify(evidence=load_evidence(STRICT[form](good.report)))
    assert verdict.verdict == "FAIL" and verdict.error in ("REPORT_SIZE", "REPORT_FORM")


BLANKS = b" \n" * 100_000


@pytest.mark.parametrize("begin", [b"", b"0x", b"report", b"a: ", b"#", b"{", b"-----BEGIN X-----"])
@pytest.mark.parametrize("end", [b"", b"?", b"==\n=", b"/", b"}", b"\1"])
def test_long_texts_are_refused_at_once(good: Sample, begin: bytes, end: bytes) -> None:
    """None of them can be taken apart in so many ways that it would not end."""
    for data in (begin + BLANKS + end, BLANKS + begin + BLANKS + end, begin + b"a/" * 99_999 + end):
        assert good.verify(evidence=load_evidence(data)).verdict == "FAIL"
        with pytest.raises(EvidenceError):
            read_material(data, "it")


EDITS = st.lists(
    st.tuples(st.integers(0, 5000), st.binary(max_size=4), st.integers(0, 4)),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def genuine(milan: Line) -> bytes:
    return vouching(milan)


@given(
    edits=EDITS,
    form=st.sampled_from(sorted(BYTES)),
    text=st.sampled_from(["", *sorted(TEXTS)]),
    inside=st.booleans(),
)
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_altered_report_passes_by_its_form(
    good: Sample,
    genuine: bytes,
    edits: list[tuple[int, bytes, int]],
    form: str,
    text: str,
    inside: bool,
) -> None:
    """Bytes changed in a frame, or in the text around it: what passes is the report as it was."""
    data = BYTES[form](genuine)
    if inside:
        data = edited(data, edits)
    written = TEXTS[text](data) if text else data
    evidence = load_evidence(written if inside else edited(written, edits))
    verdict = good.verify(evidence=evidence)
    if verdict.verdict == "PASS":
        assert evidence.raw == genuine
        assert not evidence.table
    else:
        assert verdict.verdict == "FAIL"


@given(at=st.integers(0, SIZE - 1), bit=st.integers(0, 7), form=st.sampled_from(sorted(BYTES)))
@settings(max_examples=100, deadline=None)
def test_no_altered_bit_of_a_report_passes_in_any_frame(
    good: Sample, genuine: bytes, at: int, bit: int, form: str
) -> None:
    whole = bytearray(BYTES[form](genuine))
    whole[bytes(whole).index(genuine) + at] ^= 1 << bit
    assert good.verify(evidence=load_evidence(bytes(whole))).verdict == "FAIL"


@given(data=st.binary(max_size=200), beginning=st.sampled_from([b"", b"HCLA\2\0\0\0", b"0x", b"{"]))
def test_any_bytes(good: Sample, data: bytes, beginning: bytes) -> None:
    for tried in (beginning + data, beginning + data.hex().encode(), data + beginning):
        assert good.verify(evidence=load_evidence(tried)).verdict == "FAIL"
