"""A fork beside its network, also with other code; the network is `aoshell serve`."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop, until
from program import AOSHELL
from served_node import COUNTER, served
from signers import Ed25519
from test_forks import counted, forked, home, settings
from typed_session import Typed, run

from aoshell.cli import _Forking
from aoshell.errors import AoError
from aoshell.forks.compared import compare_fork, compare_live
from aoshell.forks.comparing import difference
from aoshell.home.folders import Settings
from aoshell.nodes.local.workers import images
from aoshell.nodes.values import ProcessInfo
from aoshell.protocol.message import Outgoing, Result, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.shell.ports.forking import Changed, Comparison

DOUBLED = COUNTER.replace("N = N + 1", "N = N + 2")
FIX = """
Handlers.remove("Add")
Handlers.add("Add", "Add", function(msg) N = N + 10 msg.reply({Data = tostring(N)}) end)
"""


UNCHANGED = Changed()


def silent(_text: str) -> None:
    """A progress that is not shown."""


async def compared(
    node: Any, folder: Path, process: ProcessInfo, changed: Changed = UNCHANGED
) -> Comparison:
    return await compare_fork(node, settings(folder), process, "", 0, None, changed, silent)


@in_loop
async def test_a_fork_is_as_the_network_says_and_nothing_is_written(
    folder: Path, wallet: Wallet
) -> None:
    here = folder / "here"
    async with served(folder / "there", wallet) as there, home(here) as node:
        process = await counted(there)
        await there.result(process, await there.send(process, "error('boom')", Action="Eval"))
        fork = await forked(node, here, there, process)
        told = await compared(node, here, fork)
        assert (told.equal, told.different, told.uncompared) == (6, (), ())
        item = await node.sign(wallet, process, tags_of([("Action", "Add")]), b"")
        await node.result(process, (await node.send(process, item)).place)
        slots = (await node.find(process)).slots
        told = await compared(node, here, fork)
        assert told.same and told.last == 5, "what came at home is not there"
        assert (await node.find(process)).slots == slots


@in_loop
async def test_other_code_shows_what_it_would_have_changed(folder: Path, wallet: Wallet) -> None:
    here = folder / "here"
    async with served(folder / "there", wallet) as there, home(here) as node:
        fork = await forked(node, here, there, await counted(there))
        fix = folder / "fix.lua"
        fix.write_text(FIX)
        told = await compared(node, here, fork, Changed(load=fix, after_slot=2))
        assert [(one.slot, one.kind) for one in told.different] == [
            (3, "messages"),
            (4, "messages"),
        ]
        assert "'11'" in told.different[0].here and "'2'" in told.different[0].there
        assert not told.same and told.equal == 3
        fix.write_text("this is no Lua")
        with pytest.raises(AoError, match="fails when it is loaded"):
            await compared(node, here, fork, Changed(load=fix, after_slot=2))
        with pytest.raises(AoError, match="there is no slot 9"):
            await compared(node, here, fork, Changed(load=fix, after_slot=9))
        with pytest.raises(AoError, match="cannot be read"):
            await compared(node, here, fork, Changed(load=folder / "none.lua"))
        assert len(await node.processes()) == 1


@in_loop
async def test_another_module_runs_the_same_log(folder: Path, wallet: Wallet) -> None:
    async with served(folder / "there", wallet) as there:
        module = (await there.node.upload(COUNTER.encode())).id
        item = there.definition(module)
        assert (await there.post(item)).status_code == 202
        for _ in range(2):
            await there.result(item.id, await there.send(item.id, Action="Add"))
        other = folder / "other.lua"
        other.write_text(DOUBLED)
        url = there.serving.facts.url
        same = await compare_live(settings(folder), url, item.id, Changed(), "", silent)
        assert (same.equal, same.same) == (3, True)
        told = await compare_live(settings(folder), url, item.id, Changed(module=other), "", silent)
        assert [one.slot for one in told.different] == [1, 2]


def result(output: str = "", **more: Any) -> Result:
    messages = more.pop("messages", ())
    return Result(
        "p", 1, 0, "ok", output, "", more.pop("error", ""), messages, (), False, (), 0, 0, 0
    )


@pytest.mark.parametrize(
    ("there", "here", "kind"),
    [
        (result("a,b,c"), result("a,b,c"), None),
        (result("a,b,c"), result("c,a,b"), "order"),
        (result("table: 0x40e47c0"), result("table: 0x41cb380"), "order"),
        (result("1"), result("2"), "output"),
        (result(error="boom"), result("fine"), "error"),
        (
            result(messages=(Outgoing("t", tags_of([("A", "1"), ("B", "2")]), b"d", "", False),)),
            result(messages=(Outgoing("t", tags_of([("B", "2"), ("A", "1")]), b"d", "", False),)),
            "order",
        ),
        (
            result(messages=(Outgoing("t", (), b"d", "", False),)),
            result(messages=(Outgoing("t", (), b"d", "", True),)),
            "messages",
        ),
    ],
)
def test_a_difference_has_its_kind(there: Result, here: Result, kind: str | None) -> None:
    found = difference(1, there, here)
    assert (found and found.kind) == kind


def test_the_commands_say_what_differs(
    aoshell_home: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    state = Settings.find().state
    assert state.is_relative_to(aoshell_home)
    fix = tmp_path / "fix.lua"
    fix.write_text(FIX)

    async def aoshell(*words: str) -> tuple[int, str, str]:
        pipe = asyncio.subprocess.PIPE
        environment = os.environ | {"AOSHELL_HOME": str(tmp_path / "other")}
        started = await asyncio.create_subprocess_exec(
            *AOSHELL, *words, stdout=pipe, stderr=pipe, env=environment
        )
        out, err = await started.communicate()
        return started.returncode or 0, out.decode(), err.decode()

    async def body(type: Typed) -> None:
        type.session.forking = _Forking()
        assert "was made here" in await type.error(".compare")
        async with served(tmp_path / "there", other_wallet) as there:
            process, url = await counted(there), there.serving.facts.url
            await type.reply(f".fork {url} {process} as away")
            await type.reply(".attach away")
            told = await type.reply(".compare")
            assert told.ok and told.text == f"5 of 5 slots are as {url} has them"
            told = await type.reply(f".compare 2..4 --load {fix}@2")
            assert not told.ok and told.table is not None
            assert told.table.rows == (("messages", "2", "3"),)
            assert "first difference: slot 3, messages" in told.text and ".why 3" in told.text
            assert "there is no flag" in await type.error(".compare --fast")
            assert "are not all of" in await type.error(".compare 3..9")
            code, out, err = await aoshell("compare", url, process, "--json")
            assert (code, json.loads(out)["equal"]) == (0, 5), err
            code, out, err = await aoshell("compare", url, process, "--load", f"{fix}@2")
            assert code == 1 and "DIFFERS IN" in out, err
            code, out, err = await aoshell("compare", url)
            assert code == 2

    run(state, wallet, body)


def test_a_thousand_messages_are_forked_compared_and_gone_on_with(
    folder: Path, wallet: Wallet
) -> None:
    here, many = folder / "here", 1000

    async def test() -> None:
        async with served(folder / "there", Ed25519()) as there, home(here) as node:
            process = await counted(there, 0)
            network = there.node.network
            for number in range(many):
                await network.submit(there.message(process, str(number), Action="Add"))
            await there.node.idle()
            fork = await forked(node, here, there, process)
            assert (fork.slots, fork.computed) == (many + 2, many + 2)
            told = await compared(node, here, fork)
            assert (told.equal, told.different, told.uncompared) == (many + 2, (), ())
            item = await node.sign(wallet, process, tags_of([("Action", "Add")]), b"")
            result = await node.result(process, (await node.send(process, item)).place)
            assert result.messages[0].data == str(many + 1).encode()

    asyncio.run(asyncio.wait_for(test(), 300))


@in_loop
async def test_code_is_loaded_into_the_newest_state_that_is_kept_and_comes_to_the_same(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, fix = folder / "here", folder / "fix.lua"
    monkeypatch.setattr(images, "CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr(images, "CHECKPOINT_SHARE", 0.0)
    async with served(folder / "there", wallet) as there, home(here) as node:
        fix.write_text(FIX)
        process = await counted(there, 12)
        await there.result(process, await there.send(process, "return N", Action="Eval"))
        fork = await forked(node, here, there, process)
        checkpoints = node._engine.checkpoints
        await until(lambda: checkpoints.facts(process)[0] == 14)
        for _ in range(3):
            item = await node.sign(wallet, process, tags_of([("Action", "Add")]), b"")
            await node.result(process, (await node.send(process, item)).place)
        row = node._engine.processes.look_up(process)
        behind = next(checkpoints.up_to(process, row.environment, 15)).slot
        again = await node.workbench.rerun(process, 15, FIX.encode(), 17)
        checkpoints.remove(process)
        anew = await node.workbench.rerun(process, 15, FIX.encode(), 17)
        assert (again.begin, anew.begin) == (behind, -1) and behind >= 14
        assert again.results == anew.results
        assert [one.messages[0].data for one in anew.results] == [b"23", b"33"]
        told = await compared(node, here, fork, Changed(load=fix, after_slot=9))
        assert told.notes == ("computed again, beginning at slot 0",)
        assert [one.slot for one in told.different] == [10, 11, 12, 13, 14]
