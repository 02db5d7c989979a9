"""The workbench's commands at a real node: what a user types, what comes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aoshell.errors import UsageError
from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.message import Result
from aoshell.protocol.wallet import Wallet
from aoshell.shell.commands.workbench import span, told
from aoshell.shell.outcome import Answer, Failure, Outcome, Reply
from aoshell.shell.session import Patience, Session
from aoshell.shell.spawning import Definition
from aoshell.shell.spawning import spawn as make

PEER = """
Heard = {}
Handlers.add("Note", "Note", function(msg) table.insert(Heard, msg.Data) end)
"""


class Front:
    def partial(self, result: Result) -> None: ...
    def feed(self, said: str) -> None: ...
    async def confirm(self, question: str) -> bool:
        del question
        return True


class Typing:
    """A session, typed into."""

    def __init__(self, session: Session) -> None:
        self.session = session

    async def __call__(self, line: str) -> Outcome:
        outcome = await self.session.run(line)
        self.session.feed.release()
        await self.session.settle()
        return outcome

    async def value(self, line: str) -> Any:
        outcome = await self(line)
        if isinstance(outcome, Answer):
            assert outcome.ok, outcome.last.error
            return outcome.last.output
        assert isinstance(outcome, Reply), outcome
        return outcome.value if outcome.answer is None else outcome.answer.last.output

    async def text(self, line: str) -> str:
        outcome = await self(line)
        assert isinstance(outcome, Reply), outcome
        return outcome.text

    async def error(self, line: str) -> str:
        outcome = await self(line)
        assert isinstance(outcome, Failure), outcome
        return str(outcome.error)


Body = Callable[[Typing], Awaitable[None]]


@pytest.fixture
def typing(tmp_path: Path, wallet: Wallet) -> Callable[[Body], None]:
    async def run(body: Body) -> None:
        node = await LocalNode.open(tmp_path / "state")
        loop = asyncio.get_running_loop()
        known: asyncio.Future[Wallet] = loop.create_future()
        known.set_result(wallet)
        front: Any = Front()
        session = Session(node, known, front, Patience.SETTLED)
        await asyncio.sleep(0)
        await session.attach(await make(session, Definition("desk", "aos", sure=True)))
        try:
            await body(Typing(session))
        finally:
            await session.close()
            await node.close()

    return lambda body: asyncio.run(asyncio.wait_for(run(body), 60))


def test_forks_and_other_times(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typing) -> None:
        for number in (1, 2, 3):
            await typed(f"X = {number}")
        assert await typed.value(".at 2 return X") == "2"
        assert "no slot 99" in await typed.error(".at 99 X")
        fork = await typed.value(".fork desk@2 as twin")
        assert fork["name"] == "twin"
        await typed(".attach twin")
        assert await typed.value("X") == "2"
        await typed(".attach desk")
        assert await typed.value("X") == "3"
        assert ".fork" in await typed.error(".fork desk")

    typing(body)


def test_taking_back(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typing) -> None:
        await typed("X = 1")
        assert (await typed.value(".snapshot one"))["slot"] == 1
        await typed("X = 2")
        await typed("X = 3")
        undone = await typed.value(".undo")
        assert undone["taken_back"] == 1 and Path(undone["kept"]).is_file()
        assert await typed.value(".at 2 return X") == "2"
        restored = await typed.value(".restore one")
        assert (restored["slot"], restored["taken_back"]) == (2, 1)
        assert await typed.value("return X") == "1"
        assert await typed.value(".snapshot") == {"one": 1}
        assert "no snapshot" in await typed.error(".restore two")
        assert "keeps its definition" in await typed.error(".undo 0")

    typing(body)


def test_time(typing: Callable[[Body], None]) -> None:
    async def body(typed: Typing) -> None:
        before = int(await typed.value("os.time()"))
        assert "1h30m" in await typed.text(".warp 1h30m")
        assert int(await typed.value("os.time()")) - before >= 5_400_000
        assert "no duration" in await typed.error(".warp soon")
        assert "no cron" in await typed.error(".tick")

    typing(body)


def test_queues_and_stand_ins(typing: Callable[[Body], None], tmp_path: Path) -> None:
    script = tmp_path / "peer.lua"
    script.write_text(PEER)

    async def body(typed: Typing) -> None:
        address = "q" * 43
        assert "stands in" in await typed.text(f".mock {address} {script} as peer")
        await typed(".attach peer")
        assert await typed.text(".queue on") == "nothing waits in its queue"
        await typed(".attach desk")
        for word in ("a", "b", "c"):
            await typed(f'Send({{Target = "{address}", Action = "Note", Data = "{word}"}})')
        await typed(".attach peer")
        assert [row["n"] for row in await typed.value(".queue")] == [1, 2, 3]
        assert await typed.value(".step 2") == {"left": 2}
        query = 'return table.concat(Heard, " ")'
        asked = await typed.value(f".dryrun {query}")
        assert asked == "b"
        await typed(".queue off")
        assert await typed.value(f".dryrun {query}") == "b a c"
        assert "nothing waits" in await typed.error(".step")

    typing(body)


def test_traces_and_logs(typing: Callable[[Body], None], tmp_path: Path) -> None:
    script = tmp_path / "peer.lua"
    script.write_text(PEER)

    async def body(typed: Typing) -> None:
        assert "no line" in await typed.error(".trace")
        address = "q" * 43
        await typed(f".mock {address} {script} as peer")
        note = f'Send({{Target = "{address}", Action = "Note", Data = "a"}})'
        await typed(f'{note} {note} Send({{Target = "nowhere", Action = "Lost"}})')
        lines = (await typed.text(".trace")).split("\n")
        assert lines[0].startswith("desk #1 Eval · ")
        assert [line[:13] for line in lines[1:3]] == ["├─ peer #1 No", "├─ peer #2 No"]
        assert lines[3].startswith("└─ ✗ Lost to nowhere: ")
        assert await typed.text(".trace 1") == "\n".join(lines)
        hops = await typed.value(".trace")
        assert [hop["cause"] for hop in hops] == [-1, 0, 0, 0]
        log = await typed.text(".log 1")
        assert "Action" in log and "sends to " + address in log and "slot 1" in log
        whole = await typed.value(".log 1")
        json.dumps(whole)
        assert len(whole["sent"]) == 3 and whole["data"].startswith("Send(")
        assert "no slot 9" in await typed.error(".log 9")

    typing(body)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("90s", 90_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("1.5h", 5_400_000), ("5ms", 5)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert span(text) == milliseconds
    assert span(told(milliseconds)) == milliseconds


@pytest.mark.parametrize("text", ["", "1", "h", "1h x", "-1h", "1y"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError):
        span(text)
