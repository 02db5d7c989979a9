"""The generation of HyperBEAM of a node, and that requests fit it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from hyper_server import HTML, Fault, Reply, Request, serving
from test_remote_hyperbeam import (
    EVAL,
    LUA_MODULE,
    WASM_MODULE,
    Home,
    evaluate,
    home,
    node_wallet,
    profile,
    server,
    spawn,
    up,
)

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.remote.hyperbeam.generation import JUNE, LATER, generation_of
from aoshell.nodes.remote.memory import Book
from aoshell.nodes.values import HttpMessage, Verify
from aoshell.protocol import httpsig, signing
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.commitment import CURRENT, EDGE, INPUT
from aoshell.protocol.httpsig import SignatureStatus
from aoshell.protocol.message import Message, tags_of
from aoshell.protocol.wallet import Wallet

__all__ = ["home", "node_wallet", "profile", "server"]  # fixtures


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@in_loop
async def test_a_node_that_changes_its_generation_is_named_once(home: Home, level: Verify) -> None:
    """As a new version does between two requests; its key stays the same."""
    home.server.sign_all, home.server.profile = True, EDGE
    async with up(home) as node:
        process = await spawn(node, home)
        node.verify = level
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        events = node.subscribe()
        home.server.profile = CURRENT
        assert (await node.slots(process)) == 2
        home.server.asked.clear()
        for slot, code in ((2, "2+2"), (3, "3+3")):
            assert (await evaluate(node, home, process, code)).slot == slot
        assert home.server.refused_dialect == 0
        told = []
        while not events._queue.empty():
            told.append((await anext(events)).detail)
        changes = [line for line in told if "another generation" in line]
        assert changes == [
            f"{node.endpoint} is of another generation now: {LATER.name}, before {JUNE.name}"
        ]
        assert "/~meta@1.0/info/address" not in " ".join(home.server.asked)


@in_loop
async def test_what_another_signed_tells_no_generation(home: Home, wallet: Wallet) -> None:
    home.server.sign_all = True
    async with up(home) as node:
        process = await spawn(node, home)
        before = node._key.generation
        other = CURRENT if before is JUNE else EDGE

        def forged(_request: Request, _reply: Reply) -> Reply:
            headers, body = signing.sign(wallet, {"body": "7", "status": 200}, profile=other)
            return 200, headers, body

        home.server.faults["slot/current"] = forged
        with pytest.raises(AoError, match="not by the node's own key"):
            await node.slots(process)
        assert node._key.generation is before


def test_only_a_signature_that_fits_tells_a_generation(wallet: Wallet) -> None:
    for of_node, due in ((EDGE, JUNE), (CURRENT, LATER)):
        headers, body = signing.sign(wallet, {"a": "b"}, profile=of_node)
        assert generation_of(httpsig.check(headers, body)) is due
        changed = [(name, "c" if name == "a" else value) for name, value in headers]
        assert generation_of(httpsig.check(changed, body)) is None


@pytest.mark.parametrize("parameter", [';id="x"', ';scope="all"', ";level=3", ";fresh"])
@pytest.mark.parametrize("level", Verify)
@in_loop
async def test_a_parameter_never_seen_makes_an_answer_uncheckable(
    home: Home, level: Verify, parameter: str
) -> None:
    home.server.sign_all, home.server.profile = True, EDGE
    async with up(home) as node:
        process = await spawn(node, home)
        await node.info()
        node.verify = level if level is not Verify.ATTESTED else Verify.ON

        def added(_request: Request, reply: Reply) -> Reply:
            status, headers, body = reply
            return status, [(k, v + parameter if k == INPUT else v) for k, v in headers], body

        home.server.faults["slot/current"] = added
        events = node.subscribe()
        if level is Verify.OFF:
            assert await node.slots(process) == 1
            assert "cannot be checked here" in (await asyncio.wait_for(anext(events), 5)).detail
            return
        with pytest.raises(AoError, match="in a way that cannot be checked here"):
            await node.slots(process)


@pytest.mark.parametrize(
    ("label", "due"),
    [
        ("sig-", SignatureStatus.VERIFIED),
        ("comm-", SignatureStatus.VERIFIED),
        ("what-", SignatureStatus.UNCHECKABLE),
    ],
)
def test_an_unknown_label_is_uncheckable(wallet: Wallet, label: str, due: SignatureStatus) -> None:
    headers, body = signing.sign(wallet, {"a": "b"}, profile=CURRENT)
    changed = [(name, value.replace("comm-", label)) for name, value in headers]
    assert httpsig.check(changed, body).outcome is due


def first(left: list[Reply]) -> Fault:
    """Those answers first, and then the usual ones."""
    return lambda _, reply: left.pop() if left else reply


# Results ----------------------------------------------------------------------------------------


@in_loop
async def test_no_answer_leads_to_the_result_of_another_slot(home: Home) -> None:
    """`compute/results=N` has the newest state, whatever N is, so it is never asked for."""
    async with up(home) as node:
        process = await spawn(node, home)
        await evaluate(node, home, process, "1+1")
        await evaluate(node, home, process, "6*7")
        answers: list[tuple[Any, str]] = [
            ((404, [("content-type", "text/html")], HTML), "does not compute slot 1: 404"),
            ((404, [], b""), "does not compute slot 1: 404"),
            (home.server.failed(404, {"reason": "not_found"}), "404 not_found"),
            (home.server.failed(400, {"body": "no"}), "400 no"),
        ]
        for answer, what in answers:
            home.server.faults["compute"] = lambda *_, answer=answer: answer
            with pytest.raises(AoError, match=what):
                await node.result(process, 1)
        home.server.faults.clear()
        assert (await node.result(process, 1)).output == "2"
        assert not any("results=" in line for line in home.server.asked)


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@in_loop
async def test_a_result_within_a_body_is_read(home: Home, level: Verify) -> None:
    """As nodes of November 2025 give what they have in their cache."""
    home.server.sign_all = True
    async with up(home) as node:
        node.verify = level
        process = await spawn(node, home)
        sent = {"target": "T" * 43, "data": "hi"}
        body = {"output": {"data": "7", "prompt": "> "}, "outbox": {"1": sent}}
        wrapped = {"status": 200, "ao-result": "body", "body": body}
        home.server.faults["compute"] = lambda *_: home.server.signed(wrapped)
        result = await node.result(process, 0)
        assert (result.output, result.prompt, len(result.messages)) == ("7", "> ", 1)
        home.server.faults["now/"] = lambda *_: home.server.signed(wrapped)
        assert await node.now(process, "results") == body


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@in_loop
async def test_a_slot_that_there_is_not_is_said_not_to_be_there(home: Home, level: Verify) -> None:
    home.server.sign_all = True
    async with up(home) as node:
        node.verify = level
        process = await spawn(node, home)
        with pytest.raises(AoError, match=r"has no slot 7 of .*: there are 1, the last is 0"):
            await node.result(process, 7)


@in_loop
async def test_a_schedule_that_is_behind_is_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.reading.EARLY", (0.01,) * 5)
    async with up(home) as node:
        process = await spawn(node, home)
        await evaluate(node, home, process, "1+1")
        early = home.server.failed(404, {"phase": "get-schedule", "reason": "not yet"})
        left = [early, early]
        home.server.faults["compute"] = first(left)
        assert (await node.result(process, 1)).output == "2" and not left


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@in_loop
async def test_a_process_that_is_stuck_is_said_to_be(home: Home, level: Verify) -> None:
    home.server.sign_all = True
    async with up(home) as node:
        node.verify = level
        process = await spawn(node, home)
        home.server.stuck_at = 1
        for slot, words in ((1, "this slot fails each time"), (2, "slot 1 fails each time")):
            with pytest.raises(
                AoError, match=f"does not compute slot {slot}: 500.*{words}"
            ) as raised:
                await evaluate(node, home, process, "1+1")
            assert f"{process} is stuck there" in raised.value.what
            assert ".spawn" in raised.value.hint
        with pytest.raises(AoError, match="slot 1 fails each time"):
            await node.now(process, "key")
        # What was computed before is there to be looked at.
        listed = [entry.result is not None for entry in await node.results(process)]
        assert listed == [True, False, False]


@in_loop
async def test_a_node_that_lacks_a_part_for_a_moment_is_asked_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.asking.MOMENTS", (0.01, 0.01))
    async with up(home) as node:
        process = await spawn(node, home)
        lazy = (500, [], b'{necessary_message_not_found,<<>>,<<"Lazy link: x/authority">>}')
        for path in ("slot/current", "schedule", "now/"):
            left = [lazy, lazy]
            home.server.faults = {f"GET .*{path}": first(left)}
            assert await node.slots(process) == 1
            assert len(await node.schedule(process, 0, 0)) == 1
            assert await node.now(process, "key") == "key"
            assert not left


# Homes ------------------------------------------------------------------------------------------


@in_loop
async def test_a_home_that_remembers_a_form_is_cured_on_opening(home: Home) -> None:
    async with serving(home.server):
        path = home.folder / "remote.db"
        book = Book(path)
        book.put(home.server.url, "form", "results", "/compute/results={}")
        book.put(home.server.url, "process", "p" * 43, {"name": "kept", "device": "d"})
        book.close()
        with sqlite3.connect(path) as old:
            old.execute("PRAGMA user_version = 0")
        node = home.open()
        assert node._book.all(node.endpoint, "form") == {}
        assert node._book.get(node.endpoint, "process", "p" * 43)["name"] == "kept"
        process = await spawn(node, home)
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        await node.close()


@in_loop
async def test_the_generation_of_an_earlier_run_is_looked_at_again(home: Home) -> None:
    home.server.profile, home.server.sign_all = EDGE, True
    async with serving(home.server):
        node = home.open()
        process = await spawn(node, home)
        await node.close()
        home.server.profile = CURRENT
        node = home.open()
        assert node._key.generation is JUNE
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        assert node._key.generation is LATER and home.server.refused_dialect == 0
        await node.close()


# Definitions ------------------------------------------------------------------------------------


STACK = [("Module", LUA_MODULE), ("Device-Stack", "lua@5.3a, patch@1.0")]


@in_loop
async def test_a_stack_of_devices_goes_along_as_a_list(home: Home) -> None:
    home.server.profile = CURRENT
    home.server.sign_all = True
    async with up(home) as node:
        item = await node.sign(home.wallet, "", tags_of(STACK), b"")
        process = (await node.spawn(item, "stacked")).process
        definition = home.server.logs[process][0].keys
        assert definition["device-stack"] == ["lua@5.3a", "patch@1.0"]
        assert definition["execution-device"] == "stack@1.0"
        assert definition["patch-from"] == "/results/outbox"
        # And it takes messages as Lua does, also where that is looked up.
        for known in (None, node._book.get(node.endpoint, "process", process)):
            node._book.put(node.endpoint, "process", process, known)
            assert isinstance(await node.sign(home.wallet, process, EVAL, b"1"), HttpMessage)


@pytest.mark.parametrize("profile", [CURRENT])
@in_loop
async def test_a_stack_of_devices_evaluates_nothing_read_only(home: Home) -> None:
    said = b'{"details":"{error,no_valid_device_stack}"}'
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.faults["as=execution"] = lambda *_: (500, [], said)
        message = Message("", "", "", process, (), b"1+1")
        with pytest.raises(UnsupportedError, match="in a stack of devices"):
            await node.dryrun(process, message)


@in_loop
async def test_a_stack_that_a_node_keeps_under_another_id_is_not_taken_for_made(home: Home) -> None:
    """The process exists, but its log is another's."""
    home.server.profile = CURRENT
    home.server.sign_all = True
    async with up(home) as node:
        home.server.faults["slot/current"] = lambda *_: home.server.plain(-1)
        item = await node.sign(home.wallet, "", tags_of(STACK), b"")
        with pytest.raises(AoError, match="under another id") as raised:
            await node.spawn(item, "stacked")
        assert raised.value.stage == "spawn"
        with pytest.raises(AoError, match="there are none"):
            await node.result(item.id, 1)


@in_loop
async def test_june_reads_no_lists(home: Home) -> None:
    home.server.profile, home.server.sign_all = EDGE, True
    async with up(home) as node:
        with pytest.raises(UnsupportedError, match="reads no lists"):
            await node.sign(home.wallet, "", tags_of(STACK), b"")


@in_loop
async def test_a_process_has_the_tags_that_aoconnect_gives_it(home: Home, shared: Path) -> None:
    recorded = json.loads((shared / "vectors/clients/mainnet-aoconnect.json").read_text())
    theirs, to_it = (recorded[at]["reqBody"]["ans104"]["tags"] for at in (0, 1))
    async with up(home) as node:
        given = tags_of([("Module", WASM_MODULE), ("Name", "x")])
        definition = await node.sign(home.wallet, "", given, b"")
        process = (await node.spawn(definition, "x")).process
        message = await node.sign(home.wallet, process, EVAL, b"1+1")
        for made, due in ((definition, theirs), (message, to_it)):
            assert isinstance(made, DataItem)
            own = {(tag.name, tag.value) for tag in made.tags}
            for tag in due:
                if tag["name"] not in ("Module", "Scheduler", "Authority"):  # the node's own
                    assert (tag["name"], tag["value"]) in own


@pytest.mark.parametrize("lower", [False, True])
@in_loop
async def test_messages_are_read_in_either_case(home: Home, lower: bool) -> None:
    """Nodes of 2025 keep the case of fields; those of 2026 lower it, by their sources."""
    sent = {"Target": "T" * 43, "Data": "hi", "Anchor": "0", "Action": "Ping"}
    sent = {name.lower() if lower else name: value for name, value in sent.items()}
    home.server.evaluations = {"send": {"output": {"data": ""}, "outbox": {"1": sent}}}
    async with up(home) as node:
        process = await spawn(node, home)
        (one,) = (await evaluate(node, home, process, "send")).messages
        assert (one.target, one.data, one.anchor) == ("T" * 43, b"hi", "0")
        assert [(tag.name.lower(), tag.value) for tag in one.tags] == [("action", "Ping")]


@pytest.mark.parametrize("module", [LUA_MODULE, WASM_MODULE])
@in_loop
async def test_a_text_that_is_sent_twice_is_two_messages(home: Home, module: str) -> None:
    """Nodes sign its keys alone, and take two equal ones for one."""
    async with up(home) as node:
        process = await spawn(node, home, module)
        for _ in range(2):
            assert (await evaluate(node, home, process, "1+1")).output == "2"
            await asyncio.sleep(0.002)
        first, second = home.server.logs[process][1:]
        assert first.keys["data"] == second.keys["data"] and first.keys != second.keys
