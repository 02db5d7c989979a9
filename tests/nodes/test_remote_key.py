"""The key that must sign a node's answers when they are verified."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest
from eventually import in_loop
from hyper_server import HyperServer, Reply, Request, in_json, serving
from rsa_keys import wallet
from test_remote_hyperbeam import EVAL, Home, home, node_wallet, profile, server, spawn, up

from aoshell.errors import AoError
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.values import Pin, Receipt, Verify
from aoshell.protocol import httpsig, signing
from aoshell.protocol.commitment import CURRENT
from aoshell.protocol.message import Message
from aoshell.protocol.wallet import Wallet

__all__ = ["home", "node_wallet", "profile", "server", "wallet"]  # fixtures

Verb = Callable[[HyperBeamNode, Home, str], Awaitable[object]]
VERIFYING = [Verify.ON, Verify.ATTESTED]
ADDRESS = "GET /~meta@1.0/info/address"


async def send(node: HyperBeamNode, home: Home, process: str) -> Receipt:
    return await node.send(process, await node.sign(home.wallet, process, EVAL, b"1+1"))


async def watched(node: HyperBeamNode, _: Home, process: str) -> object:
    node._book.put(node.endpoint, "cursor", process, None)
    return await node.watch(process)


def dry(process: str) -> Message:
    return Message("", "", "", process, EVAL, b"1+1")


VERBS: dict[str, Verb] = {
    "slots": lambda node, _, process: node.slots(process),
    "schedule": lambda node, _, process: node.schedule(process, 0, 1),
    "result": lambda node, _, process: node.result(process, 1),
    "results": lambda node, _, process: node.results(process),
    "dryrun": lambda node, _, process: node.dryrun(process, dry(process)),
    "now": lambda node, _, process: node.now(process, "key"),
    "find": lambda node, _, process: node.find(process),
    "watch": watched,
    "send": send,
    "spawn": lambda node, home, _: spawn(node, home),
}


def verbs(home: Home) -> dict[str, Verb]:
    """Those that nodes of that generation have for Lua processes."""
    return {
        name: verb
        for name, verb in VERBS.items()
        if home.server.profile is CURRENT or name != "dryrun"
    }


def verifying(home: Home, level: Verify) -> HyperBeamNode:
    """A node as a new run opens it."""
    node = home.open()
    node.pin = Pin(home.server.wallet.address, int(time.time()) + 3600)
    node.verify = level
    return node


async def scheduled(home: Home) -> str:
    """A process with a message, made by a run that is over."""
    home.server.sign_all = True
    node = home.open()
    process = await spawn(node, home)
    await send(node, home, process)
    await node.close()
    return process


@pytest.mark.parametrize("level", VERIFYING)
@pytest.mark.parametrize("first", ["verb", "address"])
@in_loop
async def test_what_another_key_signed_is_refused_whatever_was_asked_first(
    home: Home, wallet: Wallet, first: str, level: Verify
) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        home.server.signer = wallet
        for name, verb in verbs(home).items():
            node = verifying(home, level)
            if first == "address":
                assert (await node.info()).address == home.server.wallet.address
            try:
                got = await verb(node, home, process)
            except AoError as error:
                assert f"signed by {wallet.address}" in error.what, (name, error)
            else:
                raise AssertionError(f"{name} takes {got}")
            await node.close()


@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_what_its_own_key_signed_is_taken(home: Home, level: Verify) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        for verb in verbs(home).values():
            home.server.asked.clear()
            node = verifying(home, level)
            await verb(node, home, process)
            assert home.server.asked[0] == ADDRESS and home.server.asked.count(ADDRESS) == 1
            await node.close()


@in_loop
async def test_the_address_is_asked_once_by_all_that_begin_at_once(home: Home) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        home.server.asked.clear()
        node = verifying(home, Verify.ON)
        await asyncio.gather(*(node.slots(process) for _ in range(5)), node.now(process, "x"))
        await node.info()
        assert home.server.asked.count(ADDRESS) == 1
        assert home.server.asked[0] == ADDRESS
        await node.close()


def another(wallet: Wallet, body: str) -> Callable[[Request, Reply], Reply]:
    def fault(_request: Request, _reply: Reply) -> Reply:
        headers, content = signing.sign(wallet, {"body": body, "status": 200})
        return 200, headers, content

    return fault


@pytest.mark.parametrize("who", ["another key", "nobody", "badly"])
@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_an_address_counts_if_its_own_key_signed_it(
    home: Home, wallet: Wallet, level: Verify, who: str
) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        address = home.server.wallet.address
        home.server.faults["meta"] = {
            "another key": another(wallet, address),
            "nobody": lambda _request, _reply: (200, [], address.encode()),
            "badly": lambda _request, reply: (*reply[:2], b"x" * 43),
        }[who]
        node = verifying(home, level)
        with pytest.raises(AoError, match="does not prove its address") as raised:
            await node.slots(process)
        assert raised.value.stage == "verify" and "x" * 43 not in raised.value.what
        assert home.server.asked[-1] == ADDRESS  # and nothing else
        await node.close()


@pytest.mark.parametrize("level", [Verify.ON, Verify.OFF])
@in_loop
async def test_a_changed_key_is_refused_until_it_is_taken(
    home: Home, wallet: Wallet, level: Verify
) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, Verify.ON)
        assert await node.slots(process) == 2
        await node.close()
        before, home.server.wallet = home.server.wallet, wallet
        node = verifying(home, level)
        for _ in range(2):
            with pytest.raises(AoError) as raised:
                await node.slots(process)
            assert before.address in raised.value.what and raised.value.stage == "verify"
        assert "has another key" in str((await node.info()).details["trouble"])
        (found,) = await node.doctor()
        assert not found.ok and "has another key" in found.detail and "--new-key" in found.hint
        assert await node.new_key() == wallet.address
        assert await node.slots(process) == 2
        await node.close()
        node = verifying(home, Verify.ON)
        assert await node.slots(process) == 2
        await node.close()


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@in_loop
async def test_meeting_a_node_tells_what_its_answers_are_worth(home: Home, level: Verify) -> None:
    async with up(home) as node:
        home.server.sign_all = level is Verify.ON
        node.verify = level
        events = node.subscribe()
        worth = "verified" if home.server.sign_all else "unsigned"
        assert (await node.info()).details["answers"] == worth
        if level is Verify.OFF:
            assert "does not sign its answers" in (await asyncio.wait_for(anext(events), 60)).detail


@in_loop
async def test_a_key_that_is_not_proven_is_not_taken(home: Home, wallet: Wallet) -> None:
    async with up(home) as node:
        home.server.sign_all = True
        home.server.faults["meta"] = another(wallet, home.server.wallet.address)
        with pytest.raises(AoError, match="does not prove its address"):
            await node.new_key()
        home.server.faults.clear()
        node.verify = Verify.ON
        assert (await node.info()).address == home.server.wallet.address


@in_loop
async def test_the_attested_key_is_the_nodes_own(home: Home, wallet: Wallet) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        node = verifying(home, Verify.ATTESTED)
        node.pin = Pin(wallet.address, int(time.time()) + 3600)
        with pytest.raises(AoError, match="was attested") as raised:
            await node.slots(process)
        assert raised.value.stage == "verify"
        await node.close()


def cosigned(wallet: Wallet) -> Callable[[Request, Reply], Reply]:
    """A proxy adds a member and signs it."""

    def fault(_request: Request, reply: Reply) -> Reply:
        status, headers, body = reply
        if dict(headers).get("codec-device") == "json@1.0":
            said = json.loads(body)
            made = signing.commit(wallet, {"added": "theirs"}, profile=CURRENT)
            said["commitments"] |= {one.id: in_json(one) for one in made}
            return status, headers, json.dumps(said | {"added": "theirs"}).encode()
        own = dict(signing.sign(wallet, {"added": "theirs"})[0])
        joined = [
            (name, f"{value}, {own[name]}" if name.startswith("signature") else value)
            for name, value in headers
        ]
        return status, [*joined, ("added", own["added"])], body

    return fault


@pytest.mark.parametrize("level", VERIFYING)
@in_loop
async def test_what_another_key_signed_besides_is_not_taken(
    home: Home, wallet: Wallet, level: Verify
) -> None:
    async with serving(home.server):
        process = await scheduled(home)
        home.server.faults["now"] = cosigned(wallet)
        node = verifying(home, level)
        with pytest.raises(AoError, match=f"signed by .*{wallet.address}"):
            await node.now(process, "key")
        await node.close()


def test_the_server_signs_as_real_nodes_do(node_wallet: Wallet) -> None:
    status, headers, body = HyperServer(node_wallet, sign_all=True).address()
    checked = httpsig.check(headers, body)
    assert (status, checked.committers) == (200, (node_wallet.address,))
