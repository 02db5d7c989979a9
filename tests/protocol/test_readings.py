"""What a signature may have been made of, where the message does not say it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from aoshell.protocol import httpsig, rebuild, signing, wire
from aoshell.protocol.commitment import (
    CURRENT,
    RSA,
    Commitment,
    signature_base,
    write_commitments,
)
from aoshell.protocol.encoding import ProtocolError
from aoshell.protocol.httpsig import Checked, SignatureStatus
from aoshell.protocol.jsonform import check_json
from aoshell.protocol.nested import carry, to_map
from aoshell.protocol.rebuild import (
    Rebuilder,
    Sealed,
    SignatureError,
    UncheckableError,
    add_ids,
    unsigned,
)
from aoshell.protocol.tabm import TYPES, Tabm
from aoshell.protocol.wallet import Wallet


def signed(wallet: Wallet, linked: Tabm, order: list[str] | None = None) -> Commitment:
    """A signature over the fields of a message whose maps are links."""
    bare = replace(unsigned(linked, CURRENT), alg=RSA, committer=wallet.address)
    bare = replace(
        bare, keyid=CURRENT.keyid(wallet.owner), components=tuple(order or sorted(linked))
    )
    base = signature_base(bare, wire.encode(linked, CURRENT)[0])
    return bare.signed(wallet.sign(base, "sha512"))


def came(message: Tabm, one: Commitment) -> Checked:
    fields, body = wire.encode(message, CURRENT)
    return httpsig.check([*fields.items(), *write_commitments([one]).items()], body or b"")


@pytest.mark.parametrize("types", ['slot="integer"', 'slot="integer", status="integer"'])
def test_the_type_of_a_status_that_is_not_signed_may_be_signed(wallet: Wallet, types: str) -> None:
    """Nodes of June 2025 sign the one, those of November 2025 the other."""
    one = signed(wallet, {"ao-types": types, "slot": "4"})
    sent: Tabm = {"ao-types": 'slot="integer", status="integer"', "slot": "4", "status": "200"}
    checked = came(sent, one)
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    assert checked.verified == {"slot": 4}


@pytest.mark.parametrize(
    "types", ['slot="atom"', 'slot="integer", status="atom"', 'status="integer"']
)
def test_other_types_than_were_signed_do_not_fit(wallet: Wallet, types: str) -> None:
    one = signed(wallet, {"ao-types": types, "slot": "4"})
    sent: Tabm = {"ao-types": 'slot="integer", status="integer"', "slot": "4", "status": "200"}
    assert came(sent, one).outcome is SignatureStatus.BAD


def twice(wallet: Wallet) -> tuple[Tabm, list[Commitment]]:
    """A text that was signed twice, and its signatures, as a node has both of them in one map."""
    inner: Tabm = {"data": "return 7", "action": "Eval"}
    ones = [signing.commit(wallet, inner, profile=CURRENT) for _ in range(2)]
    return carry(inner, [one for pair in ones for one in pair], lambda _: ""), [
        one for one, _ in ones
    ]


@pytest.mark.parametrize("named", ["both", 0, 1])
@pytest.mark.parametrize("json", [False, True])
def test_an_assignment_names_the_signature_it_was_made_for(
    wallet: Wallet, named: str | int, json: bool
) -> None:
    body, ones = twice(wallet)
    due = [one.id for one in ones] if named == "both" else [ones[int(named)].id]
    one = signed(wallet, {"path": "compute", "body+link": add_ids(due)})
    if json:
        kept = {key: to_json(value) for key, value in body.items()}
        said = {"path": "compute", "body": kept, "commitments": {one.id: listed(one)}}
        checked = check_json(said)
    else:
        checked = came({"path": "compute", "body": body}, one)
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    assert checked.ids == {"body": frozenset(due)}


def listed(one: Commitment) -> dict[str, object]:
    return {**to_map(one), "committed": list(one.committed)}


def to_json(value: str | Tabm) -> object:
    if isinstance(value, str):
        return value
    if TYPES in value:  # a list
        return [inner for key, inner in value.items() if key != TYPES]
    return {key: to_json(inner) for key, inner in value.items()}


def test_what_only_the_other_signature_covers_is_not_signed(wallet: Wallet) -> None:
    """Somebody on the way adds a key and signs it: the node has named its own signature alone."""
    inner: Tabm = {"data": "return 7"}
    own = signing.commit(wallet, inner, profile=CURRENT)[0]
    stranger = signing.commit(Wallet.generate(), inner | {"added": "x"}, profile=CURRENT)[0]
    body = carry(inner | {"added": "x"}, [own, stranger], lambda _: "")
    checked = came({"body": body, "path": "p"}, signed(wallet, {"path": "p", "body+link": own.id}))
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    assert checked.verified["body"] == {"data": "return 7"}
    assert checked.ids == {"body": frozenset((own.id,))}


def mixed(count: int) -> Tabm:
    """A map whose keys are in no order of theirs, as in the memory of a node."""
    keys = [f"k{number:02}" for number in range(count)]
    return dict.fromkeys(keys[1::2] + keys[::2], "v")


@pytest.mark.parametrize(("count", "sorts"), [(32, True), (33, False)])
def test_a_map_of_many_keys_is_in_the_order_of_the_node(
    wallet: Wallet, count: int, sorts: bool
) -> None:
    many = mixed(count)
    for as_came in (True, False):
        linked: Tabm = {"a": "b", "many+link": unsigned(many, CURRENT, as_came=as_came).id}
        one = replace(signed(wallet, linked), committed=("a", "many"))
        rebuilder = Rebuilder(CURRENT)
        if as_came is not sorts:
            assert rebuilder.check(one, {"a": "b", "many": many})["many"] == many
        else:  # of a small one the order is known
            with pytest.raises(SignatureError if sorts else UncheckableError):
                rebuilder.check(one, {"a": "b", "many": many})


@pytest.mark.parametrize(("count", "sorts"), [(32, True), (33, False)])
def test_a_part_of_many_keys_is_found_by_its_id_in_the_order_of_the_node(
    count: int, sorts: bool
) -> None:
    many = mixed(count)
    assert httpsig.find_part(many, unsigned(many, CURRENT).id) == many
    as_came = unsigned(many, CURRENT, as_came=True).id
    if sorts:
        with pytest.raises(ProtocolError, match="another message"):
            httpsig.find_part(many, as_came)
    else:
        assert httpsig.find_part(many, as_came) == many


def test_what_a_node_took_out_of_a_signed_map_makes_it_uncheckable(wallet: Wallet) -> None:
    """As `patch@1.0` does with an outbox: the id stands for keys that are not there."""
    stale = signing.commit(wallet, {"first": "x"}, profile=CURRENT)[1]
    one = signed(wallet, {"outbox+link": stale.id, "status": "200"})
    checked = came({"outbox": carry({}, [stale], lambda _: ""), "status": "200"}, one)
    assert checked.outcome is SignatureStatus.UNCHECKABLE and "first" in str(checked.failure)


def test_the_trace_of_an_error_may_have_changed_since_it_was_signed(wallet: Wallet) -> None:
    """Of messages that passed through Lua, nodes lose parts. With maps looked at it is bad."""
    one = signed(wallet, {"trace+link": "x" * 43, "status": "500"})
    fields, body = wire.encode({"trace": {"line": "1"}, "status": "500"}, CURRENT)
    headers = [*fields.items(), *write_commitments([one]).items()]
    for shallow, due in ((True, SignatureStatus.UNCHECKABLE), (False, SignatureStatus.BAD)):
        assert httpsig.check(headers, body or b"", shallow=shallow).outcome is due


def test_what_came_instead_of_a_signed_map_makes_it_uncheckable(wallet: Wallet) -> None:
    one = signed(wallet, {"body+link": "x" * 43, "status": "200"})
    checked = came({"body": "<html>", "status": "200"}, one)
    assert checked.outcome is SignatureStatus.UNCHECKABLE


def test_a_text_that_came_as_a_map_does_not_fit(wallet: Wallet) -> None:
    """Also beside a map that did not come, which alone would leave it open."""
    one = signed(wallet, {"a": "1", "body+link": "x" * 43, "status": "200"})
    checked = came({"a": {"b": "c"}, "body": "<html>", "status": "200"}, one)
    assert checked.outcome is SignatureStatus.BAD


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_who_name_signatures_of_a_map_both_must_name_one(
    wallet: Wallet, other_wallet: Wallet, first: int
) -> None:
    body, ones = twice(wallet)
    named = [[ones[0].id], [one.id for one in ones]]
    outer = [
        signed(signer, {"path": "p", "body+link": add_ids(ids)})
        for signer, ids in zip((wallet, other_wallet), named[first:] + named[:first], strict=True)
    ]
    fields, sent = wire.encode({"path": "p", "body": body}, CURRENT)
    checked = httpsig.check([*fields.items(), *write_commitments(outer).items()], sent or b"")
    assert checked.outcome is SignatureStatus.VERIFIED, checked.failure
    assert checked.ids == {"body": frozenset(named[0])}


@pytest.mark.parametrize(
    ("alg", "digest", "due"),
    [
        ("rsa-pss-sha512", "sha512", SignatureStatus.VERIFIED),
        ("rsa-pss-sha512", "sha256", SignatureStatus.BAD),
        ("rsa-pss-sha256", "sha256", SignatureStatus.UNCHECKABLE),
        ("rsa-pss-sha256", "sha512", SignatureStatus.UNCHECKABLE),
    ],
)
def test_a_signature_is_of_the_kind_that_it_says(
    wallet: Wallet, alg: str, digest: Literal["sha256", "sha512"], due: SignatureStatus
) -> None:
    bare = replace(signed(wallet, {"a": "1"}), alg=alg)
    base = signature_base(bare, {"a": "1"})
    checked = came({"a": "1"}, bare.signed(wallet.sign(base, digest)))
    assert checked.outcome is due


def test_readings_are_bounded(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    monkeypatch.setattr(rebuild, "fits", lambda one, _: tried.append(one))
    bodies: Tabm = {f"m{number}": {"a": "b"} for number in range(4)}
    one = replace(signed(wallet, {"a": "b"}), committed=tuple(bodies), components=None)
    monkeypatch.setattr(rebuild, "READINGS", 5)
    monkeypatch.setattr(Rebuilder, "_seals", lambda *_: [Sealed("x" * 43, {})] * 3)
    with pytest.raises(SignatureError):
        Rebuilder(CURRENT).check(one, bodies)
    assert len(tried) == 5
