"""`.fork URL` at the prompt and `aoshell fork`, as a user has them."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

from program import AOSHELL
from served_node import served
from test_forks import counted, forked, home, settings
from typed_session import Typed, run

from aoshell.cli import _Forking
from aoshell.forks.command import make_parser
from aoshell.forks.compare_command import make_parser as make_compare_parser
from aoshell.home.folders import Settings
from aoshell.nodes.values import ForkPoint, ProcessInfo
from aoshell.protocol.wallet import Wallet
from aoshell.shell.ports.forking import state_note
from aoshell.shell.view.tables import process_table
from aoshell.states.working import dump, load, notes


def test_a_live_process_is_brought_home_and_spoken_to_as_its_owner(
    aoshell_home: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    settings = Settings.find()
    assert settings.home == aoshell_home
    settings.make_folders()

    async def body(type: Typed) -> None:
        type.session.forking = _Forking()
        async with served(tmp_path / "there", other_wallet) as there:
            process, url = await counted(there), there.serving.facts.url
            done = await type.reply(f".fork {url} {process}@3 as away")
            assert done.text == process and f"forked after slot 3 of {url}" in done.note
            assert await type.error(f".fork {url} {process} as more") != ""
            await type.reply(".attach away")
            assert f".as {other_wallet.address} speaks as its owner" in await type.error("N")
            said = (await type.reply(f".as {other_wallet.address}")).text
            assert "unsigned: to forks and stand-ins only" in said
            assert await type.value("return N") == "2"
            assert type.session.prompt.startswith("[as ")
            await type.reply(".send away Action=Add")
            assert await type.value("return N") == "3"
            told = await type.reply(".trace 2")
            assert told.note == (
                f"slot 2 is from {url}: what it sent was delivered there, not here"
            )
            assert (await type.reply(".trace 5")).note == ""
            told = await type.reply(".verify-log")
            forked = f"forked after slot 3 of {url}"
            assert told.ok and told.note == forked
            elsewhere = f"slot 2 is from {url}: what it sent was delivered there, not here"
            assert (await type.reply(".why 2")).note == elsewhere
            assert (await type.reply(".why 5")).note == ""
            assert (await type.reply(".log 2")).note == elsewhere
            state = f"the state after slot 2, from the log of {url}"
            assert (await type.reply(".at 2 return N")).note == state
            assert (await type.reply(".at 5 return N")).note == ""
            assert (await type.reply(".dryrun return N")).note == ""
            assert (await type.reply(f".export {tmp_path / 'away.process'}")).note == forked
            await type.reply(".send away Action=Add")
            assert (await type.reply(".undo")).note.endswith(f", for .import\n{forked}")
            assert "slot 3 comes from" in await type.error(".undo 3")
            # A process that is no fork takes nothing that is not signed.
            await type.reply(".as me")
            await type.reply(".spawn aos as own")
            await type.reply(f".as {other_wallet.address}")
            assert "there is no key of" in await type.error(".send own Action=Add")
            found = (await type.node.processes())[1]
            row = process_table([found]).rows[0]
            assert row[-1] == f"{url} @3"

    run(settings.state, wallet, body)


def test_a_dump_and_its_loading_say_what_is_a_fork(tmp_path: Path, wallet: Wallet) -> None:
    async def test() -> None:
        here, file = tmp_path / "here", str(tmp_path / "whole.dump")
        async with served(tmp_path / "there", wallet) as there, home(here) as node:
            process, url = await counted(there), there.serving.facts.url
            await forked(node, here, there, f"{process}@3", "away")
            note = f"away is forked after slot 3 of {url}"
        assert (await dump(settings(here), file))["notes"] == [note]
        assert notes(await load(settings(tmp_path / "again"), file)) == [note]

    asyncio.run(asyncio.wait_for(test(), 120))


def test_a_memory_is_told_of_wherever_its_state_is_shown() -> None:
    origin = ForkPoint("http://su", 9, 0, 0, "http://cu", 5, exact=True)
    texts, numbers = ("p" * 43, "desk", "", ""), (10, 10, False, None, 0, 0, 0)
    info = ProcessInfo(*texts, *numbers, "", 0, origin=origin)
    comes = "it comes from the memory after slot 5, for which http://cu alone vouches"
    assert state_note(info, None) == comes
    assert state_note(info, 12) == comes
    assert state_note(info, 7) == f"the state after slot 7, from the log of http://su; {comes}"
    assert state_note(replace(info, origin=None), 7) == ""


def test_an_id_that_begins_as_a_flag_does_is_an_id() -> None:
    place = f"-{'p' * 42}@3"
    given = make_parser().parse(["http://127.0.0.1:1", place, "as", "desk", "--json"])
    assert (given.process, given.json) == (place, True)
    given = make_compare_parser().parse(["http://127.0.0.1:1", place])
    assert given.process == place


def test_aoshell_fork_brings_a_process_home(tmp_path: Path, wallet: Wallet) -> None:
    async def test() -> None:
        async with served(tmp_path / "there", wallet) as there:
            process, url = await counted(there), there.serving.facts.url
            environment = os.environ | {"AOSHELL_HOME": str(tmp_path / "home")}
            pipe = asyncio.subprocess.PIPE

            async def aoshell(*words: str) -> tuple[int, str, str]:
                started = await asyncio.create_subprocess_exec(
                    *AOSHELL, *words, stdout=pipe, stderr=pipe, env=environment
                )
                out, err = await started.communicate()
                return started.returncode or 0, out.decode(), err.decode()

            code, out, err = await aoshell("fork", url, f"{process}@3", "as", "desk", "--json")
            assert code == 0, err
            told = json.loads(out)
            assert (told["id"], told["name"], told["slots"]) == (process, "desk", 4)
            assert (told["origin"]["source"], told["origin"]["slot"]) == (url, 3)
            code, out, err = await aoshell("fork", url, process, "as", "desk")
            assert code == 1 and "in this home already" in err
            code, out, err = await aoshell("fork", url, process)
            assert code == 2 and "usage" in err
            code, out, err = await aoshell("--list")
            assert code == 0 and f"{url} @3" in out

    asyncio.run(asyncio.wait_for(test(), 120))
