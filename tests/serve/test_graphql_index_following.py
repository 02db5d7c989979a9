"""The index of GraphQL follows the log, and is made anew where it is damaged."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from gateway_node import Asked, GatewayNode, id_of
from hypothesis import given, settings
from hypothesis import strategies as st

# How it follows the log ---------------------------------------------------------------------------

ALL = "{ transactions(first: 1000, sort: HEIGHT_ASC) { edges { node { id } } } }"


async def everything(asked: Asked) -> list[str]:
    """The ids of all that the gateway finds but the module that every node knows."""
    data = await asked.data(ALL)
    found = [edge["node"]["id"] for edge in data["transactions"]["edges"]]
    return [id for id in found if id not in asked.node.known]


def sent(node: GatewayNode, *names: str) -> list[str]:
    return [node.add(name, ("Type", "Message"), target="p") for name in names]


@in_loop
async def test_what_was_taken_is_found_at_once(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    assert await everything(asked) == []
    expected = []
    for number in range(3):
        expected += sent(asked.node, *(f"{number} {n}" for n in range(400)))
        assert await everything(asked) == expected[:999]


@in_loop
async def test_a_message_in_two_logs_is_one_transaction(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    expected = sent(asked.node, "a", "b")
    asked.node.add("a", ("Type", "Message"), process="q")
    assert await everything(asked) == expected


@pytest.mark.parametrize("told", [True, False])
@in_loop
async def test_what_was_taken_back_is_not_found(tmp_path: Path, told: bool) -> None:
    """The numbers of what `.undo` removes are given again."""
    asked = Asked(tmp_path)
    sent(asked.node, "a", "b", "c", "d")
    assert len(await everything(asked)) == 4
    asked.node.cut({2, 4}, told=told)
    (new,) = sent(asked.node, "e")
    assert await everything(asked) == [id_of("a"), id_of("c"), new]
    assert await asked.ids(f'ids: "{id_of("b")}"') == []
    assert await asked.ids('tags: {name: "Type", values: "Message"}') == [
        new,
        id_of("c"),
        id_of("a"),
    ]


@in_loop
async def test_a_cut_leaves_what_was_before_it(tmp_path: Path) -> None:
    """A long log is not read again for the last of its messages."""
    asked = Asked(tmp_path)
    expected = sent(asked.node, *(str(n) for n in range(900)))
    assert await everything(asked) == expected
    before = asked.node.pages
    asked.node.cut({899, 900})
    assert await everything(asked) == expected[:-2]
    assert asked.node.pages - before <= 3


changes = st.lists(
    st.integers(1, 3) | st.sets(st.integers(0, 20), min_size=1, max_size=3) | st.just("ask"),
    max_size=12,
)


@settings(max_examples=40)
@given(changes, st.booleans())
def test_it_never_holds_anything_but_the_log(
    tmp_path_factory: pytest.TempPathFactory, many: list[Any], told: bool
) -> None:
    """Whatever is sent, taken back and asked in between."""

    async def run() -> None:
        asked, name = Asked(tmp_path_factory.mktemp("log")), 0
        node = asked.node
        for change in [*many, "ask"]:
            if change == "ask":
                assert await everything(asked) == [one.message.id for one in node.stored]
            elif isinstance(change, int):
                for _ in range(change):
                    name += 1
                    sent(node, str(name))
            elif taken := {node.stored[at].seq for at in change if at < len(node.stored)}:
                node.cut(taken, told=told)
        await asked.gateway.close()

    asyncio.run(run())


@in_loop
async def test_the_index_of_another_node_is_not_used(tmp_path: Path) -> None:
    first, second = Asked(tmp_path), Asked(tmp_path)
    sent(first.node, "a", "b")
    await everything(first)
    await first.gateway.close()
    second.node.address = id_of("another")
    sent(second.node, "c")
    assert await everything(second) == [id_of("c")]
    await second.gateway.close()


def as_text(path: Path) -> None:
    path.write_text("this is no database" * 100)


def as_future(path: Path) -> None:
    db = sqlite3.connect(path)
    db.executescript("DROP TABLE messages; PRAGMA user_version = 99;")
    db.close()


def as_foreign(path: Path) -> None:
    path.unlink()
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE messages (x)")
    db.close()


def cut_off(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


@pytest.mark.parametrize("damage", [as_text, as_future, as_foreign, cut_off, Path.unlink])
@in_loop
async def test_a_damaged_index_is_made_anew(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    asked = Asked(tmp_path)
    expected = sent(asked.node, *(str(n) for n in range(300)))
    assert await everything(asked) == expected
    await asked.gateway.close()
    damage(asked.index)
    again = Asked(tmp_path, asked.node)
    assert await everything(again) == expected
    await again.gateway.close()


@in_loop
async def test_an_index_that_is_damaged_while_it_is_open(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    expected = sent(asked.node, *(str(n) for n in range(300)))
    assert await everything(asked) == expected
    index = asked.gateway._follower._index
    assert index is not None
    index.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with asked.index.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (asked.index.stat().st_size - 4096))
    assert await everything(asked) == expected
    await asked.gateway.close()


@in_loop
async def test_two_servers_fill_one_index(tmp_path: Path) -> None:
    node = GatewayNode()
    expected = sent(node, *(str(n) for n in range(700)))
    servers = [Asked(tmp_path, node) for _ in range(2)]
    pages = await asyncio.gather(*(everything(one) for one in servers for _ in range(3)))
    assert pages == [expected] * 6
    expected += sent(node, "more")
    assert await everything(servers[1]) == await everything(servers[0]) == expected
    for one in servers:
        await one.gateway.close()


@in_loop
async def test_the_index_is_the_users_own(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    sent(asked.node, "a")
    await everything(asked)
    assert stat.S_IMODE(asked.index.stat().st_mode) == 0o600
    await asked.gateway.close()


@in_loop
async def test_a_folder_that_cannot_be_used_is_no_secret_of_the_answer(tmp_path: Path) -> None:
    asked = Asked(tmp_path / "missing")
    answer = await asked.post({"query": ALL})
    assert answer["data"] is None
    assert str(tmp_path) not in str(answer) and "stage store" in str(answer)


@in_loop
async def test_text_that_is_none(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and halves of characters, are found and shown all the same."""
    asked = Asked(tmp_path)
    name = asked.node.add("a", ("N\udcff", "v\udc80"), ("\0", "\0" * 3), target="p")
    data = await asked.data("{ transactions(first: 1) { edges { node { tags { name value } } } } }")
    (edge,) = data["transactions"]["edges"]
    tags = [list(tag.values()) for tag in edge["node"]["tags"]]
    assert tags == [["N\ufffd", "v\ufffd"], ["\0", "\0\0\0"]]
    query = "query ($t: [TagFilter!]) { transactions(tags: $t) { edges { node { id } } } }"
    for tag in ({"name": "N\udcff", "values": ["v\ud800"]}, {"name": "\0", "values": "\0\0\0"}):
        answer = await asked.data(query, t=[tag])
        assert [edge["node"]["id"] for edge in answer["transactions"]["edges"]] in ([name], [])
