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
    MOST,
    RSA,
    Commitment,
    Profile,
    id_of,
    make_commitment,
    read_parameters,
    signature_base,
    write_commitments,
)
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import SignatureStatus, check
from aoshell.protocol.message import raw
from aoshell.protocol.nested import carry, nested_commitments, to_map
from aoshell.protocol.rebuild import unsigned
from aoshell.protocol.signing import commit
from aoshell.protocol.tabm import Tabm
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


@pytest.mark.parametrize("profile", [EDGE, CURRENT])
def test_commitments_inside_a_message_are_under_their_own_ids(
    wallet: Wallet, profile: Profile
) -> None:
    message: Tabm = {"a": "1"}
    signature, mac = commit(wallet, message, profile=profile)
    carried = carry(message, (mac, signature), lambda keys: unsigned(keys, profile).id)
    assert [one.alg for one, _ in nested_commitments(carried)] == [RSA, HMAC]  # signers first
    kept = carried["commitments"]
    assert isinstance(kept, dict)
    swapped: Tabm = {signature.id: kept[mac.id], mac.id: kept[signature.id]}
    with pytest.raises(ProtocolError, match="under an id that is not its own"):
        nested_commitments(message | {"commitments": swapped})
    both = write_commitments([replace(one, components=None) for one in (signature, mac)])
    source = kept[signature.id]
    assert isinstance(source, dict)
    with pytest.raises(ProtocolError, match="under an id that is not its own"):
        nested_commitments(message | {"commitments": {signature.id: source | both}})


def test_commitments_inside_a_message_have_a_bound() -> None:
    for count, why in ((MOST, "without its signature"), (MOST + 1, "has more than")):
        kept: Tabm = {str(number): {} for number in range(count)}
        with pytest.raises(ProtocolError, match=why):
            nested_commitments({"commitments": kept})


@pytest.mark.parametrize("keys", [{"1": "a", "2": {"b": "c"}}, {"1": "a", "3": "b"}, "a"])
def test_the_keys_that_a_commitment_covers_are_a_list_of_texts(
    wallet: Wallet, keys: str | Tabm
) -> None:
    signature, _ = commit(wallet, {"a": "1"}, profile=CURRENT)
    source = to_map(signature) | {"committed": keys}
    with pytest.raises(ProtocolError, match="list of the keys that it covers"):
        nested_commitments({"a": "1", "commitments": {signature.id: source}})


def test_what_is_bundled_says_so() -> None:
    for said, due in (("true", True), ("false", False), ("", False)):
        assert read_parameters({"alg": RSA, "bundle": said}, "here")["bundle"] is due


@pytest.mark.parametrize("value", [True, "1", 1.5, b"1"])
def test_a_time_of_a_signature_is_a_whole_number(value: object) -> None:
    assert read_parameters({"alg": RSA, "created": 1}, "here")["created"] == 1
    with pytest.raises(ProtocolError, match="'created' has another type"):
        read_parameters({"alg": RSA, "created": value}, "here")
