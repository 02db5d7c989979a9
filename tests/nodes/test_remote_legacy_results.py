"""Results and logs of the legacy network: how the units' answers are read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from legacy_server import START, Network, Reply, printed, served, told
from legacy_session import HTML, Session, network, opened, quick, run

from aoshell.errors import AoError, UsageError
from aoshell.nodes.remote.legacy import node, units
from aoshell.nodes.remote.results import from_json
from aoshell.protocol.message import Message, Tag, tags_of
from aoshell.protocol.wallet import Wallet

__all__ = ["network", "opened", "quick", "run"]  # fixtures


def test_still_computing_is_waited_for(
    run: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1")
        network.fail("cu", told({"message": "in progress"}, 202), Reply(404), Reply(200))
        assert (await session.node.result(process, receipt.id)).output == "1"
        monkeypatch.setattr(units, "PATIENCE", 0.0)
        network.fail("cu", told({"message": "in progress"}, 202))
        with pytest.raises(AoError, match="still computing after") as caught:
            await session.node.result(process, receipt.id)
        assert f".result {receipt.id}" in caught.value.hint

    run(test)


def test_a_message_that_the_cu_does_not_get_is_given_up(
    run: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "UNHEARD", 2)

    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1")
        network.fail("cu", Reply(404), Reply(404))
        assert (await session.node.result(process, receipt.id)).output == "1"
        network.fail("cu", Reply(404), Reply(200), Reply(404))
        with pytest.raises(AoError, match="does not answer: 404"):
            await session.node.result(process, receipt.id)

    run(test)


def test_the_wait_is_seen_and_can_be_given_up(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1")
        network.fail("cu", *[told({"message": "in progress"}, 202)] * 200)
        task = asyncio.create_task(session.node.result(process, receipt.id))
        while session.node.stage is None or not session.node.stage.note:
            await asyncio.sleep(0.005)
        assert session.node.stage.name == "compute"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert session.node.stage is None

    run(test)
    assert len(network.asked("mu")) == 2


def test_what_goes_wrong_in_the_process_is_a_result(run: Any) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        result = await session.node.result(process, (await session.send(process, "error")).id)
        assert (result.outcome, result.error) == ("error", "boom: error")

    run(test)


@pytest.mark.parametrize(
    ("reply", "what"),
    [
        (HTML, "HTML where JSON is due"),
        (Reply(200, b"[1]"), "no map"),
        (Reply(200, b'{"Messages": 7}'), "no list"),
        (Reply(200, b'{"Output": '), "where JSON is due"),
        (told({"error": "out of memory"}, 500), "500 out of memory"),
    ],
)
def test_a_result_that_is_none(run: Any, network: Network, reply: Reply, what: str) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1")
        network.fail("cu", reply)
        with pytest.raises(AoError, match=what) as caught:
            await session.node.result(process, receipt.id)
        assert caught.value.stage == "compute"
        assert "/cu" in caught.value.what
        assert (await session.node.result(process, receipt.id)).ok  # and the node goes on

    run(test)


def test_places_that_are_none(run: Any) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        with pytest.raises(AoError, match="has no slot 9"):
            await session.node.result(process, 9)
        with pytest.raises(UsageError):
            await session.node.result(process, "../state")

    run(test)


def test_a_dry_run(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        network.fail("cu", told({"message": "in progress"}, 202))
        message = Message("", "o" * 43, "o" * 43, "", tags_of([("Action", "Eval")]), b"1+1")
        assert (await session.node.dryrun(process, message)).output == "1+1"
        (_, body) = network.asked("cu", "POST")[-1]
        assert json.loads(body) == {
            "Id": "1234",
            "Target": process,
            "Owner": "o" * 43,
            "Anchor": "0",
            "Data": "1+1",
            "Tags": [{"name": "Action", "value": "Eval"}],
        }
        assert await session.node.slots(process) == 1

    run(test)


@pytest.mark.parametrize("nonces", [True, False], ids=["newer SU", "older SU"])
def test_results_leave_nothing_out(run: Any, network: Network, nonces: bool) -> None:
    network.nonces = nonces

    async def test(session: Session) -> None:
        process = await session.spawn()
        await session.send(process, "a")
        network.tick(process, "tick")
        await session.send(process, "error")
        session.from_elsewhere(process, "not asked for yet")
        entries = await session.node.results(process)
        assert [entry.result.output or entry.result.error for entry in entries if entry.result] == [
            " ",
            "a",
            "tick",
            "boom: error",
            "not asked for yet",
        ]
        places = [(e.message.assignment.slot, e.message.assignment.tick) for e in entries]  # type: ignore[union-attr]
        assert places == [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0)]
        behind = await session.node.results(process, after=2, limit=1)
        assert [entry.message.data for entry in behind] == [b"not asked for yet"]

    run(test)


def test_cron_results_that_computing_brings_about(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        session.from_elsewhere(process, "a")
        for n in range(2):
            network.tick(process, f"tick {n}", computed=False)
        session.from_elsewhere(process, "b")
        network.tick(process, "tick 2", computed=False)
        session.from_elsewhere(process, "c")
        network.tick(process, "later", computed=False)  # not due yet for the CU
        entries = await session.node.results(process, after=0)
        outputs = [entry.result.output for entry in entries if entry.result]
        assert outputs == ["a", "tick 0", "tick 1", "b", "tick 2", "c"]
        ticks = [e.message.assignment.tick for e in entries if e.message.assignment]
        assert ticks == [0, 1, 2, 0, 1, 0]
        assert entries[1].message.tag("Cron") and not entries[1].message.id

    run(test)


@pytest.mark.parametrize("nonces", [True, False], ids=["newer SU", "older SU"])
def test_the_log_comes_in_pages(
    run: Any, network: Network, nonces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "PAGE", 2)
    network.nonces = nonces

    async def test(session: Session) -> None:
        process = await session.spawn()
        for n in range(6):
            session.from_elsewhere(process, str(n))
        messages = await session.node.schedule(process, 2, 5)
        assert [message.data for message in messages] == [b"1", b"2", b"3", b"4"]
        first = messages[0]
        assert first.from_ == first.owner == session.wallet.address
        assert first.assignment is not None and first.assignment.timestamp == START + 2000
        assert await session.node.slots(process) == 7

    run(test)


def test_a_transaction_assigned_from_elsewhere(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        id = session.from_elsewhere(process, "assigned")
        listed = json.loads(network._su("GET", [process], {"process-id": process}, b"").body)
        listed["edges"][1]["node"]["message"] = None
        network.fail("su", told(listed))
        entries = await session.node.results(process, after=0)
        assert [(entry.message.id, entry.message.owner) for entry in entries] == [(id, "")]
        assert entries[0].result is not None and entries[0].result.output == "assigned"

    run(test)


def test_recorded_exchanges(shared: Path, tmp_path: Path, wallet: Wallet) -> None:
    """What real clients got, asked for by this one."""
    recorded = [
        exchange
        for name in ("legacy-aoconnect", "legacy-repl", "legacy-run-spawn")
        for exchange in json.loads((shared / "vectors/clients" / f"{name}.json").read_text())
        if exchange["unit"] == "cu" and exchange["path"].startswith("/result/")
    ]

    class Recorded(Network):
        def answer(self, unit: str, method: str, path: str, body: bytes) -> Reply:
            del method, body
            for exchange in recorded:
                if (exchange["unit"], exchange["path"]) == (unit, path):
                    said = exchange["resBody"]
                    return told(said["json"], exchange["status"]) if said else Reply(404)
            return Reply(404)

    async def test(session: Session) -> int:
        checked = 0
        for exchange in recorded:
            id, _, process = exchange["path"].removeprefix("/result/").partition("?process-id=")
            if exchange["resBody"] is None:
                continue
            said = exchange["resBody"]["json"]
            result = await session.node.result(process, id)
            assert result.error == said.get("Error", "")
            assert result.output == said.get("Output", {}).get("data", "")
            assert result.prompt == said.get("Output", {}).get("prompt", "")
            sent = [*said.get("Messages", []), *said.get("Spawns", [])]
            assert [message.data.decode() for message in result.messages] == [
                message["Data"] for message in sent
            ]
            assert len(result.assignments) == len(said.get("Assignments", []))
            checked += 1
        await session.node.close()
        return checked

    with served(Recorded()) as network:
        assert asyncio.run(test(Session(network, tmp_path, wallet))) > 10


@pytest.mark.parametrize(
    ("value", "output", "prompt"),
    [
        ({"Output": {"data": {"output": "2", "prompt": "old> "}}}, "2", "old> "),
        ({"Output": "text"}, "text", ""),
        ({"Output": []}, "", ""),
        ({"Output": {"data": 7}, "Messages": {}}, "7", ""),
        ({"Output": {"data": "\ud83d"}, "Error": {}}, "\N{REPLACEMENT CHARACTER}", ""),
        ({}, "", ""),
    ],
)
def test_shapes_of_a_result(value: object, output: str, prompt: str) -> None:
    result = from_json("p", 3, value, 0.0)
    assert (result.output, result.prompt, result.ok) == (output, prompt, True)


def test_an_outbox() -> None:
    message = {"Target": "t", "Anchor": "1", "Data": 7, "Tags": [{"name": "N", "value": 1.5}]}
    spawn = {"Tags": {"Module": "m"}, "Data": None}
    assign = {"Message": "id", "Processes": ["p"]}
    value = printed("") | {"Messages": [message], "Spawns": [spawn], "Assignments": [assign]}
    result = from_json("p", 3, value, 0.0)
    sent, spawned = result.messages
    assert (sent.target, sent.anchor, sent.data, sent.spawn) == ("t", "1", b"7", False)
    assert sent.tags == (Tag("N", "1.5"),)
    assert (spawned.spawn, spawned.data, spawned.tags) == (True, b"", (Tag("Module", "m"),))
    assert result.assignments == (("id", ("p",)),)
