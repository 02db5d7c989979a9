"""Lists of revoked certificates on the path of an EK certificate."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from der_writer import DAY, NOW, constraints, extension, integer, seq, tlv, usage
from ek import Maker, called, crl_at, entry, refusal, refused, scope
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoshell.attest.tpm.ek_path import EkPath, EkPool
from aoshell.attest.tpm.ek_revocation import check_revocation
from aoshell.attest.x509.certificates import Certificate

URL = "https://a.example/ca.crl"
REVOKED, UNAVAILABLE = "EK_REVOKED", "EK_CRL_UNAVAILABLE"


@pytest.fixture(scope="module")
def path(maker: Maker) -> EkPath:
    return maker.path()


def judged(path: EkPath, *crls: bytes, at: int = NOW) -> str:
    return check_revocation(path, EkPool.read(b"", crls).crls, at)


def test_nothing_is_revoked(maker: Maker, path: EkPath) -> None:
    assert judged(path, maker.crl(), maker.root_crl()) == (
        "none of 2 certificates is revoked, as of 2026-02-28"
    )
    older = maker.crl(this_update=NOW - 3 * DAY)
    assert judged(path, older, maker.root_crl()).endswith("2026-02-26")
    assert judged(path, older, maker.crl(), maker.root_crl()).endswith("2026-02-28")
    others = maker.crl(entry(0xE1), entry(5)), maker.root_crl(entry(0xE0))
    assert judged(path, *others)


def serial(der: bytes) -> int:
    return Certificate.parse(der).serial


def test_the_ek_certificate_is_revoked(maker: Maker, path: EkPath) -> None:
    revoking = maker.crl(entry(7), entry(0xE0))
    refused(partial(judged, path, revoking, maker.root_crl()), REVOKED, "number 0xe0, is revoked")
    # Also by an outdated list, and if the list of the authority is missing.
    old = maker.crl(entry(0xE0), next_update=NOW - DAY, this_update=NOW - 9 * DAY)
    refused(partial(judged, path, old, maker.crl()), REVOKED, "the EK certificate")


def test_an_authority_is_revoked(maker: Maker, path: EkPath) -> None:
    revoking = maker.root_crl(entry(serial(maker.ca)))
    refused(partial(judged, path, maker.crl(), revoking), REVOKED, "'Issuing CA, Synthetic'")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "outdated": ({"next_update": NOW - 1}, "not current"),
    "from the future": ({"this_update": NOW + 1}, "not current"),
    "without an end": ({"next_update": None}, "not current"),
    "by another issuer": ({"issuer": "Somebody"}, "there is no CRL"),
    "a delta": (
        {"extensions": (extension("2.5.29.27", integer(1), critical=True),)},
        "2.5.29.27 is unknown",
    ),
    "for authorities": ({"extensions": (scope(authorities=True),)}, "there is no CRL"),
    "for another point": ({"extensions": (scope(at=URL),)}, "there is no CRL"),
    "a malformed scope": (
        {"extensions": (extension("2.5.29.28", b"\5\0", critical=True),)},
        "issuing distribution point",
    ),
    "some reasons": (
        {"extensions": (extension("2.5.29.28", seq(tlv(0x83, b"\7\x80")), critical=True),)},
        "there is no CRL",
    ),
    "attribute certificates": (
        {"extensions": (extension("2.5.29.28", seq(tlv(0x85, b"\xff")), critical=True),)},
        "there is no CRL",
    ),
    "relative to the issuer": (
        {"extensions": (extension("2.5.29.28", seq(tlv(0xA0, tlv(0xA1, seq()))), critical=True),)},
        "there is no CRL",
    ),
}


@pytest.mark.parametrize(("parts", "why"), BAD.values(), ids=BAD)
def test_lists_that_do_not_count(
    maker: Maker, path: EkPath, parts: dict[str, Any], why: str
) -> None:
    run = partial(judged, path, maker.crl(**parts), maker.root_crl())
    refused(run, UNAVAILABLE, why, True)
    assert judged(path, maker.crl(**parts), maker.crl(), maker.root_crl())


def test_a_list_by_another_key(maker: Maker, path: EkPath) -> None:
    for signer in (maker.other_key, maker.root_key):
        forged = maker.crl(signer=signer)
        refused(partial(judged, path, forged, maker.root_crl()), UNAVAILABLE, "no CRL", True)
    # It revokes nothing either.
    assert judged(
        path, maker.crl(entry(0xE0), signer=maker.other_key), maker.crl(), maker.root_crl()
    )


def test_an_unknown_critical_extension_of_an_entry(maker: Maker, path: EkPath) -> None:
    strange = extension("1.2.3.4", b"\5\0", critical=True)
    run = partial(judged, path, maker.crl(entry(7, None, strange)), maker.root_crl())
    refused(run, UNAVAILABLE, "1.2.3.4", True)
    revoking = maker.crl(entry(0xE0, None, strange))
    refused(partial(judged, path, revoking, maker.root_crl()), REVOKED, "the EK certificate")


def test_hints(maker: Maker) -> None:
    leaf = maker.ek_draft
    named = leaf.but(extensions=(*leaf.extensions, crl_at(URL))).der()
    hint = refusal(partial(judged, maker.path(named))).hint
    assert hint == f"fetch {URL} and give it with --ek-chain FILE; " + (
        "ek_revocation = false in the policy does without"
    )
    assert "with --ek-chain FILE" in refusal(partial(judged, maker.path())).hint


def test_a_list_for_one_point(maker: Maker) -> None:
    leaf = maker.ek_draft
    named = leaf.but(extensions=(*leaf.extensions, crl_at(URL))).der()
    path = maker.path(named)
    assert judged(path, maker.crl(extensions=(scope(at=URL, users=True),)), maker.root_crl())
    other = maker.crl(extensions=(scope(at="https://a.example/other.crl"),))
    refused(partial(judged, path, other, maker.root_crl()), UNAVAILABLE, "no CRL", True)


def test_an_authority_that_may_not_sign_lists(maker: Maker) -> None:
    """As Nuvoton's roots."""
    ca = maker.ca_draft.but(extensions=(usage(0x04), constraints())).der()
    path = maker.path(given=(ca, maker.root))
    run = partial(judged, path, maker.crl(), maker.root_crl())
    refused(run, UNAVAILABLE, "its issuer may not sign CRLs", True)


@pytest.fixture(scope="module")
def indirect(maker: Maker) -> EkPath:
    """The path of a certificate whose list is not its issuer's. Intel's on-chip authorities have
    none of their own."""
    leaf = maker.ek_draft
    return maker.path(leaf.but(extensions=(*leaf.extensions, crl_at(URL, called("Root")))).der())


def listed(maker: Maker, *entries: bytes) -> bytes:
    return maker.root_crl(*entries, extensions=(scope(indirect=True),))


def test_an_indirect_list(maker: Maker, indirect: EkPath) -> None:
    assert judged(indirect, listed(maker))
    assert judged(indirect, listed(maker, entry(0xE0)))  # of the root itself
    assert judged(indirect, listed(maker, entry(0xE0, called("Somebody"))))


def test_an_indirect_list_revokes(maker: Maker, indirect: EkPath) -> None:
    issuer = called("Issuing CA")
    for entries in (
        (entry(0xE0, issuer),),
        (entry(5, issuer), entry(6), entry(0xE0)),
        (entry(5, called("Somebody")), entry(6, issuer), entry(0xE0)),
    ):
        refused(partial(judged, indirect, listed(maker, *entries)), REVOKED, "0xe0")


def test_an_issuer_holds_until_the_next_one(maker: Maker, indirect: EkPath) -> None:
    entries = entry(5, called("Issuing CA")), entry(6, called("Somebody")), entry(0xE0)
    assert judged(indirect, listed(maker, *entries))


def test_an_indirect_list_must_say_so(maker: Maker, indirect: EkPath) -> None:
    for extensions in ((), (scope(users=True),)):
        direct = maker.root_crl(extensions=extensions)
        refused(partial(judged, indirect, direct), UNAVAILABLE, "no CRL", True)


def test_the_certificate_must_name_the_issuer_of_an_indirect_list(
    maker: Maker, path: EkPath
) -> None:
    refused(partial(judged, path, listed(maker)), UNAVAILABLE, "no CRL", True)


def test_a_list_must_be_signed_from_above(maker: Maker) -> None:
    """An authority that is revoked cannot vouch for itself."""
    ca = maker.ca_draft
    own = ca.but(extensions=(*ca.extensions, crl_at(URL, called("Issuing CA")))).der()
    path = maker.path(given=(own, maker.root))
    crl = maker.crl(extensions=(scope(indirect=True),))
    refused(partial(judged, path, crl), UNAVAILABLE, "'Issuing CA, Synthetic'", True)


def test_an_entry_with_a_malformed_issuer(maker: Maker, indirect: EkPath) -> None:
    for value in (b"\5\0", seq(), seq(tlv(0x86, b"https://a.example"))):
        strange = extension("2.5.29.29", value, critical=True)
        crl = listed(maker, entry(0xE0, None, strange))
        assert refusal(partial(judged, indirect, crl)).error == UNAVAILABLE


@given(data=st.binary(max_size=300), at=st.integers(0, 400), cut=st.integers(0, 20))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_bytes(maker: Maker, path: EkPath, data: bytes, at: int, cut: int) -> None:
    """No edit of a list makes it vouch for anything, unless it is the list as it was."""
    good = maker.crl(entry(5))
    edited = good[:at] + data[:8] + good[at + cut :]
    for crl in (data, edited):
        if crl != good:
            assert refusal(partial(judged, path, crl, maker.root_crl())).error == UNAVAILABLE


def test_signed_garbage(maker: Maker, path: EkPath) -> None:
    """A list whose entries are anything, well signed."""
    for junk in (seq(), seq(integer(5)), seq(integer(5), b"\x17\x01x"), seq(integer(5), seq())):
        run = partial(judged, path, maker.crl(junk), maker.root_crl())
        assert refusal(run).error == UNAVAILABLE
