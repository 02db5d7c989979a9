"""The data of a node for the page: bounded, read-only, without data of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from served_node import AUTHORITY, COUNTER, NOBODY, ServedNode, content, served

from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Request, RequestError, Response
from aoshell.serve.page import data, role
from aoshell.serve.page.role import Page
from aoshell.serve.page.shown import line, shown

PAGE = "/~aoshell@1.0/page"
HOSTILE = '<img src=x onerror="alert(1)">\u202e\x1b[31m"\'&'
PARTS = ("message", "messages", "node", "process", "state", "trace", "use")


async def told(on: ServedNode, part: str, status: int = 200, **query: Any) -> Any:
    answer = await on.client.get(f"{PAGE}/{part}", params=query)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.json()


@in_loop
async def test_messages_by_pages(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "MOST_MESSAGES", 3)
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        for _ in range(8):
            await on.send(process, Action="Add")
        await on.node.idle()
        found, query = [], {}
        while True:
            page = await told(on, "messages", process=process, **query)
            found += [row["at"] for row in page["messages"]]
            if not page["more"]:
                break
            query = {"before": found[-1]}
        assert found == [str(slot) for slot in range(9, -1, -1)]
        newer = await told(on, "messages", process=process, after="7")
        assert [row["at"] for row in newer["messages"]] == ["9", "8"] and not newer["more"]
        row = newer["messages"][0]
        assert (row["action"], row["outcome"], row["from"]) == ("Add", "ok", wallet.address)
        assert (row["sent"], row["suspended"]) == (1, False) and row["memory"] > 0


@in_loop
async def test_a_list_ends_early_where_messages_are_large(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "LARGEST_LIST", 50_000)
    async with served(folder, wallet) as on:
        process = await on.spawn()
        for _ in range(5):
            await on.send(process, "x" * 40_000)
        await on.node.idle()
        page = await told(on, "messages", process=process)
        assert 1 <= len(page["messages"]) <= 2 and page["more"]
        assert (await told(on, "message", process=process, at="3"))["data"]["size"] == 40_000


@in_loop
async def test_a_message_that_waits_is_shown(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        await on.send(process, "while true do end", Action="Eval")
        await on.send(process, "return 1", Action="Eval")
        rows = (await told(on, "messages", process=process))["messages"]
        assert [row["at"] for row in rows] == ["2", "1", "0"]
        assert rows[0]["outcome"] is None and rows[0]["action"] == "Eval"
        assert (await told(on, "message", process=process, at="2"))["outcome"] is None
        assert await on.node.cancel(process, 1)
        await on.node.idle()
        assert (await told(on, "message", process=process, at="2"))["outcome"] == "ok"
        assert (await told(on, "message", process=process, at="1"))["outcome"] == "time"


@in_loop
async def test_what_is_long_is_cut(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        whole = await on.send(process, "ä" * 500_000, Action="A" * 1000)
        binary = await on.send(process, b"\xff\x00" * 1000)
        noisy = await on.send(process, "return ('line\\n'):rep(200000)", Action="Eval")
        for id in (whole, binary, noisy):
            await on.result(process, id)
        found = await told(on, "message", process=process, at="1")
        assert found["data"]["size"] == 1_000_000 and found["data"]["cut"]
        assert len(found["data"]["text"]) <= data.LONGEST_TEXT + 1
        assert set(found["data"]["text"]) <= {"ä", "…"}
        assert len(found["action"]) == data.LONGEST_NAME + 1 and found["action"][-1] == "…"
        found = await told(on, "message", process=process, at="2")
        assert found["data"] == {"size": 2000, "text": None, "cut": False}
        found = await told(on, "message", process=process, at="3")
        assert len(found["result"]["output"]) == data.LONGEST_TEXT + 1
        assert len(found["output"]) <= data.LONGEST_LINE * 3
        page = await on.client.get(f"{PAGE}/messages", params={"process": process})
        assert len(page.content) < 10_000


@in_loop
async def test_hostile_names_stay_texts(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn("", Name=HOSTILE)
        await on.send(process, f"print([==[{HOSTILE}]==])", Action="Eval", Other=HOSTILE)
        await on.node.idle()
        name = (await told(on, "process", process=process))["name"]
        assert name == '<img src=x onerror="alert(1)">\ufffd"\'&'
        found = await told(on, "message", process=process, at="1")
        texts = (found["result"]["output"], dict(found["tags"]["pairs"])["Other"])
        for text in (*texts, found["data"]["text"]):
            assert "<img src=x" in text and "\u202e" not in text and "\x1b" not in text


@in_loop
async def test_a_trace_across_processes(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        second = await on.spawn('Handlers.add("b", "B", function() error("no") end)')
        first = await on.spawn(
            'Handlers.add("a", "A", function(msg) '
            f'Send({{Target="{second}", Action="B"}}) Send({{Target="{NOBODY}", Action="C"}}) end)'
        )
        await on.send(first, Action="A")
        await on.node.idle()
        for process, at in ((first, "2"), (second, "2")):
            trace = await told(on, "trace", process=process, at=at)
            hops = trace["hops"]
            assert [hop["cause"] for hop in hops] == [-1, 0, 0] and not trace["more"]
            assert [hop["process"] for hop in hops] == [first, second, first]
            assert [hop["action"] for hop in hops] == ["A", "B", "C"]
            assert hops[0]["time"] <= hops[1]["time"] and hops[1]["outcome"] == "error"
            assert hops[2]["target"] == NOBODY and hops[2]["kept"]


@in_loop
async def test_a_trace_has_bounds(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """Handlers.add("a", "A", function(msg)
      for i = 1, 9 do Send({Target = ao.id, Action = "B", Data = ("x"):rep(9000)}) end end)"""
    async with served(folder, wallet) as on:
        process = await on.spawn(source)
        await on.send(process, Action="A")
        await on.node.idle()
        assert len((await told(on, "trace", process=process, at="2"))["hops"]) == 10
        monkeypatch.setattr(role, "MOST_HOPS", 4)
        trace = await told(on, "trace", process=process, at="5")
        assert len(trace["hops"]) == 4 and trace["more"]
        monkeypatch.setattr(role, "LARGEST_TRACE", 10_000)
        trace = await told(on, "trace", process=process, at="5")
        assert len(trace["hops"]) == 1 and trace["more"]


@in_loop
async def test_state_and_use(folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role, "MOST_PARTS", 4)
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        assert (await told(on, "state", process=process))["state"] in ("[]", "{}", "")
        source = 'Send({device = "patch@1.0", cache = {x = {"<b>", 5}}})'
        await on.eval(process, source)
        assert '"<b>"' in (await told(on, "state", process=process))["state"]
        await on.eval(process, "error('no')")
        for _ in range(6):
            await on.send(process, Action="Add")
        await on.node.idle()
        parts = (await told(on, "use", process=process))["parts"]
        assert [part[:2] for part in parts] == [[0, 2], [3, 5], [6, 8], [9, 9]]
        assert all(part[3] > 0 and part[4] == 0 for part in parts)
        assert [part[5] for part in parts] == [0, 1, 0, 0]
        monkeypatch.setattr(role, "MOST_SLOTS", 2)
        parts = (await told(on, "use", process=process))["parts"]
        assert [part[:2] for part in parts] == [[8, 8], [9, 9]]


@in_loop
async def test_a_state_that_takes_long_is_given_up(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "STATE_SECONDS", 0.2)
    async with served(folder, wallet) as on:
        process = await on.spawn()
        await on.send(process, "while true do end", Action="Eval")
        assert "0.2 s" in (await told(on, "state", 504, process=process))["error"]
        await on.node.cancel(process, 1)
        await on.node.idle()


@in_loop
async def test_a_state_waits_for_the_dry_runs_of_all_roles(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(role, "STATE_SECONDS", 0.2)
    async with served(folder, wallet) as on:
        process = await on.spawn()
        looks = asyncio.Semaphore(1)
        page = Page(on.node, on.node.network, looks)
        asked = Request("GET", "/~aoshell@1.0/page/state", f"process={process}", (), b"")
        async with looks:
            with pytest.raises(RequestError, match=r"0\.2 s"):
                await page.answer(asked)
        monkeypatch.setattr(role, "STATE_SECONDS", 20.0)
        answer = await page.answer(asked)
        assert isinstance(answer, Response) and answer.status == 200


@in_loop
async def test_cron_messages(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn("", Cron_Interval="1-minute", Cron_Tag_Action="Tick")
        await on.node.workbench.tick(process)
        await on.node.idle()
        rows = (await told(on, "messages", process=process))["messages"]
        assert rows[0]["at"].endswith(".1") and rows[0]["outcome"]
        found = await told(on, "message", process=process, at=rows[0]["at"])
        assert found["at"] == rows[0]["at"]
        assert (await told(on, "trace", process=process, at=rows[0]["at"]))["hops"]
        older = await told(on, "messages", process=process, before=rows[0]["at"])
        assert [row["at"] for row in older["messages"]] == [row["at"] for row in rows[1:]]


@in_loop
async def test_reading_changes_nothing_and_tells_nothing_of_this_machine(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER, Name="p")
        await on.send(process, Action="Add")
        await on.node.idle()
        await on.get("/timestamp")
        before = content(folder)
        query = {"process": process, "at": "2"}
        answers = [await on.client.get(f"{PAGE}/{part}", params=query) for part in PARTS]
        async with on.client.stream("GET", f"{PAGE}/events") as stream:
            lines = stream.aiter_lines()
            texts = [await anext(lines) for _ in range(5)]
        assert all(answer.status_code == 200 for answer in answers)
        whole = "".join([*texts, *(answer.text for answer in answers)])
        for hidden in (on.serving.facts.token, str(folder), str(Path.home()), str(Path.cwd())):
            assert hidden not in whole
        assert AUTHORITY in whole and content(folder) == before
        for part in (*PARTS, "events", "main.js"):
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                answer = await on.client.request(method, f"{PAGE}/{part}", json=query)
                assert answer.status_code == 405


@pytest.mark.parametrize("part", [*PARTS, "events", "main.js"])
@in_loop
async def test_pages_of_others_may_not_ask(part: str, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        for head, status in (
            ({"origin": "https://evil.test"}, 403),
            ({"origin": "null"}, 403),
            ({"sec-fetch-site": "cross-site"}, 403),  # an image, a script: no Origin comes
            ({"sec-fetch-site": "same-site"}, 403),  # a page at another port of this machine
            ({"host": "evil.test"}, 421),
        ):
            answer = await on.client.get(f"{PAGE}/{part}", headers=head)
            assert answer.status_code == status


@in_loop
async def test_what_is_not_there(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        for part in PARTS:
            if part != "node":
                await told(on, part, 404, process=NOBODY, at="1")
                for wrong in ("", "x", "z" * 44, "../" * 15):
                    await told(on, part, 400, process=wrong, at="1")
        for at in ("99", "0.5", "999999999999999.999999999999999"):
            await told(on, "message", 404, process=process, at=at)
            await told(on, "trace", 400, process=process, at=at)
        for wrong in ("", "-1", "1.", "1.2.3", "x", "1e3", "9" * 16, "٣"):
            await told(on, "message", 400, process=process, at=wrong)
            await told(on, "messages", 400, process=process, before=wrong or "x")
        await told(on, "nothing", 404)


def test_texts_are_made_fit() -> None:
    assert shown("a\x1b[1;31mb\x1b]0;title\x07c\r\n\x00\x7f\x9b", 100) == "abc\n␀␡\ufffd"
    assert shown("\u202eevil\u2066\u200f", 100) == "\ufffdevil\ufffd\ufffd"
    assert shown("a" * 11, 10) == "a" * 10 + "…" and shown("a" * 10, 10) == "a" * 10
    assert shown("\x1b[0m" * 50 + "a", 10) == "…"
    assert line("  a\n\tb \n", 20) == "a ⏎  b"
    assert shown("\udcff\ud800\udfff", 10) == "\ufffd" * 3
