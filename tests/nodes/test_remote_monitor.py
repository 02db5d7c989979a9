"""`.monitor` on a HyperBEAM node: the node's own cron asks for the state of a process."""

from __future__ import annotations

import pytest
from eventually import in_loop
from rsa_keys import wallet
from test_remote_hyperbeam import (
    LUA_MODULE,
    Home,
    home,
    node_wallet,
    profile,
    server,
    spawn,
    up,
)

from aoshell.errors import AoError
from aoshell.nodes.values import Verify
from aoshell.protocol.message import tags_of

__all__ = ["home", "node_wallet", "profile", "server", "wallet"]  # fixtures


@pytest.mark.parametrize("level", [Verify.OFF, Verify.ON])
@in_loop
async def test_a_process_is_run_until_it_is_not(home: Home, level: Verify) -> None:
    home.server.sign_all = True
    async with up(home) as node:
        process = await spawn(node, home)
        node.verify = level
        await node.monitor(home.wallet, process, True)
        assert list(home.server.tasks.values()) == [f"30-seconds /{process}~process@1.0/now"]
        await node.monitor(home.wallet, process, True)  # the task before is stopped
        assert len(home.server.tasks) == 1
        await node.monitor(home.wallet, process, False)
        assert home.server.tasks == {}
        with pytest.raises(AoError, match="runs no task of this home"):
            await node.monitor(home.wallet, process, False)


@pytest.mark.parametrize(
    ("tag", "every"), [("5-minutes", "5-minutes"), ("5 moons&x=1", "30-seconds")]
)
@in_loop
async def test_the_definition_says_how_often(home: Home, tag: str, every: str) -> None:
    async with up(home) as node:
        tags = tags_of([("Module", LUA_MODULE), ("Cron-Interval", tag)])
        item = await node.sign(home.wallet, "", tags, b"")
        process = (await node.spawn(item, "ticks")).process
        await node.monitor(home.wallet, process, True)
        assert next(iter(home.server.tasks.values())).startswith(f"{every} /")


@in_loop
async def test_a_task_that_a_restart_ended_is_no_obstacle(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        for on in (False, True):
            await node.monitor(home.wallet, process, True)
            home.server.tasks.clear()
            await node.monitor(home.wallet, process, on)
        assert len(home.server.tasks) == 1


@in_loop
async def test_a_task_is_asked_for_once(home: Home) -> None:
    """Each request makes another task."""
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.faults["cron"] = lambda *_: (500, [], b"necessary_message_not_found Lazy link")
        with pytest.raises(AoError, match="runs no cron: 500") as raised:
            await node.monitor(home.wallet, process, True)
        assert raised.value.stage == "monitor"
        assert sum("cron" in line for line in home.server.asked) == 1


@in_loop
async def test_a_node_that_names_no_task_is_not_believed(home: Home) -> None:
    async with up(home) as node:
        process = await spawn(node, home)
        home.server.faults["cron"] = lambda *_: home.server.plain("yes")
        with pytest.raises(AoError, match="does not say which task"):
            await node.monitor(home.wallet, process, True)
