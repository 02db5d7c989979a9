"""Several live processes, forked at once: at home they send to each other."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from eventually import in_loop
from program import AOSHELL
from served_node import COUNTER, NOBODY, ServedNode, served
from test_forks import FORWARDER, asked, counted, home, settings
from typed_session import Typed, run

from aoshell.cli import _Forking
from aoshell.errors import AoError, UsageError
from aoshell.forks.network import take_network
from aoshell.home.folders import Settings
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.remote.memory import Book
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet
from aoshell.shell.ports.forking import ForkedNetwork


async def taken(
    node: LocalNode, folder: Path, there: ServedNode, *places: str, told: list[str] | None = None
) -> ForkedNetwork:
    url = there.serving.facts.url
    say = (told if told is not None else []).append
    return await take_network(node, settings(folder), url, places, "desk", say)


@in_loop
async def test_what_one_fork_sends_reaches_the_others(folder: Path, wallet: Wallet) -> None:
    here = folder / "here"
    async with served(folder / "there", wallet) as there, home(here) as node:
        bank = await there.spawn(COUNTER, Name="bank")
        desk = await there.spawn(FORWARDER, Name="front desk")
        for _ in range(2):
            await there.result(desk, await there.send(desk, bank, Action="Pass"))
        told: list[str] = []
        network = await taken(node, here, there, desk, f"{bank}@2", told=told)
        assert not network.failed
        assert [one.process.name for one in network.taken] == ["desk", "bank"]
        assert (await node.find(bank)).slots == 3, "what its past sent was delivered there"
        item = await node.sign(wallet, desk, (Tag("Action", "Pass"),), bank.encode())
        receipt = await node.send(desk, item)
        await node.settled(receipt.id)
        assert await asked(node, bank, "return N") == "2"
        assert not await node.undelivered()
        assert all(line.startswith(("1 of 2, desk: ", "2 of 2, bank: ")) for line in told)


@in_loop
async def test_names_are_those_that_the_home_or_the_owner_knows(
    folder: Path, wallet: Wallet
) -> None:
    here = folder / "here"
    async with served(folder / "there", wallet) as there, home(here) as node:
        bank = await there.spawn(COUNTER, Name="bank")
        till = await there.spawn(COUNTER, Name="till")
        desk = await there.spawn(FORWARDER, Name="a name with blanks")
        other = await there.spawn(FORWARDER, Name="a name with blanks")
        known = Book(settings(here).book)
        known.put("https://node.example", "process", till, {"name": "cash"})
        known.close()
        network = await taken(node, here, there, desk, "bank", "cash", other)
        found = {one.process.name: one.process.id for one in network.taken}
        assert found == {"desk": desk, "bank": bank, "cash": till, "desk-4": other}


@in_loop
async def test_what_is_taken_stays_and_what_failed_is_named(folder: Path, wallet: Wallet) -> None:
    here = folder / "here"
    async with served(folder / "there", wallet) as there, home(here) as node:
        process = await counted(there)
        network = await taken(node, here, there, NOBODY, process, f"{process[:42]}!", "nobody")
        assert [one.process.id for one in network.taken] == [process]
        failed = {one.place: str(one.error) for one in network.failed}
        assert list(failed) == [NOBODY, f"{process[:42]}!", "nobody"]
        assert "does not list the log" in failed[NOBODY]
        assert "knows no live process named 'nobody'" in failed["nobody"]
        assert [one.id for one in await node.processes()] == [process]
        with pytest.raises(AoError, match="in this home already"):
            await taken(node, here, there, process, NOBODY)
        for places in ([process, f"{process}@2"], [process, ""], [process, "bank@x"]):
            with pytest.raises(UsageError):
                await taken(node, here, there, *places)


def test_the_commands_take_a_network(
    aoshell_home: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    state = Settings.find().state
    assert state.is_relative_to(aoshell_home)

    async def aoshell(*words: str) -> tuple[int, str, str]:
        environment = os.environ | {"AOSHELL_HOME": str(tmp_path / "other")}
        pipe = asyncio.subprocess.PIPE
        started = await asyncio.create_subprocess_exec(
            *AOSHELL, *words, stdout=pipe, stderr=pipe, env=environment
        )
        out, err = await started.communicate()
        return started.returncode or 0, out.decode(), err.decode()

    async def body(type: Typed) -> None:
        type.session.forking = _Forking()
        async with served(tmp_path / "there", other_wallet) as there:
            url = there.serving.facts.url
            bank = await there.spawn(COUNTER, Name="bank")
            desk = await there.spawn(FORWARDER, Name="desk")
            await there.result(desk, await there.send(desk, bank, Action="Pass"))
            done = await type.reply(f".fork {url} {desk} as front --with {bank}@1,{NOBODY}")
            assert not done.ok and done.text == f"{desk} front\n{bank} bank"
            assert f"bank: forked after slot 1 of {url}" in done.note
            assert f"{NOBODY} is not forked" in done.note
            assert "--with is for a live process" in await type.error(".fork as x --with front")
            code, out, err = await aoshell("fork", url, desk, "as", "front", "--with", "bank")
            assert (code, out) == (0, f"{desk} front\n{bank} bank\n"), err
            words = ("fork", url, desk, "as", "f2", "--with", NOBODY)
            code, out, err = await aoshell(*words)
            assert (code, out) == (1, "") and "in this home already" in err
            tmp = await there.spawn(COUNTER, Name="till")
            words = ("fork", url, tmp, "as", "till", "--with", NOBODY, "--json")
            code, out, err = await aoshell(*words)
            told = json.loads(out)
            assert code == 1 and [one["id"] for one in told["forks"]] == [tmp]
            assert [one["process"] for one in told["failed"]] == [NOBODY]

    run(state, wallet, body)
