"""Pages of a HyperBEAM log with their signatures: what of them is believed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aoshell.errors import AoError
from aoshell.forks import bundles
from aoshell.forks.bundles import BUNDLE, read_bundle
from aoshell.forks.messages import ForeignMessage
from aoshell.protocol import signing, wire
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.encoding import b64url
from aoshell.protocol.nested import carry
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet

PROCESS, OTHER = "P" * 42 + "A", "O" * 42 + "A"
MESSAGE: Tabm = {"action": "Eval", "data": "1+1"}


def signed(message: Tabm, *signers: Wallet) -> Tabm:
    """A message with the signatures of these, and their HMACs."""
    made = [one for who in signers for one in signing.commit(who, message, profile=CURRENT)]
    return carry(message, made, lambda _: "") if made else message


def assignment(body: Tabm, **changes: str | Tabm) -> Tabm:
    place: Tabm = {"slot": "1", "timestamp": "5", "block-height": "6", "process": PROCESS}
    return place | {"hash-chain": b64url(bytes(32)), "body": body} | changes


def read(*assignments: Tabm) -> list[ForeignMessage]:
    listed: Tabm = {str(at): one for at, one in enumerate(assignments, 1)}
    fields, body = wire.encode({"assignments": listed}, CURRENT)
    page: Any = {BUNDLE: [list(map(list, fields.items())), base64.b64encode(body or b"").decode()]}
    return read_bundle(page, PROCESS, "the node", as_node=True)


def test_who_signed_what_is_what_the_signatures_say(wallet: Wallet, other_wallet: Wallet) -> None:
    (found,) = read(signed(assignment(signed(MESSAGE, wallet)), other_wallet))
    assert found.signed and not found.several and found.message is not None
    assert (found.message.owner, found.scheduler) == (wallet.address, other_wallet.address)
    assert found.message.data == b"1+1" and found.assigned.slot == 1


def test_what_nobody_signed_is_not_called_signed(wallet: Wallet) -> None:
    (found,) = read(assignment(signed(MESSAGE, wallet)))
    assert found.signed and found.scheduler == ""
    inner = signed(MESSAGE, wallet)
    kept = inner["commitments"]
    assert isinstance(kept, dict)
    mac = {
        key: one for key, one in kept.items() if isinstance(one, dict) and "committer" not in one
    }
    assert len(mac) == 1
    (found,) = read(assignment(MESSAGE | {"commitments": mac}))  # anybody can make that one
    assert not found.signed and found.message is not None and found.message.owner == ""


def test_of_two_schedulers_neither_is_named(wallet: Wallet, other_wallet: Wallet) -> None:
    (found,) = read(signed(assignment(signed(MESSAGE, wallet)), wallet, other_wallet))
    assert found.signed and found.scheduler == ""
    (found,) = read(assignment(signed(MESSAGE, wallet, other_wallet)))
    assert found.several


@pytest.mark.parametrize("key", ["slot", "timestamp", "process"])
def test_a_place_that_was_changed_is_refused(wallet: Wallet, key: str) -> None:
    whole = signed(assignment(signed(MESSAGE, wallet)), wallet)
    with pytest.raises(AoError, match=r"the assignment of slot .* is refused") as caught:
        read(whole | {key: "7"})
    assert caught.value.stage == "verify"


def test_a_message_that_was_changed_is_refused(wallet: Wallet) -> None:
    for changed in ({"data": "1+2"}, {"action": "Evil"}):
        with pytest.raises(AoError, match=r"the message of slot 1 .* is refused"):
            read(assignment(signed(MESSAGE, wallet) | changed))
    without = signed(MESSAGE, wallet)
    del without["data"]
    with pytest.raises(AoError, match="is refused"):
        read(assignment(without))


def test_what_was_added_to_a_signed_message_is_no_part_of_it(wallet: Wallet) -> None:
    body = signed(MESSAGE, wallet) | {"from-process": OTHER, "x": "smuggled"}
    (found,) = read(assignment(body))
    assert (
        b"Eval" in found.as_node and b"smuggled" not in found.as_node
    )  # what its process is given
    assert found.message is not None and found.message.from_ == wallet.address
    assert found.message.tag("X") == "" and found.message.tag("Action") == "Eval"
    bare = assignment(signed(MESSAGE, wallet))
    place = {key: value for key, value in bare.items() if key != "timestamp"}
    (found,) = read(signed(place, wallet) | {"timestamp": "7"})
    assert found.assigned.timestamp == 0


def test_a_page_is_in_the_order_of_its_slots(wallet: Wallet) -> None:
    body = signed(MESSAGE, wallet)
    found = read(*(assignment(body, slot=str(slot)) for slot in (3, 1, 2)))
    assert [one.assigned.slot for one in found] == [1, 2, 3]


def test_only_a_signature_gets_the_type_that_its_node_lost() -> None:
    """A commitment that names neither a key nor who made it proves nothing."""
    signature = {"keyid": "publickey:x"}
    named = {"committer": "c", "keyid": "other"}
    part: Tabm = {"commitments": {"a": signature, "b": {"keyid": "constant:ao"}, "c": named}}
    bundles._complete(part)
    typed = {**signature, "type": "rsa-pss-sha512"}
    assert part == {"commitments": {"a": typed, "c": {"committer": "c", "keyid": "other"}}}
    bundles._complete(part)  # one that has a type keeps it
    assert part == {"commitments": {"a": typed, "c": {"committer": "c", "keyid": "other"}}}
