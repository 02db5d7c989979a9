"""With verified answers, no unsigned text of a node reaches the screen.

Each command is typed at a node that puts a marker wherever its answers are unsigned: in
results, errors, redirects, schedules, look-ups, headers. Without `.verify` the marker is seen.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hyper_server import HyperServer, Reply, Request, serving
from rsa_keys import RsaKeys, wallet
from test_remote_hyperbeam import EVAL, LUA_MODULE, WASM_MODULE, node_wallet, profile, server

from aoshell.backends import remote_node
from aoshell.home.endpoints import Endpoints
from aoshell.home.folders import Settings
from aoshell.nodes.remote.http import client
from aoshell.nodes.remote.hyperbeam import sending
from aoshell.nodes.remote.hyperbeam.node import HyperBeamNode
from aoshell.nodes.values import Verify
from aoshell.protocol import signing
from aoshell.protocol.commitment import CURRENT, EDGE
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attestation.pins import AttestationPins, Passed
from aoshell.shell.lines.batch import BatchFront, run_lines
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import Key, Start, close_session, open_session
from aoshell.shell.view.render import Renderer

__all__ = ["node_wallet", "profile", "server", "wallet"]  # fixtures

MARK = "XQMARKQX"
ID = MARK + "A" * 35
PLAIN = [("content-type", "text/plain"), ("x-said", MARK), ("reason", MARK)]
JSON = [("content-type", "application/json")]

Fault = Callable[[Request, Reply], Reply]


def everything() -> bytes:
    """One answer for all questions: a schedule, a result, an assignment, a look-up."""
    tags = [{"name": "Name", "value": MARK}, {"name": "Execution-Device", "value": "lua@5.3a"}]
    found = [
        {"node": {"id": ID[:-1] + end, "tags": tags, "owner": {"address": ID}, "data": {}}}
        for end in "AE"
    ]
    return json.dumps(
        {
            "raw": {"Output": {"data": MARK, "prompt": MARK}, "Messages": []},
            "data": {"transactions": {"edges": found}},
            "errors": None,
            "edges": [{MARK: MARK}],
            "process": ID,
            "slot": MARK,
            "id": ID,
            "body": MARK,
        }
    ).encode()


def status(number: int, body: bytes = MARK.encode()) -> Fault:
    return lambda _request, _reply: (number, PLAIN, body)


def onward(location: str) -> Fault:
    def fault(request: Request, _reply: Reply) -> Reply:
        if MARK in request.path:
            return 200, PLAIN, MARK.encode()
        return 302, [*PLAIN, ("location", location)], MARK.encode()

    return fault


def forged(_request: Request, reply: Reply) -> Reply:
    """The signature of something else, which claims to cover a key with the marker's name."""
    number, headers, _ = reply
    kept = [
        (name, value.replace("=(", f'=("{MARK.lower()}" ') if name == "signature-input" else value)
        for name, value in headers
        if name != "content-digest"
    ]
    return number, [*kept, ("output", MARK)], MARK.encode()


def added(_request: Request, reply: Reply) -> Reply:
    """What the node signed, and unsigned headers beside it."""
    number, headers, body = reply
    names = {name for name, _ in headers}
    more = [("error", MARK), ("prompt", MARK), ("process", MARK), ("x-said", MARK)]
    return number, [*headers, *((name, value) for name, value in more if name not in names)], body


def refused_push(request: Request, reply: Reply) -> Reply:
    """A push that is refused, and a log that nobody signs."""
    if request.method == "POST":
        return 400, PLAIN, MARK.encode()
    if "schedule" not in request.path:
        return reply
    text = json.dumps(
        {
            "edges": [
                {
                    "node": {
                        "message": {"Id": ID, "Data": MARK, "Tags": [], "Owner": MARK},
                        "assignment": {
                            "Tags": [
                                {"name": "Process", "value": request.path[1:44]},
                                {"name": "Slot", "value": "1"},
                            ]
                        },
                    }
                }
            ]
        }
    )
    return 200, JSON, text.encode()


def theirs(wallet: Wallet) -> Fault:
    def fault(_request: Request, _reply: Reply) -> Reply:
        said = {"body": MARK, "output": {"data": MARK, "prompt": MARK}, "status": 200}
        return 200, *signing.sign(wallet, said)

    return fault


SEEN: dict[str, Fault] = {  # as long as nothing is verified
    "200 as JSON": lambda _request, _reply: (200, JSON, everything()),
    "200 as a message": lambda _request, _reply: (200, [("output", MARK), *PLAIN], MARK.encode()),
    "400": status(400),
    "404": status(404),
    "500": status(500),
    "503": status(503),
    "a page": lambda _r, _s: (
        502,
        [("content-type", "text/html")],
        f"<html><title>{MARK}".encode(),
    ),
    "a type": lambda _request, _reply: (200, [("content-type", MARK)], b"x"),
    "elsewhere": onward(f"http://{MARK}.example/{MARK}"),
    "here": onward(f"/{MARK}"),
    "no HTTP": lambda _request, _reply: (200, [("x-said", f"\x01{MARK}")], b""),
    "a refused push": refused_push,
}
UNSEEN: dict[str, Fault] = {
    "a dead port": onward(f"http://127.0.0.1:1/{MARK}"),
    "forged": forged,
    "added": added,
}
# Faults that let answers of the node through, so that it matters how it signs them.
SIGNED = ("a refused push", "forged", "added")


def at_nodes(*cases: tuple[Any, ...]) -> pytest.MarkDecorator:
    """Cases (a kind of fault, and a level): at both generations of nodes where answers of theirs
    come through, otherwise at one and the other in turn."""
    profiles = (EDGE, CURRENT)
    found = [
        pytest.param(profile, *case, id="-".join([("june", "later")[number], *map(str, case)]))
        for at, case in enumerate(cases)
        for number, profile in enumerate(profiles)
        if case[0] in SIGNED or at % 2 == number
    ]
    names = ("profile", "kind", "level")[: 1 + len(cases[0])]
    return pytest.mark.parametrize(names, found, indirect=["profile"])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(client, "TRIES", 1)
    monkeypatch.setattr(sending, "LOOKS", (0.01,))


def lines(url: str, process: str, folder: Path) -> list[str]:
    """A line for each thing that a node is asked, and for what shows what it said."""
    file = folder / "code.lua"
    file.write_text("return 1")
    return [
        *("1+1", "Send({Target = ao.id, Action = 'Hi'})", ".result 1", f".result {'R' * 43}"),
        *(".messages", ".log 1", ".inbox", ".now", ".now key", ".dryrun 1+1", ".handlers"),
        *(f".send {process} Action=Hi x", f".send {'S' * 43} Action=Hi x", f".load {file}"),
        *(f".spawn {LUA_MODULE} as new --yes", f".spawn {WASM_MODULE} --yes"),
        *(f".publish {file} as code --yes", ".node", ".doctor", ".ps", ".names"),
        *(".attach first", ".attach unheard", f".attach {'M' * 43}", "3+3", f".attach {process}"),
        *(".attest", f".attest {url}", f".nodes --tee {url}", ".verify", ".node"),
    ]


FEW = ("1+1", ".now key", ".messages", ".dryrun 1+1", ".attach unheard", ".doctor")


def opened_at(server: HyperServer, settings: Settings, key: Key, level: Verify) -> HyperBeamNode:
    """The node, which is gateway and bundler as well."""
    url = server.url
    pinned = Passed(url, server.wallet.address, "", "", "", 0, int(time.time()) + 999)
    AttestationPins(settings).put(pinned)
    at = Endpoints("hyperbeam", url, gateway=url, bundler=url)
    node = remote_node(at, settings, key, level.value)
    assert isinstance(node, HyperBeamNode)
    return node


async def made(server: HyperServer, settings: Settings, wallet: Wallet) -> str:
    """A process with a message, made by an honest node."""
    server.sign_all = True

    async def key() -> Wallet:
        return wallet

    node = opened_at(server, settings, key, Verify.OFF)
    tags = tags_of([("Module", LUA_MODULE), ("Name", "first"), ("Execution-Device", "lua@5.3a")])
    process = (await node.spawn(await node.sign(wallet, "", tags, b""), "first")).process
    await node.send(process, await node.sign(wallet, process, EVAL, b"1+1"))
    await node.close()
    return process


async def typed(
    server: HyperServer,
    settings: Settings,
    wallet: Wallet,
    level: Verify,
    fault: Fault,
    *,
    opening: bool,
    few: bool,
) -> str:
    """All that a shell shows of all lines, or of a few.

    Args:
        opening: the fault is there from the start, not only from the first line on.
    """
    shown: list[str] = []

    async def opened(settings: Settings, _: object, key: Key, __: object) -> HyperBeamNode:
        return opened_at(server, settings, key, level)

    async def all_lines() -> AsyncIterator[str]:
        server.faults["."] = fault
        for line in FEW if few else lines(server.url, process, settings.home):
            yield line

    async with serving(server):
        process = await made(server, settings, wallet)
        if opening:
            server.faults["."] = fault
        renderer = Renderer(shown.append, shown.append, colour=False)
        front = BatchFront(renderer)
        front.asks = True
        start = Start("unheard" if opening else process, named=True, place=f"on {server.url}")
        session = await open_session(start, settings, opened, front, Patience.OWN)
        try:
            await run_lines(session, all_lines(), renderer)
            await asyncio.sleep(0.05)  # what the feed tells
        finally:
            await close_session(session)
            front.close()
    return "".join(shown)


Shown = Callable[..., str]


@pytest.fixture
def shown(server: HyperServer, settings: Settings, wallet: Wallet) -> Shown:
    def show(level: Verify, fault: Fault, *, opening: bool = False, few: bool = False) -> str:
        whole = typed(server, settings, wallet, level, fault, opening=opening, few=few)
        return asyncio.run(asyncio.wait_for(whole, 60))

    return show


@pytest.fixture
def settings(aoshell_home: Path, wallet: Wallet) -> Settings:
    found = Settings.find()
    assert found.home == aoshell_home
    found.make_folders()
    found.wallet.write_text(json.dumps(wallet.jwk()))
    return found


MODES = [
    *((kind, Verify.ON) for kind in (*SEEN, *UNSEEN)),
    *((kind, Verify.ATTESTED) for kind in ("200 as JSON", "500", "a refused push", *UNSEEN)),
]


@at_nodes(*MODES)
def test_what_nobody_signed_is_not_shown(shown: Shown, kind: str, level: Verify) -> None:
    said = shown(level, (SEEN | UNSEEN)[kind])
    assert MARK.lower() not in said.lower(), said
    assert said.count("\n") > 30
    if kind in ("404", "500"):
        assert f"{kind} (what it says is not signed, so it is not shown)" in said


@at_nodes(*((kind,) for kind in SEEN))
def test_it_is_shown_where_nothing_is_verified(shown: Shown, kind: str) -> None:
    assert MARK.lower() in shown(Verify.OFF, SEEN[kind], few=True).lower()


@pytest.mark.parametrize("level", [Verify.ON, Verify.ATTESTED])
def test_what_another_key_signed_is_not_shown(
    shown: Shown, rsa_keys: RsaKeys, level: Verify
) -> None:
    stranger = rsa_keys.wallet(1)  # 0 is the user's
    said = shown(level, theirs(stranger))
    assert MARK.lower() not in said.lower() and stranger.address in said


@at_nodes(("200 as JSON",), ("500",), ("elsewhere",), ("here",), ("forged",))
def test_a_shell_that_opens_shows_nothing_unsigned(shown: Shown, kind: str) -> None:
    said = shown(Verify.ON, (SEEN | UNSEEN)[kind], opening=True)
    assert MARK.lower() not in said.lower(), said
