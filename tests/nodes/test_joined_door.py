"""`nodes.joined`: the socket of a home, who may join, and the errors of those who may not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from pathlib import Path

import pytest
from eventually import in_loop, until
from joined_shells import ENDLESS, shell, two
from signers import Ed25519

from aoshell import __version__
from aoshell.errors import AoError
from aoshell.nodes.joined import door, faults, reach, server, wire
from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.frames import FORMAT, Code, Hello, frames_of
from aoshell.nodes.joined.node import HomeNode
from aoshell.nodes.joined.verbs import CLOCK
from aoshell.nodes.local.log.lock import lock_folder
from aoshell.nodes.values import Limits
from aoshell.sandbox.supervising.supervisor import Supervisor


@in_loop
async def test_the_socket_is_private_and_goes_with_its_carrier(
    folder: Path, signer: Ed25519
) -> None:
    async with shell(folder, signer):
        path = folder / "node.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()
    path.write_bytes(b"left behind")  # by one that was killed
    async with two(folder, signer) as (_, joined):
        assert await joined.node.processes() == []


@in_loop
async def test_a_socket_whose_file_was_removed_is_bound_anew(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOOK", 0.01)
    for threaded in (False, True):
        async with (
            shell(folder, signer, threaded=threaded) as carrier,
            shell(folder, signer, "b:2") as before,
        ):
            pid = await before.spawn()
            for _ in range(2):
                (folder / "node.sock").unlink()
                async with shell(folder, signer, "c:3") as after:
                    assert await after.value(pid, "1") == "1"
                assert stat.S_IMODE((folder / "node.sock").stat().st_mode) == 0o600
            assert await before.value(pid, "1") == "1"  # it stays joined
            assert await carrier.value(pid, "1") == "1"
        assert not (folder / "node.sock").exists()


@in_loop
async def test_a_socket_that_stays_away_is_named(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "LOOK", 1e6)
    monkeypatch.setattr(reach, "PATIENCE", 0.2)
    async with shell(folder, signer):
        (folder / "node.sock").unlink()
        with pytest.raises(AoError, match=r"node\.sock is not there"):
            await HomeNode.open(Home(folder), client="b:2")


@in_loop
async def test_long_paths_go_to_the_runtime_folder(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Path(f"/tmp/ao-{os.getpid()}")
    runtime.mkdir(mode=0o700)
    try:
        for name in (str(runtime), "", "/tmp/" + "x" * 90):
            monkeypatch.setenv("XDG_RUNTIME_DIR", name)
            monkeypatch.setattr("tempfile.tempdir", str(runtime))
            deep = folder / ("d" * 90) / str(len(name))
            async with two(deep, signer) as (carrier, joined):
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
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> Path:
        raise PermissionError("no sockets here")

    monkeypatch.setattr(door, "socket_path", refuse)
    monkeypatch.setattr(reach, "WITHOUT_SOCKET", 0.2)
    async with shell(folder, signer) as alone:
        assert await alone.value(await alone.spawn(), "return 1") == "1"
        with pytest.raises(AoError, match="cannot be joined") as silent:
            await HomeNode.open(Home(folder))
        assert str(os.getpid()) in str(silent.value)


@in_loop
async def test_who_is_waited_for_is_said_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ANSWER_WITHIN", 0.02)
    monkeypatch.setattr(wire, "PATIENCE", 0.2)
    told: list[str] = []
    lock = lock_folder(folder)
    with contextlib.closing(lock), socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(folder / "node.sock"))
        mute.listen()
        lock.note(str(folder / "node.sock"))
        with pytest.raises(AoError, match="has not answered for 0 s"):
            await HomeNode.open(Home(folder), tell=told.append)
    (line,) = told
    assert line.startswith(f"waiting for pid {os.getpid()}: it carries the node of this home")


@in_loop
async def test_another_user_is_not_let_in(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shell(folder, signer):
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
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shell(folder, signer):
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
async def test_another_build_of_the_same_version_is_refused(folder: Path, signer: Ed25519) -> None:
    async with shell(folder, signer):
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
    folder: Path, signer: Ed25519, said: bytes
) -> None:
    async with two(folder, signer) as (carrier, joined):
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
    folder: Path, signer: Ed25519
) -> None:
    async with two(folder, signer, Limits(seconds=10_000)) as (carrier, joined):
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
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SHELLS", 2)
    monkeypatch.setattr(server, "CALLS", 3)
    async with two(folder, signer, Limits(seconds=10_000)) as (_, joined):
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
    """A transport whose connection is lost, but which does not report it yet."""

    def is_closing(self) -> bool:
        return True

    def write(self, _: bytes) -> None:
        raise AssertionError("asyncio warns of this on standard error")


@in_loop
async def test_nothing_is_written_to_a_connection_that_is_lost(
    folder: Path, signer: Ed25519, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(folder, signer) as (carrier, joined):
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
async def test_workers_hold_neither_lock_nor_socket(folder: Path, signer: Ed25519) -> None:
    # With a zygote of its own, which starts while the lock is open.
    async with two(folder, signer, supervisor=Supervisor()) as (carrier, joined):
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
async def test_a_fork_of_the_program_does_not_hold_the_home(folder: Path, signer: Ed25519) -> None:
    async with shell(folder, signer):
        begin, end = socket.socketpair()
        if not (child := os.fork()):
            held = [name for name in open_files(os.getpid()) if "node.lock" in name]
            end.send(str(bool(held)).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert begin.recv(10) == b"False"
        begin.close()
        end.close()


@in_loop
async def test_a_home_that_cannot_be_opened_says_why(folder: Path, signer: Ed25519) -> None:
    del signer
    folder.mkdir()
    (folder / "node.db").write_bytes(b"no database" * 1000)
    for threaded in (False, True):
        with pytest.raises(AoError, match="damaged") as failed:
            await HomeNode.open(Home(folder), threaded=threaded)
        assert failed.value.stage == "store"
        assert not (folder / "node.sock").exists()


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
