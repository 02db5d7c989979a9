"""A line is signed where one pauses while it is typed. What is not sent leaves nothing behind."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from hashlib import sha256
from pathlib import Path

import pytest
from eventually import until
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode
from shell_remote import FakeRemote
from shell_session import Screen, use
from zygotes import SHARED

from aoshell.home.folders import Settings
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.encoding import b64url
from aoshell.protocol.message import Message
from aoshell.protocol.wallet import Digest, Wallet
from aoshell.shell.attached.ahead import AskedWallet
from aoshell.shell.attached.session import Session

SECRET = "'a-secret-that-nobody-sends'"


Signatures = list[bytes]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Signatures:
    """All signatures that are made."""
    signatures: Signatures = []
    sign = Wallet.sign

    def noted(wallet: Wallet, message: bytes, digest: Digest = "sha256") -> bytes:
        signature = sign(wallet, message, digest)
        signatures.append(signature)
        return signature

    monkeypatch.setattr(Wallet, "sign", noted)
    return signatures


async def ready(keyboard: Keyboard) -> Session:
    """Wait until lines can be sent."""
    app = keyboard.app
    await until(lambda: app._session and app._session.process and app._session.identities.ready)
    await until(lambda: not app._busy)
    assert app._session
    return app._session


async def signed(keyboard: Keyboard, typed: str) -> bytes:
    """Type, and wait until it is signed; the signature."""
    session = await ready(keyboard)
    keyboard.type(typed)
    await until(lambda: session.ahead._kept)
    kept = session.ahead._kept
    assert kept
    return await asyncio.shield(kept[2])


def id_of(signature: bytes) -> str:
    return b64url(sha256(signature).digest())


def ids(node: FakeNode) -> list[str]:
    return [entry.message.id for log in node.log.values() for entry in log]


def test_enter_sends_what_was_signed(node: FakeNode, home: Settings, made: Signatures) -> None:
    async def script(keyboard: Keyboard) -> None:
        signature, count = await signed(keyboard, "1+1"), len(made)
        keyboard.type("\r")
        await keyboard.see("2\n")
        assert ids(node)[-1] == id_of(signature) and len(made) == count
        keyboard.type("1+1\r")  # the same again is another message
        await keyboard.see("2\n")
        assert ids(node)[-1] != id_of(signature) and len(made) == count + 1
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1", "1+1"]


def test_another_text_is_signed_anew(node: FakeNode, home: Settings, made: Signatures) -> None:
    async def script(keyboard: Keyboard) -> None:
        signature = await signed(keyboard, "1+1")
        keyboard.type("0\r")
        await keyboard.see("11\n")
        assert id_of(signature) not in ids(node)
        assert signature in made
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+10"]


def test_one_text_is_signed_once(node: FakeNode, home: Settings, made: Signatures) -> None:
    async def script(keyboard: Keyboard) -> None:
        await signed(keyboard, "1+1")
        count, signing = len(made), keyboard.app._signing
        keyboard.type("2\x7f")
        await keyboard.taken()
        signing._begin()
        await keyboard.taken()
        assert keyboard.app._session and keyboard.app._session.ahead._kept is None
        assert len(made) == count
        keyboard.type("\r")
        await keyboard.see("2\n")
        keyboard.type("\x04")

    play(node, home, script)


@pytest.mark.parametrize(
    "typed", ["if true then", ".ps", "\x1b[200~1+1\x1b[201~", "1+1\x1b\r2+2", "(" * 50]
)
def test_what_is_not_signed(node: FakeNode, home: Settings, made: Signatures, typed: str) -> None:
    """What is no line of Lua yet, or was pasted, or is several lines."""

    async def script(keyboard: Keyboard) -> None:
        session, count = await ready(keyboard), len(made)
        keyboard.type(typed)
        await keyboard.taken()
        keyboard.app._signing._begin()
        await keyboard.taken()
        assert session.ahead._kept is None
        assert len(made) == count
        keyboard.type("\x03\x03\x04")

    play(node, home, script)


def test_nothing_is_signed_for_a_fork(
    node: FakeNode, home: Settings, made: Signatures, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unsigned(_wallet: Wallet, target: str, *_: object) -> Message:
        return Message("i" * 43, "o" * 43, "o" * 43, target, (), b"")

    async def body(session: Session, _screen: Screen) -> None:
        monkeypatch.setattr(node, "sign", unsigned)
        count = len(made)
        await session.sign_ahead("1+1")
        assert session.ahead._kept is None and len(made) == count

    use(node, home, body)


def test_nothing_is_signed_for_a_remote_node(
    there: FakeRemote, home: Settings, made: Signatures
) -> None:
    async def body(session: Session, _screen: Screen) -> None:
        count = len(made)
        await session.sign_ahead("1+1")
        assert session.ahead._kept is None and len(made) == count

    use(there, home, body)


def test_only_the_same_bytes_have_it(node: FakeNode, home: Settings, made: Signatures) -> None:
    async def body(session: Session, _screen: Screen) -> None:
        wallet = await session.wallet()
        await session.sign_ahead("1+1")
        prepared = await session.ahead.prepared(wallet)
        item = await session._signed_by(session.attached.id, "1+2", prepared)
        assert isinstance(item, DataItem) and item.verify() and item.signature != made[-2]
        assert await session.ahead.prepared(wallet) is wallet  # it is given once
        await session.sign_ahead("1+1")
        other = AskedWallet(wallet)
        assert await session.ahead.prepared(other) is other

    use(node, home, body)


@pytest.mark.parametrize("key", ["\x03", "\x15", "\x1bOA"], ids=["c", "u", "up"])
def test_a_line_that_is_given_up_is_forgotten(node: FakeNode, home: Settings, key: str) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("x = 1\r")
        await until(lambda: node.codes)
        session = await ready(keyboard)
        await signed(keyboard, "1+1")
        keyboard.type(key)
        await until(lambda: session.ahead._kept is None)
        keyboard.type("\x03\x03\x04")

    play(node, home, script)


def test_where_no_thread_can_begin_a_line_is_signed_as_it_is_sent(
    node: FakeNode, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def script(keyboard: Keyboard) -> None:
        session = await ready(keyboard)
        await keyboard.helped()
        keyboard.type("1+1")
        await keyboard.line("1+1")
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refused)
            keyboard.app._signing._begin()
            making = keyboard.app._signing._making
            assert making
            await until(making.done)
        assert making.exception() is None and session.ahead._kept is None
        keyboard.type("\r")
        await keyboard.see("2\n")
        keyboard.type("\x04")

    play(node, home, script)


def test_an_unsent_text_leaves_no_trace(
    home: Settings, made: Signatures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the text nor its signature: in the home, in the folder for what is temporary, in what
    the session and the node hold."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    opened: list[LocalNode] = []

    async def opens(settings: Settings) -> LocalNode:
        opened.append(await LocalNode.open(settings.state, supervisor=SHARED))
        return opened[0]

    found: list[bytes] = []

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        before = opened[0].newest
        found.append(await signed(keyboard, SECRET))
        keyboard.type("\x7f" * len(SECRET))
        await keyboard.line("")
        session = keyboard.app._session
        assert session and session.ahead._kept is None
        assert opened[0].newest == before
        assert not session.journal.typed
        keyboard.type("\x04")

    printed = play(opens, home, script)
    assert found[0] in made and SECRET not in printed
    texts = (SECRET.encode(), found[0], b64url(found[0]).encode(), id_of(found[0]).encode())
    assert home.home.is_relative_to(tmp_path)
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert any(b"1+1" in file.read_bytes() for file in files)  # it looks where lines are kept
    for file in files:
        data = file.read_bytes()
        assert not any(text in data for text in texts), file
