"""The legacy network as a node: what is sent, how often, and what the node can do."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest
from legacy_server import Network, Reply, told
from legacy_session import BUSY, HTML, MODULE, Session, network, opened, quick, run

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.remote.http import doctor
from aoshell.nodes.remote.http.client import ConnectionLostError
from aoshell.nodes.remote.legacy import node
from aoshell.nodes.values import Receipt, Verify
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Tag, tags_of

__all__ = ["network", "opened", "quick", "run"]  # fixtures


def test_a_line_there_and_back(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        receipt = await session.send(process, "1+1")
        assert receipt == Receipt(receipt.id, process, None)
        for place in (receipt.id, 1):
            result = await session.node.result(process, place)
            assert (result.outcome, result.output, result.prompt) == ("ok", "1+1", "> ")
        assert result.slot == 1
        assert await session.node.slots(process) == 2

    run(test)
    spawned, sent = (DataItem.parse(body) for _, body in network.asked("mu"))
    assert {("Type", "Process"), ("Variant", "ao.TN.1"), ("Module", MODULE)} <= pairs(spawned)
    assert {("Scheduler", "S" * 43), ("Authority", "A" * 43), ("Name", "counter")} <= pairs(spawned)
    assert {("Type", "Message"), ("Data-Protocol", "ao"), ("Action", "Eval")} <= pairs(sent)
    assert sent.target == spawned.id


def pairs(item: DataItem) -> set[tuple[str, str]]:
    return {(tag.name, tag.value) for tag in item.tags}


def test_what_a_definition_says_is_kept(run: Any) -> None:
    async def test(session: Session) -> None:
        tags = tags_of([("Scheduler", "s"), ("Module", "x"), ("Authority", "a")])
        item = await session.node.sign(session.wallet, "", tags, b"data")
        assert isinstance(item, DataItem)
        assert [tag.value for tag in item.tags if tag.name in ("Scheduler", "Module")] == ["s", "x"]
        with pytest.raises(AoError, match="4,096 bytes"):
            much = tuple(Tag(f"T{n}", "x" * 1000) for n in range(5))
            await session.node.sign(session.wallet, session.wallet.address, much, b"")

    run(test)


def test_busy_is_asked_again_with_the_same_item(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        network.fail("mu", BUSY, Reply(503), Reply(cut=True))
        receipt = await session.send(process, "1")
        network.fail("cu", BUSY)
        assert (await session.node.result(process, receipt.id)).output == "1"

    run(test)
    bodies = [body for _, body in network.asked("mu")][1:]
    assert len(bodies) == 4 and len(set(bodies)) == 1
    (log,) = network.logs.values()
    assert len(log) == 2  # and it was scheduled once


def test_a_new_process_is_waited_for(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        network.fail("su", None, told({"error": "Message or Process not found"}, 400), Reply(500))
        process = await session.spawn()
        network.fail("mu", told({"error": "Could not find the process"}, 500))
        await session.send(process, "1")
        network.fail("mu", told({"error": "no"}, 400))
        with pytest.raises(AoError, match="does not take it: 400") as caught:
            await session.send(process, "2")
        assert caught.value.stage == "schedule"

    run(test)
    early, late, refused = [body for _, body in network.asked("mu")][1:]
    assert early == late != refused


@pytest.mark.parametrize(("status", "kind"), [(404, AoError), (500, ConnectionLostError)])
def test_what_an_older_process_is_refused_is_not_repeated(
    run: Any, network: Network, status: int, kind: type[AoError]
) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        session.node._known.put(process, {"name": "counter", "created": 1})
        network.fail("mu", told({"error": "Could not find the process"}, status))
        with pytest.raises(kind, match=f"does not take it: {status}"):
            await session.send(process, "1")

    run(test)
    assert len(network.asked("mu")) == 2


def test_a_process_that_never_gets_ready(
    run: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "READY", 0.05)

    async def test(session: Session) -> None:
        gone = told({"error": "Message or Process not found"}, 400)
        network.fail("su", None, *[gone] * 100)
        with pytest.raises(AoError, match="is spawned, but not ready") as caught:
            await session.spawn()
        assert caught.value.stage == "spawn"
        assert "do not spawn it again" in caught.value.hint
        (process,) = network.logs
        assert (await session.node.find("counter")).id == process  # and it is remembered

    run(test)
    assert len(network.asked("mu")) == 1


@pytest.mark.parametrize(("told_id", "taken"), [("B" * 42 + "A", True), ("../x", False)])
def test_an_mu_that_names_the_process(
    run: Any, network: Network, told_id: str, taken: bool
) -> None:
    network.lists = False  # nothing is waited for

    async def test(session: Session) -> None:
        network.fail("mu", told({"id": "y" * 43, "processId": told_id}, 202))
        process = await session.spawn()
        assert (process == told_id) is taken

    run(test)


def test_a_spawn_whose_fate_is_unknown(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        network.fail("mu", HTML)
        with pytest.raises(ConnectionLostError) as caught:
            await session.spawn()
        item = DataItem.parse(network.asked("mu")[0][1])
        assert f"aoshell {item.id}" in caught.value.hint

    run(test)
    assert len(network.asked("mu")) == 1


def test_an_answer_that_says_nothing_is_not_sent_again(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        network.fail("mu", HTML)
        with pytest.raises(ConnectionLostError, match="answered HTML where JSON is due") as caught:
            await session.send(process, "1")
        assert ".result" in caught.value.hint
        network.fail("mu", told({"id": "x" * 43}))
        with pytest.raises(AoError, match="says it is xxx"):
            await session.send(process, "1")

    run(test)
    assert len(network.asked("mu")) == 3


def test_monitoring(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        process = await session.spawn()
        await session.node.monitor(session.wallet, process, True)
        assert network.monitored == {process}
        await session.node.monitor(session.wallet, process, False)
        assert not network.monitored
        network.fail("mu", told({"error": "no cron"}, 500))
        with pytest.raises(AoError, match="does not do that: 500"):
            await session.node.monitor(session.wallet, process, True)

    run(test)


def test_what_it_is_and_what_it_is_not(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        node = session.node
        info = await node.info()
        assert (info.kind, info.address, info.endpoint) == (
            "legacynet",
            "c" * 43,
            network.unit("mu"),
        )
        assert (node.local, node.remote, node.cron, node.state) == (None, node, node, None)
        for missing in (node.evidence(""), node.upload(b"")):
            with pytest.raises(UnsupportedError) as caught:
                await missing
            assert caught.value.hint
        with pytest.raises(UnsupportedError):
            node.verify = Verify.ON
        assert node.verify is Verify.OFF
        assert node.last_failure == ""

    run(test)


def test_doctor(run: Any, network: Network) -> None:
    async def test(session: Session) -> None:
        found = await session.node.doctor()
        assert [finding.name for finding in found] == ["MU", "SU", "CU", "gateway", "bundler"]
        assert all(finding.ok and "ms" in finding.detail for finding in found)
        network.fail("mu", HTML)
        network.fail("su", Reply(200, b"hello"))
        network.fail("cu", Reply(404, b"no"))
        network.fail("gateway", told({"errors": ["down"]}))
        found = await session.node.doctor()
        assert [finding.ok for finding in found] == [False, False, False, False, True]
        assert all(finding.hint for finding in found if not finding.ok)
        assert "web page: Sign in" in found[0].detail

    run(test)


def test_doctor_sees_clocks_apart(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    early = SimpleNamespace(monotonic=time.monotonic, time=lambda: time.time() - 3600)
    monkeypatch.setattr(doctor, "time", early)

    async def test(session: Session) -> None:
        mu = (await session.node.doctor())[0]
        assert not mu.ok
        assert "its clock is 60 min ahead of this machine's" in mu.detail

    run(test)
