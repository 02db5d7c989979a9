"""A node with hostile workers: messages are computed all the same."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aoshell.errors import AoError
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.local.workers import jobs
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, Tag
from aoshell.protocol.wallet import Wallet
from aoshell.sandbox.frames import FrameReader, encode_frame
from aoshell.sandbox.supervising.supervisor import Supervisor

RESULT = [False, "forged", "> ", False, 0, 1, False, "to", "data", "", 1, "name", "value", 0]
Script = Callable[[socket.socket, list[Any]], None]


def out_of_turn(main: socket.socket, _frame: list[Any]) -> None:
    main.sendall(encode_frame(["done", 0, 999, "ok", 0.5, 1000, 0, *RESULT]))


def malformed(main: socket.socket, frame: list[Any]) -> None:
    main.sendall(encode_frame(["done", 0, frame[2], "ok", 0.5, 1000, 0, *RESULT[:-2]]))


def unknown_outcome(main: socket.socket, frame: list[Any]) -> None:
    main.sendall(encode_frame(["done", 0, frame[2], "fine", 0.5, 1000, 0, *RESULT]))


def garbage(main: socket.socket, _frame: list[Any]) -> None:
    main.sendall(b"\xff" * 100)


def promotions(main: socket.socket, _frame: list[Any]) -> None:
    main.sendall(encode_frame(["promoted", 0, "rollback", "", 1]) * 1000)


def silence(main: socket.socket, _frame: list[Any]) -> None:
    main.close()


def broken_again(main: socket.socket, _frame: list[Any]) -> None:
    main.sendall(encode_frame(["broken", "made up"]))
    main.close()


class Impostor:
    """Plays a worker: says `ready`, then follows a script when it is told to run something."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fds: list[int], pid: int, script: Script):
        self._main, self._side = (socket.socket(fileno=os.dup(fd)) for fd in fds)
        self._loop, self._script, self._pid = loop, script, pid
        self._reader = FrameReader()
        self._main.sendall(encode_frame(["ready", pid]))
        loop.add_reader(self._main, self._readable)

    def _readable(self) -> None:
        try:
            data = self._main.recv(1 << 20)
        except ConnectionError:  # the node gave it up with something unread
            data = b""
        self._reader.feed(data)
        while data and (frame := self._reader.frame()):
            if frame[0] in ("run", "dry") or self._script is broken_at_once:
                self._end(frame)
                return
        if not data:
            self._end(None)

    def _end(self, frame: list[Any] | None) -> None:
        self._loop.remove_reader(self._main)
        if frame is not None:
            if frame[0] in ("run", "dry"):
                self._main.sendall(encode_frame(["parked", 0, self._pid]))
            self._script(self._main, frame)
        self._main.close()
        self._side.close()


def broken_at_once(main: socket.socket, frame: list[Any]) -> None:
    broken_again(main, frame)


SCRIPTS = [
    out_of_turn,
    malformed,
    unknown_outcome,
    garbage,
    promotions,
    silence,
    broken_again,
    broken_at_once,
]


class Betrayed:
    """Workers of a node, of which the first few are impostors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.script: Script = silence
        self.left = 0  # impostors to come
        self.met = 0
        self._bodies: list[subprocess.Popen[bytes]] = []
        real = Supervisor._send_fds

        def send_fds(supervisor: Supervisor, device: str, fds: list[int], based: bool) -> None:
            if self.left <= 0:
                real(supervisor, device, fds, based)
                return
            self.left -= 1
            self.met += 1
            body = subprocess.Popen(["sleep", "30"], process_group=0)  # what may be killed
            self._bodies.append(body)
            Impostor(asyncio.get_running_loop(), fds, body.pid, self.script)

        monkeypatch.setattr(Supervisor, "_send_fds", send_fds)

    def begin(self, script: Script, times: int) -> None:
        self.script, self.left, self.met = script, times, 0

    def bury(self) -> None:
        for body in self._bodies:
            body.kill()
            body.wait()


@pytest.fixture
def betrayed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Betrayed]:
    betrayed = Betrayed(monkeypatch)
    yield betrayed
    betrayed.bury()


def tags(**values: str) -> tuple[Tag, ...]:
    return tuple(Tag(name.replace("_", "-"), value) for name, value in values.items())


async def spawn(node: LocalNode, wallet: Wallet) -> str:
    named = tags(Data_Protocol="ao", Type="Process", Module="aos")
    receipt = await node.spawn(DataItem.sign(wallet, tags=named), "x")
    await node.result(receipt.process, 0)
    return receipt.process


async def evaluate(node: LocalNode, wallet: Wallet, process: str, code: str) -> Any:
    named = tags(Data_Protocol="ao", Type="Message", Action="Eval")
    item = DataItem.sign(wallet, target=process, tags=named, data=code.encode())
    receipt = await node.send(process, item)
    return await asyncio.wait_for(node.result(process, receipt.slot), 60)


def watched(wrong: list[Any]) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: wrong.append(context))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_a_message_that_an_impostor_got_is_computed_all_the_same(
    script: Script, betrayed: Betrayed, tmp_path: Path, wallet: Wallet
) -> None:
    wrong: list[Any] = []

    async def run() -> None:
        watched(wrong)
        node = await LocalNode.open(tmp_path, Limits())
        try:
            process = await spawn(node, wallet)
            await evaluate(node, wallet, process, "x = 41")
            node._engine.computer.drop_all()
            betrayed.begin(script, 1)
            result = await evaluate(node, wallet, process, "x = x + 1 return x")
            assert (result.outcome, result.output) == ("ok", "42")
            assert betrayed.met == 1
            assert await node.verify_log(process) == []
        finally:
            await node.close()

    asyncio.run(run())
    assert not wrong


@pytest.mark.parametrize("script", [malformed, garbage], ids=lambda script: script.__name__)
def test_a_message_that_turns_every_worker_is_given_up(
    script: Script, betrayed: Betrayed, tmp_path: Path, wallet: Wallet
) -> None:
    wrong: list[Any] = []

    async def run() -> None:
        watched(wrong)
        node = await LocalNode.open(tmp_path, Limits())
        try:
            process = await spawn(node, wallet)
            node._engine.computer.drop_all()
            betrayed.begin(script, jobs.MAX_DEATHS)
            result = await evaluate(node, wallet, process, "return 'never'")
            assert result.outcome == "crash"
            assert "died" in result.error
            result = await evaluate(node, wallet, process, "return 'on'")
            assert (result.outcome, result.output) == ("ok", "on")
        finally:
            await node.close()

    asyncio.run(run())
    assert not wrong


def test_a_message_whose_workers_are_gone_is_held_without_an_outcome(
    betrayed: Betrayed, tmp_path: Path, wallet: Wallet
) -> None:
    """A worker that ends without a report may have been killed by anybody."""

    async def run() -> None:
        node = await LocalNode.open(tmp_path, Limits())
        try:
            process = await spawn(node, wallet)
            node._engine.computer.drop_all()
            betrayed.begin(silence, jobs.MAX_DEATHS)
            with pytest.raises(AoError, match="process x: no worker for this process stays up"):
                await evaluate(node, wallet, process, "return 'held'")
            held = await node.slots(process) - 1
            result = await evaluate(node, wallet, process, "return 'on'")
            assert (result.outcome, result.output) == ("ok", "on")
            result = await node.result(process, held)
            assert (result.outcome, result.output) == ("ok", "held")
            assert await node.verify_log(process) == []
        finally:
            await node.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "script", [garbage, silence, promotions], ids=lambda script: script.__name__
)
def test_a_dry_run_that_turns_every_worker_is_given_up(
    script: Script, betrayed: Betrayed, tmp_path: Path, wallet: Wallet
) -> None:
    wrong: list[Any] = []

    async def run() -> None:
        watched(wrong)
        node = await LocalNode.open(tmp_path, Limits())
        try:
            process = await spawn(node, wallet)
            node._engine.computer.drop_all()
            betrayed.begin(script, 20)
            dry = Message(id="", owner=wallet.address, from_=wallet.address, target=process,
                          tags=tags(Action="Eval"), data=b"return 1")  # fmt: skip
            with pytest.raises(AoError, match="died"):
                await asyncio.wait_for(node.dryrun(process, dry), 60)
            assert betrayed.met <= jobs.MAX_DEATHS + 1  # one is forked ahead
            betrayed.left = 0
            assert (await node.dryrun(process, dry)).output == "1"
        finally:
            await node.close()

    asyncio.run(run())
    assert not wrong


def test_a_process_whose_workers_never_begin_is_not_started_for_ever(
    betrayed: Betrayed, tmp_path: Path, wallet: Wallet
) -> None:
    async def run() -> None:
        node = await LocalNode.open(tmp_path, Limits())
        try:
            process = await spawn(node, wallet)
            node._engine.computer.drop_all()
            betrayed.begin(broken_at_once, 20)
            with pytest.raises(AoError, match="no worker"):
                await evaluate(node, wallet, process, "return 1")
            assert betrayed.met <= jobs.MAX_DEATHS + 1  # one is forked ahead
        finally:
            await node.close()

    asyncio.run(run())


def test_a_log_that_outgrew_its_memory_says_so(tmp_path: Path, wallet: Wallet) -> None:
    """With a lower limit messages cannot be computed again: an error, not endless tries."""

    async def run() -> None:
        node = await LocalNode.open(tmp_path, Limits())
        try:
            process = await spawn(node, wallet)
            await evaluate(node, wallet, process, "x = ('x'):rep(20 << 20)")
            node._engine.computer.drop_all()
            node._engine.checkpoints.remove(process)
            await node.set_limits(Limits(memory=8 << 20))
            with pytest.raises(AoError, match="its log cannot be computed again within 16 MB"):
                await evaluate(node, wallet, process, "return #x")
            await node.set_limits(Limits())
            pending = await node.slots(process) - 1
        finally:
            await node.close()
        node = await LocalNode.open(tmp_path, Limits())
        try:
            result = await asyncio.wait_for(node.result(process, pending), 60)
            assert result.output == str(20 << 20)
        finally:
            await node.close()

    asyncio.run(run())
