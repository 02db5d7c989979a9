"""`.serve` at a prompt: the same node, the same loop, and no cost without `.serve`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typed_session import Typed, run

from aoshell.cli import _serve
from aoshell.home.folders import Settings
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet

Body = Callable[[Typed], Awaitable[None]]
Typing = Callable[[Body], None]


@pytest.fixture
def typing(aoshell_home: Path, wallet: Wallet, other_wallet: Wallet) -> Typing:
    """Type into a session at a real node whose home has keys: `typing(body)`."""
    settings = Settings.find()
    assert settings.home == aoshell_home
    settings.make_folders()
    settings.node_key.write_text(json.dumps(other_wallet.jwk()))

    def use(body: Body) -> None:
        async def serving(type: Typed) -> None:
            type.session.serve = _serve
            await body(type)

        run(settings.state, wallet, serving)

    return use


async def facts(type: Typed, line: str = ".serve 0") -> dict[str, Any]:
    found: dict[str, Any] = (await type.reply(line)).value  # type: ignore[assignment]
    return found


def test_what_is_typed_is_seen_by_clients(typing: Typing, wallet: Wallet) -> None:
    async def body(type: Typed) -> None:
        at = await facts(type)
        await type("x = 41")
        process = type.session.attached.id
        async with httpx.AsyncClient(base_url=at["url"], timeout=60) as client:
            tags = tags_of([("Data-Protocol", "ao"), ("Type", "Message"), ("Action", "Eval")])
            item = DataItem.sign(wallet, process, tags, b"x = x + 1 return x")
            assert (await client.post("/", content=item.raw)).status_code == 202
            answer = await client.get(f"/result/{item.id}?process-id={process}")
            assert answer.json()["Output"]["data"] == "42"
        assert await type.value("return x") == "42"

    typing(body)


def test_it_is_shown_again_and_ended(typing: Typing) -> None:
    async def body(type: Typed) -> None:
        at = await facts(type)
        for again in (".serve", ".serve 4999"):
            shown = await type.reply(again)
            assert shown.value == at
            assert shown.text == f"this node is served already, on {at['url']}"
        assert at["token"] in (await type.reply(".serve show")).text
        assert "any more" in (await type.reply(".serve off")).text
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(at["url"])
        for without in (".serve off", ".serve show"):
            assert (await type.reply(without)).text == "this node is not served"

    typing(body)


def test_leaving_ends_it(typing: Typing) -> None:
    urls = []

    async def body(type: Typed) -> None:
        urls.append((await facts(type))["url"])

    typing(body)
    with pytest.raises(httpx.ConnectError):
        httpx.get(urls[0])


def test_ports_that_are_none(typing: Typing) -> None:
    async def body(type: Typed) -> None:
        for line in (".serve x", ".serve -1", ".serve 70000", ".serve 1 2"):
            assert ".serve [PORT|show|off]" in await type.error(line)
        at = await facts(type)
        await type(".serve off")
        blocker = await asyncio.start_server(lambda *_: None, "127.0.0.1", at["port"])
        assert "is taken" in await type.error(f".serve {at['port']}")
        blocker.close()

    typing(body)


def test_a_session_without_a_server(typing: Typing) -> None:
    async def body(type: Typed) -> None:
        type.session.serve = None
        assert "cannot serve" in await type.error(".serve")

    typing(body)


def test_a_start_does_not_pay_for_it(aoshell_home: Path) -> None:
    """Nothing of the server is imported for a line, at the prompt or in a pipe."""
    code = (
        "import sys, aoshell.cli as c, aoshell.shell.prompt.app; c.main(['--run', '1+1']);"
        "print([m for m in sys.modules if m.split('.')[0] in ('uvicorn', 'h11', 'httptools')"
        " or m.startswith('aoshell.serve')])"
    )
    del aoshell_home
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines() == ["2", "[]"]
