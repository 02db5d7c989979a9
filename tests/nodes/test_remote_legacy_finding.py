"""Finding processes of the legacy network by id, name, or beginning of an id."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from legacy_server import Network, Reply, told
from legacy_session import HTML, MODULE, Opened, Session, network, opened, quick, run

from aoshell.errors import AoError
from aoshell.nodes.values import NotFoundError
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Tag, tags_of
from aoshell.protocol.wallet import Wallet

__all__ = ["network", "opened", "quick", "run"]  # fixtures


def test_found_by_what_it_is_called(opened: Opened, network: Network, tmp_path: Path) -> None:
    async def test() -> None:
        async with opened() as session:
            process = await session.spawn("counter")
        (tmp_path / "book.db").unlink()  # a machine that has never heard of it
        for forgotten in ("book.db-wal", "book.db-shm"):
            (tmp_path / forgotten).unlink(missing_ok=True)
        async with opened() as session:
            info = await session.node.find("counter")
            assert (info.id, info.name, info.module) == (process, "counter", MODULE)
            assert info.owner == session.wallet.address
            asked = len(network.requests)
            for reference in (process, process[:8], "counter"):
                assert (await session.node.find(reference)).id == process
            assert len(network.requests) == asked  # from memory
            assert [each.id for each in await session.node.processes()] == [process]

    asyncio.run(test())


def test_three_outcomes_of_a_look_up(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        with pytest.raises(NotFoundError):
            await session.node.find("nobody")
        with pytest.raises(NotFoundError):
            await session.node.find("n" * 42 + "A")
        for unknown in (
            told({"errors": [{"message": "timeout"}], "data": None}),
            told({"data": None}),
            told({"errors": ["partly"], "data": {"transactions": {"edges": []}}}),
            told({"data": {"transactions": {"edges": [{}]}}}),
            told([]),
            Reply(500),
            HTML,
        ):
            network.fail("gateway", unknown)
            with pytest.raises(AoError) as caught:
                await session.node.find("nobody")
            assert not isinstance(caught.value, NotFoundError)
            assert caught.value.stage == "lookup"
        network.fail("su", Reply(500))
        with pytest.raises(AoError) as caught:
            await session.node.find("n" * 42 + "A")
        assert not isinstance(caught.value, NotFoundError)
        assert not network.asked("mu")

    run(test)


def test_what_is_no_process_of_the_network(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        for tags, what in (
            ({"Type": "Module"}, "no process but 'Module'"),
            ({}, "no process but 'something else'"),
            ({"Type": "Process", "Variant": "ao.N.1"}, "of another network"),
        ):
            item = DataItem.sign(session.wallet, tags=tags_of(tags.items()), data=b"x")
            network.publish(item)
            with pytest.raises(AoError, match=what) as caught:
                await session.node.find(item.id)
            assert not isinstance(caught.value, NotFoundError)

    run(test)


def test_names_are_of_the_users_own_processes(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        definition = tags_of([("Type", "Process"), ("Name", "counter"), ("Variant", "ao.TN.1")])
        foreign = DataItem.sign(Wallet.generate(), tags=definition, data=b" ")
        network.schedule(foreign)
        assert (await session.node.find(foreign.id)).name == "counter"
        with pytest.raises(NotFoundError):
            await session.node.find("counter")

    run(test)


def test_a_name_that_is_not_unique(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        ids = []
        for _ in range(2):
            item = await session.node.sign(session.wallet, "", (Tag("Name", "twin"),), b"")
            assert isinstance(item, DataItem)
            network.schedule(item)
            ids.append(item.id)
        with pytest.raises(AoError, match="2 processes") as caught:
            await session.node.find("twin")
        assert all(id in caught.value.hint for id in ids)

    run(test)
