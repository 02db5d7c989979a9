"""`aoshell.api`: a session for programs."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from pathlib import Path

import pytest

from aoshell import api
from aoshell.errors import AoError
from aoshell.nodes.values import Limits
from aoshell.states.working import dump
from aoshell.testing import EvalFailed


@pytest.fixture
def home(tmp_path: Path, wallet) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "wallet.json").write_text(json.dumps(wallet.jwk()))
    return tmp_path


def test_a_session(home: Path, wallet) -> None:
    async def run() -> None:
        async with api.open("bank", home=home) as session:
            assert session.process.name == "bank"
            assert (await session.eval("N = 1 return N + 1")).output == "2"
            assert await session.value("{N, Owner}") == [1, wallet.address]
            assert (await session.dryrun("N = 2 return N")).output == "2"
            assert await session.value("N") == 1
            with pytest.raises(EvalFailed, match="nil value"):
                await session.eval("x.y = 1")
            answer = await session.send("Hello", "you", Some_Tag=1)
            assert answer.ok and await session.value('Inbox[#Inbox].Tags["Some-Tag"]') == "1"
            waited = await session.eval(
                'return Send({Target = ao.id, Action = "Eval", Data = "1"}) and spawn("aos")'
            )
            child = waited.output
            assert (await session.send("Hello", target=child)).result.process == child
            assert (await session.run(".limits")).ok
            assert not (await session.run("error('x')")).ok
        async with api.open("bank", home=home) as session:
            assert await session.value("N") == 1

    asyncio.run(run())


def test_a_session_that_begins_with_a_dump(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wallet
) -> None:
    places = tmp_path / "temporary"
    places.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(places))
    file, said = tmp_path / "bank.dump", []

    async def run() -> None:
        async with api.open("bank", home=home) as session:
            await session.eval("N = 1")
        await dump(api._settings(home), str(file))
        async with api.open("bank", home=home, state=file, said=said.append) as session:
            await session.eval("N = N + 1")
            assert await session.value("{N, Owner}") == [2, wallet.address]
            assert len(list(places.glob("aoshell-state-*"))) == 1
        assert not list(places.glob("aoshell-state-*"))
        async with api.open("bank", home=home) as session:
            assert await session.value("N") == 1
        for wrong in (home / "nothing.dump", home / "state" / "wallet.json"):
            with pytest.raises(AoError):
                async with api.open("bank", home=home, state=wrong):
                    raise AssertionError("that is no dump")
        assert not list(places.glob("aoshell-state-*"))
        with pytest.raises(AoError, match="names another"):
            api.open("bank", home=home, state=file, node="http://127.0.0.1:9")

    asyncio.run(run())
    assert not said


def test_two_programs_share_a_home(home: Path) -> None:
    async def run() -> None:
        async with api.open("bank", home=home) as first:
            async with api.open("bank", home=home) as second:
                await second.eval("N = 5")
                assert await first.value("N") == 5
            assert await first.value("N") == 5
        second = api.open("bank", home=home)
        async with api.open("bank", home=home) as first, second as left:
            await first.close()  # the other one carries on
            assert await left.value("N") == 5
            log = (await left.run(".messages")).value["slots"]
            assert {message["client"] for message in log} == {f"python:{os.getpid()}"}

    asyncio.run(asyncio.wait_for(run(), 60))


def test_what_stands_in_the_way_is_told(home: Path) -> None:
    with pytest.raises(AoError):
        api.open(node="no such profile", home=home)


@pytest.mark.parametrize("verb", ["eval", "run", "send", "value", "dryrun"])
def test_what_is_cancelled_does_not_hold_the_next_line(home: Path, verb: str) -> None:
    """The limit is far beyond the time of this test: what is not stopped holds it for ever."""
    endless = "while true do end"

    async def run() -> None:
        limits = Limits(seconds=10_000)
        async with api.open("bank", home=home, limits=limits) as session:
            await session.eval(f'Handlers.add("Spin", "Spin", function() {endless} end)')
            calls = {
                "eval": lambda: session.eval(endless),
                "run": lambda: session.run(endless),
                "send": lambda: session.send("Spin"),
                "value": lambda: session.value(f"(function() {endless} end)()"),
                "dryrun": lambda: session.dryrun(endless),
            }
            for _ in range(2):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(calls[verb](), 0.3)
                assert (await session.eval("return 20 + 2")).output == "22"

    asyncio.run(asyncio.wait_for(run(), 60))
