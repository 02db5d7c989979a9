"""Reports as JSON, in two dialects, strictly."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from amd import REPORTS, Amd, Line, Sample
from hypothesis import given, settings
from hypothesis import strategies as st
from report_json import version_5, version_5_members, version_6_members

from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import load_evidence
from aoshell.attest.jsonreport import LARGEST, read_json_object, report_from_json


@pytest.mark.parametrize(("product", "version"), REPORTS)
def test_both_dialects_give_the_same_bytes(amd: Amd, product: str, version: int) -> None:
    sample = amd.lines[product].sample(version)
    members = version_6_members(sample.report, product)
    for text in (version_5(sample.report), json.dumps(members).encode()):
        assert report_from_json(text) == sample.report
        verdict = sample.verify(evidence=load_evidence(text))
        assert verdict.verdict == "PASS"
        assert verdict.evidence_id == sample.verify().evidence_id


def test_a_dialect_of_a_version_without_mitigations(milan: Line) -> None:
    report = milan.report(3)
    members = version_6_members(report, "Milan")
    del members["launch_mit_vector"], members["current_mit_vector"]
    assert report_from_json(json.dumps(members).encode()) == report


def error_of(text: bytes) -> str:
    with pytest.raises(EvidenceError) as raised:
        report_from_json(text)
    return raised.value.error


@pytest.mark.parametrize("dialect", [5, 6])
def test_each_key_is_due_and_no_other(good: Sample, dialect: int) -> None:
    def members() -> dict[str, Any]:
        if dialect == 5:
            return version_5_members(good.report)
        return version_6_members(good.report, "Milan")

    for key in members():
        without = members()
        del without[key]
        expected = "JSON_UNKNOWN_KEY" if key == "key_info" else "JSON_MISSING_KEY"
        assert error_of(json.dumps(without).encode()) == expected, key
        text = json.dumps(members())
        again = text[:-1] + f", {json.dumps(key)}: {json.dumps(members()[key])}" + "}"
        assert error_of(again.encode()) == "JSON_DUPLICATE_KEY"
    for extra in ("address", "nonce", "local-hashes", "x", "\ud800"):
        assert error_of(json.dumps(members() | {extra: 1}).encode()) == "JSON_UNKNOWN_KEY"
    for inner in ("current_tcb", "signature"):
        changed = members()
        changed[inner] = changed[inner] | {"extra": 1}
        assert error_of(json.dumps(changed).encode()) == "JSON_UNKNOWN_KEY"


@pytest.mark.parametrize("text", [b"[]", b"5", b'"x"', b"null"])
def test_an_object_is_expected(text: bytes) -> None:
    with pytest.raises(EvidenceError) as raised:
        read_json_object(text)
    assert raised.value.error == "JSON_TYPE"


def test_dialects_do_not_mix(good: Sample) -> None:
    five, six = version_5_members(good.report), version_6_members(good.report, "Milan")
    assert error_of(json.dumps(five | six).encode()) == "JSON_UNKNOWN_KEY"
    assert error_of(json.dumps(five | {"reported_tcb": six["reported_tcb"]}).encode()) == (
        "JSON_UNKNOWN_KEY"
    )
    assert error_of(json.dumps(six | {"fmc": None}).encode()) == "JSON_UNKNOWN_KEY"
    turin = six | {"current_tcb": six["current_tcb"] | {"fmc": 1}}
    assert error_of(json.dumps(turin).encode()) == "JSON_TYPE"


VALUES: list[tuple[str, str, str]] = [
    *(("version", text, "JSON_RANGE") for text in ("-1", "-0", str(2**32), "9" * 30)),
    *(("policy", text, "JSON_RANGE") for text in (str(2**64), "-1", "1" + "0" * 5000)),
    *(("vmpl", text, "JSON_TYPE") for text in ("1.0", "1e2", "true", '"1"', "null", "[]", "{}")),
    *(("vmpl", text, "JSON_SYNTAX") for text in ("NaN", "Infinity", "-Infinity", "0x1", "01", "")),
    ("family_id", "[0]", "JSON_LENGTH"),
    ("family_id", json.dumps([0] * 17), "JSON_LENGTH"),
    ("family_id", json.dumps([0] * 15 + [256]), "JSON_RANGE"),
    ("family_id", json.dumps([0] * 15 + [[0]]), "JSON_TYPE"),
    ("family_id", json.dumps([0] * 15 + [True]), "JSON_TYPE"),
    ("family_id", json.dumps("ab" * 16), "JSON_TYPE"),
    ("measurement", json.dumps(base64.b64encode(bytes(48)).decode()), "JSON_TYPE"),
    ("current_tcb", "5", "JSON_TYPE"),
    ("current_tcb", "null", "JSON_TYPE"),
    ("current_tcb", '{"bootloader": 1}', "JSON_MISSING_KEY"),
    ("signature", "[]", "JSON_TYPE"),
]


@pytest.mark.parametrize(("key", "text", "error"), VALUES)
def test_values(good: Sample, key: str, text: str, error: str) -> None:
    members = version_5_members(good.report)
    marked = json.dumps(members | {key: "here"}).replace('"here"', text)
    assert error_of(marked.encode()) == error
    verdict = good.verify(evidence=load_evidence(marked.encode()))
    assert (verdict.verdict, verdict.error) == ("FAIL", error)


TEXTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "BOM": (lambda text: b"\xef\xbb\xbf" + text, "JSON_SYNTAX"),
    "comment": (lambda text: text[:-1] + b"/* x */}", "JSON_SYNTAX"),
    "trailing comma": (lambda text: text[:-1] + b",}", "JSON_SYNTAX"),
    "trailing": (lambda text: text + b" x", "JSON_SYNTAX"),
    "two": (lambda text: text + text, "JSON_SYNTAX"),
    "no UTF-8": (lambda text: text[:-1] + b',"\xff":1}', "JSON_SYNTAX"),
    "UTF-16": (lambda text: text.decode().encode("utf-16-le"), "REPORT_SIZE"),
    "UTF-16 that says so": (lambda text: text.decode().encode("utf-16"), "JSON_SYNTAX"),
    "array": (lambda text: b"[" + text + b"]", "JSON_TYPE"),
    "string": (lambda text: b'"' + base64.b64encode(text) + b'"', "JSON_TYPE"),
    "deep arrays": (lambda _text: b"[" * 10_000, "JSON_LIMIT"),
    "deep objects": (lambda _text: b'{"a":' * 10_000, "JSON_LIMIT"),
    "open string": (lambda _text: b'{"' + b"[" * 10_000, "JSON_SYNTAX"),
    "huge": (lambda text: text + b" " * LARGEST, "JSON_LIMIT"),
    "half": (lambda text: text[: len(text) // 2], "JSON_SYNTAX"),
    "debug twice": (
        lambda text: text.replace(b'"policy":', b'"policy":720896,"policy":'),
        "JSON_DUPLICATE_KEY",
    ),
    "reserved TCB": (
        lambda text: text.replace(b'"_reserved":[0,0,0,0]', b'"_reserved":[0,0,0,1]', 1),
        "RESERVED_NONZERO",
    ),
    "reserved": (
        lambda text: text.replace(b'"_reserved_2":0', b'"_reserved_2":9'),
        "RESERVED_NONZERO",
    ),
    "behind the signature": (
        lambda text: text.replace(b"0]}", b"7]}"),
        "RESERVED_NONZERO",
    ),
}


@pytest.mark.parametrize("fault", TEXTS)
def test_texts(good: Sample, fault: str) -> None:
    change, error = TEXTS[fault]
    verdict = good.verify(evidence=load_evidence(change(version_5(good.report))))
    assert (verdict.verdict, verdict.error) == ("FAIL", error)


def test_100_megabytes_cost_nothing(good: Sample) -> None:
    verdict = good.verify(evidence=load_evidence(b"{" + b"[" * (100 << 20)))
    assert verdict.error == "JSON_LIMIT"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(value=JSON, key=st.integers(0, 40), data=st.binary(max_size=60))
@settings(max_examples=150, deadline=None)
def test_anything(good: Sample, value: Any, key: int, data: bytes) -> None:
    members = version_5_members(good.report)
    name = [*members, "key_info", "?"][key % (len(members) + 2)]
    texts = [data, b"{" + data, json.dumps(value).encode(), json.dumps(members | {name: value})]
    for text in texts:
        try:
            made = report_from_json(text.encode() if isinstance(text, str) else text)
            assert len(made) == 1184
        except EvidenceError as error:
            assert error.error.startswith("JSON_")
