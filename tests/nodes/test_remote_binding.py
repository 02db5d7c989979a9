"""Whether a signed answer belongs to its request, and what is shown of how sure that is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from hyper_server import Reply, Request, serving
from test_remote_hyperbeam import (
    EVAL,
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
from test_remote_key import VERIFYING, scheduled, send, verifying
from test_remote_vectors import Replay, replied

from aoshell.errors import AoError
from aoshell.nodes.remote.http.answer import Response
from aoshell.nodes.remote.hyperbeam.binding import MESSAGE, PROCESS, Asked
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.remote.hyperbeam.trust import Trust
from aoshell.nodes.values import Pin, Verify
from aoshell.protocol import httpsig
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.message import Message
from aoshell.protocol.wallet import Wallet

__all__ = ["home", "node_wallet", "profile", "server"]  # fixtures
OTHER = "o" * 43


class Tape:
    """Gives the first answer to a path again to each later request."""

    def __init__(self) -> None:
        self.kept: Reply | None = None

    def __call__(self, _request: Request, reply: Reply) -> Reply:
        self.kept = self.kept or reply
        return self.kept


# Replays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", Verify)
@in_loop
async def test_the_signed_result_of_another_line_is_refused(home: Home, level: Verify) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, level)
        home.server.faults["compute"] = Tape()
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        with pytest.raises(AoError, match="it came before, as the answer to another") as raised:
            await evaluate(node, home, process, "20+2")
        assert raised.value.stage == "verify"
        assert (await node.result(process, 2)).output == "2"  # that it is the answer to, still
        await node.close()


@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_a_signed_refusal_of_something_else_is_refused(home: Home, level: Verify) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, level)
        home.server.faults["now/a"] = lambda *_: refusal
        refusal = home.server.failed(404, {"body": "not_found"})
        with pytest.raises(AoError, match=r"has no a of .*: 404 not_found"):
            await node.now(process, "a")
        home.server.faults["now/b"] = lambda *_: refusal
        with pytest.raises(AoError, match=r"it came before, .* \(status 404\)"):
            await node.now(process, "b")
        await node.close()


@in_loop
async def test_dry_runs_are_not_answered_twice_alike(home: Home) -> None:
    home.server.profile = CURRENT  # older ones have none
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, Verify.ON)
        home.server.faults["as=execution"] = Tape()
        asked = Message("", "", "", process, EVAL, b"2+3")
        assert (await node.dryrun(process, asked)).output == "5"
        with pytest.raises(AoError, match="it came before"):
            await node.dryrun(process, asked)
        await node.close()


@in_loop
async def test_an_older_end_of_the_log_takes_nothing_back(home: Home) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, Verify.ON)
        home.server.faults["slot/current"] = Tape()
        assert await node.slots(process) == 2
        await send(node, home, process)
        assert await node.slots(process) == 3
        await node.close()


@pytest.mark.parametrize("level", VERIFYING)
def test_real_assignments_are_bound_to_their_messages(shared: Path, level: Verify) -> None:
    """By the signature around them: it names the id of the message with its own signatures."""
    bound = 0
    for folder in ("hyperbeam", "hyperbeam-2025-09"):
        replay = Replay(shared / "vectors" / folder, Wallet.__new__(Wallet))
        for exchange in replay.recorded.values():
            status, headers, body = replied(exchange)
            checked = httpsig.check(headers, body)
            if not checked.ids.get("body"):
                continue
            (node,) = checked.committers
            trust = Trust("recorded", lambda _: None)
            trust.level, trust.address, trust.pin = level, node, Pin(node, 1 << 40)
            answer = Response("", status, tuple(headers), body)
            process, message = str(checked.verified["process"]), min(checked.ids["body"])
            trust.read(answer, "schedule", Asked("", {PROCESS: process, MESSAGE: message}))
            assert trust.named == (PROCESS, MESSAGE)
            with pytest.raises(AoError, match="it is for message"):
                trust.read(answer, "schedule", Asked("", {MESSAGE: OTHER}))
            bound += 1
    assert bound >= 5


# Where a message is -----------------------------------------------------------------------------


@pytest.mark.parametrize("level", VERIFYING)
@pytest.mark.parametrize("bare", [False, True])
@in_loop
async def test_the_place_of_another_message_is_not_taken(
    home: Home, level: Verify, bare: bool
) -> None:
    home.server.bare = bare
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, level)
        home.server.faults["POST .*/schedule"] = Tape()
        assert (await send(node, home, process)).slot == 2
        assert (await send(node, home, process)).slot == 3  # as the log has it
        home.server.faults["GET .*schedule"] = lambda _request, _reply: (500, [], b"away")
        with pytest.raises(AoError, match="it is not known whether the message arrived"):
            await send(node, home, process)
        await node.close()


@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_a_slot_that_holds_another_message_is_refused(home: Home, level: Verify) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, level)
        home.server.faults["POST .*/schedule"] = lambda _request, _reply: home.server.signed(
            {"process": process, "slot": 1, "path": "compute"}
        )
        with pytest.raises(AoError, match=r"slot 1, where the log of .* has another") as raised:
            await send(node, home, process)
        assert raised.value.stage == "verify"
        await node.close()


@pytest.mark.parametrize("level", VERIFYING)
@pytest.mark.parametrize("answer", [(400, b"{}"), (500, b"oops"), (200, b'{"slot": 7}')])
@in_loop
async def test_a_message_is_found_where_its_answer_does_not_count(
    home: Home, answer: tuple[int, bytes], level: Verify
) -> None:
    """As of nodes that do not sign the answer to a push, or refuse a push and schedule it."""
    async with up(home) as plain:
        home.server.sign_all = True
        process = await spawn(plain, home, WASM_MODULE)
        node = verifying(home, level)
        status, body = answer
        json = [("content-type", "application/json")]
        home.server.faults["POST .*/push$"] = lambda _request, _reply: (status, json, body)
        events = node.subscribe()
        assert (await evaluate(node, home, process, "6*7")).output == "42"
        assert len(home.server.logs[process]) == 2
        # It may have been pushed, and is not pushed twice.
        assert not any("push&slot" in line for line in home.server.asked)
        told = (await asyncio.wait_for(anext(events), 60)).detail
        assert told == "slot 1: it is not known whether its messages were delivered"
        home.server.faults["GET .*schedule"] = lambda _request, _reply: (500, [], b"away")
        with pytest.raises(AoError, match="it is not known whether the message arrived"):
            await send(node, home, process)
        await node.close()


@in_loop
async def test_a_refused_push_that_was_scheduled_is_no_refusal(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home, WASM_MODULE)
        home.server.faults["POST .*/push$"] = lambda _request, _reply: (400, [], b"no")
        assert (await evaluate(node, home, process, "6*7")).output == "42"
        home.server.faults["POST .*/push$"] = lambda _request, _reply: (400, [], b"no")
        home.server.take = lambda *_: (400, [], b"no")  # type: ignore[method-assign]
        with pytest.raises(AoError, match="does not take the message: 400 no"):
            await send(node, home, process)


@in_loop
async def test_looking_for_a_message_has_an_end(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever length of its log the node claims."""
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, Verify.ON)
        home.server.faults["slot/current"] = lambda *_: home.server.plain("9" * 15)
        home.server.faults["POST .*/schedule"] = lambda _request, _reply: (500, [], b"")
        log = list(home.server.logs[process])
        home.server.take = lambda *_: (500, [], b"")  # type: ignore[method-assign]
        with pytest.raises(AoError, match="it is not known whether the message arrived"):
            await send(node, home, process)
        assert sum("schedule?" in line for line in home.server.asked) < 5
        monkeypatch.setattr("aoshell.nodes.remote.hyperbeam.sending.LOOK", 0.2)

        def endless(request: Request, _reply: Reply) -> Reply:
            first = int(request.path.partition("from=")[2].partition("&")[0])
            home.server.logs[process] = [*log, *log[1:] * 60]
            listed = json.loads(home.server.listing(process, 1, 50)[2])
            for number, edge in enumerate(listed["edges"]):
                edge["node"]["assignment"]["Tags"][1]["value"] = str(first + number)
            return home.server.json(listed)

        home.server.faults["GET .*schedule"] = endless
        with pytest.raises(AoError, match="it is not known whether the message arrived"):
            await send(node, home, process)
        await node.close()


@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_the_log_of_another_process_is_refused(home: Home, level: Verify) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        other = await scheduled(home)
        node = verifying(home, level)

        def swapped(_request: Request, _reply: Reply) -> Reply:
            return home.server.listing(other, 0, 1)

        home.server.faults["GET .*schedule"] = swapped
        with pytest.raises(AoError, match="the log of another process"):
            await node.schedule(process, 0, 1)
        await node.close()


# What was found unsigned ------------------------------------------------------------------------


class Names:
    """A gateway that gives each name to one process."""

    probes: tuple[Any, ...] = ()
    withholds = False

    def __init__(self, process: str) -> None:
        self.process = process

    async def find(self, *_: str) -> str:
        return self.process

    async def close(self) -> None: ...


def looks_up(node: HyperBeamNode, process: str) -> None:
    """Have the node's gateway give each name to a process."""
    gateway: Any = Names(process)
    node._gateway = node._names._gateway = gateway


@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_a_name_counts_if_the_definition_has_it(home: Home, level: Verify) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, level)
        node._book.put(node.endpoint, "process", process, {})
        looks_up(node, process)
        assert (await node.find("first")).id == process  # as its definition calls it
        node._book.put(node.endpoint, "process", process, {})
        with pytest.raises(AoError, match="does not give it the name 'other'") as raised:
            await node.find("other")
        assert raised.value.stage == "verify"
        await node.close()


@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_a_name_is_no_beginning_of_an_id_that_a_gateway_tells(
    home: Home, level: Verify
) -> None:
    """A short name is the beginning of an id that somebody can make in no time."""
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, level)
        for told in (None, {}):
            if told is not None:
                node._book.put(node.endpoint, "process", process, told)
            looks_up(node, process)
            with pytest.raises(AoError, match="does not give it the name"):
                await node.find(process[:2])
        assert (await node.find(process[:6])).id == process  # of one that is remembered
        await node.close()


@pytest.mark.parametrize("remembered", [None, "unsigned"])
@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_a_name_is_that_of_the_wallets_own_process(
    home: Home, node_wallet: Wallet, level: Verify, remembered: str | None
) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, level)
        told = {"name": "first", "owner": home.wallet.address, "device": "d"} if remembered else {}
        node._book.put(node.endpoint, "process", process, told)
        looks_up(node, process)
        own, home.wallet = home.wallet, node_wallet
        with pytest.raises(AoError, match="is not of") as raised:
            await node.find("first")
        assert raised.value.stage == "verify" and node_wallet.address in raised.value.what
        assert (await node.find(process)).owner == own.address
        assert (await node.find("first")).id == process  # it was attached by its id
        await node.close()


@in_loop
async def test_what_was_remembered_unsigned_does_not_count(home: Home) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, Verify.ON)
        told = {"name": "told", "owner": "x", "device": "d", "module": "m", "created": 1}
        node._book.put(node.endpoint, "process", process, told)
        (listed,) = await node.processes()
        assert (listed.id, listed.name, listed.owner, listed.module) == (process, "", "", "")
        assert (await node.find(process)).name == "first"
        (listed,) = await node.processes()
        assert (listed.name, listed.owner) == ("first", home.wallet.address)
        await node.close()
