"""Queries of the network's clients against a small log, and what each must find.

The queries are written anew, in the forms that the clients use: aos (three), aoconnect,
scheduler-utils (three), ao.link, permaweb-libs, HyperBEAM's gateway client. What was recorded of
real clients is asked as it was sent.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from gateway_node import MODULE_TAGS, WELL_KNOWN, Asked, GatewayNode, id_of
from graphql_documents import damaged, documents

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

AO = ("Data-Protocol", "ao")


def message(action: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
    return [AO, ("Variant", "ao.TN.1"), ("Type", "Message"), ("Action", action), *more]


def filled() -> GatewayNode:
    """Two processes of one owner and one of another, and messages between them."""
    node = GatewayNode()
    for name, owner in (("one", "user"), ("two", "user"), ("three", "other")):
        tags = [AO, ("Type", "Process"), ("Name", name), ("Scheduler", "x"), ("Module", WELL_KNOWN)]
        node.add(name, *tags, owner=owner)
    node.add("eval", *message("Eval", ("SDK", "aoconnect")), target="one")
    pushed = (("From-Process", id_of("one")), ("Pushed-For", id_of("eval")))
    node.add("credit", *message("Credit-Notice", *pushed), target="two", owner="node")
    node.add("debit", *message("Debit-Notice", *pushed), target="three", owner="node")
    node.add("cron", *message("Cron"), target="one", id="")
    node.add("ping", *message("Ping", ("SDK", "aoshell")), target="one", owner="other")
    return node


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(tmp_path, filled())


def ids(*names: str) -> list[str]:
    return [id_of(name) for name in names]


def found(data: dict[str, Any], key: str = "transactions") -> list[str]:
    return [edge["node"]["id"] for edge in data[key]["edges"]]


# aos --------------------------------------------------------------------------------------------


@in_loop
async def test_aos_finds_a_process_by_name(asked: Asked) -> None:
    query = """query ($owners: [String!]!) {
      transactions(first: 10, owners: $owners, tags: [
        { name: "Data-Protocol", values: ["ao"] }, { name: "Type", values: ["Process"]},
        { name: "Name", values: ["two"]}
      ]) { edges { node { id tags { name value } } } } }"""
    data = await asked.data(query, owners=[id_of("user"), ""])
    assert found(data) == ids("two")
    tags = data["transactions"]["edges"][0]["node"]["tags"]
    assert {"name": "Name", "value": "two"} in tags
    assert found(await asked.data(query, owners=[id_of("other")])) == []


@in_loop
async def test_aos_lists_processes(asked: Asked) -> None:
    query = """query ($owners: [String!]!) { transactions(first: 100, owners: $owners, tags: [
      { name: "Data-Protocol", values: ["ao"] }, { name: "Type", values: ["Process"]} ]) {
        edges { node { id owner { address } tags { name value } } } } }"""
    data = await asked.data(query, owners=[id_of("user")])
    assert found(data) == ids("two", "one")
    owners = {edge["node"]["owner"]["address"] for edge in data["transactions"]["edges"]}
    assert owners == {id_of("user")}


@in_loop
async def test_aos_finds_a_module_by_name(asked: Asked) -> None:
    asked.node.add("module", AO, ("Type", "Module"), ("Name", "mine"))
    query = """query FindAoModuleByName($name: String!) { transactions(tags: [
      { name: "Type", values: ["Module"] }, { name: "Data-Protocol", values: ["ao"] },
      { name: "Name", values: [$name] } ], sort: HEIGHT_DESC, first: 100) {
        edges { node { id tags { name value } block { timestamp } } } } }"""
    data = await asked.data(query, name="mine")
    assert found(data) == ids("module")
    assert data["transactions"]["edges"][0]["node"]["block"]["timestamp"] > 1_700_000_000


@in_loop
async def test_aos_reads_the_tags_of_a_process(asked: Asked) -> None:
    query = "query ($id: ID!) { transaction(id: $id) { tags { name value } } }"
    data = await asked.data(query, id=id_of("one"))
    assert data["transaction"]["tags"][0] == {"name": "Data-Protocol", "value": "ao"}
    assert await asked.data(query, id=id_of("nothing")) == {"transaction": None}


# aoconnect, scheduler-utils -----------------------------------------------------------------------


@in_loop
async def test_aoconnect_checks_a_module(asked: Asked) -> None:
    query = """query GetTransactions ($transactionIds: [ID!]!) {
      transactions(ids: $transactionIds) { edges { node { owner { address } tags { name value }
        block { id height timestamp } } } } }"""
    data = await asked.data(query, transactionIds=[WELL_KNOWN])
    (edge,) = data["transactions"]["edges"]
    assert [Tag(**tag) for tag in edge["node"]["tags"]] == list(MODULE_TAGS)


@in_loop
async def test_a_scheduler_is_found_by_its_process(asked: Asked) -> None:
    query = """query GetTransactions ($transactionIds: [ID!]!) {
      transactions(ids: $transactionIds) { edges { node { tags { name value } } } } }"""
    data = await asked.data(query, transactionIds=[id_of("one")])
    (edge,) = data["transactions"]["edges"]
    assert {"name": "Scheduler", "value": "x"} in edge["node"]["tags"]


@in_loop
async def test_every_scheduler_is_here(asked: Asked) -> None:
    query = """query GetSchedulerLocation ($owner: String!) { transactions (owners: [$owner]
      tags: [{ name: "Data-Protocol", values: ["ao"] },
             { name: "Type", values: ["Scheduler-Location"] }]
      # Only need the most recent Scheduler-Location
      sort: HEIGHT_DESC first: 1) { edges { node { tags { name value } } } } }"""
    for owner in (id_of("any"), asked.node.address):
        data = await asked.data(query, owner=owner)
        (edge,) = data["transactions"]["edges"]
        tags = {tag["name"]: tag["value"] for tag in edge["node"]["tags"]}
        assert tags["Url"] == "http://127.0.0.1:4000"
        assert int(tags["Time-To-Live"]) > 0


@in_loop
async def test_the_location_that_somebody_published_comes_first(asked: Asked) -> None:
    tags = (AO, ("Type", "Scheduler-Location"), ("Url", "http://elsewhere"))
    asked.node.add("location", *tags, owner="any")
    where = f'owners: "{id_of("any")}", tags: {{name: "Type", values: "Scheduler-Location"}}'
    assert await asked.ids(f"{where}, first: 1") == ids("location")
    assert len(await asked.ids(where)) == 2
    assert (await asked.ids(f"{where}, sort: HEIGHT_ASC"))[-1] == id_of("location")


# ao.link, permaweb-libs ---------------------------------------------------------------------------

LINK = """query ($id: String!, $limit: Int!, $sort: SortOrder!, $after: String) {
  transactions(sort: $sort, first: $limit, after: $after, %s) { count ...MessageFields } }
fragment MessageFields on TransactionConnection { edges { cursor node { id ingested_at recipient
  block { timestamp height } tags { name value } data { size } owner { address } } } }"""
INCOMING = 'recipients: [$id], tags: [{ name: "Data-Protocol", values: ["ao"] }]'
OUTGOING = 'tags: [{ name: "From-Process", values: [$id] }]'
CAUSED = 'tags: [{ name: "Pushed-For", values: [$id] }]'
NOTICES = (
    '{name: "From-Process", values: [$id]}, '
    '{name: "Action", values: ["Debit-Notice", "Credit-Notice"]}'
)


@pytest.mark.parametrize(
    ("arguments", "about", "expected"),
    [
        (INCOMING, "one", ["ping", "eval"]),
        (OUTGOING, "one", ["debit", "credit"]),
        (CAUSED, "eval", ["debit", "credit"]),
        (f"tags: [{NOTICES}]", "one", ["debit", "credit"]),
        ('tags: [{name: "Type", values: "Process"}], owners: [$id]', "other", ["three"]),
    ],
)
@in_loop
async def test_ao_link(asked: Asked, arguments: str, about: str, expected: list[str]) -> None:
    query = LINK % arguments
    given: dict[str, Any] = {"id": id_of(about), "sort": "INGESTED_AT_DESC", "limit": 25}
    data = await asked.data(query, **given, after="")
    assert found(data) == ids(*expected)
    assert data["transactions"]["count"] == len(expected)
    ascending = await asked.data(query, **{**given, "sort": "HEIGHT_ASC"})
    assert found(ascending) == ids(*reversed(expected))
    first = await asked.data(query, **{**given, "limit": 1})
    cursor = first["transactions"]["edges"][0]["cursor"]
    rest = await asked.data(query, **given, after=cursor)
    assert found(rest) == ids(*expected[1:])


@in_loop
async def test_permaweb_libs_batches_by_alias(asked: Asked) -> None:
    one = """%s: transactions( ids: null, tags: [{name:"Action",values:["%s"]}], first: 2 owners:
      null, , block: {min:1}, after: null, ) { count pageInfo { hasNextPage } edges { cursor node {
      id tags { name value } data { size type } owner { address } block { height timestamp }
      recipient } } }"""
    data = await asked.data(f"query {{ {one % ('a', 'Eval')} {one % ('b', 'Ping')} }}")
    assert list(data) == ["a", "b"]
    assert (found(data, "a"), found(data, "b")) == (ids("eval"), ids("ping"))
    node = data["a"]["edges"][0]["node"]
    assert node["data"] == {"size": "4", "type": None}
    assert node["recipient"] == id_of("one")
    assert data["a"]["pageInfo"] == {"hasNextPage": False}


@pytest.mark.parametrize(
    ("match", "values", "expected"),
    [
        ("WILDCARD", ["*-Notice"], ["debit", "credit"]),
        ("WILDCARD", ["Eva?", "P*"], ["ping", "eval"]),
        ("FUZZY_OR", ["notice", "ping"], ["ping", "debit", "credit"]),
        ("FUZZY_AND", ["credit notice"], ["credit"]),
        ("EXACT", ["*-Notice"], []),
    ],
)
@in_loop
async def test_ways_of_matching(
    asked: Asked, match: str, values: list[str], expected: list[str]
) -> None:
    given = f'tags: [{{name: "Action", values: {json.dumps(values)}, match: {match}}}]'
    assert await asked.ids(given) == ids(*expected)


# HyperBEAM ----------------------------------------------------------------------------------------


@in_loop
async def test_hyperbeam_rebuilds_an_item(tmp_path: Path, wallet: Wallet) -> None:
    asked = Asked(tmp_path)
    tags = tags_of((AO, ("Type", "Message"), ("Ünïcode", "ö")))
    item = DataItem.sign(wallet, id_of("one"), tags, b"hello", bytes(range(32)))
    asked.node.add("", item=item, process="one")
    query = """query($transactionIds: [ID!]!) { transactions(ids: $transactionIds, first: 1){
      edges { node { id anchor signature recipient owner { key } fee { winston }
        quantity { winston } tags { name value } data { size } } cursor } } }"""
    data = await asked.data(query, transactionIds=[item.id])
    (edge,) = data["transactions"]["edges"]
    node = edge["node"]
    got = DataItem.sign(  # with the fields of the answer, which the signature there must fit
        wallet,
        node["recipient"],
        [Tag(**tag) for tag in node["tags"]],
        item.data,
        unb64url(node["anchor"]),
    )
    fields = (got.encoded_tags, got.target, got.anchor, node["owner"]["key"], node["signature"])
    expected = (item.encoded_tags, item.target, item.anchor, b64url(item.owner))
    assert fields == (*expected, b64url(item.signature))
    assert node["data"]["size"] == "5"


@in_loop
async def test_hyperbeam_looks_for_a_location(asked: Asked) -> None:
    query = """query($Addresses: [String!]!) { transactions(owners: $Addresses,
      tags: { name: "Type" values: ["Location", "Scheduler-Location"] }, first: 1) {
      edges { node { id tags { name value } } } } }"""
    data = await asked.data(query, Addresses=[id_of("any")])
    assert len(data["transactions"]["edges"]) == 1


# Recorded -----------------------------------------------------------------------------------------


@pytest.fixture
def exchanges(shared: Path) -> list[dict[str, Any]]:
    """The GraphQL exchanges of real clients."""
    exchanges = list[dict[str, Any]]()
    for path in sorted((shared / "vectors" / "serve").glob("*.json")):
        content = json.loads(path.read_text())
        exchanges += content.get("exchanges", ()) if isinstance(content, dict) else ()
    found = [one for one in exchanges if one["path"].endswith("/graphql")]
    assert len(found) >= 6
    return found


@in_loop
async def test_what_clients_sent_is_answered(asked: Asked, exchanges: list[dict[str, Any]]) -> None:
    """What was found for them is found here, with the same fields, once it is here."""
    for exchange in exchanges:
        body = exchange["reqBody"]["json"]
        for id in set(re.findall(r"[\w-]{43}", json.dumps(body))) - {WELL_KNOWN}:
            if await asked.node.item(id) is None:
                asked.node.add("", AO, ("Type", "Process"), id=id)
        answer = await asked.post(body)
        assert answer.keys() == {"data"}, answer
        wanted = exchange["resBody"].get("json")  # the recording cuts long ones
        if wanted and (edges := wanted["data"]["transactions"]["edges"]):
            (edge,) = answer["data"]["transactions"]["edges"]
            # The server that was recorded gave some fields unasked.
            assert edge["node"].keys() <= edges[0]["node"].keys()


@in_loop
async def test_whatever_is_asked_is_answered(asked: Asked) -> None:
    """With data or with errors, and never with both."""
    made = documents(100)
    answers = [await asked.post(one) for one in (*made, *damaged(made))]
    good = [answer for answer in answers if answer.keys() == {"data"}]
    assert len(good) > 30
    for answer in answers:
        assert answer in good or (answer["data"] is None and answer["errors"][0]["message"])
