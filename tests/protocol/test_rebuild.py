"""What a signer signed, rebuilt: a link cannot vouch for another map, and nesting is bounded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aoshell.protocol import wire
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import (
    CORE_LIBS,
    CURRENT,
    EDGE,
    Profile,
    signature_base,
    write_commitments,
)
from aoshell.protocol.encoding import ProtocolError, b64url
from aoshell.protocol.httpsig import SignatureStatus, check
from aoshell.protocol.message import Tag
from aoshell.protocol.rebuild import Rebuilder, UncheckableError, add_ids
from aoshell.protocol.signing import commit, unsigned_id
from aoshell.protocol.tabm import DEEPEST, Tabm
from aoshell.protocol.wallet import Wallet


@pytest.mark.parametrize("link_first", [False, True])
def test_a_signed_link_does_not_vouch_for_another_map_beside_it(
    wallet: Wallet, link_first: bool
) -> None:
    """The signature covers the id of "m", and "x+link" alone would give "m" that id."""
    signatures = write_commitments(commit(wallet, {"m": {"x": {"b": "2"}}}))
    inner: Tabm = {"x": {"b": "3"}}
    link: Tabm = {"x+link": unsigned_id({"b": "2"})}
    forged: Tabm = {"m": link | inner if link_first else inner | link}
    fields, body = wire.encode(forged)
    checked = check(fields | signatures, body or b"")
    assert checked.outcome is SignatureStatus.BAD
    assert "is there and linked to" in str(checked.failure)
    fields, body = wire.encode({"m": link})  # a link instead of its map is as good
    assert check(fields | signatures, body or b"").verified == {"m": link}


def sealed(message: Tabm) -> tuple[str, Tabm]:
    """The likeliest id of a map, and those of its keys that the id covers."""
    first = Rebuilder()._seals(message, "")[0]
    return first.id, first.part


def test_empty_commitments_change_no_id() -> None:
    assert Rebuilder().link({"a": "1", "commitments": {}}) == ({"a": "1"}, {"a": "1"})
    assert sealed({"a": "1", "commitments": {}})[0] == unsigned_id({"a": "1"})


def test_a_data_item_in_a_message_must_fit_it(wallet: Wallet) -> None:
    """ANS-104: the item is rebuilt from the message, whose keys are its tags."""
    item = DataItem.sign(wallet, tags=[Tag("a", "1")], data=b"x")
    kept: Tabm = {
        "commitment-device": "ans104@1.0",
        "committed": {"1": "a"},
        "keyid": CURRENT.keyid(wallet.owner),
        "signature": b64url(item.signature),
        "type": "rsa-pss-sha256",
    }
    message: Tabm = {"a": "1", "data": "x", "b": "unsigned", "commitments": {item.id: kept}}
    assert sealed(message) == (item.id, {"a": "1", "data": "x"})
    for changed in ({"a": "2"}, {"data": "y"}, {"target": wallet.address}):
        with pytest.raises(UncheckableError, match="cannot be rebuilt, or is another one"):
            sealed(message | changed)


def test_several_ids_are_added_modulo_2_to_the_256() -> None:
    largest, two = b64url(b"\xff" * 32), b64url((2).to_bytes(32, "big"))
    assert add_ids([largest, two]) == add_ids([two, largest]) == b64url((1).to_bytes(32, "big"))
    assert add_ids([two]) == two


def test_a_signed_digest_covers_the_maps_in_the_body(wallet: Wallet) -> None:
    """RFC 9421 as it stands (core-libs): what is signed is the body's digest, not links."""
    message: Tabm = {"a": "1", "m": {"b": "2"}, "n": {"c": "3"}}
    fields, body = wire.encode(message)
    one = commit(wallet, {"a": "1"}, profile=CORE_LIBS)[0]
    one = replace(one, components=("a", "content-digest", "content-type"))
    one = one.signed(wallet.sign(signature_base(one, fields), "sha512"))
    checked = check(fields | write_commitments([one]), body or b"")
    assert checked.verified == message
    assert checked.commitments[0].committed[:3] == ("a", "m", "n")


@pytest.mark.parametrize("profile", [EDGE, CORE_LIBS], ids=lambda one: one.name)
def test_an_unsigned_field_does_not_rename_a_body_signed_as_sent(
    wallet: Wallet, profile: Profile
) -> None:
    fields, body = wire.encode({"a": "1", "body": "x"}, profile)
    one = commit(wallet, {"a": "1"}, bundle=True, profile=profile)[0]
    one = replace(one, components=("a", "content-digest"))
    one = one.signed(wallet.sign(signature_base(one, fields), "sha512"))
    signed = fields | write_commitments([one])
    assert check(signed, body or b"").verified == {"a": "1", "body": "x"}
    renamed = check(signed | {"ao-body-key": "evil"}, body or b"")
    assert renamed.outcome is SignatureStatus.BAD
    assert "decides how the body is read, but is not signed" in str(renamed.failure)


@pytest.mark.parametrize("profile", [EDGE, CORE_LIBS], ids=lambda one: one.name)
def test_an_unsigned_boundary_does_not_divide_a_body_signed_as_sent(
    wallet: Wallet, profile: Profile
) -> None:
    """The digest covers the bytes. Another boundary would make other keys of them."""
    fields, body = wire.encode({"a": "1", "m": {"b": "2"}}, profile)
    components = ("a", "content-digest")
    one = commit(wallet, {"a": "1"}, bundle=True, profile=profile)[0]
    for names, outcome in (
        ((*components, "content-type"), SignatureStatus.VERIFIED),
        (components, SignatureStatus.BAD),
    ):
        signed = replace(one, components=names)
        signed = signed.signed(wallet.sign(signature_base(signed, fields), "sha512"))
        checked = check(fields | write_commitments([signed]), body or b"")
        assert checked.outcome is outcome
    assert "'content-type' decides how the body is read, but is not" in str(checked.failure)


def test_an_unsigned_content_type_says_nothing_of_a_whole_body(wallet: Wallet) -> None:
    fields, body = wire.encode({"a": "1", "body": "x"}, CORE_LIBS)
    one = commit(wallet, {"a": "1"}, bundle=True, profile=CORE_LIBS)[0]
    one = replace(one, components=("a", "content-digest"))
    one = one.signed(wallet.sign(signature_base(one, fields), "sha512"))
    checked = check(fields | {"content-type": "text/x"} | write_commitments([one]), body or b"")
    assert checked.verified == {"a": "1", "body": "x"}


@pytest.mark.parametrize("bundle", [False, True])
def test_a_map_in_the_body_does_not_replace_a_signed_link(wallet: Wallet, bundle: bool) -> None:
    signed: Tabm = {"a": "1", "m+link": unsigned_id({"b": "2"})}
    signatures = commit(wallet, signed, bundle=bundle, profile=CORE_LIBS)
    fields, body = wire.encode({"m": {"evil": "1"}})
    checked = check(signed | fields | write_commitments(signatures), body or b"")
    assert checked.outcome is SignatureStatus.VERIFIED
    assert checked.verified == signed


def test_nesting_is_bounded() -> None:
    deep: Tabm = {"a": "1"}
    for _ in range(DEEPEST + 3):
        deep = {"m": deep}
    with pytest.raises(ProtocolError, match="nested too deep"):
        Rebuilder().link(deep)


def test_a_field_that_http_uses_is_kept_where_it_is_signed(wallet: Wallet) -> None:
    """RFC 9421 section 2.1: a signer may cover `date`. Unsigned, it is no part of the message."""
    message: Tabm = {"a": "1", "date": "Mon, 01 Jan 2024 00:00:00 GMT"}
    checked = check(message | write_commitments(commit(wallet, message)), b"")
    assert checked.verified == checked.message == message
    checked = check(message | write_commitments(commit(wallet, {"a": "1"})), b"")
    assert checked.verified == checked.message == {"a": "1"}
