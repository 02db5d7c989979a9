"""Whatever bytes come in, only the room's own errors come out, and nothing hangs."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from amd import Line, Sample
from attest_node import POLICY, SimulatedNode
from edits import edited
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from report_json import version_5

from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import Evidence, RawResponse, load_evidence, save_evidence
from aoshell.attest.products import PRODUCTS
from aoshell.attest.signed import verify_answer
from aoshell.attest.x509.amd_profile import read_vek
from aoshell.attest.x509.certificates import Certificate
from aoshell.attest.x509.crl import Crl
from aoshell.attest.x509.der import DerReader
from aoshell.attest.x509.material import read_der_values, read_material
from aoshell.protocol.digest import content_digest
from aoshell.protocol.wallet import Wallet

ANY = st.text(st.characters(), max_size=20)  # half surrogate pairs, too
QUICK = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
EDITS = st.lists(
    st.tuples(st.integers(0, 4000), st.binary(max_size=4), st.integers(0, 4)), max_size=4
)


@given(data=st.binary(max_size=1400))
@QUICK
def test_any_bytes_as_evidence(good: Sample, data: bytes) -> None:
    for tried in (
        data,
        data.ljust(1184, b"\0"),
        good.report + data,
        b'{"aoshell-evidence": 1' + data,
    ):
        assert good.verify(evidence=load_evidence(tried)).verdict in ("FAIL", "PASS")


@given(edits=EDITS)
@QUICK
def test_edited_reports(good: Sample, edits: list[Any]) -> None:
    raw = edited(good.report, edits)
    verdict = good.verify(evidence=load_evidence(raw))
    assert verdict.verdict == ("PASS" if raw == good.report else "FAIL")
    text = edited(version_5(good.report), edits)
    verdict = good.verify(evidence=load_evidence(text))
    if verdict.verdict == "PASS":  # spaces, digits for the same digits: the same bytes
        assert verdict.evidence_id == good.verify().evidence_id


@given(edits=EDITS, part=st.sampled_from(["vek", "chain", "crl"]), came=st.booleans())
@QUICK
def test_edited_certificates(good: Sample, edits: list[Any], part: str, came: bool) -> None:
    before = getattr(good, part)
    after = edited(before, edits)
    verdict = good.but(**{part: after}).verify(came=came)
    if part == "chain" and verdict.verdict == "PASS":
        # Spaces in the PEM, or bits that base64 does not use.
        assert read_der_values(after, "it") == read_der_values(before, "it")
    else:
        assert (verdict.verdict == "PASS") == (after == before)


@given(data=st.binary(max_size=300), edits=EDITS)
@QUICK
def test_parsers_of_certificates(milan: Line, data: bytes, edits: list[Any]) -> None:
    parsers = (
        lambda octets: read_material(octets, "it"),
        Certificate.parse,
        Crl.parse,
        lambda octets: read_vek(Certificate.parse(octets), PRODUCTS["Milan"], False),
    )
    for octets in (data, b"\x30" + data, edited(milan.ask, edits), edited(milan.crl([5]), edits)):
        for parse in parsers:
            try:
                parse(octets)
            except EvidenceError as error:
                assert error.error in ("CERT_PARSE", "CRL_SIGNATURE", "CERT_EXTENSION")


@given(
    data=st.binary(max_size=40),
    what=st.sampled_from(["integer", "oid", "bits", "text", "time", "boolean"]),
)
@QUICK
def test_the_reader(data: bytes, what: str) -> None:
    for tag in (0x01, 0x02, 0x03, 0x06, 0x0C, 0x13, 0x16, 0x17, 0x18):
        reader = DerReader(bytes((tag, len(data))) + data, "it")
        try:
            getattr(reader, what)()
        except EvidenceError as error:
            assert error.error == "CERT_PARSE"


@pytest.fixture(scope="module")
def answered(wallet: Wallet, milan: Line) -> tuple[SimulatedNode, list[tuple[str, str]], bytes]:
    node = SimulatedNode(wallet, milan)
    return node, *node.generate()


@given(edits=EDITS, name=st.integers(0, 20), body=EDITS)
@QUICK
def test_edited_answers(answered: Any, edits: list[Any], name: int, body: list[Any]) -> None:
    node, headers, content = answered
    at = name % len(headers)
    key, value = headers[at]
    changed = [*headers]
    text = edited(value.encode(), edits).decode("utf-8", "surrogateescape")
    changed[at] = (key, text)
    answer = RawResponse(tuple(changed), edited(content, body))
    verdict = node.sample.verify(POLICY, evidence=Evidence(answer=answer))
    assert verdict.verdict in ("PASS", "FAIL", "INCONCLUSIVE")
    if verdict.verdict == "PASS":
        assert answer.body == content
    kept = load_evidence(save_evidence(Evidence(answer=answer), node.sample.collateral))
    assert kept.answer == answer
    try:
        verify_answer(answer)
    except EvidenceError as error:
        assert error.error


@given(headers=st.lists(st.tuples(ANY, ANY), max_size=5), body=st.binary(max_size=60))
@QUICK
def test_any_answers(answered: Any, headers: list[tuple[str, str]], body: bytes) -> None:
    node = answered[0]
    evidence = Evidence(answer=RawResponse(tuple(headers), body))
    assert node.sample.verify(POLICY, evidence=evidence).verdict == "FAIL"


BOUNDARY = ("content-type", 'multipart/form-data; boundary="b"')
LARGE: dict[str, tuple[list[tuple[str, str]], bytes]] = {
    "many parts": (
        [BOUNDARY],
        b"--b\r\n"
        + b"\r\n--b\r\n".join(
            b'content-disposition: form-data;name="%s%d"\r\n\r\nx' % (b"a/" * 60, at)
            for at in range(19_000)
        )
        + b"\r\n--b--",
    ),
    "many lines": ([BOUNDARY], b"--b\r\n" + b"".join(b"a%d: b\r\n" % at for at in range(200_000))),
    "almost boundaries": ([BOUNDARY], b"--b\r\n" + b"\r\n--" * (1 << 19)),
    "commas": ([("signature", "," * 200_000)], b""),
    "brackets": ([("signature-input", "a=(" * 50_000)], b""),
    "types": ([("ao-types", 'a="x",' * 40_000)], b""),
    "backslashes": ([("ao-ids", "A" * 43 + '="' + "\\" * 100_000)], b""),
    "digests": ([("content-digest", "sha-256=:" + "A" * 200_000)], b""),
}


@pytest.mark.parametrize("kind", LARGE)
def test_large_answers_do_not_hang(good: Sample, kind: str) -> None:
    headers, body = LARGE[kind]
    if body:
        headers = [*headers, ("content-digest", content_digest(body))]
    started = time.process_time()
    evidence = Evidence(answer=RawResponse(tuple(headers), body))
    assert good.verify(POLICY, evidence=evidence).verdict == "FAIL"
    assert time.process_time() - started < 10


MEMBERS = {
    "aoshell-evidence": 1,
    "origin": "x",
    "taken": 1,
    "headers": [],
    "body": "",
    "challenge": None,
    "vek": "",
    "chain": "",
    "crl": "",
}
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(0, 5)
    | st.text(max_size=4)
    | st.lists(st.text(max_size=2) | st.lists(st.text(max_size=2), max_size=3), max_size=3)
    | st.dictionaries(st.sampled_from(["value", "headers", "body", "x"]), st.text(max_size=4))
)


@given(changed=st.dictionaries(st.sampled_from([*MEMBERS, "other"]), VALUES))
@QUICK
def test_any_kept_file(good: Sample, changed: dict[str, Any]) -> None:
    evidence = load_evidence(json.dumps(MEMBERS | changed).encode())
    assert good.verify(evidence=evidence).verdict == "FAIL"


def test_kept_files_are_read_strictly(answered: Any) -> None:
    node, headers, body = answered
    evidence = Evidence(answer=RawResponse(tuple(headers), body))
    data = save_evidence(evidence, node.sample.collateral)
    assert node.sample.verify(POLICY, evidence=load_evidence(data)).verdict == "PASS"
    for old, new, error in [
        (b'"aoshell-evidence": 1', b'"aoshell-evidence": 3', "JSON_RANGE"),
        (b'"aoshell-evidence": 1', b'"aoshell-evidence": 2', "JSON_UNKNOWN_KEY"),
        (b'"origin"', b'"origine"', "JSON_UNKNOWN_KEY"),
        (b' "challenge": null,\n', b"", "JSON_MISSING_KEY"),
        (b'"taken": 0', b'"taken": "now"', "JSON_TYPE"),
        (b'"taken": 0', b'"taken": 0, "taken": 1', "JSON_DUPLICATE_KEY"),
        (b'"body": "', b'"body": "?', "JSON_TYPE"),
        (b'"challenge": null', b'"challenge": {"value": 5}', "JSON_TYPE"),
        (b'"challenge": null', b'"challenge": {"value": "", "headers": []}', "JSON_MISSING_KEY"),
    ]:
        assert old in data
        verdict = node.sample.verify(POLICY, evidence=load_evidence(data.replace(old, new, 1)))
        assert (verdict.verdict, verdict.error) == ("FAIL", error)
    large = data[:-3] + b" " * (9 << 20) + data[-3:]
    assert node.sample.verify(evidence=load_evidence(large)).error == "JSON_LIMIT"
    assert base64.b64encode(node.sample.vek) in data
