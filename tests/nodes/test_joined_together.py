"""`nodes.joined`: what shells on one home show of each other."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from eventually import in_loop, turns, until
from joined_shells import ENDLESS, Heard, shell, two
from local_home import Local
from signers import Ed25519
from zygotes import SHARED

from aoshell.errors import AoError
from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.node import HomeNode
from aoshell.nodes.local.history import others
from aoshell.nodes.values import Limits


@in_loop
async def test_twenty_shells_open_at_once(folder: Path, signer: Ed25519) -> None:
    nodes = await asyncio.gather(
        *(HomeNode.open(Home(folder, SHARED), client=f"s:{number}") for number in range(20))
    )
    try:
        assert sum(node._reach.node is not None for node in nodes) == 1
        locals_ = [Local(node, signer, node._reach.address) for node in nodes]  # type: ignore[arg-type]
        pid = await locals_[3].spawn("N = 0")
        await asyncio.gather(*(local.eval(pid, "N = N + 1") for local in locals_))
        assert await locals_[7].value(pid, "N") == "20"
    finally:
        for node in nodes:
            await node.close()


@in_loop
async def test_what_changes_a_log_waits_for_lines_of_others(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, signer, Limits(seconds=10_000)) as (carrier, joined):
        pid, other = await joined.spawn(name="bank"), await joined.spawn()
        await joined.eval(pid, "N = 1")
        exported = await joined.node.export(other)
        receipt = await joined.post(pid, ENDLESS, Action="Eval")
        monkeypatch.setattr(others, "PATIENCE", 0.0)
        for refused in (
            carrier.node.workbench.undo(pid, 1),
            carrier.node.delete(pid),
            carrier.node.restore(exported, "x"),
        ):
            with pytest.raises(AoError, match="b:2") as told:
                await refused
            assert "slot 2 of bank" in str(told.value)
        await carrier.node.delete(other)  # no line of another one concerns it
        monkeypatch.setattr(others, "PATIENCE", 60.0)
        undoing = asyncio.create_task(carrier.node.workbench.undo(pid, 2))
        await until(lambda: carrier.node.stage)
        assert not undoing.done()
        assert await joined.node.cancel(pid, receipt.slot or 0)
        await undoing
        assert await joined.node.slots(pid) == 2
        mine = await joined.post(pid, ENDLESS, Action="Eval")
        await joined.node.workbench.undo(pid, mine.slot or 0)  # one's own line is no other's


@in_loop
async def test_others_are_told_what_was_taken_back_or_deleted(
    folder: Path, signer: Ed25519
) -> None:
    async with two(folder, signer) as shells:
        for doer, other in (shells, reversed(shells)):
            pid = await doer.spawn(name="bank")
            await other.eval(pid, "1")
            does, hears = Heard(doer), Heard(other)
            client = doer.node._reach._client  # type: ignore[attr-defined]
            await doer.node.workbench.undo(pid, 1)
            await doer.node.delete(pid)
            told = [
                f"bank: {client} took back its slots from 1 on (.undo)",
                f"bank: {client} deleted it (.delete)",
            ]
            await until(lambda hears=hears: len(hears.notices()) == 2)
            assert hears.notices() == told
            assert {event.by for event in hears.events if event.kind == "notice"} == {client}
            assert not does.notices()


@in_loop
async def test_a_deed_that_nobody_hears_is_not_kept(folder: Path, signer: Ed25519) -> None:
    async with shell(folder, signer) as alone:
        await alone.node.delete(await alone.spawn())
        heard = Heard(alone)
        await turns()
        assert not heard.notices()


@in_loop
async def test_the_log_knows_who_sent_a_message(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid = await joined.spawn()
        await carrier.eval(pid, "1")
        await joined.eval(pid, f'Send({{Target = "{pid}", Action = "x"}})')
        messages = await joined.messages(pid)
        assert [one.assignment.client for one in messages if one.assignment] == [
            *("b:2", "a:1", "b:2"),
            "",  # sent by the process
        ]
        assert not [tag for one in messages for tag in one.tags if "b:2" in tag.value]
    async with shell(folder, signer, "c:3") as again:
        assert [one.assignment.client for one in await again.messages(pid) if one.assignment][
            :3
        ] == ["b:2", "a:1", "b:2"]


@in_loop
async def test_what_a_line_returned_crosses_the_socket(folder: Path, signer: Ed25519) -> None:
    async with two(folder, signer) as (carrier, joined):
        pid = await joined.spawn()
        assert (await joined.eval(pid, "nil")).returned == "nil"
        assert (await carrier.eval(pid, "x = 1")).returned == ""


@in_loop
async def test_a_program_answers_while_its_own_code_blocks(folder: Path, signer: Ed25519) -> None:
    """The second shell is a process of its own loop, in a thread: the first loop stands still."""
    async with shell(folder, signer, "python:1", threaded=True) as program:
        pid = await program.spawn("N = 7")
        assert program.node._reach.node is None  # type: ignore[attr-defined]
        answers: list[str] = []

        async def other() -> None:
            async with shell(folder, signer, "b:2") as joined:
                answers.append(await joined.value(pid, "return N"))

        thread = threading.Thread(target=lambda: asyncio.run(other()))
        thread.start()
        thread.join(60)  # this loop is blocked as long
        assert answers == ["7"]
        await program.eval(pid, "N = 8")
        assert await program.value(pid, "N") == "8"
    assert not (folder / "node.sock").exists()


@in_loop
async def test_a_carrier_that_does_not_answer_is_shown(folder: Path, signer: Ed25519) -> None:
    """For example one whose terminal is held (Ctrl-S): it is not stopped, and gives no reason."""
    async with shell(folder, signer, "python:1", threaded=True) as program:
        pid = await program.spawn()
        loop = program.node._reach._carrier._loop  # type: ignore[attr-defined]
        go_on = threading.Event()
        loop.call_soon_threadsafe(go_on.wait)
        heard = Heard(program)
        asked = asyncio.create_task(program.node.slots(pid))
        await until(lambda: program.node.stage)
        await until(lambda: any("has not answered" in one for one in heard.notices()))
        stage = program.node.stage
        assert stage and stage.note == f"pid {os.getpid()} does not answer"
        go_on.set()
        assert await asked == 1
        assert program.node.stage is None


_LEFT_OPEN = """
import asyncio, aoshell

async def main():
    program = await aoshell.open().__aenter__()
    print((await program.eval("return 1 + 1")).output)

asyncio.run(main())
"""


def test_a_program_may_end_with_its_node_open(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", _LEFT_OPEN], capture_output=True, env=environment, timeout=60
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"2\n", b"")
