"""Whatever JSON a unit of the legacy network or a gateway answers is read, or refused by name."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.errors import AoError
from aoshell.nodes.remote.arweave import transactions, verified
from aoshell.nodes.remote.arweave.gateway import Gateway
from aoshell.nodes.remote.arweave.transactions import NotVerifiedError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.http.client import Client
from aoshell.nodes.remote.http.progress import Waiting
from aoshell.nodes.remote.legacy.log import Log
from aoshell.nodes.remote.legacy.processes import Known
from aoshell.nodes.remote.legacy.units import ComputeUnit, SchedulerUnit
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.remote.results import from_json
from aoshell.protocol.message import Message, Result, raw

ID = "A" * 43
MEMBERS = (
    "Output Messages Spawns Assignments Error GasUsed data prompt output Target Tags Data Anchor "
    "name value Message Processes edges node cursor page_info has_next_page message assignment "
    "id owner address key tags anchor target signature transactions errors recipient bundledIn "
    "size block timestamp format data_root data_size quantity reward last_tx"
)
WORDS = st.sampled_from(
    ["", "0", "1", "Nonce", "Timestamp", "Process", "Name", "Type", ID, "\ud83d"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(MEMBERS.split()), inner, max_size=5)
    ),
    max_leaves=12,
)
TAGS = st.lists(st.fixed_dictionaries({"name": WORDS, "value": WORDS}), max_size=4)
PLACED = [{"name": name, "value": "1"} for name in ("Process", "Nonce", "Timestamp")]
SCHEDULED = st.fixed_dictionaries(
    {
        "message": JSON | st.fixed_dictionaries({"id": JSON, "owner": JSON, "tags": JSON | TAGS}),
        "assignment": JSON | st.just({"tags": PLACED}) | st.fixed_dictionaries({"tags": TAGS}),
    }
)
LISTED = st.fixed_dictionaries(
    {"id": st.just(ID) | JSON, "tags": TAGS | JSON, "owner": JSON, "block": JSON, "data": JSON},
    optional={"signature": JSON, "bundledIn": JSON, "recipient": JSON, "anchor": JSON},
)
EDGES = st.lists(
    JSON | st.fixed_dictionaries({"node": SCHEDULED | LISTED | JSON, "cursor": JSON}), max_size=3
)
ANSWERS = (
    JSON
    | SCHEDULED
    | LISTED
    | st.fixed_dictionaries({"edges": EDGES}, optional={"page_info": JSON, "errors": JSON})
    | st.fixed_dictionaries(
        {
            "data": JSON
            | st.fixed_dictionaries({"transactions": st.fixed_dictionaries({"edges": EDGES})})
        }
    )
)


class Saying:
    """Answers each request with the next of some values, then with nothing but 404."""

    endpoint = "https://node.example"

    def __init__(self, values: list[object]) -> None:
        self.left = [json.dumps(value).encode() for value in values]

    async def get(self, stage: str, path: str, **_: object) -> Response:
        return await self.ask(stage, "GET", path)

    async def ask(self, _: str, __: str, path: str, **___: object) -> Response:
        status = 200 if self.left else 404
        return Response(self.endpoint + path, status, (), self.left.pop(0) if self.left else b"")

    async def close(self) -> None:
        pass


class Blank:
    """A book that remembers nothing."""

    def all(self, *_: str) -> dict[str, Any]:
        return {}

    def put(self, *fact: object) -> None:
        json.dumps(fact)


def reads(read: Callable[[Client], Awaitable[object]], values: list[object]) -> object:
    """What is read of answers, None where they are refused; anything else raises."""
    try:
        return asyncio.run(cast(Any, read)(Saying(values)))
    except AoError as error:
        assert error.stage and error.what
        raw(error.what)
        return None


def check(result: Result) -> None:
    for text in (result.output, result.prompt, result.error):
        raw(text)
    for message in result.messages:
        for tag in message.tags:
            raw(tag.name + tag.value)


@given(JSON)
@settings(deadline=None)
def test_results(value: object) -> None:
    try:
        check(from_json("p", 1, value, 0.0, "https://node.example"))
    except AoError as error:
        assert error.stage == "compute"
        assert "https://node.example" in error.what


@pytest.mark.parametrize("value", [{"edges": 5}, {"error": "not found"}, {"output": "lower case"}])
def test_a_map_without_a_member_of_a_result_is_none(value: object) -> None:
    with pytest.raises(AoError, match="no member of a result is in it"):
        from_json("p", 1, value, 0.0)
    assert from_json("p", 1, {}, 0.0).ok


@given(st.lists(ANSWERS, max_size=3))
@settings(deadline=None)
def test_schedules(values: list[object]) -> None:
    found = reads(lambda client: SchedulerUnit(client).page(ID, -1), [{}, *values])
    for message in cast("list[Message]", found or []):
        assert message.assignment is not None
    reads(lambda client: SchedulerUnit(client).latest(ID), [{}, *values])


@given(
    st.lists(ANSWERS, max_size=4),
    st.none() | st.sampled_from([{"slot": -1}, {"slot": 0, "id": ID}]),
)
@settings(deadline=None)
def test_feeds(values: list[object], behind: dict[str, Any] | None) -> None:
    roots: list[dict[str, object]] = [{}, {"Processes": []}]
    for root in roots:

        async def steps(client: Client, root: object = root) -> object:
            computer = ComputeUnit(client, Waiting())
            scheduler = SchedulerUnit(cast(Client, Saying([root, *values])))
            return await Log(scheduler, computer).steps(ID, behind)

        # What is computed is asked for again a few times, as long as it is not known: 404.
        reads(steps, [{"edges": []}, *values])


@given(st.lists(ANSWERS, max_size=3))
@settings(deadline=None)
def test_look_ups(values: list[object]) -> None:
    async def find(client: Client) -> object:
        return await Gateway(client, Path("nowhere")).find("name", ID)

    found = reads(find, values)
    assert found is None or len(str(found)) == 43


@given(st.lists(ANSWERS, max_size=3))
@settings(deadline=None)
def test_processes_by_id(values: list[object]) -> None:
    async def find(client: Client) -> object:
        gateway = Gateway(cast(Client, Saying(values)), Path("nowhere"))
        scheduler = SchedulerUnit(client)
        return await Known(cast(Book, Blank()), "x", scheduler, gateway, cast(Any, None)).find(ID)

    reads(find, [{}, *values])


@given(st.lists(ANSWERS, max_size=3))
@settings(deadline=None)
def test_code(values: list[object]) -> None:
    async def module(client: Client) -> object:
        return await Gateway(client, Path("nowhere")).module(ID)

    assert reads(module, values) is None


@pytest.mark.parametrize("odd", [7, "x", [], [7], {"id": 7}, {"size": []}, None])
@pytest.mark.parametrize("member", ["bundledIn", "data", "owner", "tags", "block", "recipient"])
def test_a_node_with_an_odd_member(member: str, odd: object) -> None:
    node = {"id": ID, "tags": [{"name": "Type", "value": "Process"}], member: odd}
    edges = {"data": {"transactions": {"edges": [{"node": node}]}}}
    reads(lambda client: Gateway(client, Path("nowhere")).module(ID), [edges, node, node])
    reads(lambda client: Gateway(client, Path("nowhere")).find("x", ID), [edges])
    gateway = Gateway(cast(Client, Saying([edges])), Path("nowhere"))
    book = cast(Book, Blank())

    async def find(client: Client) -> object:
        return await Known(book, "x", SchedulerUnit(client), gateway, cast(Any, None)).find(ID)

    reads(find, [{"Processes": []}])


@pytest.mark.parametrize("pages", [7, "x", [], None, {"has_next_page": True}])
def test_pages_that_lead_nowhere(pages: object) -> None:
    old = {"edges": [{"node": {"message": {"id": ID}, "assignment": {"tags": PLACED}}}]}
    found = reads(
        lambda client: SchedulerUnit(client).page(ID, 5), [{}, old | {"page_info": pages}, old]
    )
    assert found == []


@given(LISTED, JSON)
@settings(deadline=None)
def test_nothing_is_verified_by_chance(node: dict[str, Any], header: Any) -> None:
    for check in (
        lambda: verified.verify_item(ID, node, b""),
        lambda: transactions.check_transaction(
            ID, header if isinstance(header, dict) else node, b""
        ),
        lambda: verified.unpack(ID, json.dumps(header).encode() + b"\n"),
    ):
        try:
            check()
        except NotVerifiedError:
            continue
        raise AssertionError("verified")
