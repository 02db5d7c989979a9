"""Modules from a gateway, spawned by the id of their transaction."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from eventually import in_loop
from local_home import Local
from signers import Ed25519
from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import Limits, Module

FAR, NOWHERE, ODD = "F" * 43, "N" * 43, "O" * 43
SOURCE = b"Far = 42"
SPAWN = (
    'Ask = Spawn("{}", {{}}) Handlers.add("answers", function(m) return m.Action == "Spawned" or '
    'm.Action == "Spawn-Error" end, function(m) Got = m.Action .. (m.Tags.Error or "") end)'
)


class Network:
    """Where modules come from: `gate` holds them back, `asked` counts."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, module: str) -> Module:
        self.asked.append(module)
        await self.gate.wait()
        if module == ODD:
            raise RuntimeError("a defect of whatever fetches")
        if module != FAR:
            raise AoError(f"the gateway has no {module}", stage="fetch")
        return Module(module, "lua", "", SOURCE)


async def opened(folder: Path, signer: Ed25519, network: Network | None) -> Local:
    node = await LocalNode.open(folder, supervisor=SHARED, fetch=network and network.fetch)
    return Local(node, signer, (await node.info()).address)


@in_loop
async def test_a_process_spawns_what_the_node_lacks(folder: Path, signer: Ed25519) -> None:
    network = Network()
    local = await opened(folder, signer, network)
    parent = await local.spawn()
    await local.eval(parent, SPAWN.format(FAR))
    # The line has settled only when the child is there.
    assert await local.value(parent, "return Got") == "Spawned"
    children = [info for info in await local.node.processes() if info.owner == parent]
    assert len(children) == 1 and network.asked == [FAR]
    await local.eval(parent, f'Spawn("{FAR}", {{}})')
    assert network.asked == [FAR]
    assert await local.node.verify_log(parent) == []
    assert not await local.node.undelivered()
    await local.node.close()


@in_loop
async def test_whatever_fails_ends_the_wait(folder: Path, signer: Ed25519) -> None:
    local = await opened(folder, signer, Network())
    parent = await local.spawn()
    await local.eval(parent, SPAWN.format(ODD))
    assert (await local.value(parent, "return Got")).startswith("Spawn-Error")
    await local.node.close()


@in_loop
async def test_two_modules_of_one_line(folder: Path, signer: Ed25519) -> None:
    network = Network()
    local = await opened(folder, signer, network)
    parent = await local.spawn()
    await local.eval(
        parent,
        'All = {} Handlers.add("all", function(m) return m.Action == "Spawned" or m.Action == '
        '"Spawn-Error" end, function(m) table.insert(All, m.Action) end) '
        f'Spawn("{NOWHERE}", {{}}) Spawn("{FAR}", {{}}) Spawn("{FAR}", {{}})',
    )
    got = await local.value(parent, 'table.sort(All) return table.concat(All, " ")')
    assert got == "Spawn-Error Spawned Spawned"
    (reason,) = await local.reasons()
    assert NOWHERE in reason
    assert sorted(network.asked) == [FAR, NOWHERE]
    await local.node.close()


@in_loop
async def test_what_was_being_fetched_is_asked_for_again(folder: Path, signer: Ed25519) -> None:
    network = Network()
    network.gate.clear()
    local = await opened(folder, signer, network)
    parent = await local.spawn()
    receipt = await local.post(parent, SPAWN.format(FAR), Action="Eval")
    await local.node.result(parent, receipt.slot)
    while not network.asked:
        await asyncio.sleep(0.01)
    await local.node.close()
    network.gate.set()
    local = await opened(folder, signer, network)
    await local.node.settled(receipt.id)
    assert await local.value(parent, "return Got") == "Spawned"
    assert network.asked == [FAR, FAR]
    await local.node.close()


@in_loop
async def test_a_typed_spawn_fetches_too(folder: Path, signer: Ed25519) -> None:
    local = await opened(folder, signer, Network())
    assert (await local.node.fetch(FAR)).id == FAR
    receipt = await local.node.spawn(local.definition(FAR))
    assert (await local.node.result(receipt.process, 0)).ok
    assert await local.value(receipt.process, "return Far") == "42"
    with pytest.raises(AoError, match="no module"):
        await local.node.fetch("name")
    await local.node.close()


@in_loop
async def test_without_a_network_it_is_refused_at_once(folder: Path, signer: Ed25519) -> None:
    local = await opened(folder, signer, None)
    parent = await local.spawn()
    await local.eval(parent, SPAWN.format(FAR))
    assert (await local.value(parent, "return Got")).startswith("Spawn-Error")
    with pytest.raises(AoError, match="no module"):
        await local.node.fetch(FAR)
    await local.node.close()


@in_loop
async def test_a_line_settles_whose_spawn_is_held_when_its_module_has_come(
    folder: Path, signer: Ed25519
) -> None:
    """No other computation ends then, which would settle it."""
    network = Network()
    local = await opened(folder, signer, network)
    parent = await local.spawn()
    await local.node.set_limits(Limits(pushes=1))
    network.gate.clear()
    code = f'Send({{Target = ao.id}}) Spawn("{FAR}", {{}})'
    line = await local.post(parent, code, Action="Eval")
    for slot in (line.slot, line.slot + 1):
        await local.node.result(parent, slot)
    settled = asyncio.ensure_future(local.node.settled(line.id))
    await asyncio.sleep(0.01)
    assert not settled.done()
    network.gate.set()
    await settled
    assert {reason.partition(",")[0] for reason in await local.reasons()} == {
        "one message has caused 1 others"
    }
    await local.node.close()


@in_loop
async def test_a_node_without_a_network_says_that_it_asks_none(
    folder: Path, signer: Ed25519
) -> None:
    local = await opened(folder, signer, None)
    with pytest.raises(AoError, match="asks no network"):
        await local.engine.fetching.fetch_module(FAR)
    await local.node.close()
