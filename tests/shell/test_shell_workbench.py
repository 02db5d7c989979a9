"""The workbench's commands at a real node: what a user types, what comes out."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from shell_typing import Typing, Use

from aoshell.errors import UsageError
from aoshell.nodes.values import Stage
from aoshell.shell.attached import computed
from aoshell.shell.commands.workbench import duration_text, parse_duration
from aoshell.shell.lines import batch
from aoshell.shell.view import waiting

PEER = """
Heard = {}
Handlers.add("Note", "Note", function(msg) table.insert(Heard, msg.Data) end)
"""


def test_forks_and_other_times(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        for number in (1, 2, 3):
            await typed(f"X = {number}")
        assert await typed.value(".at 2 return X") == "2"
        assert "no slot 99" in await typed.error(".at 99 X")
        fork = await typed.value(".fork desk@2 as twin")
        assert fork["name"] == "twin"
        assert ".attach other sends lines to it" in await typed.seen(".fork as other")
        await typed(".attach twin")
        assert await typed.value("X") == "2"
        await typed(".attach desk")
        assert await typed.value("X") == "3"
        assert ".fork" in await typed.error(".fork desk")

    typing(body)


def test_taking_back(typing: Use) -> None:
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
        assert "no snapshot two" in await typed.error(".restore two")
        assert ".restore SNAPSHOT" in await typed.error(".restore")
        assert "keeps its definition" in await typed.error(".undo 0")

    typing(body)


@pytest.mark.parametrize("seen", [False, True])
def test_what_was_taken_back_is_not_the_last_thing_that_happened(typing: Use, seen: bool) -> None:
    async def body(typed: Typing) -> None:
        await typed("X = 1")
        await typed("X = 2")
        if seen:  # it came from elsewhere
            typed.session.feed.arrived = (typed.session.attached.id, 2)
        await typed.value(".undo")
        assert [hop["slot"] for hop in await typed.value(".trace")] == [1]
        assert (await typed.value(".log"))["slot"] == 1
        assert "slot 1: Eval" in await typed.text(".why")
        assert "has no slot" not in await typed.seen(".result")

    typing(body)


def test_what_was_sent_to_a_deleted_process_is_not_the_last_thing_either(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed(".fork as twin")
        await typed(".send twin Action=Hi")
        await typed(".delete twin --yes")
        for line in (".trace", ".why", ".log", ".result"):
            assert "no process" not in await typed.seen(line)

    typing(body)


def test_ctrl_c_stops_no_message_that_has_the_slot_of_a_line_taken_back(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed("X = 1")
        undone = typed.session.last_sent
        await typed(".undo")
        await typed(".fork as twin")
        await typed(".send twin Action=Hi")
        deleted = typed.session.last_sent
        await typed(".delete twin --yes")
        await typed("X = 2")
        assert undone and deleted and typed.session.last_sent
        assert typed.session.last_sent.slot == undone.slot
        typed.session.given = [undone, deleted]  # as if both were given up
        node, cancelled = typed.session.node.local, list[int]()
        assert node

        async def cancel(_process: str, slot: int) -> bool:
            cancelled.append(slot)
            return True

        node.cancel = cancel  # type: ignore[method-assign]
        typed.session.sent = None
        assert await typed.session.stop_lines() == []
        assert cancelled == []

    typing(body)


def test_time(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        before = int(await typed.value("os.time()"))
        assert "1h30m" in await typed.text(".warp 1h30m")
        assert int(await typed.value("os.time()")) - before >= 5_400_000
        assert "not a duration" in await typed.error(".warp soon")
        assert "no cron" in await typed.error(".tick")

    typing(body)


def test_nothing_exposed_is_said(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        assert "nothing at balances/x" in await typed.seen(".now balances/x")

    typing(body)


def test_messages_that_time_sends(typing: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computed, "_PAGE", 2)

    async def body(typed: Typing) -> None:
        tags = '{["Cron-Interval"] = "1-hour", ["Cron-Tag-Action"] = "Tick"}'
        clock = await typed.value(f'spawn("aos", {tags})')
        for _ in range(5):
            await typed(f".tick {clock}")
        await typed(f'Send({{Target = "{clock}", Data = "the last one"}})')
        slots = (await typed.value(f".messages {clock} --last 3"))["slots"]
        assert [(row["slot"], row["tick"]) for row in slots] == [(0, 4), (0, 5), (1, 0)]
        slots = (await typed.value(f".messages {clock}"))["slots"]
        assert [row["outcome"] for row in slots] == ["ok"] * 7

    typing(body)


def test_what_a_line_caused_is_told_before_the_next_line_runs(typing: Use, tmp_path: Path) -> None:
    script = tmp_path / "echo.lua"
    script.write_text(
        'Handlers.add("Echo", "Echo", function(msg) print("heard") msg.reply({Data = "back"}) end)'
    )

    async def body(typed: Typing) -> None:
        address = "q" * 43
        await typed(f".mock {address} {script} as echo")
        await typed(f'Send({{Target = "{address}", Action = "Echo"}}) return 1')
        heard, came = "\n".join(typed.front.said).split("\n")
        assert "heard" in heard and "New Message From" in came

    typing(body)


def test_queues_and_stand_ins(typing: Use, tmp_path: Path) -> None:
    script = tmp_path / "peer.lua"
    script.write_text(PEER)

    async def body(typed: Typing) -> None:
        address = "q" * 43
        assert "stands in" in await typed.text(f".mock {address} {script} as peer")
        await typed(".attach peer")
        assert await typed.text(".queue") == "nothing waits in its queue"
        assert "to it now waits" in await typed.text(".queue on")
        await typed(".attach desk")
        for word in ("a", "b", "c"):
            await typed(f'Send({{Target = "{address}", Action = "Note", Data = "{word}"}})')
        await typed(".attach peer")
        assert [row["n"] for row in await typed.value(".queue")] == [1, 2, 3]
        assert await typed.value(".step 2") == {"left": 2}
        query = 'return table.concat(Heard, " ")'
        asked = await typed.value(f".dryrun {query}")
        assert asked == "b"
        assert "delivered as it comes" in await typed.text(".queue off")
        assert await typed.value(f".dryrun {query}") == "b a c"
        assert "nothing waits" in await typed.error(".step")

    typing(body)


def test_traces_and_logs(typing: Use, tmp_path: Path) -> None:
    script = tmp_path / "peer.lua"
    script.write_text(PEER)

    async def body(typed: Typing) -> None:
        assert (await typed.text(".trace")).startswith("desk (")
        address = "q" * 43
        await typed(f".mock {address} {script} as peer")
        note = f'Send({{Target = "{address}", Action = "Note", Data = "a"}})'
        await typed(f'{note} {note} Send({{Target = "nowhere", Action = "Lost"}})')
        lines = (await typed.text(".trace")).split("\n")
        lines = [re.sub(r" \(\S+…\)", "", line) for line in lines]
        assert lines[0].startswith("desk #1 Eval · ")
        assert [line[:13] for line in lines[1:3]] == ["├─ peer #1 No", "├─ peer #2 No"]
        assert lines[3].startswith("└─ ✗ Lost to nowhere: ")
        assert await typed.text(".trace 1") == await typed.text(".trace")
        hops = await typed.value(".trace")
        assert [hop["cause"] for hop in hops] == [-1, 0, 0, 0]
        log = await typed.text(".log 1")
        assert "Action" in log and "sends to " + address in log and "slot 1" in log
        whole = await typed.value(".log 1")
        json.dumps(whole)
        assert len(whole["sent"]) == 3 and whole["data"].startswith("Send(")
        assert "no slot 9" in await typed.error(".log 9")
        await typed("print({1, {a = 2}})")
        assert (await typed.text(".trace")).endswith(" ms · { 1, { a = 2 } }")

    typing(body)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("90s", 90_000), ("1h30m", 5_400_000), ("2d", 172_800_000), ("1.5h", 5_400_000), ("5ms", 5)],
)
def test_durations(text: str, milliseconds: int) -> None:
    assert parse_duration(text) == milliseconds
    assert parse_duration(duration_text(milliseconds)) == milliseconds


@pytest.mark.parametrize("text", ["", "1", "h", "1h x", "-1h", "1y"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError):
        parse_duration(text)


def test_the_last_value(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        assert await typed.value("6*7") == "42"
        assert await typed.value("_ + 1") == "43"
        await typed("X = 5")  # comes to nothing
        assert await typed.value("_") == "43"

    typing(body)


def test_a_pipe_hears_what_the_built_in_node_is_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_LOOKED_AT", 0.01)
    monkeypatch.setattr(waiting, "REPORTED_AFTER", 0.02)
    node = SimpleNamespace(remote=None, stage=Stage("undo", "desk", "500 of 200,000 messages"))

    async def heard() -> str:
        said = asyncio.Queue[str]()
        front = batch.BatchFront(SimpleNamespace(feed=None, note=said.put_nowait))  # type: ignore[arg-type]
        front.opened(node)  # type: ignore[arg-type]
        try:
            return await asyncio.wait_for(said.get(), 60)
        finally:
            front.close()

    assert re.fullmatch(r"· undo desk  \d+\.\d s  500 of 200,000 messages", asyncio.run(heard()))


@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_around_a_name_or_a_file_are_no_part_of_it(
    typing: Use, tmp_path: Path, quote: str
) -> None:
    def quoted(name: object) -> str:
        return f"{quote}{name}{quote}"

    async def body(typed: Typing) -> None:
        said = await typed.seen(f".spawn aos as {quoted('my token')}")
        assert '.attach "my token" sends lines to it' in said
        assert (await typed.value(f".fork {quoted('my token')} as {quoted('my twin')}"))["id"]
        await typed(f".attach {quoted('my twin')}")
        assert typed.session.attached.name == "my twin"
        await typed.value(f".snapshot {quoted('as new')}")
        await typed("X = 1")
        assert (await typed.value(f".restore {quoted('as new')}"))["taken_back"] == 1
        await typed.value(f".rename as {quoted('his twin')}")
        assert 'did you mean "his twin"?' in await typed.error(".messages histwin")
        file = tmp_path / "his twin.process"
        await typed.value(f".export {quoted(file)}")
        assert file.is_file()
        await typed(".attach desk")
        await typed.value(f".delete {quoted('his twin')}")
        assert (await typed.value(f".import {quoted(file)} as {quoted('a b')}"))["name"] == "a b"
        code = tmp_path / "a b.lua"
        code.write_text("return 1")
        await typed.value(f".publish {quoted(code)} as {quoted('c d')}")
        for module in (code, "c d"):
            await typed.value(f".spawn {quoted(module)}")
        stand_in = f".mock {'x' * 43} {quoted(code)} as {quoted('e f')}"
        assert (await typed.value(stand_in))["name"] == "e f"
        assert "NAME may not be empty" in await typed.error(f".spawn aos as {quoted('')}")

    typing(body)
