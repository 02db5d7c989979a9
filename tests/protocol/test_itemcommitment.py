"""Commitments of messages that came as data items: what of a message such an item has signed."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import Commitment
from aoshell.protocol.encoding import b64url
from aoshell.protocol.itemcommitment import DEVICE, signs_item
from aoshell.protocol.message import tags_of
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet

TARGET = "T" * 42 + "A"
ANCHOR = b"a" * 32
TAGS = [("Action", "Eval"), ("X", "y")]
MESSAGE: Tabm = {
    "action": "Eval",
    "x": "y",
    "target": TARGET,
    "data": "1+1",
    "anchor": ANCHOR.decode(),
}


def signed(
    wallet: Wallet,
    tags: list[tuple[str, str]],
    target: str = TARGET,
    data: bytes = b"1+1",
    committed: tuple[str, ...] = (),
) -> Commitment:
    """The commitment that a node keeps of an item."""
    item = DataItem.sign(wallet, target, tags_of(tags), data, ANCHOR)
    keyid = "publickey:" + base64.b64encode(wallet.owner).decode()
    alg, who = "rsa-pss-sha256", wallet.address
    return Commitment(item.id, alg, who, committed, keyid, item.signature, device=DEVICE)


def original(tags: list[tuple[str, str]]) -> Tabm:
    listed: Tabm = {
        str(at): {"name": name, "value": value} for at, (name, value) in enumerate(tags, 1)
    }
    return {"original-tags": listed}


def without(message: Mapping[str, str | Tabm], key: str) -> Tabm:
    return {name: value for name, value in message.items() if name != key}


def test_it_covers_its_tags_and_fields_and_nothing_else(wallet: Wallet) -> None:
    one = signed(wallet, TAGS)
    assert signs_item(one, original(TAGS), MESSAGE) == MESSAGE
    assert signs_item(one, original(TAGS), MESSAGE | {"added": "z", "m": {}}) == MESSAGE
    encoded: Tabm = MESSAGE | {"anchor": b64url(ANCHOR)}
    assert signs_item(one, original(TAGS), encoded) == encoded


@pytest.mark.parametrize("key", MESSAGE)
def test_no_part_of_the_message_may_be_another(wallet: Wallet, key: str) -> None:
    """The tags that were signed stand beside it: what it says must be what they say."""
    one = signed(wallet, TAGS)
    for other in (MESSAGE | {key: "changed"}, MESSAGE | {key: {"a": "b"}}, without(MESSAGE, key)):
        assert signs_item(one, original(TAGS), other) is None


def test_the_tags_that_were_signed_may_not_be_others(wallet: Wallet) -> None:
    one = signed(wallet, TAGS)
    for tags, message in (
        ([("Action", "Evil"), TAGS[1]], MESSAGE | {"action": "Evil"}),
        (TAGS[:1], MESSAGE),
        (TAGS[::-1], MESSAGE),
        ([*TAGS, ("Z", "z")], MESSAGE | {"z": "z"}),
    ):
        assert signs_item(one, original(tags), message) is None
    for broken in ({"2": {}}, {"1": "text"}, {"1": {"name": "Action"}}, {"1": {"value": "x"}}):
        assert signs_item(one, {"original-tags": broken}, MESSAGE) is None


def test_a_tag_may_have_the_name_of_a_field(wallet: Wallet) -> None:
    tags = [("Target", "somebody"), ("Data", "some")]
    one = signed(wallet, tags, target="", data=b"")
    message: Tabm = {"target": "somebody", "data": "some", "anchor": ANCHOR.decode()}
    assert signs_item(one, original(tags), message) == message


def test_without_its_tags_they_follow_from_the_keys(wallet: Wallet) -> None:
    keys = [("action", "Eval"), ("x", "y")]
    one = signed(wallet, keys, committed=("action", "x", "target", "data"))
    assert signs_item(one, {}, MESSAGE) == MESSAGE
    assert signs_item(one, {}, without(MESSAGE, "anchor")) is None
    assert signs_item(one, {}, MESSAGE | {"action": "Evil"}) is None


def test_a_key_that_is_not_there_or_no_text_is_no_tag(wallet: Wallet) -> None:
    for value, there in (("None", {}), ("{}", {"k": {}})):
        one = signed(wallet, [("k", value)], committed=("k", "target", "data"))
        message: Tabm = without(MESSAGE, "x") | there
        assert signs_item(one, {}, message) is None
        assert signs_item(one, {}, message | {"k": value}) is not None
