"""`aoshell serve` as a program: how it starts, says that it is ready, and ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from eventually import in_loop
from program import AOSHELL, run
from served_node import AOS

from aoshell.home.folders import Settings
from aoshell.nodes.values import Limits
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.load import Bounds
from aoshell.serve.command import _given, _limits, _options
from aoshell.serve.serving import ServeOptions

READY = 60.0  # seconds


@pytest.fixture(autouse=True)
def home(aoshell_home: Path, wallet: Wallet, other_wallet: Wallet) -> Settings:
    """A home whose keys exist already."""
    settings = Settings.find()
    assert settings.home == aoshell_home
    settings.make_folders()
    settings.wallet.write_text(json.dumps(wallet.jwk()))
    settings.node_key.write_text(json.dumps(other_wallet.jwk()))
    return settings


async def start(*arguments: str) -> asyncio.subprocess.Process:
    command = [*AOSHELL, *arguments]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, Any]]:
    """The program once it is ready, and what it has said."""
    program = await start("serve", "--port", "0", "--json", *arguments)
    try:
        assert program.stdout is not None and program.stderr is not None
        line = await asyncio.wait_for(program.stdout.readline(), READY)
        assert line, (await program.stderr.read()).decode()
        yield program, json.loads(line)
    finally:
        if program.returncode is None:
            program.kill()
        await program.communicate()


def definition(wallet: Wallet) -> DataItem:
    named = (("Data-Protocol", "ao"), ("Type", "Process"), ("Module", AOS), ("Name", "p"))
    return DataItem.sign(wallet, "", tags_of(named), b" ")


def message(wallet: Wallet, process: str, data: str) -> DataItem:
    named = (("Data-Protocol", "ao"), ("Type", "Message"), ("Action", "Eval"))
    return DataItem.sign(wallet, process, tags_of(named), data.encode())


@in_loop
async def test_it_says_when_it_is_ready_and_ends_cleanly() -> None:
    async with running() as (program, facts):
        assert facts["url"] == f"http://127.0.0.1:{facts['port']}" and facts["port"] > 0
        assert facts["modules"][AOS] and len(facts["address"]) == 43
        assert len(facts["token"]) >= 43 and facts["authority"] == "auto"
        async with httpx.AsyncClient(base_url=facts["url"]) as client:
            assert (await client.get("/timestamp")).status_code == 200
        program.send_signal(signal.SIGTERM)
        out, err = await program.communicate()
        assert (program.returncode, out, err) == (0, b"", b"")


@in_loop
async def test_ctrl_c_ends_it_cleanly() -> None:
    async with running() as (program, _):
        program.send_signal(signal.SIGINT)
        out, err = await program.communicate()
        assert (program.returncode, out, err) == (0, b"", b"")


@in_loop
async def test_what_it_prints_for_people() -> None:
    program = await start("serve", "--port", "0")
    assert program.stdout is not None
    lines = [(await program.stdout.readline()).decode()]
    while "workbench" not in lines[-1]:
        lines.append((await program.stdout.readline()).decode())
    text = "".join(lines)
    program.send_signal(signal.SIGTERM)
    await program.communicate()
    assert program.returncode == 0
    for word in ("--legacy", "--url", "GATEWAY_URL=", 'MODE: "legacy"', "curl", AOS, "Bearer "):
        assert word in text


@in_loop
async def test_a_port_that_is_taken(home: Settings) -> None:
    async with running() as (program, facts):
        os.environ["AOSHELL_HOME"] = str(home.home / "other")
        other = Settings.find()
        other.make_folders()
        other.node_key.write_text(home.node_key.read_text())
        second = await start("serve", "--port", str(facts["port"]))
        out, err = await second.communicate()
        assert second.returncode == 1 and not out
        assert err.decode().startswith(f"serve: port {facts['port']} is taken\n  → --port")
        assert program.returncode is None


def test_the_last_port() -> None:
    assert _given(["--port", "65535"]).port == 65535
    assert _given(["--port", "65528", "--ports"]).port == 65528


def test_bounds_are_those_of_the_flags_else_the_usual_ones() -> None:
    assert (_limits(_given([])), _options(_given([]))) == (Limits(), ServeOptions())
    flags = ("--timeout", "2.5", "--memory", "64", "--pushes", "7", "--gas", "8", "--workers", "9")
    assert _limits(_given(flags)) == Limits(2.5, 64 << 20, 7, 8, workers=9)
    of_requests = ["--body", "0.5", "--requests", "9", "--dry-runs", "1", "--connections", "10"]
    wanted = ServeOptions(bounds=Bounds(512 << 10, 9, 1), connections=10)
    assert _options(_given(of_requests)) == wanted


@in_loop
async def test_bounds_hold(wallet: Wallet) -> None:
    process = definition(wallet)
    endless = message(wallet, process.id, "while true do end")
    async with (
        running("--timeout", "0.2", "--body", "0.01") as (_, facts),
        httpx.AsyncClient(base_url=facts["url"], timeout=60) as client,
    ):
        assert (await client.post("/", content=process.raw)).status_code == 202
        assert (await client.post("/", content=endless.raw)).status_code == 202
        answer = await client.get(f"/result/{endless.id}?process-id={process.id}")
        assert "0.2 s" in answer.json()["Error"]
        assert (await client.post("/", content=b"x" * 10_500)).status_code == 413


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "x"],
        ["--port", "70000"],
        ["--port", "65536"],
        ["--port", "65529", "--ports"],
        ["--cors", "no-origin"],
        ["--cors"],
        ["--authority", "me"],
        ["--timeout", "0"],
        ["--requests", "0.5"],
        ["--body", "257"],
        ["--dry-runs", "65"],
        ["--nothing"],
        ["NAME"],
    ],
)
def test_misuse(arguments: list[str]) -> None:
    done = run([*AOSHELL, "serve", *arguments], stdin=subprocess.PIPE, capture_output=True)
    assert done.returncode == 2 and b"Traceback" not in done.stderr and done.stderr


@in_loop
async def test_a_host_that_others_reach_is_warned_of() -> None:
    async with running("--host", "0.0.0.0", "box.lan") as (program, facts):
        assert program.stderr is not None and facts["host"] == "0.0.0.0"
        assert facts["url"] == f"http://127.0.0.1:{facts['port']}"
        line = await asyncio.wait_for(program.stderr.readline(), READY)
        assert line.startswith(b"whoever reaches this machine can send")
        async with httpx.AsyncClient() as client:
            for host, status in [("box.lan", 200), ("192.168.0.9", 200), ("evil.test", 421)]:
                answer = await client.get(f"{facts['url']}/timestamp", headers={"host": host})
                assert answer.status_code == status


@in_loop
async def test_a_process_that_is_called_serve() -> None:
    made = await start("serve", "--help")
    assert b"--authority auto|ADDRESS" in (await made.communicate())[0]
    made = await start("--", "serve")
    await made.communicate(b"x = 1\n")
    assert made.returncode == 0
    async with running() as (program, _):
        assert program.stderr is not None
        line = await asyncio.wait_for(program.stderr.readline(), READY)
        assert line == b"a process has the name serve: aoshell -- serve attaches it\n"


@in_loop
async def test_kill_9_while_100_posts_are_under_way(wallet: Wallet) -> None:
    """Every item whose post was answered with 202 is in the log after a restart, once."""
    process = definition(wallet)
    items = [message(wallet, process.id, f"N = (N or 0) + 1 return {n}") for n in range(100)]
    accepted: list[str] = []
    async with running() as (program, facts):
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=facts["url"], limits=limits, timeout=60) as client:
            assert (await client.post("/", content=process.raw)).status_code == 202

            async def post(item: DataItem) -> None:
                try:
                    answer = await client.post("/", content=item.raw)
                except httpx.HTTPError:
                    return
                assert (answer.status_code, answer.json()["id"]) == (202, item.id)
                accepted.append(item.id)
                if len(accepted) == 40:
                    program.kill()

            await asyncio.gather(*map(post, items))
        await program.communicate()
    assert len(accepted) >= 40
    async with running() as (program, facts):
        async with httpx.AsyncClient(base_url=facts["url"], timeout=60) as client:
            for item in items:  # those that were not answered may be there, and come once as well
                assert (await client.post("/", content=item.raw)).status_code == 202
            answer = await client.get(f"/result/{items[-1].id}?process-id={process.id}")
            assert answer.status_code == 200
            page = await client.get(f"/{process.id}?process-id={process.id}&limit=1000")
            counted = message(wallet, process.id, "return N")
            await client.post("/", content=counted.raw)
            total = await client.get(f"/result/{counted.id}?process-id={process.id}")
        program.send_signal(signal.SIGTERM)
        await program.communicate()
    ids = Counter(edge["node"]["message"]["id"] for edge in page.json()["edges"])
    assert ids == Counter([process.id, *(item.id for item in items)])
    assert total.json()["Output"]["data"] == "100"


@in_loop
async def test_a_second_start_on_one_home_says_so() -> None:
    async with running() as (program, _):
        second = await start("serve", "--port", "0")
        _, err = await second.communicate()
        assert second.returncode == 1 and f"(pid {program.pid}) carries" in err.decode()
        assert "at its prompt type .serve 0; if it is aoshell serve, give its URL" in err.decode()


@in_loop
async def test_our_own_shell_speaks_to_its_units(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One URL is enough, as all units are there (conformance check 12, legacy mode)."""
    async with running() as (_, facts):
        monkeypatch.setenv("AOSHELL_HOME", str(tmp_path / "other"))
        once = ("desk", "--mu-url", facts["url"])
        lines = ("1+1", "error('boom')", ".send desk Action=Hi", "#Inbox", ".messages", ".doctor")
        script = [part for line in lines for part in ("--run", line)]
        shell = await start(*once, "--module", AOS, *script)
        out, err = (text.decode() for text in await shell.communicate())
        assert out.startswith("2\n") and "boom" in out + err, (out, err)
        found = {words[0]: words[1:3] for words in map(str.split, out.splitlines()) if words}
        for what in ("MU", "SU", "CU", "gateway"):
            assert found[what] == ["ok", facts["url"]], out
        again = await start(*once, "--run", "Name")
        out, err = (text.decode() for text in await again.communicate())
        assert (again.returncode, out) == (0, "desk\n"), err


@in_loop
async def test_reading_writes_nothing(home: Settings, wallet: Wallet) -> None:
    """No row for any request: pages, dry runs, GraphQL, HyperBEAM paths."""
    async with running() as (program, facts):
        async with httpx.AsyncClient(base_url=facts["url"], timeout=60) as client:
            process = definition(wallet)
            await client.post("/", content=process.raw)
            item = message(wallet, process.id, "return 1")
            await client.post("/", content=item.raw)
            await client.get(f"/result/{item.id}?process-id={process.id}")
            before = dumped(home.node_db)
            P, M = process.id, item.id
            for path in (
                *("/", "/info", "/timestamp", f"/{P}", f"/{M}", f"/raw/{M}", f"/tx/{M}"),
                *(f"/result/{M}?process-id={P}", f"/results/{P}", f"/cron/{P}", f"/processes/{P}"),
                *(f"/{P}?process-id={P}", f"/{P}/latest?process-id={P}", f"/{M}?process-id={P}"),
                *(
                    f"/{P}~process@1.0/now",
                    f"/{P}~process@1.0/compute&slot=1",
                    f"/{P}/slot/current",
                ),
                *("/~meta@1.0/info", "/graphql", f"/monitor/{P}", "/~aoshell@1.0/warp", "/price/1"),
            ):
                assert (await client.get(path)).status_code < 500, path
            query = {"query": "{ transactions(first: 100) { edges { node { id } } } }"}
            assert (await client.post("/graphql", json=query)).status_code == 200
            dry = {"Owner": wallet.address, "Data": "x = 1", "Tags": []}
            assert (await client.post(f"/dry-run?process-id={P}", json=dry)).status_code == 200
        program.send_signal(signal.SIGTERM)
        await program.communicate()
    assert dumped(home.node_db) == before


def dumped(path: Path) -> list[str]:
    """All rows of a node's database, without the node's own settings."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [
            name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type='table'")
        ]
        assert {"log", "meta"} < {*tables}
        return [
            f"{table} {row}"
            for table in sorted(tables)
            if table != "meta"
            for row in db.execute(f"SELECT * FROM {table}")
        ]
    finally:
        db.close()
