"""Certificate tables behind a report."""

from __future__ import annotations

import struct
from uuid import UUID

import pytest
from amd import Amd, Line, Sample
from hypothesis import given
from hypothesis import strategies as st

from aoshell.attest.errors import EvidenceError
from aoshell.attest.evidence import load_evidence
from aoshell.attest.policy import Policy
from aoshell.attest.tables import LARGEST, parse_table

VCEK = UUID("63da758d-e664-4564-adc5-f4b93be8accd")
VLEK = UUID("a8074bc2-a25a-483e-aae6-39c045a0b8a1")
ASK = UUID("4ab7b379-bbac-4fe4-a02f-05aef327c782")
ARK = UUID("c0b406a4-a803-4952-9743-3fb6014cd0ae")
CRL = UUID("92f81bc3-5811-4d3d-97ff-d19f88dc67ea")
OTHER = UUID("11111111-2222-3333-4444-555555555555")


def table(*entries: tuple[UUID, bytes], end: bytes = bytes(24)) -> bytes:
    offset = 24 * len(entries) + len(end)
    head, body = b"", b""
    for guid, content in entries:
        head += guid.bytes + struct.pack("<II", offset + len(body), len(content))
        body += content
    return head + end + body


def test_a_report_with_all_that_it_takes(milan: Line, good: Sample) -> None:
    data = good.report + table(
        (VCEK, good.vek), (ASK, milan.ask), (ARK, milan.ark), (CRL, good.crl), (OTHER, b"?")
    )
    alone = good.but(vek=b"", chain=b"", crl=b"")
    verdict = alone.verify(evidence=load_evidence(data))
    assert verdict.verdict == "PASS"
    assert verdict.check("certificate-table").detail == "holds ARK, ASK, CRL, VCEK"


def test_a_host_may_say_more_than_certificates(milan: Line, good: Sample) -> None:
    """Google's hosts tell of their platform, perhaps in the first entry."""
    entries = ((OTHER, b"a platform"), (VCEK, good.vek), (ASK, milan.ask), (ARK, milan.ark))
    alone = good.but(vek=b"", chain=b"")
    assert alone.verify(evidence=load_evidence(good.report + table(*entries))).verdict == "PASS"
    assert good.but(vek=table(*entries), chain=b"").verify().verdict == "PASS"


def test_a_table_of_a_providers_key(amd: Amd) -> None:
    """With the ASVK in the place of the ASK, and a chip's certificate besides."""
    line, sample = amd.milan, amd.milan.sample(vlek=True)
    entries = (
        (VCEK, line.vek_draft().der()),
        (VLEK, sample.vek),
        (ASK, line.asvk),
        (ARK, line.ark),
    )
    verdict = sample.but(vek=b"", chain=b"").verify(
        Policy(vlek=True), evidence=load_evidence(sample.report + table(*entries))
    )
    assert verdict.verdict == "PASS"


def test_what_the_user_gives_comes_first(milan: Line, good: Sample) -> None:
    data = good.report + table((VCEK, milan.ask))
    assert good.verify(evidence=load_evidence(data)).verdict == "PASS"


def entry(guid: UUID, offset: int, length: int) -> bytes:
    return guid.bytes + struct.pack("<II", offset, length)


FAULTS = {
    "no end": entry(VCEK, 24, 10),
    "only a head": entry(VCEK, 48, 10) + bytes(24),
    "beyond": entry(VCEK, 48, 11) + bytes(24) + bytes(10),
    "far beyond": entry(VCEK, 2**32 - 1, 2**32 - 1) + bytes(24),
    "into the head": entry(VCEK, 0, 24) + bytes(24),
    "empty": entry(VCEK, 48, 0) + bytes(24) + bytes(10),
    "overlapping": entry(VCEK, 72, 6) + entry(ASK, 75, 6) + bytes(24) + bytes(20),
    "twice": table((VCEK, b"a"), (VCEK, b"b")),
    "too many": entry(VCEK, 24 * 18, 1) * 17 + bytes(24) + b"x",
    "endless": entry(VCEK, 24 * 18, 1) * 400,
    "too large": table((VCEK, bytes(LARGEST))),
}


def test_entries_may_point_in_any_order() -> None:
    data = entry(VCEK, 73, 3) + entry(ASK, 72, 1) + bytes(24) + b"abcd"
    assert parse_table(data) == {"VCEK": b"bcd", "ASK": b"a"}


def test_an_entry_without_a_guid_is_no_table(good: Sample) -> None:
    verdict = good.verify(
        evidence=load_evidence(good.report + entry(UUID(int=0), 48, 4) + bytes(28))
    )
    assert (verdict.verdict, verdict.error) == ("FAIL", "REPORT_SIZE")


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(good: Sample, fault: str) -> None:
    verdict = good.verify(evidence=load_evidence(good.report + FAULTS[fault]))
    assert (verdict.verdict, verdict.error) == ("FAIL", "CERT_TABLE")


@given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 60))
def test_anything(data: bytes, offset: int, length: int) -> None:
    for tried in (data, entry(VCEK, offset, length) + data, entry(ASK, offset, length) * 2 + data):
        try:
            assert all(parse_table(tried).values())
        except EvidenceError as error:
            assert error.error == "CERT_TABLE"
