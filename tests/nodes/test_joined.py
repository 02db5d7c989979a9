"""`nodes.joined`: two shells on one home, in one process, over a true socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop, turns, until
from local_home import COUNTER, Local, plain

from aoshell import __version__
from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.nodes.joined import door, faults, reach, server, verbs
from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.frames import FORMAT, Code, Hello, frames_of
from aoshell.nodes.joined.node import HomeNode
from aoshell.nodes.joined.verbs import CLOCK
from aoshell.nodes.local import others
from aoshell.nodes.values import Event, Limits, NameTakenError, NotFoundError
from aoshell.protocol.message import Message
from aoshell.protocol.wallet import Wallet

ENDLESS = "while true do end"


@contextlib.asynccontextmanager
async def shell(
    folder: Path, wallet: Wallet, client: str = "a:1", limits: Limits | None = None, **how: Any
) -> AsyncIterator[Local]:
    """A shell on a home: the first one carries its node."""
    node = await HomeNode.open(Home(folder), limits, client=client, **how)
    try:
        yield Local(node, wallet, (await node.info()).address)  # type: ignore[arg-type]
    finally:
        await node.close()


@contextlib.asynccontextmanager
async def two(
    folder: Path, wallet: Wallet, limits: Limits | None = None
) -> AsyncIterator[tuple[Local, Local]]:
    """The shell that carries, and one that joined it."""
    async with (
        shell(folder, wallet, "a:1", limits) as carrier,
        shell(folder, wallet, "b:2", limits) as joined,
    ):
        assert carrier.node._reach.node is not None  # type: ignore[attr-defined]
        assert joined.node._reach.node is None  # type: ignore[attr-defined]
        yield carrier, joined


class Heard:
    """What a subscription has given."""

    def __init__(self, local: Local) -> None:
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._follow(local.node.subscribe()))

    async def _follow(self, events: Any) -> None:
        async for event in events:
            self.events.append(event)

    def texts(self) -> list[str]:
        """What results printed, in order."""
        entries = [event.entry for event in self.events if event.kind == "result"]
        return [plain(one.result.output) for one in entries if one and one.result]

    def notices(self) -> list[str]:
        return [event.detail for event in self.events if event.kind == "notice"]

    async def has(self, text: str) -> None:
        """Wait for a result that printed this."""
        await until(lambda: text in self.texts(), f"{text} is not among {self.texts()}")


@in_loop
async def test_a_joined_shell_does_what_a_carrier_does(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid = await joined.spawn(COUNTER, name="counter")
        assert plain((await joined.eval(pid, "X = 1 return X + 1")).output) == "2"
        assert await carrier.value(pid, "X") == "1"
        await joined.send(pid, Action="Add")
        a, b = carrier.node, joined.node
        assert await a.processes() == await b.processes()
        assert await a.find("counter") == await b.find("counter")
        assert await a.slots(pid) == await b.slots(pid)
        assert await a.results(pid) == await b.results(pid)
        assert await a.schedule(pid, 0, 9) == await b.schedule(pid, 0, 9)
        assert await a.result(pid, 1) == await b.result(pid, 1)
        assert await a.undelivered() == await b.undelivered()
        assert await a.export(pid) == await b.export(pid)
        assert await a.fetch("aos") == await b.fetch("aos")
        assert await a.now(pid, "") == await b.now(pid, "")
        assert a.newest == b.newest and a.limits == b.limits
        last = (await a.results(pid))[-1].message.id
        assert await a.workbench.trace(last) == await b.workbench.trace(last)
        asked = Message("", joined.wallet.address, joined.wallet.address, pid, (), b"")
        assert (await b.dryrun(pid, asked)).ok
        assert (await b.workbench.at(pid, 1, asked)).ok
        await b.workbench.mark(pid, "here")
        assert await a.workbench.marks(pid) == {"here": 3} == await b.workbench.marks(pid)
        twin = await b.workbench.fork(pid, None, "twin")
        assert twin.name == "twin"
        assert Path(await b.workbench.undo(twin.id, 2)).is_file()
        await b.delete(twin.id)
        assert await b.restore(await b.export(pid) if False else b"", "x") if False else True
        await b.workbench.pause(pid, True)
        assert await b.workbench.queued(pid) == []
        await b.workbench.pause(pid, False)
        assert await b.workbench.warp(5000) == 5000
        mocked = await b.workbench.mock("m" * 43, b"", "mocked")
        assert (await a.find("mocked")).id == mocked.id
        assert await b.verify_log(pid) == []
        info = await b.info()
        assert info.details["carried by"] == f"pid {os.getpid()}"
        assert (await a.info()).details["carried by"] == f"pid {os.getpid()} (this one)"


@in_loop
async def test_of_two_that_want_a_name_one_gets_it(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (carrier, joined):
        item = carrier.definition()
        receipt = await carrier.node.spawn(item, "mine", unique=True)
        for other in (joined, carrier):
            with pytest.raises(NameTakenError, match="a process called mine"):
                await other.node.spawn(other.definition(Nonce="2"), "mine", unique=True)
        assert await joined.node.spawn(item, "mine", unique=True) == receipt  # sent once more
        assert len(await joined.node.processes()) == 1


@in_loop
async def test_errors_are_the_same_from_afar(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid = await carrier.spawn()

        async def fails(kind: type[AoError], call: str, *args: Any, bench: bool = False) -> None:
            told = []
            for node in (carrier.node, joined.node):
                with pytest.raises(kind) as failed:
                    await getattr(node.workbench if bench else node, call)(*args)
                told.append((type(failed.value), str(failed.value), failed.value.stage))
            assert told[0] == told[1]

        await fails(NotFoundError, "find", "nobody")
        await fails(AoError, "result", pid, 99)
        await fails(UsageError, "set_limits", Limits(seconds=0))
        await fails(UsageError, "undo", pid, 0, bench=True)
        await fails(UnsupportedError, "evidence", b"")
        await fails(AoError, "restore", b"no export")


@in_loop
async def test_a_message_that_somebody_else_changed_is_refused(
    folder: Path, wallet: Wallet
) -> None:
    async with two(folder, wallet) as (_, joined):
        pid = await joined.spawn()
        item = joined.item(pid, "1", Action="Eval")
        object.__setattr__(item, "data", b"2")
        with pytest.raises(AoError, match="signature") as refused:
            await joined.node.send(pid, item)
        assert refused.value.stage == "verify"
        assert await joined.node.slots(pid) == 1


@in_loop
async def test_a_wait_that_is_given_up_is_given_up_there(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet, Limits(seconds=10_000)) as (carrier, joined):
        pid = await joined.spawn()
        receipt = await joined.post(pid, ENDLESS, Action="Eval")
        waiting = asyncio.create_task(joined.node.result(pid, receipt.place))
        host = carrier.node._reach._carrier._host  # type: ignore[attr-defined]
        (guest,) = host._guests
        await until(lambda: guest._calls)
        waiting.cancel()
        await until(lambda: not guest._calls)
        assert await joined.node.cancel(pid, receipt.slot or 0)
        assert (await joined.node.result(pid, receipt.place)).outcome == "time"
        assert await joined.value(pid, "1") == "1"


@in_loop
async def test_a_message_on_its_way_is_sent_whole_or_not_at_all(
    folder: Path, wallet: Wallet
) -> None:
    """Who gives it up has the receipt, so that Ctrl-C stops this line and not the one before."""
    async with two(folder, wallet) as (_, joined):
        pid = await joined.spawn()
        came: list[Any] = []

        async def line() -> None:
            came.append(await joined.node.send(pid, joined.item(pid, "1", Action="Eval")))
            await joined.node.result(pid, came[0].place)
            came.append("answered")

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await line()
        for _ in range(2):
            task = asyncio.create_task(line())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        receipts = [one for one in came if one != "answered"]
        assert len(receipts) == await joined.node.slots(pid) - 1
        assert "answered" not in came


@in_loop
async def test_a_message_given_up_before_it_is_taken_is_not_computed(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "FINISHING", 0.0)
    async with two(folder, wallet, Limits(seconds=10_000)) as (_, joined):
        pid = await joined.spawn()
        receipts: list[Any] = []

        async def line() -> None:
            receipts.append(await joined.node.send(pid, joined.item(pid, ENDLESS, Action="Eval")))

        for _ in range(5):
            task = asyncio.create_task(line())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
        for receipt in receipts:  # they were faster: who has a receipt can stop the line
            await joined.node.cancel(pid, receipt.slot)
        assert await joined.value(pid, "1") == "1"  # nothing endless is before it


@in_loop
async def test_each_shell_hears_of_its_own_and_of_what_it_watches(
    folder: Path, wallet: Wallet
) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid, other = await carrier.spawn(), await carrier.spawn()
        heard = Heard(joined)
        await joined.eval(pid, "return 'mine'")
        await carrier.eval(other, "return 'unwatched'")
        await joined.node.watch(other)
        await carrier.eval(other, "return 'watched'")
        await heard.has("watched")
        assert heard.texts() == ["mine", "watched"]


@in_loop
async def test_a_result_is_told_before_its_answer(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (_, joined):
        pid = await joined.spawn()
        heard = Heard(joined)
        for number in range(5):
            result = await joined.eval(pid, f"return {number}")
            await turns()
            assert heard.texts()[-1] == plain(result.output)


@in_loop
async def test_a_slow_reader_misses_events_and_then_looks_them_up(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "UNREAD", 200_000)
    async with two(folder, wallet) as (carrier, joined):
        pid = await carrier.spawn()
        heard = Heard(joined)
        await joined.node.watch(pid)
        wire = joined.node._reach._wire  # type: ignore[attr-defined]
        wire._transport.pause_reading()
        (guest,) = carrier.node._reach._carrier._host._guests  # type: ignore[attr-defined]
        sent = 0
        while guest._missed < 3:
            await carrier.eval(pid, f"return '{sent} ' .. string.rep('x', 100000)")
            sent += 1
        assert guest._transport.get_write_buffer_size() < 1 << 20
        wire._transport.resume_reading()
        await until(lambda: len(heard.texts()) == sent)
        assert {int(text.split()[0]) for text in heard.texts()} == set(range(sent))
        await carrier.eval(pid, "return 'and on'")
        await heard.has("and on")


@in_loop
async def test_limits_are_the_nodes_and_others_are_said(folder: Path, wallet: Wallet) -> None:
    async with (
        shell(folder, wallet, limits=Limits(seconds=3)) as carrier,
        shell(folder, wallet, "b:2", Limits(seconds=7, memory=64 << 20)) as joined,
        shell(folder, wallet, "c:3") as third,
    ):
        heard, silent = Heard(joined), Heard(third)
        await until(heard.notices)
        (notice,) = heard.notices()
        assert "seconds is 3, not 7, memory is 512 MB, not 64 MB;" in notice
        assert str(os.getpid()) in notice
        assert joined.node.limits == Limits(seconds=3) == third.node.limits
        await joined.node.set_limits(Limits(seconds=5))
        assert carrier.node.limits.seconds == 5 == joined.node.limits.seconds
        await until(lambda: third.node.limits.seconds == 5)
        await carrier.node.set_limits(Limits(seconds=6))
        await until(lambda: joined.node.limits.seconds == 6)
        assert not silent.notices()


# When the carrier leaves ----------------------------------------------------------------------


@in_loop
async def test_when_the_carrier_closes_another_one_carries_on(folder: Path, wallet: Wallet) -> None:
    limits = Limits(seconds=10_000)
    async with contextlib.AsyncExitStack() as stack:
        carrier = await HomeNode.open(Home(folder), limits, client="a:1")
        joined = await stack.enter_async_context(shell(folder, wallet, "b:2"))
        third = await stack.enter_async_context(shell(folder, wallet, "c:3"))
        pid = await joined.spawn()
        heard = Heard(joined)
        await joined.node.watch(pid)
        endless = await joined.post(pid, ENDLESS, Action="Eval")
        waiting = asyncio.create_task(joined.node.result(pid, endless.place))
        settling = asyncio.create_task(joined.node.settled(endless.id))
        behind = await third.post(pid, "return 'behind'", Action="Eval")
        later = asyncio.create_task(third.node.result(pid, behind.place))
        await carrier.close()
        assert await joined.value(await joined.spawn(), "return 1") == "1"
        assert await joined.node.cancel(pid, endless.slot or 0)
        assert (await waiting).outcome == "time"
        await settling
        assert plain((await later).output) == "behind"
        await heard.has("behind")
        assert joined.node.limits.seconds == 10_000  # as they were on the node
        reaches = [joined.node._reach, third.node._reach]  # type: ignore[attr-defined]
        assert sorted(one.node is None for one in reaches) == [False, True]


async def _lose(local: Local) -> None:
    """Have the connection of a joined shell break."""
    local.node._reach._wire._transport.abort()  # type: ignore[attr-defined]
    await turns()


@in_loop
async def test_a_message_whose_receipt_was_lost_is_one_slot(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid = await joined.spawn()
        give = server.Guest._give_value
        lost = []

        async def losing(guest: Any, number: int, verb: Any, value: Any) -> None:
            if verb.name in ("send", "spawn") and verb.name not in lost:
                lost.append(verb.name)
                guest._transport.abort()
                return
            await give(guest, number, verb, value)

        monkeypatch.setattr(server.Guest, "_give_value", losing)
        receipt = await joined.post(pid, "N = (N or 0) + 1 return N", Action="Eval")
        assert receipt.slot == 1
        definition = joined.definition()
        spawned = await joined.node.spawn(definition, "twice")
        assert spawned.id == definition.id
        assert lost == ["send", "spawn"]
        assert await carrier.value(pid, "N") == "1"
        assert [info.name for info in await joined.node.processes()].count("twice") == 1


@in_loop
async def test_what_changes_something_is_not_done_twice(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, wallet) as (carrier, joined):
        give = server.Guest._give_value

        async def losing(guest: Any, number: int, verb: Any, value: Any) -> None:
            if verb.name == "warp":
                guest._transport.abort()
            await give(guest, number, verb, value)

        monkeypatch.setattr(server.Guest, "_give_value", losing)
        with pytest.raises(AoError, match="not known") as lost:
            await joined.node.workbench.warp(1000)
        assert lost.value.stage == "join" and lost.value.hint
        monkeypatch.undo()
        assert await carrier.node.workbench.warp(0) == 1000


@in_loop
async def test_a_verb_that_ends_every_carrier_is_not_asked_for_ever(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, wallet) as (_, joined):
        asked = []

        async def ending(guest: Any, *_: Any) -> None:
            asked.append(1)
            guest._transport.abort()

        monkeypatch.setattr(server.Guest, "_give_value", ending)
        with pytest.raises(AoError, match="not known"):
            await joined.node.processes()
        assert len(asked) <= reach.TRIES


@in_loop
async def test_what_happened_in_between_is_told_once(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid, other = await joined.spawn(), await joined.spawn()
        heard = Heard(joined)
        await joined.node.watch(pid)
        await joined.eval(pid, "return 'before'")
        sent = f'Send({{Target = "{other}", Action = "Eval", Data = "1"}}) return "sent"'
        joined.node._reach._closed = True  # type: ignore[attr-defined]  # it comes back later
        wire = joined.node._reach._wire  # type: ignore[attr-defined]
        await joined.post(pid, sent, Action="Eval")
        wire._transport.abort()
        await turns()
        await carrier.eval(pid, "return 'in between'")
        joined.node._reach._closed = False  # type: ignore[attr-defined]
        joined.node._reach.lost(wire)  # type: ignore[attr-defined]
        await heard.has("in between")
        await carrier.eval(pid, "return 'after'")
        await heard.has("after")
        mine = [text for text in heard.texts() if text and "New Message" not in text]
        assert mine == ["before", "sent", "in between", "after"]
        # What the line caused at the other process is told, too, when it is looked up.
        await until(lambda: len(heard.texts()) >= 5, f"{heard.texts()} lack what a line caused")
        assert len(heard.texts()) == 5


@in_loop
async def test_nothing_is_written_to_one_that_is_gone(
    folder: Path, wallet: Wallet, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(folder, wallet) as (carrier, joined):
        host = carrier.node._reach._carrier._host  # type: ignore[attr-defined]
        (guest,) = host._guests
        wire = joined.node._reach._wire  # type: ignore[attr-defined]
        for side in (guest, wire):
            side._transport.abort()
            for _ in range(50):
                if side is guest:
                    guest.give(Code.MISSED, 0, b"1", [])
                else:
                    wire.post(verbs.CLOCK)
        assert await joined.node.processes() == []
    assert "raised exception" not in caplog.text


# Who is let in --------------------------------------------------------------------------------


@in_loop
async def test_the_socket_is_private_and_goes_with_its_carrier(
    folder: Path, wallet: Wallet
) -> None:
    async with shell(folder, wallet):
        path = folder / "node.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()
    path.write_bytes(b"left behind")  # by one that was killed
    async with two(folder, wallet) as (_, joined):
        assert await joined.node.processes() == []


@in_loop
async def test_a_socket_whose_file_was_removed_is_bound_anew(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOOK", 0.01)
    for threaded in (False, True):
        async with (
            shell(folder, wallet, threaded=threaded) as carrier,
            shell(folder, wallet, "b:2") as before,
        ):
            pid = await before.spawn()
            for _ in range(2):
                (folder / "node.sock").unlink()
                async with shell(folder, wallet, "c:3") as after:
                    assert await after.value(pid, "1") == "1"
                assert stat.S_IMODE((folder / "node.sock").stat().st_mode) == 0o600
            assert await before.value(pid, "1") == "1"  # it stays joined
            assert await carrier.value(pid, "1") == "1"
        assert not (folder / "node.sock").exists()


@in_loop
async def test_a_socket_that_stays_away_is_named(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOOK", 1e6)
    monkeypatch.setattr(reach, "PATIENCE", 0.2)
    async with shell(folder, wallet):
        (folder / "node.sock").unlink()
        with pytest.raises(AoError, match=r"node\.sock is not there"):
            await HomeNode.open(Home(folder), client="b:2")


@in_loop
async def test_long_paths_go_to_the_runtime_folder(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Path(f"/tmp/ao-{os.getpid()}")
    runtime.mkdir(mode=0o700)
    try:
        for name in (str(runtime), "", "/tmp/" + "x" * 90):
            monkeypatch.setenv("XDG_RUNTIME_DIR", name)
            monkeypatch.setattr("tempfile.tempdir", str(runtime))
            deep = folder / ("d" * 90) / str(len(name))
            async with two(deep, wallet) as (carrier, joined):
                pid = await joined.spawn()
                assert await carrier.value(pid, "return 1") == "1"
                found = carrier.node._reach._carrier._door._path  # type: ignore[attr-defined]
                assert runtime in found.parents and len(os.fsencode(found)) <= door.LONGEST_PATH
        runtime.chmod(0o755)
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
        with pytest.raises(PermissionError):
            door.socket_path(folder / ("d" * 90))
    finally:
        for path in sorted(runtime.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        runtime.rmdir()


@in_loop
async def test_without_a_socket_a_node_works_alone(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Path:
        raise PermissionError("no sockets here")

    monkeypatch.setattr(door, "socket_path", refuse)
    monkeypatch.setattr(reach, "WITHOUT_SOCKET", 0.2)
    async with shell(folder, wallet) as alone:
        assert await alone.value(await alone.spawn(), "return 1") == "1"
        with pytest.raises(AoError, match="cannot be joined") as silent:
            await HomeNode.open(Home(folder))
        assert str(os.getpid()) in str(silent.value)


@in_loop
async def test_another_user_is_not_let_in(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shell(folder, wallet):
        monkeypatch.setattr(door, "peer_of", lambda _: (1, os.geteuid() + 1))
        reader, writer = await asyncio.open_unix_connection(str(folder / "node.sock"))
        assert await reader.read() == b""
        writer.close()
        monkeypatch.undo()
        monkeypatch.setattr("aoshell.nodes.joined.wire.peer_of", lambda _: (1, os.geteuid() + 1))
        with pytest.raises(AoError, match="another user"):
            await HomeNode.open(Home(folder))


@in_loop
async def test_another_version_is_refused_with_both(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shell(folder, wallet):
        for hello in (Hello(FORMAT + 1, __version__, 9), Hello(FORMAT, "99.0", 9)):
            reader, writer = await asyncio.open_unix_connection(str(folder / "node.sock"))
            writer.write(hello.line())
            said = await reader.read()
            assert said.startswith(Hello(FORMAT, __version__, os.getpid()).line())
            writer.close()
        other = Hello(FORMAT, "99.0", os.getpid())
        monkeypatch.setattr("aoshell.nodes.joined.wire.own_hello", lambda: other)
        with pytest.raises(AoError) as refused:
            await HomeNode.open(Home(folder))
        told = str(refused.value)
        assert "99.0" in told and __version__ in told and str(os.getpid()) in told
        assert refused.value.stage == "join"


@in_loop
async def test_another_build_of_the_same_version_is_refused(folder: Path, wallet: Wallet) -> None:
    async with shell(folder, wallet):
        reader, writer = await asyncio.open_unix_connection(str(folder / "node.sock"))
        writer.write(HELLO + JOIN.replace(server.build_of_this().encode(), b"0" * 64))
        assert b"another build of this version" in await reader.read()
        writer.close()


def join(client: bytes) -> bytes:
    said = b'["%s","%s",false,[],[]]' % (client, server.build_of_this().encode())
    return b"".join(frames_of(Code.JOIN, 0, said, []))


JOIN = join(b"x:1")
HELLO = Hello(FORMAT, __version__, 1).line()


def call(number: int, text: bytes, *blobs: bytes) -> bytes:
    return b"".join(frames_of(Code.CALL, number, text, list(blobs)))


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\0" * 500,
        HELLO + b"\xff" * 100,
        HELLO + struct.pack(">BII", Code.CALL, 1, 1 << 31),
        HELLO + call(1, b"info\n[]"),  # before it has joined
        HELLO + JOIN + JOIN,
        HELLO + join(b""),
        HELLO + join(b"a\\u001bb"),
        HELLO + join(b"x" * 999),
        HELLO + b"".join(frames_of(Code.JOIN, 0, b"[]", [])),
        HELLO + JOIN + call(1, b"close\n[]"),
        HELLO + JOIN + call(1, b"__class__\n[]"),
        HELLO + JOIN + call(1, b"_engine\n[]"),
        HELLO + JOIN + call(1, b"slots\n[1]"),
        HELLO + JOIN + call(1, b"slots\nx"),
        HELLO + JOIN + call(1, b"slots\n" + b"[" * 5000),
        HELLO + JOIN + call(1, b'upload\n[3,""]', b"ab"),
        HELLO + JOIN + call(1, b'send\n["x",3]', b"abc"),
        HELLO + JOIN + call(0, b"info\n[]"),
        HELLO + JOIN + call(1, b"idle\n[]") + call(1, b"idle\n[]"),
        HELLO + JOIN + b"".join(frames_of(Code.EVENT, 0, b"[]", [])),
    ],
)
@in_loop
async def test_hostile_bytes_end_their_own_connection_only(
    folder: Path, wallet: Wallet, said: bytes
) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid = await joined.spawn()
        for size in (len(said), 7):
            reader, writer = await asyncio.open_unix_connection(str(folder / "node.sock"))
            with contextlib.suppress(ConnectionError):
                for at in range(0, len(said), size):
                    writer.write(said[at : at + size])
                    await writer.drain()
                await reader.read()  # ends: the carrier has closed it
            writer.close()
        assert await joined.value(pid, "return 1") == "1" == await carrier.value(pid, "return 1")


@in_loop
async def test_one_that_says_nothing_or_goes_away_harms_nobody(
    folder: Path, wallet: Wallet
) -> None:
    async with two(folder, wallet, Limits(seconds=10_000)) as (carrier, joined):
        pid = await joined.spawn()
        silent = [await asyncio.open_unix_connection(str(folder / "node.sock")) for _ in range(20)]
        receipt = await joined.post(pid, ENDLESS, Action="Eval")
        for _, writer in silent[:10]:
            writer.write(HELLO + JOIN + call(1, f'result\n["{pid}",{receipt.slot}]'.encode()))
        host = carrier.node._reach._carrier._host  # type: ignore[attr-defined]
        await until(lambda: len(host._guests) == 21)
        for _, writer in silent[:15]:
            writer.transport.abort()
        await until(lambda: len(host._guests) == 6)
        assert await joined.node.cancel(pid, receipt.slot or 0)
        assert await joined.value(pid, "return 1") == "1"
        for _, writer in silent[15:]:
            writer.close()


@in_loop
async def test_there_is_a_bound_on_shells_and_on_calls(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SHELLS", 2)
    monkeypatch.setattr(server, "CALLS", 3)
    async with two(folder, wallet, Limits(seconds=10_000)) as (_, joined):
        second = await asyncio.open_unix_connection(str(folder / "node.sock"))
        assert await second[0].readline()
        with pytest.raises(AoError, match="2 shells share"):
            await HomeNode.open(Home(folder))
        pid = await joined.spawn()
        receipt = await joined.post(pid, ENDLESS, Action="Eval")
        waits = [asyncio.create_task(joined.node.result(pid, receipt.place)) for _ in range(5)]
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_EXCEPTION)
        assert all("under way" in str(one.exception()) for one in done)
        for one in waits:
            one.cancel()
        await asyncio.wait(waits)
        assert await joined.node.cancel(pid, receipt.slot or 0)
        second[1].close()


class _Gone:
    """A transport whose connection is lost, while that is not told yet."""

    def is_closing(self) -> bool:
        return True

    def write(self, _: bytes) -> None:
        raise AssertionError("asyncio warns of this on standard error")


@in_loop
async def test_nothing_is_written_to_a_connection_that_is_lost(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, wallet) as (carrier, joined):
        (guest,) = carrier.node._reach._carrier._host._guests  # type: ignore[attr-defined]
        wire = joined.node._reach._wire  # type: ignore[attr-defined]
        with monkeypatch.context() as lost:
            lost.setattr(guest, "_transport", _Gone())
            lost.setattr(wire, "_transport", _Gone())
            guest.give(Code.EVENT, 0, b"null", [])
            wire.post(CLOCK)


def open_files(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder itself is open while it is read
            found.append(str(link.readlink()))
    return found


@in_loop
async def test_workers_hold_neither_lock_nor_socket(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid = await joined.spawn()
        await joined.value(pid, "return 1")
        engine = carrier.node._reach.node._engine  # type: ignore[attr-defined]
        pids = [zygote.pid for zygote in engine.supervisor._zygotes.values()]
        pids += [live._worker.pid for live in engine.computer._live.values()]
        assert len(pids) >= 2
        for one in pids:
            assert not [name for name in open_files(one) if "node." in name]
        # Each socket of theirs is one of a pair, which has no listener and no path.
        listening = carrier.node._reach._carrier._door._socket.fileno()  # type: ignore[attr-defined]
        ours = str(Path(f"/proc/self/fd/{listening}").readlink())
        assert not [one for one in pids if ours in open_files(one)]
        assert any("node.lock" in name for name in open_files(os.getpid()))


@in_loop
async def test_a_fork_of_the_program_does_not_hold_the_home(folder: Path, wallet: Wallet) -> None:
    async with shell(folder, wallet):
        begin, end = socket.socketpair()
        if not (child := os.fork()):
            held = [name for name in open_files(os.getpid()) if "node.lock" in name]
            end.send(str(bool(held)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert begin.recv(10) == b"False"
        begin.close()
        end.close()


# Two at once ----------------------------------------------------------------------------------


@in_loop
async def test_twenty_shells_open_at_once(folder: Path, wallet: Wallet) -> None:
    nodes = await asyncio.gather(
        *(HomeNode.open(Home(folder), client=f"s:{number}") for number in range(20))
    )
    try:
        assert sum(node._reach.node is not None for node in nodes) == 1
        locals_ = [Local(node, wallet, node._reach.address) for node in nodes]  # type: ignore[arg-type]
        pid = await locals_[3].spawn("N = 0")
        await asyncio.gather(*(local.eval(pid, "N = N + 1") for local in locals_))
        assert await locals_[7].value(pid, "N") == "20"
    finally:
        for node in nodes:
            await node.close()


@in_loop
async def test_what_changes_a_log_waits_for_lines_of_others(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, wallet, Limits(seconds=10_000)) as (carrier, joined):
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
async def test_others_are_told_what_was_taken_back_or_deleted(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as shells:
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
async def test_a_deed_that_nobody_hears_is_not_kept(folder: Path, wallet: Wallet) -> None:
    async with shell(folder, wallet) as alone:
        await alone.node.delete(await alone.spawn())
        heard = Heard(alone)
        await turns()
        assert not heard.notices()


@in_loop
async def test_the_log_knows_who_sent_a_message(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid = await joined.spawn()
        await carrier.eval(pid, "1")
        await joined.eval(pid, f'Send({{Target = "{pid}", Action = "x"}})')
        messages = await joined.messages(pid)
        assert [one.assignment.client for one in messages if one.assignment] == [
            *("b:2", "a:1", "b:2"),
            "",  # sent by the process
        ]
        assert not [tag for one in messages for tag in one.tags if "b:2" in tag.value]
    async with shell(folder, wallet, "c:3") as again:
        assert [one.assignment.client for one in await again.messages(pid) if one.assignment][
            :3
        ] == ["b:2", "a:1", "b:2"]


@in_loop
async def test_a_program_answers_while_its_own_code_blocks(folder: Path, wallet: Wallet) -> None:
    """The second shell is a process of its own loop, in a thread: the first loop stands still."""
    async with shell(folder, wallet, "python:1", threaded=True) as program:
        pid = await program.spawn("N = 7")
        assert program.node._reach.node is None  # type: ignore[attr-defined]
        answers: list[str] = []

        async def other() -> None:
            async with shell(folder, wallet, "b:2") as joined:
                answers.append(await joined.value(pid, "return N"))

        thread = threading.Thread(target=lambda: asyncio.run(other()))
        thread.start()
        thread.join(60)  # this loop is blocked as long
        assert answers == ["7"]
        await program.eval(pid, "N = 8")
        assert await program.value(pid, "N") == "8"
    assert not (folder / "node.sock").exists()


@in_loop
async def test_a_carrier_that_does_not_answer_is_shown(folder: Path, wallet: Wallet) -> None:
    """As one whose terminal is held (Ctrl-S): it is not stopped, and nobody knows why."""
    async with shell(folder, wallet, "python:1", threaded=True) as program:
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


@in_loop
async def test_a_home_that_cannot_be_opened_says_why(folder: Path, wallet: Wallet) -> None:
    del wallet
    folder.mkdir()
    (folder / "node.db").write_bytes(b"no database" * 1000)
    for threaded in (False, True):
        with pytest.raises(AoError, match="damaged") as failed:
            await HomeNode.open(Home(folder), threaded=threaded)
        assert failed.value.stage == "store"
        assert not (folder / "node.sock").exists()


@in_loop
async def test_a_large_export_comes_whole(folder: Path, wallet: Wallet) -> None:
    async with two(folder, wallet) as (carrier, joined):
        pid = await joined.spawn()
        body = os.urandom(600_000).hex()
        await joined.post(pid, body, Action="Keep")
        await joined.eval(pid, "1")
        exported = await joined.node.export(pid)
        assert exported == await carrier.node.export(pid) and len(exported) > 300_000
        await joined.node.delete(pid)
        back = await joined.node.restore(exported, "back")
        assert (await joined.node.schedule(back.id, 1, 1))[0].data.decode() == body


def test_faults_have_stages() -> None:
    mine, theirs = Hello(FORMAT, __version__, 1), Hello(FORMAT + 1, "2", 2)
    for error in (
        faults.StoppedError(Path("/h"), 3),
        faults.silent(Path("/h"), 0, 1.0),
        faults.other_version(Path("/h"), theirs, mine),
        faults.foreign(Path("/h"), 5),
        faults.other_build(Path("/h"), 6),
        faults.unjoinable(Path("/h"), 7),
        faults.without_file(Path("/h"), 7, Path("/h/s")),
        faults.not_known("undo"),
    ):
        assert error.stage == "join" and error.hint
