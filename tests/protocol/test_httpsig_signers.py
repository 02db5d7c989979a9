"""Who stands for what: only keys that a public key has signed are `.verified`, never an HMAC's."""

from __future__ import annotations

import pytest

from aoshell.protocol import wire
from aoshell.protocol.commitment import (
    CORE_LIBS,
    CURRENT,
    EDGE,
    HMAC,
    INPUT,
    RSA,
    Commitment,
    Profile,
    write_commitments,
)
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import SignatureStatus, check, check_map, read_part, verify
from aoshell.protocol.nested import carry
from aoshell.protocol.rebuild import unsigned
from aoshell.protocol.signing import commit
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet

SIGNED: Tabm = {"a": "1"}
MORE: Tabm = {"a": "1", "b": "2", "balance": "1000000"}


def test_an_hmac_adds_nothing_to_what_a_key_has_signed(wallet: Wallet) -> None:
    """Anybody can make an HMAC: it may cover every key, and its keys stay unsigned."""
    for profile in (EDGE, CURRENT):
        signature, _ = commit(wallet, SIGNED, profile=profile)
        _, mac = commit(wallet, MORE, profile=profile)
        checked = check(MORE | write_commitments((signature, mac)), b"")
        assert checked.outcome is SignatureStatus.VERIFIED
        assert {one.alg: set(one.committed) for one in checked.commitments} == {
            RSA: {"a"},
            HMAC: set(MORE),
        }
        assert checked.verified == SIGNED
        assert checked.message == MORE


def test_an_hmac_adds_nothing_to_a_signed_body(wallet: Wallet) -> None:
    signature, _ = commit(wallet, SIGNED)
    covered: Tabm = SIGNED | {"body": "printed"}
    _, mac = commit(wallet, covered)
    fields, body = wire.encode(covered)
    checked = check(fields | write_commitments((signature, mac)), body or b"")
    assert checked.outcome is SignatureStatus.VERIFIED
    assert (checked.verified, checked.message) == (SIGNED, covered)


@pytest.mark.parametrize("profile", [EDGE, CURRENT])
def test_a_map_that_is_put_into_a_signed_body_is_not_signed(
    wallet: Wallet, profile: Profile
) -> None:
    """The signature covers the digest of the body, and what it covered was the data alone."""
    covered: Tabm = {"data": "printed"}
    signatures = write_commitments(commit(wallet, covered, profile=profile))
    more: Tabm = covered | {"m": {"balance": "1000000"}}
    fields, body = wire.encode(more, profile)
    checked = check(fields | signatures, body or b"")
    assert checked.message == more
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    assert checked.verified == covered


def carried(message: Tabm, *commitments: Commitment) -> Tabm:
    return carry(message, commitments, lambda keys: unsigned(keys).id)


def test_an_hmac_adds_nothing_to_a_signed_map(wallet: Wallet) -> None:
    """The id of a map is that of its signatures; what else an HMAC covers in it is left out."""
    signature, _ = commit(wallet, SIGNED)
    _, mac = commit(wallet, MORE)
    outer: Tabm = {"m": carried(MORE, signature, mac)}
    fields, body = wire.encode(outer)
    checked = check(fields | write_commitments(commit(wallet, outer)), body or b"")
    assert checked.outcome is SignatureStatus.VERIFIED
    assert checked.verified == {"m": SIGNED}
    assert checked.ids == {"m": {signature.id}}


def test_an_hmac_adds_nothing_to_a_map_alone(wallet: Wallet) -> None:
    (signature, own), (_, mac) = commit(wallet, SIGNED), commit(wallet, MORE)
    checked = check_map(carried(MORE, signature, mac))
    assert (checked.outcome, checked.verified) == (SignatureStatus.VERIFIED, SIGNED)
    assert (checked.covered, checked.message) == (SIGNED, MORE)
    checked = check_map(carried(SIGNED, own))
    assert (checked.outcome, checked.verified) == (SignatureStatus.UNSIGNED, {})
    assert [one.alg for one in checked.commitments] == [HMAC]


def test_a_link_is_not_among_what_is_looked_at_alone(wallet: Wallet) -> None:
    """What it names did not come along."""
    linked: Tabm = SIGNED | {"m+link": "m" * 43}
    fields, body = wire.encode(linked)
    sent = fields | write_commitments(commit(wallet, linked))
    checked = check(sent, body or b"", shallow=True)
    assert (checked.outcome, checked.verified) == (SignatureStatus.VERIFIED, SIGNED)
    assert check(sent, body or b"").covered == linked


def test_the_id_of_one_signer_is_not_that_of_what_two_say(
    wallet: Wallet, other_wallet: Wallet
) -> None:
    first, second = commit(wallet, {"a": "1"})[0], commit(other_wallet, {"b": "2"})[0]
    fields: Tabm = {"a": "1", "b": "2"}
    assert read_part(fields | write_commitments((first,)), b"", first.id) == {"a": "1"}
    with pytest.raises(ProtocolError, match="another message"):
        read_part(fields | write_commitments((first, second)), b"", first.id)


def test_a_map_that_nobody_signed_has_no_id_to_rely_on(wallet: Wallet) -> None:
    outer: Tabm = {"m": carried(MORE, commit(wallet, MORE)[1]), "n": SIGNED}
    fields, body = wire.encode(outer)
    checked = check(fields | write_commitments(commit(wallet, outer)), body or b"")
    assert checked.outcome is SignatureStatus.VERIFIED
    assert (checked.verified, checked.ids) == ({"m": MORE, "n": SIGNED}, {})


def test_a_map_that_only_an_hmac_covers_gives_no_id(wallet: Wallet) -> None:
    outer: Tabm = SIGNED | {"m": carried(MORE, *commit(wallet, MORE))}
    fields, body = wire.encode(outer)
    commitments = commit(wallet, SIGNED)[0], commit(wallet, outer)[1]
    checked = check(fields | write_commitments(commitments), body or b"")
    assert checked.outcome is SignatureStatus.VERIFIED
    assert (checked.verified, checked.ids) == (SIGNED, {})


def test_a_map_within_that_only_an_hmac_covers_gives_no_id(wallet: Wallet) -> None:
    inner: Tabm = SIGNED | {"m": carried(MORE, *commit(wallet, MORE))}
    checked = check_map(carried(inner, commit(wallet, SIGNED)[0], commit(wallet, inner)[1]), EDGE)
    assert checked.outcome is SignatureStatus.VERIFIED
    assert (checked.verified, checked.ids) == (SIGNED, {})


def test_a_parameter_within_that_is_not_known_leaves_it_open(wallet: Wallet) -> None:
    """It might mean anything, so the signature is not called bad."""
    signature, _ = commit(wallet, SIGNED)
    inner = carried(SIGNED, signature)
    kept = inner["commitments"]
    assert isinstance(kept, dict)
    source = kept[signature.id]
    assert isinstance(source, dict)
    assert check_map(inner, EDGE).outcome is SignatureStatus.VERIFIED
    source[INPUT] = f'{source[INPUT]};x="y"'
    assert check_map(inner, EDGE).outcome is SignatureStatus.UNCHECKABLE


@pytest.mark.parametrize("bundle", [False, True])
def test_ids_are_those_that_the_outer_signature_names(wallet: Wallet, bundle: bool) -> None:
    """A bundled commitment signs the bytes of a map: the signatures in it were not checked."""
    signature, mac = commit(wallet, MORE)
    outer: Tabm = {"m": carried(MORE, signature, mac)}
    fields, body = wire.encode(outer)
    checked = check(fields | write_commitments(commit(wallet, outer, bundle=bundle)), body or b"")
    assert checked.outcome is SignatureStatus.VERIFIED
    assert checked.ids == ({} if bundle else {"m": {signature.id}})


def test_two_signers_stand_for_what_both_say(wallet: Wallet, other_wallet: Wallet) -> None:
    first, second = commit(wallet, {"a": "1"})[0], commit(other_wallet, {"b": "2"})[0]
    checked = check({"a": "1", "b": "2", "c": "3"} | write_commitments((first, second)), b"")
    assert checked.verified == {"a": "1", "b": "2"}
    assert checked.committers == tuple(sorted((wallet.address, other_wallet.address)))
    inner = carried({"a": "1", "b": "2", "c": "3"}, first, second)
    fields, body = wire.encode({"m": inner})
    checked = check(fields | write_commitments(commit(wallet, {"m": inner})), body or b"")
    assert checked.verified == {"m": {"a": "1", "b": "2"}}


@pytest.mark.parametrize("profile", [EDGE, CURRENT, CORE_LIBS], ids=lambda one: one.name)
@pytest.mark.parametrize("name", ["new", "req", "context", "x-limit"])
def test_a_signature_with_a_parameter_that_is_not_known_cannot_be_checked(
    wallet: Wallet, profile: Profile, name: str
) -> None:
    """RFC 9421 section 2.3: such a parameter could restrict what the signature means."""
    fields = SIGNED | write_commitments(commit(wallet, SIGNED, profile=profile))
    good = str(fields[INPUT])
    for parameter in (f";{name}=1", f';{name}="x"', f";{name}"):
        bad = good.replace(";alg=", f"{parameter};alg=")
        checked = check({**fields, INPUT: bad}, b"")
        assert (checked.outcome, checked.verified) == (SignatureStatus.UNCHECKABLE, {})
        assert f"its parameter '{name}' is not known here" in str(checked.failure)


def test_known_parameters_are_signed(wallet: Wallet) -> None:
    fields = SIGNED | write_commitments(commit(wallet, SIGNED))
    assert {one.alg for one in verify(fields, b"")} == {RSA, HMAC}
    for parameter in (";created=1", ";expires=9", ';nonce="n"', ';tag="t"', ';bundle="true"'):
        changed = str(fields[INPUT]).replace(";alg=", f"{parameter};alg=")
        assert check({**fields, INPUT: changed}, b"").outcome is SignatureStatus.BAD, parameter
