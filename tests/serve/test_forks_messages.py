"""Messages of a log elsewhere, one by one: what is believed of them, and how they follow."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest
from signers import Ed25519

from aoshell.errors import AoError
from aoshell.forks import messages
from aoshell.forks.messages import (
    CHECKED_SINCE,
    LONGEST_NUMBER,
    MOST_TAGS,
    Assigned,
    Following,
    ForeignMessage,
    message_from_gateway,
    read_edge,
)
from aoshell.nodes.local.log.assigning import next_link
from aoshell.nodes.remote.arweave.verified import VerifiedCode
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Message, tags_of

PROCESS, OTHER = "P" * 42 + "A", "O" * 42 + "A"
ANCHOR = b"a" * 32
SIGNED = (("Action", "Add"), ("From", OTHER), ("Owner", OTHER), ("From-Process", OTHER))


def shown(item: DataItem, **changes: object) -> dict[str, Any]:
    """A signed item as schedulers list it."""
    return {
        "id": item.id,
        "signature": b64url(item.signature),
        "owner": {"address": item.owner_address, "key": b64url(item.owner)},
        "tags": [{"name": tag.name, "value": tag.value} for tag in item.tags],
        "data": item.data.decode(),
        "target": item.target,
        "anchor": item.anchor.decode(),
        **changes,
    }


def signed(signer: Ed25519, target: str = PROCESS) -> DataItem:
    return DataItem.sign(signer, target, tags_of(SIGNED), b"data", ANCHOR)


def edge(message: object, slot: int = 1, signer: Ed25519 | None = None, **more: str) -> Any:
    """A slot of a log, its assignment signed where a signer is given."""
    named = {"Process": PROCESS, "Nonce": str(slot), "Timestamp": "5", **more}
    tags = tags_of(named.items())
    assignment: dict[str, Any] = {
        "id": "A" * 43,
        "tags": [{"name": tag.name, "value": tag.value} for tag in tags],
    }
    if signer:
        item = DataItem.sign(signer, tags=tags)
        assignment |= {"id": item.id, "signature": b64url(item.signature)}
        assignment |= {"owner": {"address": OTHER, "key": b64url(item.owner)}}
    return {"node": {"assignment": assignment, "message": message}}


def read(message: dict[str, Any], slot: int = 1, **more: str) -> Message:
    found = read_edge(edge(message, slot, **more), "it").message
    assert found is not None
    return found


def test_who_has_signed_it_is_what_the_key_says(signer: Ed25519) -> None:
    item = signed(signer)
    lying = shown(item, owner={"address": OTHER, "key": b64url(item.owner)})
    found = read_edge(edge(lying), "it")
    assert found.signed and found.message is not None
    assert found.message.owner == signer.address
    assert found.message.from_ == OTHER  # the process that sent it, as the network has it
    assert found.message.tags == tags_of([SIGNED[0], SIGNED[3]])  # nobody sets the others


@pytest.mark.parametrize(
    "changes", [{"signature": ""}, {"owner": {"address": OTHER}}, {"owner": OTHER}]
)
def test_half_of_a_signature_is_none(signer: Ed25519, changes: dict[str, object]) -> None:
    """It is refused, and not taken for a message that nobody has signed."""
    with pytest.raises(AoError, match="is refused") as caught:
        read(shown(signed(signer), **changes))
    assert caught.value.stage == "verify"


def test_only_a_definition_is_signed_without_its_target(signer: Ed25519) -> None:
    item = signed(signer, target="")
    told = shown(item, target=item.id)
    assert read(told, slot=0).id == item.id
    with pytest.raises(AoError, match="its owner has not signed what came"):
        read(told, slot=1)


@pytest.mark.parametrize("data", [5, ["data"], {"a": "b"}])
def test_data_that_is_no_text_is_refused(data: object) -> None:
    unsigned = {"id": OTHER, "owner": OTHER, "tags": [], "data": data}
    with pytest.raises(AoError, match="no text as the data of slot 1"):
        read(unsigned)
    assert read(unsigned | {"data": None}).data == b""


def test_what_an_assignment_leaves_out_the_process_does_not_get(signer: Ed25519) -> None:
    told = shown(signed(signer))
    whole = read(told)
    assert (whole.data, whole.anchor, len(whole.tags)) == (b"data", ANCHOR.decode(), 2)
    assert read(told, Exclude="Data").data == b""
    assert read(told, Exclude="Anchor").anchor == ""
    found = read(told, Exclude="Data,Tags")
    assert (found.data, found.tags, found.from_) == (b"", (), OTHER)


def test_a_scheduler_is_known_by_its_signature_alone(signer: Ed25519) -> None:
    told = edge(shown(signed(signer)), signer=signer)
    assert read_edge(told, "it").scheduler == signer.address
    told["node"]["assignment"]["tags"].append({"name": "x", "value": "y"})
    assert read_edge(told, "it").scheduler == ""
    assert read_edge(edge(shown(signed(signer))), "it").scheduler == ""


@pytest.mark.parametrize("name", ["Nonce", "Timestamp", "Block-Height", "Epoch"])
@pytest.mark.parametrize("digits", ["-1", "1.5", "٣", "1" * (LONGEST_NUMBER + 1)])
def test_numbers_that_no_home_can_hold(name: str, digits: str) -> None:
    with pytest.raises(AoError, match="no schedule"):
        read_edge(edge(None, **{name: digits}), "it")
    read_edge(edge(None, **{name: "1" * LONGEST_NUMBER}), "it")


def test_a_message_of_the_gateway_has_a_bound_too(monkeypatch: pytest.MonkeyPatch) -> None:
    item = DataItem.sign(Ed25519(), PROCESS, tags_of([("a", "b")] * 3), b"")
    code = VerifiedCode(item.id, item.tags, b"", item.raw, item.owner_address)
    assigned = Assigned("A" * 43, PROCESS, item.id, 1, 5, 0, "", 0)
    assert message_from_gateway(code, assigned).message is not None
    monkeypatch.setattr(messages, "MOST_TAGS", 2)
    with pytest.raises(AoError, match="the gateway gives a message with 3 tags"):
        message_from_gateway(code, assigned)
    assert MOST_TAGS > 128  # what the network takes


# How they follow ------------------------------------------------------------------------------

HEIGHT = CHECKED_SINCE
FIRST = Assigned("A" * 43, PROCESS, "M" * 43, 0, 5, HEIGHT, "A" * 43, 0)
LINK = next_link(FIRST.id, FIRST.chain)
OWN_LINK = b64url(hashlib.sha256((FIRST.chain + "N" * 43).encode()).digest())
SECOND = Assigned("B" * 43, PROCESS, "N" * 43, 1, 5, HEIGHT, LINK, 0)


def follow(*places: Assigned, **rules: Any) -> None:
    following = Following(PROCESS, "it", **rules)
    for one in places:
        following.follow(ForeignMessage(one, None, None))


def changed(place: Assigned, **changes: object) -> Assigned:
    return replace(place, **changes)  # type: ignore[arg-type]


def test_two_places_that_follow_each_other() -> None:
    follow(FIRST, SECOND)  # at the same time
    follow(FIRST, changed(SECOND, chain=OWN_LINK))  # as aoshell links
    follow(SECOND, begin=1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"process": OTHER}, "gives a message of OOO"),
        ({"slot": 0}, "repeats slots"),
        ({"slot": 2}, "skips slots"),
        ({"timestamp": 4}, "goes back in time at slot 1"),
        ({"chain": "D" * 43}, "hash chain that breaks at slot 1"),
        ({"message": "short"}, "a message without an id at slot 1"),
    ],
)
def test_places_that_do_not_follow(changes: dict[str, object], named: str) -> None:
    with pytest.raises(AoError, match=named):
        # Of the links of a message without an id there is none that fits.
        unlinked = 1 if "message" in changes else -1
        follow(FIRST, changed(SECOND, **changes), unlinked=unlinked)


def test_links_are_checked_since_the_network_makes_them_right() -> None:
    """By the height of the link before: it names what the next one is made of."""
    wrong = changed(SECOND, chain="D" * 43)
    follow(changed(FIRST, height=HEIGHT - 1), wrong)
    with pytest.raises(AoError, match="breaks at slot 1"):
        follow(FIRST, wrong)


def test_links_from_elsewhere_are_not_checked_up_to_the_last() -> None:
    wrong = changed(SECOND, chain="D" * 43)
    follow(FIRST, wrong, unlinked=1)
    with pytest.raises(AoError, match="breaks at slot 1"):
        follow(FIRST, wrong, unlinked=0)
    behind = changed(SECOND, slot=2, chain="E" * 43)
    with pytest.raises(AoError, match="breaks at slot 2"):
        follow(FIRST, wrong, behind, unlinked=1)
