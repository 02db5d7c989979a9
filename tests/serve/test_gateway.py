"""The gateway by path: data, headers, uploads, blocks; and the paths left to other roles."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from gateway_node import WELL_KNOWN, Asked, id_of

from aoshell.errors import AoError
from aoshell.nodes.remote.arweave.transactions import data_root, joined
from aoshell.nodes.values import Module
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.deephash import deep_hash
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.serve import uploads
from aoshell.serve.asgi.http import Request, RequestError, Response

HTML = b"<script>fetch('/')</script>"


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def headers(response: Response | None) -> dict[str, str]:
    assert response is not None
    return dict(response.headers)


# Data ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/{}", "/raw/{}"])
@in_loop
async def test_data_is_somebody_elses_page(asked: Asked, path: str) -> None:
    id = asked.node.add("page", ("Content-Type", "text/html"), data=HTML)
    response = await asked.get(path.format(id))
    assert response is not None and (response.status, response.body) == (200, HTML)
    assert headers(response) == {
        "content-type": "text/html",
        "content-security-policy": "sandbox",
        "x-content-type-options": "nosniff",
    }


@pytest.mark.parametrize(
    ("tag", "sent"),
    [
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        ("application/x.arweave-manifest+json", "application/x.arweave-manifest+json"),
        ('text/plain; charset="utf-8"', 'text/plain; charset="utf-8"'),
        ("text/html\r\nset-cookie: a=b", "application/octet-stream"),
        ("text/html\n", "application/octet-stream"),
        ("text/html, text/plain", "application/octet-stream"),
        ("text", "application/octet-stream"),
        ("text/\u00fc", "application/octet-stream"),
        ("a/" + "b" * 300, "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
@in_loop
async def test_a_content_type_is_cleaned(asked: Asked, tag: str, sent: str) -> None:
    id = asked.node.add("data", ("content-type", tag))
    assert headers(await asked.get(f"/{id}"))["content-type"] == sent


@in_loop
async def test_the_bytes_of_modules(asked: Asked) -> None:
    id = id_of("module")
    asked.node.data[id] = Module(id, "wasm", "", b"\0asm")
    response = await asked.get(f"/raw/{id}")
    assert response is not None and response.body == b"\0asm"
    assert headers(response)["content-type"] == "application/wasm"
    missing = await asked.get(f"/{id_of('none')}")
    assert missing is not None and missing.status == 404
    assert id_of("none") in json.loads(missing.body)["error"]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/{}?process-id=x", ()),
        ("/{}?from-nonce=1", ()),
        ("/{}?limit=1", ()),
        ("/{}?require-codec=application/json", ()),
        ("/{}", (("require-codec", "application/json"),)),
        ("/{}", (("accept", "application/json"),)),
        ("/{}/latest", ()),
        ("/{}~process@1.0/now", ()),
        ("/processes/{}", ()),
        ("/tx/{}/other", ()),
        ("/price/bytes/7", ()),
        ("/?debug=1", ()),
        ("/block/height/x", ()),
    ],
)
@in_loop
async def test_what_is_for_other_roles(asked: Asked, path: str, more: Any) -> None:
    id = asked.node.add("data")
    assert await asked.get(path.format(id), *more) is None


@pytest.mark.parametrize("also", ["text/plain, */*", "text/plain"])
@in_loop
async def test_clients_that_take_more_than_json_get_the_data(asked: Asked, also: str) -> None:
    """The first is what axios sends. No other role claims these."""
    id = asked.node.add("data", data=b"here")
    response = await asked.get(f"/{id}", ("accept", f"application/json, {also}"))
    assert response is not None and response.body == b"here"


# Headers ------------------------------------------------------------------------------------------


@in_loop
async def test_the_header_of_an_item(asked: Asked, wallet: Wallet) -> None:
    tags = tags_of((("Type", "Message"), ("Ünïcode", "\udcff")))
    item = DataItem.sign(wallet, id_of("one"), tags, b"hello")
    asked.node.add("", item=item, process="one")
    header = await asked.json(f"/tx/{item.id}")
    assert (header["id"], header["target"]) == (item.id, item.target)
    assert unb64url(header["owner"]) == wallet.owner
    assert b64url(hashlib.sha256(unb64url(header["signature"])).digest()) == item.id
    pairs = [(unb64url(tag["name"]), unb64url(tag["value"])) for tag in header["tags"]]
    assert pairs == [(b"Type", b"Message"), ("Ünïcode".encode(), b"\xff")]
    assert header["data_size"] == "5"
    response = await asked.get(f"/tx/{item.id}/offset")
    assert response.status == 404 and f"/{item.id} has its data" in response.body.decode()
    response = await asked.get(f"/tx/{item.id}/data")
    assert response is not None and unb64url(response.body.decode()) == b"hello"


@in_loop
async def test_the_status_of_a_transaction(asked: Asked) -> None:
    id = asked.node.add("old")
    for number in range(20):
        asked.node.add(str(number))
    status = await asked.json(f"/tx/{id}/status")
    assert status["number_of_confirmations"] == 6  # 21 messages, 40 s apart; a block has 129 s
    block = await asked.json(f"/block/hash/{status['block_indep_hash']}")
    assert block["height"] == status["block_height"]
    for path in ("", "/status", "/offset", "/data"):
        response = await asked.get(f"/tx/{id_of('none')}{path}")
        assert response is None or response.status == 404


# The network --------------------------------------------------------------------------------------


@in_loop
async def test_what_clients_ask_of_a_network(asked: Asked) -> None:
    info = await asked.json("/info")
    assert info["height"] == asked.node.height
    root = await asked.json("/")
    assert root["address"] == asked.node.address and "Processes" not in root
    assert await asked.json("/peers") == []
    for path, text in (
        ("/height", str(asked.node.height)),
        ("/price/100", "0"),
        (f"/price/100/{id_of('x')}", "0"),
        (f"/wallet/{id_of('x')}/balance", "0"),
        (f"/wallet/{id_of('x')}/last_tx", ""),
        ("/tx_anchor", info["current"]),
    ):
        response = await asked.get(path)
        assert response is not None and response.body.decode() == text, path


@in_loop
async def test_blocks_are_found_by_height_and_id(asked: Asked) -> None:
    current = await asked.json("/block/current")
    before = await asked.json(f"/block/height/{current['height'] - 1}")
    assert current["previous_block"] == before["indep_hash"]
    assert current["timestamp"] - before["timestamp"] == 129
    assert await asked.json(f"/block/hash/{before['indep_hash']}") == before
    for path in (f"/block/height/{current['height'] + 1}", "/block/hash/xyz", "/block/hash/Ä"):
        response = await asked.get(path)
        assert response is not None and response.status == 404
    query = """query ($min: Int, $max: Int) { blocks(first: 2, sort: HEIGHT_ASC, height: {min: $min,
      max: $max}) { pageInfo { hasNextPage } edges { cursor node { id height timestamp previous }}}
      block { height } }"""
    low = current["height"] - 5
    data = await asked.data(query, min=low, max=current["height"])
    assert [edge["node"]["height"] for edge in data["blocks"]["edges"]] == [low, low + 1]
    assert data["blocks"]["pageInfo"]["hasNextPage"] is True
    assert data["block"]["height"] == current["height"]
    node = data["blocks"]["edges"][1]["node"]
    assert node["previous"] == data["blocks"]["edges"][0]["node"]["id"]
    by_id = await asked.data(
        'query ($id: ID!) { blocks(ids: [$id, "none"]) { edges { node { height } } } }',
        id=node["id"],
    )
    assert by_id["blocks"]["edges"] == [{"node": {"height": low + 1}}]


# GraphQL by HTTP ----------------------------------------------------------------------------------


@in_loop
async def test_the_ways_to_ask_a_query(asked: Asked) -> None:
    query = "query A($id: ID!) { transaction(id: $id) { id } } query B { block { height } }"
    body = {"query": query, "variables": {"id": WELL_KNOWN}, "operationName": "A"}
    expected = {"data": {"transaction": {"id": WELL_KNOWN}}}
    assert await asked.post(body) == expected
    assert await asked.post(body, "/~query@1.0/graphql") == expected
    assert await asked.post(body, "/%7Equery%401.0/graphql") == expected
    short = "{transaction(id:%22" + WELL_KNOWN + "%22){id}}"
    assert await asked.json(f"/graphql?query={short}") == expected
    page = await asked.get("/graphql")
    assert page is not None and page.status == 400


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"{", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 200, "not JSON, or exceeds a bound"),
        (b'{"query": "' + b"x" * (1 << 20) + b'"}', "exceeds a bound"),
        ([], "no JSON object"),
        ({}, "Must provide query string"),
        ({"query": 1}, "Must provide query string"),
        ({"query": "{block{id}}", "variables": []}, "Variables must be provided as an Object"),
        ({"query": "{block{id}}", "operationName": 1}, "no string"),
        ({"query": "{block{id}}", "operationName": "X"}, "no operation named 'X'"),
        ({"query": "{blocks(first: -1){edges{cursor}}}"}, "must not be negative"),
        ({"query": '{blocks(after: "x"){edges{cursor}}}'}, "not one of this server's"),
        ({"query": '{transactions(after: "🙂"){count}}'}, "not one of this server's"),
    ],
)
@in_loop
async def test_requests_that_are_none(asked: Asked, body: Any, what: str) -> None:
    answer = await asked.post(body)
    assert answer["data"] is None
    assert what in answer["errors"][0]["message"]


@in_loop
async def test_an_answer_has_so_many_rows(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoshell.serve.graphql.transactions.MOST_IN_ALL", 30)
    for number in range(12):
        asked.node.add(str(number))
    page = "transactions(first: 2000000) { edges { cursor } }"
    data = await asked.data(f"{{ a: {page} b: {page} }}")
    assert len(data["a"]["edges"]) == 13
    assert "more than 30 rows" in await asked.error(f"{{ a: {page} b: {page} c: {page} }}")
    assert "more than 30 rows" in await asked.error("{ blocks(first: 31) { edges { cursor } } }")
    signed = "transactions(first: 2000000) { edges { node { signature } } }"
    monkeypatch.setattr(asked.node, "item", None)  # no signature is read before it is refused
    assert "more than 30 rows" in await asked.error(f"{{ a: {signed} b: {signed} c: {signed} }}")


# Uploads ------------------------------------------------------------------------------------------


def signed(wallet: Wallet, data: bytes, **more: Any) -> dict[str, Any]:
    """A transaction of format 2 as arweave-js posts it, but for the data."""
    header: dict[str, Any] = {
        "format": 2,
        "last_tx": b64url(bytes(48)),
        "owner": b64url(wallet.owner),
        "tags": [{"name": b64url(b"Content-Type"), "value": b64url(b"text/plain")}],
        "target": "",
        "quantity": "0",
        "data_size": str(len(data)),
        "data_root": b64url(data_root(data)) if data else "",
        "reward": "0",
        **more,
    }
    pairs = [(unb64url(tag["name"]), unb64url(tag["value"])) for tag in header["tags"]]
    digest = deep_hash(
        (
            *(b"2", wallet.owner, unb64url(header["target"]), header["quantity"].encode()),
            *(header["reward"].encode(), unb64url(header["last_tx"]), pairs),
            *(header["data_size"].encode(), unb64url(header["data_root"])),
        )
    )
    signature = wallet.sign(digest)
    header["signature"] = b64url(signature)
    header["id"] = b64url(hashlib.sha256(signature).digest())
    return header


async def post(asked: Asked, path: str, body: Any) -> Response | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await asked.gateway.answer(
        Request("POST", path, "", (("content-type", "application/json"),), raw)
    )


@in_loop
async def test_a_transaction_with_its_data(asked: Asked, wallet: Wallet) -> None:
    header = signed(wallet, b"hello")
    for _ in range(2):  # clients post again what they are not sure of
        response = await post(asked, "/tx", {**header, "data": b64url(b"hello")})
        assert response is not None and (response.status, response.body) == (200, b"OK")
    got = await asked.get(f"/{header['id']}")
    assert got is not None and got.body == b"hello"
    assert headers(got)["content-type"] == "text/plain"
    assert await asked.json(f"/tx/{header['id']}") == {**header, "data": ""}
    data = await asked.data(
        """query ($id: ID!) { transactions(ids: [$id]) { edges { node { signature owner { address
        key } data { size type } tags { name value } block { height } } } } }""",
        id=header["id"],
    )
    (edge,) = data["transactions"]["edges"]
    node = edge["node"]
    assert node["owner"] == {"address": wallet.address, "key": header["owner"]}
    assert node["signature"] == header["signature"]
    assert node["data"] == {"size": "5", "type": "text/plain"}
    assert node["block"]["height"] > 2_000_000


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"data": b64url(b"other")}, "is not verified"),
        ({"signature": b64url(bytes(512))}, "id of the transaction is not the hash"),
        ({"reward": "1"}, "not signed"),
        ({"tags": []}, "not signed"),
        ({"format": 3}, "format 3 is not known"),
        ({"quantity": "1"}, "no wallet has AR"),
        ({"data": "="}, "no base64url"),
        ({"owner": ""}, "names no owner"),
        ({"id": id_of("another")}, "not the hash"),
    ],
)
@in_loop
async def test_transactions_that_are_none(
    asked: Asked, wallet: Wallet, change: dict[str, Any], what: str
) -> None:
    body = {**signed(wallet, b"hello"), "data": b64url(b"hello"), **change}
    with pytest.raises(RequestError, match=what):
        await post(asked, "/tx", body)
    assert asked.node.stored == []


@in_loop
async def test_a_module_that_cannot_be_run_is_the_clients_mistake(
    asked: Asked, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def keep(*_: Any, **__: Any) -> None:
        raise AoError("it is no module", stage="module")

    monkeypatch.setattr(asked.node, "keep", keep)
    with pytest.raises(RequestError, match="it is no module") as refused:
        await post(asked, "/tx", {**signed(wallet, b"x"), "data": b64url(b"x")})
    assert refused.value.status == 400


@in_loop
async def test_bodies_that_are_none(asked: Asked) -> None:
    for body in (b"", b"{", b"[]", b"\xff", b"[" * 100):
        with pytest.raises(RequestError, match="no JSON object"):
            await post(asked, "/tx", body)
    item = Request("POST", "/tx", "", (("content-type", "application/octet-stream"),), b"x")
    assert await asked.gateway.answer(item) is None  # for the bundler


def chunks(data: bytes) -> list[dict[str, Any]]:
    """The chunks of data with their proofs, made from the leaves up."""
    size, length = uploads.LARGEST_CHUNK, len(data)
    ends = [*range(size, length, size), length]
    leaves = [(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    layer = []
    for start, end in leaves:
        digest, note = hashlib.sha256(data[start:end]).digest(), end.to_bytes(32, "big")
        layer.append((joined(digest, note), end, [(start, end, digest + note)]))
    while len(layer) > 1:
        pairs = [layer[at : at + 2] for at in range(0, len(layer), 2)]
        layer = [_above(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    ((root, _, proofs),) = layer
    return [
        {
            "data_root": b64url(root),
            "data_size": str(length),
            "data_path": b64url(proof),
            "offset": str(end - 1),
            "chunk": b64url(data[start:end]),
        }
        for start, end, proof in proofs
    ]


def _above(left: Any, right: Any) -> Any:
    step = left[0] + right[0] + left[1].to_bytes(32, "big")
    id = joined(left[0], right[0], left[1].to_bytes(32, "big"))
    return id, right[1], [(s, e, step + proof) for s, e, proof in (*left[2], *right[2])]


@pytest.fixture(scope="module")
def large() -> bytes:
    return bytes(range(256)) * 3_000  # two whole chunks and one of 244 KB


@in_loop
async def test_a_transaction_in_chunks(asked: Asked, wallet: Wallet, large: bytes) -> None:
    parts = chunks(large)
    header = signed(wallet, large, data_root=parts[0]["data_root"])
    with pytest.raises(RequestError, match="data_root_not_found"):
        await post(asked, "/chunk", parts[0])
    await post(asked, "/tx", {**header, "data": ""})
    for part in (parts[2], parts[0], parts[0]):
        response = await post(asked, "/chunk", part)
        assert response is not None and response.status == 200
        assert asked.node.stored == []
    await post(asked, "/chunk", parts[1])
    response = await asked.get(f"/raw/{header['id']}")
    assert response is not None and response.body == large


@pytest.mark.parametrize(
    "change",
    [
        {"chunk": b64url(b"other")},
        {"offset": "0"},
        {"data_path": ""},
        {"data_path": b64url(bytes(64))},
        {"data_path": b64url(bytes(uploads.LONGEST_PROOF + 1))},
        {"chunk": b64url(bytes(uploads.LARGEST_CHUNK + 1))},
    ],
    ids=str,
)
@in_loop
async def test_chunks_that_are_none(
    asked: Asked, wallet: Wallet, large: bytes, change: dict[str, Any]
) -> None:
    parts = chunks(large)
    header = signed(wallet, large, data_root=parts[0]["data_root"])
    await post(asked, "/tx", {**header, "data": ""})
    with pytest.raises(RequestError, match="invalid_proof"):
        await post(asked, "/chunk", {**parts[1], **change})


@in_loop
async def test_what_is_under_way_is_bounded(
    asked: Asked, wallet: Wallet, large: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_OPEN", 2)
    several = [large + bytes([n]) * (1 << 18) for n in range(3)]
    parts = [chunks(data) for data in several]
    for data, its in zip(several, parts, strict=True):
        await post(
            asked, "/tx", {**signed(wallet, data, data_root=its[0]["data_root"]), "data": ""}
        )
    with pytest.raises(RequestError, match="data_root_not_found"):
        await post(asked, "/chunk", parts[0][0])
    await post(asked, "/chunk", parts[2][0])
    monkeypatch.setattr(uploads, "LARGEST_OPEN", 1 << 18)
    await post(asked, "/chunk", parts[2][1])  # too much with it: the older one gives way
    with pytest.raises(RequestError, match="data_root_not_found"):
        await post(asked, "/chunk", parts[1][0])
    much = signed(wallet, b"", data_size=str(uploads.LARGEST_DATA + 1), data_root=b64url(bytes(32)))
    with pytest.raises(RequestError, match="at most 64 MB"):
        await post(asked, "/tx", {**much, "data": ""})
