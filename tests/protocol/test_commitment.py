"""Commitments by themselves: whose they are, and the bytes that are signed (RFC 9421)."""

from __future__ import annotations

import hmac
from dataclasses import replace

import pytest

from aoshell.protocol.commitment import (
    CORE_LIBS,
    CURRENT,
    EDGE,
    HMAC,
    RSA,
    Commitment,
    Profile,
    id_of,
    make_commitment,
    signature_base,
    write_commitments,
)
from aoshell.protocol.httpsig import SignatureStatus, check
from aoshell.protocol.message import raw
from aoshell.protocol.signing import commit
from aoshell.protocol.wallet import Wallet


def of_key(profile: Profile, **rest: object) -> Commitment:
    return make_commitment(b"s" * 512, profile, alg=RSA, keyid="k", **rest)


@pytest.mark.parametrize("profile", [EDGE, CURRENT])
def test_an_hmac_in_the_name_of_a_public_key_has_no_committer(
    wallet: Wallet, profile: Profile
) -> None:
    """Everybody knows the key id of a wallet, and so can make an HMAC with it."""
    _, mac = commit(wallet, {"a": "1"}, profile=profile)
    forged = replace(mac, keyid=profile.keyid(wallet.owner))
    forged = forged.signed(
        hmac.digest(raw(forged.keyid), signature_base(forged, {"a": "1"}), "sha256")
    )
    checked = check({"a": "1"} | write_commitments([forged]), b"")
    assert (checked.outcome, checked.committers) == (SignatureStatus.UNSIGNED, ())
    assert checked.verified == {}


@pytest.mark.parametrize("scheme", ["secret:", "other:", "constant:", "publickey:x:"])
def test_a_modulus_under_another_scheme_is_no_key(wallet: Wallet, scheme: str) -> None:
    one = commit(wallet, {"a": "1"})[0]
    other = replace(one, keyid=scheme + EDGE.keyid(wallet.owner))
    base = signature_base(other, {"a": "1"})
    other = other.signed(wallet.sign(base, "sha512"))
    assert other.owner == b""
    fields = {"a": "1"} | write_commitments([other])
    assert check(fields, b"").outcome is SignatureStatus.UNCHECKABLE


def test_the_signature_base_of_each_profile() -> None:
    """HyperBEAM sorts parameters and signs @method; core-libs sign fields as RFC 9421 has it."""
    given = {"components": ("method", "a"), "tag": "t", "created": 1, "expires": 2, "nonce": "n"}
    fields = {"method": "GET", "a": "1"}
    lines = '"method": GET\n"a": 1\n"@signature-params": '
    for profile in (EDGE, CURRENT):
        assert signature_base(of_key(profile, **given, bundle=True), fields).decode() == (
            lines + f'("@method" "a");alg="{RSA}";bundle="true";created=1;expires=2;keyid="k"'
            ';nonce="n";tag="t"'
        )
    assert signature_base(of_key(CORE_LIBS, **given), fields).decode() == (
        lines + f'("method" "a");alg="{RSA}";keyid="k";tag="t";created=1;expires=2;nonce="n"'
    )


@pytest.mark.parametrize(
    "name",
    [
        *("method", "target-uri", "authority", "scheme", "request-target", "path", "query"),
        *("query-param", "status", "a"),
    ],
)
def test_keys_with_the_name_of_a_derived_component_are_signed_as_one(name: str) -> None:
    """RFC 9421 section 2.2, but for `status`, which HyperBEAM signs as a field."""
    base = signature_base(of_key(EDGE, components=(name,)), {name: "x"}).decode()
    shown = name if name in ("status", "a") else f"@{name}"
    assert base.startswith(f'"{name}": x\n"@signature-params": ("{shown}");')


def test_names_are_escaped() -> None:
    """RFC 9651 section 4.1.6: else two names could make one line."""
    base = signature_base(of_key(EDGE, components=('a\\"b',)), {'a\\"b': "x"}).decode()
    assert base.startswith('"a\\\\\\"b": x\n"@signature-params": ("a\\\\\\"b");')


def test_without_components_the_base_begins_with_an_empty_line() -> None:
    """Unlike in RFC 9421 section 2.5; the ids of empty maps depend on it."""
    assert signature_base(of_key(EDGE, components=()), {}).startswith(b'\n"@signature-params": ();')


def test_the_id_of_an_hmac_is_the_hmac() -> None:
    assert id_of(b"\0" * 32) == "A" * 43
    assert id_of(b"\0" * 512) != "A" * 43
    one = make_commitment(b"\1" * 32, EDGE, alg=HMAC, keyid="ao")
    assert (one.committer, one.owner, one.id) == ("", b"", id_of(b"\1" * 32))
