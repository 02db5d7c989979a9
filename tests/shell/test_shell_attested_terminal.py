"""Attested results at prompts in true terminals, on a node over real HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

sys.path.extend(str(Path(__file__).parents[1] / room) for room in ("attest", "nodes"))

from attested_shell import MODULE, Guest
from cryptography.hazmat.primitives.asymmetric import rsa
from der_writer import NOW
from ek import Maker
from envelope_node import TpmNode
from hyper_server import serving
from terminal import Terminal
from test_shell_cli import environment

from aoshell.home.folders import Settings
from aoshell.nodes.remote.memory import Book
from aoshell.protocol.wallet import Wallet

ENTRY = Path(__file__).with_name("attested_entry.py")
PROMPT = r"^(default|sim)>$"

Open = Callable[..., Terminal]


@pytest.fixture
def server(wallet: Wallet) -> Iterator[Guest]:
    """A node with a TPM, in a thread with a loop of its own."""
    server = Guest(wallet, sign_all=True)
    key = rsa.generate_private_key(65537, 2048)
    server.guest = TpmNode(wallet=wallet, maker=Maker(), ak_key=key)
    ready, loop = threading.Event(), asyncio.new_event_loop()

    async def run() -> None:
        async with serving(server):
            ready.set()
            await stop.wait()

    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(60)
    yield server
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture
def stranger(other_wallet: Wallet) -> Wallet:
    return other_wallet


@pytest.fixture
def shell(server: Guest, home: Settings) -> Open:
    """Opens a shell on that node in a terminal."""
    guest = server.guest
    assert isinstance(guest, TpmNode)
    home.config.mkdir(parents=True, exist_ok=True)
    (home.config / "attest.toml").write_text("ek_revocation = false\n")
    book = Book(home.state / "remote.db")
    book.put(server.url, "module", MODULE, {"kind": "lua", "name": ""})
    roots = {fingerprint: root.vendor for fingerprint, root in guest.maker.roots.items()}
    more = {"EK_ROOTS": json.dumps(roots), "AT": str(NOW)}

    @contextmanager
    def open_(*words: str, columns: int = 80, rows: int = 40, **changes: str) -> Iterator[Terminal]:
        where = ("--node", server.url, "--gateway-url", server.url)
        command = [sys.executable, str(ENTRY), *where, *words]
        variables = environment(home, **more, **changes)
        screen = Terminal(command, variables, columns=columns, rows=rows)
        try:
            yield screen
        finally:
            screen.child.close(force=True)

    return open_


def say(screen: Terminal, line: str, *patterns: str) -> str:
    """Types a line once the prompt is there; the screen once it matches."""
    screen.shows(PROMPT)
    screen.type(f"{line}\r")
    shown = ""
    for pattern in patterns:
        shown = screen.shows(pattern)
    return shown


@contextmanager
def attested(shell: Open, **changes: Any) -> Iterator[Terminal]:
    """A shell whose node was attested, and that takes only its answers."""
    with shell("--module", MODULE, **changes) as screen:
        screen.shows(r"Make the process default there\? \[y/N\]")
        screen.type("y\r")
        say(screen, ".attest", r"^INCONCLUSIVE: nothing is wrong so far,")
        say(screen, ".trust my machine", r"^the next \.attest uses it$")
        say(screen, ".attest", r"^PASS: a genuine TPM \(INTC\) vouches", r"attested \d\d:\d\d")
        say(screen, ".verify attested", r"any other key than the attested")
        yield screen


def test_from_unknown_to_attested_results(shell: Open, server: Guest, stranger: Wallet) -> None:
    with attested(shell) as screen:
        say(screen, "20+1", r"^21$")
        server.signer = stranger
        say(screen, "30+1", r"refused: signed\s+b[^,]*, not by the attested\s+key")
        server.signer, server.guest = None, server.guest.but(signer=stranger)
        shown = say(screen, ".attest", r"^FAIL: ", r"· FAIL")
        assert not re.search(r"^31\s*$", shown, re.MULTILINE)  # an id may begin so
        say(screen, "40+1", r"is not attested, so nothing of it is\s+taken")


def test_two_shells_share_a_pin(shell: Open, server: Guest, stranger: Wallet) -> None:
    guest = server.guest
    with attested(shell) as first, shell("--verify", "attested") as second:
        say(second, "20+1", r"^21$")
        server.guest = guest.but(signer=stranger)
        say(first, ".attest", r"^FAIL: ", r"· FAIL")
        say(second, "30+1", r"did not pass when\s+another", r"so nothing of it is\s+taken")
        server.guest = guest
        say(first, ".attest", r"PASS: [^!]*\n[^!]*PASS: |attested \d\d:\d\d")
        say(second, "40+1", r"^41$")
        assert "\n31" not in "\n".join(second.lines)


@pytest.mark.parametrize("columns", [80, 60, 52])
def test_no_word_of_a_verdict_is_broken(shell: Open, columns: int) -> None:
    with attested(shell, columns=columns, rows=120) as screen:
        shown = "\n".join(screen.lines)
    words = {word for line in shown.split("\n") for word in line.split()}
    for whole in ("vouches", "restricted", "template", "signer", "certified", "Configuration"):
        assert whole in words


def test_no_colour(shell: Open) -> None:
    with attested(shell, NO_COLOR="1", rows=60) as screen:
        shown = [cell for line in screen.screen.buffer.values() for cell in line.values()]
    assert {(cell.fg, cell.bg) for cell in shown} == {("default", "default")}
