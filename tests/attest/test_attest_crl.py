"""AMD's list of revoked certificates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from amd import Amd, Line, Sample
from cryptography import x509
from der_writer import DAY, NOW, extension, integer, pem, tlv

from aoshell.attest.policy import Policy
from aoshell.attest.x509.crl import Crl

# (what it is, the verdict where the verifier has it, and where it came with the evidence)
FAULTS: dict[str, tuple[Callable[[Amd], bytes], str, str]] = {
    "expired": (
        lambda a: a.milan.crl(next_update=NOW - 1),
        "INCONCLUSIVE CRL_EXPIRED",
        "INCONCLUSIVE CRL_EXPIRED",
    ),
    "not yet valid": (
        lambda a: a.milan.crl(this_update=NOW + 1),
        "INCONCLUSIVE CRL_EXPIRED",
        "INCONCLUSIVE CRL_EXPIRED",
    ),
    "without an end": (
        lambda a: a.milan.crl(next_update=None),
        "INCONCLUSIVE CRL_EXPIRED",
        "INCONCLUSIVE CRL_EXPIRED",
    ),
    "Genoa's": (
        lambda a: a.genoa.crl(),
        "INCONCLUSIVE CRL_UNAVAILABLE",
        "FAIL CRL_SIGNATURE",
    ),
}

# Signed by somebody else, or revoking: refused, whoever gave it.
REFUSED: dict[str, tuple[Callable[[Amd], bytes], str]] = {
    "by ASK": (lambda a: a.milan.crl(signer=a.milan.ask_key), "CRL_SIGNATURE"),
    "by a stranger": (lambda a: a.milan.crl(signer=a.stranger), "CRL_SIGNATURE"),
    "of an unknown kind": (
        lambda a: a.milan.crl(extensions=(extension("2.5.29.27", integer(1), critical=True),)),
        "CRL_SIGNATURE",
    ),
    "ASK revoked": (lambda a: a.milan.crl([7, 0x10001]), "CERT_REVOKED"),
    "ARK revoked": (lambda a: a.milan.crl([0x10000]), "CERT_REVOKED"),
    "ASK revoked long ago": (
        lambda a: a.milan.crl([0x10001], next_update=NOW - 1),
        "CERT_REVOKED",
    ),
    "serial 0": (lambda a: a.milan.crl([0]), "CERT_REVOKED"),
}

UNREADABLE: dict[str, Callable[[Amd], bytes]] = {
    "garbage": lambda _a: b"\x30\x03\x02\x01\x01",
    "HTML": lambda _a: b"<html>",
    "truncated": lambda a: a.milan.crl()[:-1],
    "2 MB": lambda _a: tlv(0x30, bytes(2 << 20)),
    "1.2 MB, though signed": lambda a: a.milan.crl(range(1, 60_000)),
    "version 3": lambda a: a.milan.crl(version=2),
}


def judged(sample: Sample, came: bool) -> str:
    verdict = sample.verify(came=came)
    return f"{verdict.verdict} {verdict.error}"


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(amd: Amd, good: Sample, fault: str) -> None:
    make, ours, theirs = FAULTS[fault]
    sample = good.but(crl=make(amd))
    assert [judged(sample, came) for came in (False, True)] == [ours, theirs]


@pytest.mark.parametrize("fault", REFUSED)
def test_refused_whoever_gave_it(amd: Amd, good: Sample, fault: str) -> None:
    make, error = REFUSED[fault]
    sample = good.but(crl=make(amd))
    assert {judged(sample, came) for came in (False, True)} == {f"FAIL {error}"}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_unreadable(amd: Amd, good: Sample, fault: str) -> None:
    sample = good.but(crl=UNREADABLE[fault](amd))
    assert judged(sample, came=False) == "INCONCLUSIVE CRL_SIGNATURE"
    assert judged(sample, came=True) == "FAIL CRL_SIGNATURE"


def test_no_list_but_a_certificate(amd: Amd, good: Sample) -> None:
    sample = good.but(crl=amd.milan.ark)
    assert {judged(sample, came) for came in (False, True)} == {"INCONCLUSIVE CRL_UNAVAILABLE"}


def test_of_several_lists_the_newest_counts_that_the_root_has_signed(
    amd: Amd, good: Sample
) -> None:
    old = amd.milan.crl([5], this_update=NOW - 9 * DAY, next_update=NOW - 8 * DAY)
    forged = amd.milan.crl(this_update=NOW, signer=amd.stranger)
    revoking = amd.milan.crl([0x10001], this_update=NOW - 60)
    lists = (old, amd.genoa.crl(), good.crl, forged)
    assert judged(good.but(crl=b"".join(lists)), came=False) == "PASS "
    assert judged(good.but(crl=old + forged), came=False) == "INCONCLUSIVE CRL_EXPIRED"
    more = b"".join((*lists, revoking))
    assert judged(good.but(crl=more), came=False) == "FAIL CERT_REVOKED"
    coming = amd.milan.crl(this_update=NOW + 60)  # its time is not there: another one's is
    assert judged(good.but(crl=b"".join((*lists, coming))), came=False) == "PASS "


@pytest.mark.parametrize("bound", ["this_update", "next_update"])
def test_both_ends_of_its_validity_are_included(milan: Line, good: Sample, bound: str) -> None:
    assert good.but(crl=milan.crl(**{bound: NOW})).verify().verdict == "PASS"


def test_serial_0_is_explained(milan: Line, good: Sample) -> None:
    result = good.but(crl=milan.crl([0])).verify().check("revocation")
    assert "which all chips' certificates have" in result.detail


def test_none_is_inconclusive_and_says_where_it_is(good: Sample) -> None:
    verdict = good.but(crl=b"").verify()
    assert (verdict.verdict, verdict.error) == ("INCONCLUSIVE", "CRL_UNAVAILABLE")
    assert "vcek/v1/Milan/crl" in verdict.check("revocation").hint


def test_left_out_by_policy(good: Sample) -> None:
    verdict = good.but(crl=b"").verify(Policy(revocation=False))
    assert verdict.verdict == "PASS"
    assert "left out" in verdict.check("revocation").detail


@pytest.mark.parametrize("serials", [(), (1, 5, 0x20001)])
def test_accepted(milan: Line, good: Sample, serials: tuple[int, ...]) -> None:
    crl = milan.crl(serials, extensions=(extension("2.5.29.20", integer(4)),))
    assert good.but(crl=crl).verify().verdict == "PASS"
    assert good.but(crl=pem(crl, kind="X509 CRL")).verify().verdict == "PASS"


def test_what_is_written_here_is_what_x509_reads(milan: Line) -> None:
    der = milan.crl([5, 7])
    theirs, ours = x509.load_der_x509_crl(der), Crl.parse(der)
    assert {one.serial_number for one in theirs} == ours.serials == {5, 7}
    next_update = theirs.next_update_utc
    assert next_update and int(next_update.timestamp()) == ours.next_update == NOW + DAY
    assert theirs.tbs_certlist_bytes == ours.signed.content
