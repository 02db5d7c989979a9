"""Answers of a HyperBEAM node that are unsigned, changed, or malformed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eventually import in_loop
from hyper_server import HTML
from rsa_keys import wallet
from test_remote_hyperbeam import Home, evaluate, home, node_wallet, profile, server, spawn, up

from aoshell.errors import AoError
from aoshell.nodes.values import NotFoundError, Verify
from aoshell.protocol.commitment import EDGE
from aoshell.protocol.wallet import Wallet

__all__ = ["home", "node_wallet", "profile", "server", "wallet"]  # fixtures


# Whom to believe --------------------------------------------------------------------------------


@in_loop
async def test_unsigned_answers_are_said_to_be_so_once(home: Home) -> None:
    async with up(home) as node:
        events = node.subscribe()
        process = await spawn(node, home)
        await evaluate(node, home, process, "1+1")
        await evaluate(node, home, process, "1+1")
        event = await asyncio.wait_for(anext(events), 60)
        assert event.kind == "notice" and "does not sign" in event.detail
        assert (await node.info()).details["answers"] == "unsigned"
        node.verify = Verify.ON
        with pytest.raises(AoError, match="it is not signed") as raised:
            await node.result(process, 1)
        assert raised.value.stage == "verify"


@pytest.mark.versions
@in_loop
async def test_signed_answers_are_verified(home: Home) -> None:
    home.server.sign_all = True
    async with up(home) as node:
        node.verify = Verify.ON
        process = await spawn(node, home)
        assert (await evaluate(node, home, process, "1+1")).output == "2"
        assert (await node.info()).details["answers"] == "verified"


@in_loop
async def test_a_changed_body_is_refused_and_the_base_can_be_shown(home: Home) -> None:
    home.server.sign_all = True

    def changed(_request: Any, reply: Any) -> Any:
        status, headers, body = reply
        return status, headers, body.replace(b"sim> ", b"sin> ")

    async with up(home) as node:
        process = await spawn(node, home)
        home.server.faults["compute"] = changed
        with pytest.raises(AoError) as raised:
            await evaluate(node, home, process, "1+1")
        assert raised.value.stage == "verify"


@in_loop
async def test_a_changed_header_shows_the_signature_base(home: Home) -> None:
    home.server.profile = EDGE  # later ones are asked for JSON
    home.server.sign_all = True

    def changed(_request: Any, reply: Any) -> Any:
        status, headers, body = reply
        return status, [(key, "500" if key == "status" else value) for key, value in headers], body

    async with up(home) as node:
        process = await spawn(node, home)
        home.server.faults["compute"] = changed
        with pytest.raises(AoError, match="refused"):
            await evaluate(node, home, process, "1+1")
        assert '"status": 500' in node.last_failure


@in_loop
async def test_another_key_is_not_the_node(home: Home, wallet: Wallet) -> None:
    home.server.sign_all = True
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.signer = wallet
        with pytest.raises(AoError, match="not by the node's own key") as raised:
            await node.slots(process)
        assert raised.value.stage == "verify"


# Bad answers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ((200, [("content-type", "application/json")], HTML), "HTML where JSON is due"),
        ((200, [("content-type", "application/json")], b'{"edges": [{}]}'), "no schedule"),
        ((200, [("content-type", "application/json")], b"[" * 100_000), "nested deeper"),
        ((200, [], b""), "nothing where JSON is due"),
        ((500, [], b"\xff\x00broken"), "500"),
    ],
)
@in_loop
async def test_schedules_that_are_none(home: Home, answer: Any, what: str) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.faults["GET .*schedule"] = lambda _request, _reply: answer
        with pytest.raises(AoError, match=what) as raised:
            await node.schedule(process, 0, 1)
        assert raised.value.stage == "schedule" and node.endpoint in str(raised.value)


@pytest.mark.parametrize(
    "answer",
    [
        (200, [("content-type", "application/json")], b"[]"),
        (200, [("content-type", "text/html")], HTML),
        (200, [("content-type", "multipart/form-data; boundary=x")], b"--x\r\nbroken"),
        (200, [("ao-types", "(((")], b""),
        (404, [("content-type", "text/html")], HTML),
    ],
)
@in_loop
async def test_results_that_are_none(home: Home, answer: Any) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.faults["GET .*compute"] = lambda _request, _reply: answer
        with pytest.raises(AoError):
            await node.result(process, 0)


@in_loop
async def test_a_node_of_another_kind_is_told(home: Home) -> None:
    home.server.faults["meta"] = lambda _request, _reply: (200, [], HTML)
    async with up(home) as node:
        with pytest.raises(AoError, match="for its address"):
            await node.info()
        (found,) = await node.doctor()
        assert not found.ok and "address" in found.detail


@in_loop
async def test_an_unknown_process_is_unknown(home: Home) -> None:
    async with up(home) as node:
        with pytest.raises(NotFoundError):
            await node.find("nobody")
        with pytest.raises(AoError, match="knows no process"):
            await node.find("x" * 43)
