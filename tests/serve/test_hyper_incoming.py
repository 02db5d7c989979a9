"""Signed messages in requests, as clients of the network make them."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aoshell.nodes.httpitem import HttpItem
from aoshell.protocol import httpsig, signing, wire
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import CURRENT, EDGE, Commitment, Profile, write_commitments
from aoshell.protocol.httpsig import SignatureStatus
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.nested import carry
from aoshell.protocol.rebuild import unsigned
from aoshell.protocol.tabm import Tabm
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Request, RequestError
from aoshell.serve.hyper.incoming import read_incoming

ITEM = (("content-type", "application/ans104"), ("codec-device", "ans104@1.0"))


def refused(request: Request) -> str:
    with pytest.raises(RequestError) as caught:
        read_incoming(request)
    assert caught.value.status == 400
    return str(caught.value)


def of_httpsig(request: Request) -> HttpItem:
    found = read_incoming(request)
    assert isinstance(found, HttpItem)
    return found


def as_hyperbeam(wallet: Wallet, message: dict[str, Any], profile: Profile) -> Request:
    """A request as HyperBEAM's own client signs it."""
    made = signing.request(wallet, "/x/schedule", message, profile=profile)
    headers = tuple((name, value.encode().decode("latin-1")) for name, value in made.headers)
    return Request("POST", "/x/schedule", "", headers, made.body)


def test_items(wallet: Wallet) -> None:
    item = DataItem.sign(wallet, wallet.address, tags_of([("Action", "Eval")]), b"1")
    assert read_incoming(Request("POST", "/push", "", ITEM, item.raw)) == item
    octets = (("content-type", "application/octet-stream"),)
    assert read_incoming(Request("POST", "/push", "", octets, item.raw)) == item
    forged = item.raw[:-1] + b"2"
    assert "signature" in refused(Request("POST", "/push", "", ITEM, forged))
    assert "no data item" in refused(Request("POST", "/push", "", ITEM, item.raw[:50]))
    assert "no data item" in refused(Request("POST", "/push", "", ITEM, b""))


def test_without_a_message_there_is_none() -> None:
    assert read_incoming(Request("POST", "/push")) is None
    assert read_incoming(Request("GET", "/x", "", (("accept", "*/*"),))) is None


@pytest.mark.parametrize("profile", [EDGE, CURRENT])
def test_a_message_inside_a_request(profile: Profile, wallet: Wallet) -> None:
    message = {"action": "Eval", "data": "two\nlines", "target": "t" * 43, "x-y": 7, "list": ["a"]}
    item = of_httpsig(as_hyperbeam(wallet, message, profile))
    assert (item.owner_address, item.target, item.data) == (wallet.address, "t" * 43, b"two\nlines")
    assert Tag("Action", "Eval") in item.tags and Tag("X-Y", "7") in item.tags
    # What is kept of it is a signed message by itself.
    again = httpsig.check(item.sent.headers, item.sent.body)
    assert again.outcome is SignatureStatus.VERIFIED
    assert item.id in [one.id for one in again.commitments]


def test_a_message_that_was_changed_is_refused(wallet: Wallet) -> None:
    request = as_hyperbeam(wallet, {"action": "Eval", "data": "1+1"}, CURRENT)
    for body in (
        request.body.replace(b"1+1", b"1+2"),
        request.body.replace(b"Eval", b"Evil"),
        request.body[:-10],
    ):
        assert refused(replace(request, body=body))


def test_recorded_requests(shared: Path) -> None:
    recorded = json.loads((shared / "vectors/serve/httpsig-requests.json").read_text())
    outcomes = []
    for one in recorded:
        body = (one["body"] or "").encode()
        request = Request(one["method"], one["path"], "", tuple(one["headers"].items()), body)
        if one["expect"] == "verified":
            item = of_httpsig(request)
            outcomes.append({tag.name: tag.value for tag in item.tags})
            assert item.owner_address == "r3fg5oRIuEOOt5i1m_cQ5AExpA3wnWQOH6igXC_U24g"
        else:
            assert "sent none" in refused(request) and "ans104" in refused(request)
    assert [one.get("Action") for one in outcomes] == [None, "Eval"]


def test_requests_that_real_nodes_took(shared: Path) -> None:
    found = 0
    for file in sorted((shared / "vectors").glob("hyperbeam*/*.json")):
        sent = json.loads(file.read_text())["request"]
        line = sent.get("line") or f"{sent['method']} {sent['path']}"
        headers = tuple((name.lower(), value) for name, value in sent["headers"])
        body = base64.b64decode(sent.get("body_b64", "")) or sent.get("body_text", "").encode()
        if not body or not line.startswith("POST"):
            continue
        method, path = line.split(" ")[:2]
        assert read_incoming(Request(method, path, "", headers, body)) is not None, file.name
        found += 1
    assert found > 8


def test_nobody_adds_keys_to_what_another_has_signed(wallet: Wallet, other_wallet: Wallet) -> None:
    """A map may have several signatures over different keys: none covers all of it."""
    signed: Tabm = {"data": "1", "target": "t" * 43}
    theirs = signing.commit(wallet, signed, profile=CURRENT)
    for forger in (other_wallet, wallet):  # also two messages of one signer put together
        added = signed | {"action": "Eval"}
        mine = signing.commit(forger, {"action": "Eval"}, profile=CURRENT)
        inner = carry(added, [theirs[0], mine[0]], lambda keys: unsigned(keys, CURRENT).id)
        outer: Tabm = {"method": "POST", "path": "/x/schedule", "body": inner}
        fields, body = wire.encode(outer, CURRENT)
        around = write_commitments(signing.commit(forger, outer, profile=CURRENT))
        headers = tuple((fields | around).items())
        assert "2 signatures" in refused(Request("POST", "/x/schedule", "", headers, body or b""))


def test_nobody_adds_headers_to_what_another_has_signed(
    wallet: Wallet, other_wallet: Wallet
) -> None:
    signed: Tabm = {"data": "1", "target": "t" * 43}
    theirs = signing.commit(wallet, signed, profile=CURRENT)[0]
    mine = signing.commit(other_wallet, {"action": "Eval"}, profile=CURRENT)[0]
    fields, body = wire.encode(signed | {"action": "Eval"}, CURRENT)
    both = write_commitments([theirs, mine])
    request = Request("POST", "/x/push", "", tuple((fields | both).items()), body or b"")
    assert "2 signatures" in refused(request)


def test_a_map_with_an_hmac_alone_counts_by_the_signature_around_it(wallet: Wallet) -> None:
    """An HMAC has no signer: the map is of the request's signer, if the signature covers it."""
    inner: Tabm = {"data": "1", "target": "t" * 43}
    mac = signing.commit(wallet, inner, profile=CURRENT)[1]
    carried = carry(inner, [mac], lambda keys: unsigned(keys, CURRENT).id)
    outer: Tabm = {"method": "POST", "path": "/x/schedule", "body": carried}
    fields, body = wire.encode(outer, CURRENT)
    signature, around = signing.commit(wallet, outer, profile=CURRENT)

    def request(*commitments: Commitment) -> Request:
        headers = tuple((fields | write_commitments(commitments)).items())
        return Request("POST", "/x/schedule", "", headers, body or b"")

    item = of_httpsig(request(signature, around))
    assert (item.owner_address, item.id) == (wallet.address, signature.id)
    assert (item.target, item.data) == ("t" * 43, b"1")
    assert "nobody has signed it" in refused(request(around))
    assert "not verified" in refused(request())
    path = signing.commit(wallet, {"path": "/x/schedule"}, profile=CURRENT)[0]
    assert "leaves out the body" in refused(request(path))


def test_what_a_request_says_of_itself_is_no_part_of_its_message(wallet: Wallet) -> None:
    """If the request is the message, its signature covers both."""
    said: Tabm = {"method": "POST", "path": "/x/push", "action": "Eval", "target": "t" * 43}
    fields, body = wire.encode(said, CURRENT)
    signatures = write_commitments(signing.commit(wallet, said, profile=CURRENT))
    headers = tuple((fields | signatures).items())
    item = of_httpsig(Request("POST", "/x/push", "", headers, body or b""))
    assert {tag.name for tag in item.tags} == {"Action"} and item.target == "t" * 43
