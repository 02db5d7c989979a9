"""The compute unit: results, pages, cursors, dry runs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from eventually import in_loop
from recordings import exchanges
from served_node import COUNTER, NOBODY, ServedNode, content, served

from aoshell.protocol.wallet import Wallet
from aoshell.serve.units import cu

PING = (
    'Handlers.add("ping","Ping",function(m) print("got ping")'
    ' Send({Target=m.From,Data="pong",Action="Pong"}) end)'
)


def tags_of(item: dict[str, Any]) -> dict[str, str]:
    return {tag["name"]: tag["value"] for tag in item["tags"]}


@in_loop
async def test_results_are_as_aoconnect_was_answered(
    shared: Path, folder: Path, wallet: Wallet
) -> None:
    """The Evals and messages of a recorded session give what they gave, word for word."""
    items: dict[str, dict[str, Any]] = {}
    recorded: list[tuple[dict[str, Any], Any]] = []
    for one in exchanges(shared, "aoconnect-legacy.json"):
        if one["method"] == "POST" and one["path"] == "/":
            items[one["reqBody"]["ans104"]["id"]] = one["reqBody"]["ans104"]
            recorded.append((one["reqBody"]["ans104"], None))
        elif one["path"].startswith("/result/"):
            item = items.get(one["path"].split("/")[2][:43])
            recorded += [(item, one["resBody"]["json"])] if item else []
    async with served(folder, wallet) as on:
        process, ids = "", dict[str, str]()
        compared = 0
        for item, answer in recorded:
            named = tags_of(item)
            if answer is None and named["Type"] == "Process":
                process = await on.spawn(Name=named["Name"])
            elif answer is None and item["target"][:3] != "zzz":
                ids[item["id"]] = await on.send(process, item["data"], Action=named["Action"])
            elif answer is not None:
                found = await on.result(process, ids[item["id"]])
                for sent in answer["Messages"]:  # to whoever signed
                    sent["Target"] = on.definition().owner_address
                assert found == answer and list(found) == list(answer)
                compared += 1
        assert compared >= 3


@in_loop
async def test_a_dry_run_is_as_aoconnect_was_answered(
    shared: Path, folder: Path, wallet: Wallet
) -> None:
    (one,) = (e for e in exchanges(shared, "aoconnect-legacy.json") if "/dry-run" in e["path"])
    async with served(folder, wallet) as on:
        process = await on.spawn(PING, Name="cl1")
        await on.send(process, Action="Ping")
        body = one["reqBody"]["json"] | {"Target": process}
        answer = await on.client.post(f"/dry-run?process-id={process}", json=body)
        assert answer.json() == one["resBody"]["json"]


@in_loop
async def test_a_result_by_its_slot(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn("x = 7")
        by_id = await on.eval(process, "return x")
        assert await on.get(f"/result/2?process-id={process}") == by_id
        for path, status, text in [
            (f"/result/3?process-id={process}", 404, "Message 3 not found"),
            (f"/result/{NOBODY}?process-id={process}", 404, f"Message {NOBODY} not found"),
            (f"/result/{NOBODY}?process-id={NOBODY}", 404, "is not on this node"),
            (f"/result/{NOBODY}?process-id=short", 400, "no id of a process"),
            (f"/result/{NOBODY}", 400, "needs process-id"),
            (f"/result/{'9' * 60}?process-id={process}", 404, "not found"),
        ]:
            assert text in (await on.get(path, status))["error"]


@in_loop
async def test_a_result_is_waited_for(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        loop = "local n = 0 for i = 1, 2e7 do n = n + i end return 5"
        assert (await on.eval(process, loop))["Output"]["data"] == "5"
        monkeypatch.setattr(cu, "RESULT_SECONDS", 0.02)
        message = await on.send(process, loop, Action="Eval")
        answer = await on.client.get(f"/result/{message}?process-id={process}")
        assert answer.status_code == 202
        assert answer.json() == {
            "message": f'Evaluation of process "{process}" to "{message}" is in progress.'
        }


@in_loop
async def test_what_fails_says_so_in_the_body(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        failed = await on.eval(process, "error('boom')")
        assert "boom" in failed.pop("Error")
        empty = {"Messages": [], "Spawns": [], "Assignments": [], "Output": [], "GasUsed": 0}
        assert failed == empty


@in_loop
async def test_what_an_eval_returned_is_in_no_answer(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        silent, nothing = await on.eval(process, "x = 1"), await on.eval(process, "false, 'aside'")
        assert nothing == silent and nothing["Output"]["data"] == ""
        stored = (await on.node.results(process))[-1].result
        assert stored and stored.returned == 'false, "aside"'


@in_loop
async def test_bytes_that_are_no_text(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        found = await on.eval(process, 'Send({Target = "\\xff", Data = "a\\xffb"}) return "\\xfe"')
        assert found["Messages"][0]["Target"] == "\ufffd"
        assert found["Messages"][0]["Data"] == "a\ufffdb"


async def counted(on: ServedNode, messages: int = 8) -> tuple[str, list[str]]:
    """A process that has counted, one message of which failed; the ids of its messages."""
    process = await on.spawn(COUNTER)
    ids = [await on.send(process, Action="Add") for _ in range(messages // 2)]
    ids.append(await on.send(process, "error('x')", Action="Eval"))
    ids += [await on.send(process, Action="Add") for _ in range(messages // 2)]
    await on.result(process, ids[-1])
    return process, ids


def decoded(cursor: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(cursor, validate=True))
    return found


@in_loop
async def test_pages_of_results(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process, _ = await counted(on)
        whole = await on.get(f"/results/{process}?limit=100")
        slots = [decoded(edge["cursor"])["ordinate"] for edge in whole["edges"]]
        assert slots == ["0", "1", "2", "3", "4", "5", "7", "8", "9", "10"]  # 6 failed
        assert whole["pageInfo"] == {"hasNextPage": False}
        first = decoded(whole["edges"][0]["cursor"])
        assert list(first) == ["timestamp", "ordinate", "cron", "sort"]
        assert (first["cron"], first["sort"]) == (None, "ASC")
        for sort in ("ASC", "DESC"):
            paged, query = list[str](), f"limit=3&sort={sort}"
            # As aoconnect pages: with the last cursor as the next one's `from`. It is a lower
            # bound in both orders, so newest first nothing is behind the first page.
            page = await on.get(f"/results/{process}?{query}")
            while page["edges"]:
                paged += [decoded(edge["cursor"])["ordinate"] for edge in page["edges"]]
                assert {decoded(edge["cursor"])["sort"] for edge in page["edges"]} == {sort}
                if sort == "DESC":
                    break
                begin = quote(page["edges"][-1]["cursor"])
                page = await on.get(f"/results/{process}?{query}&from={begin}")
            assert paged == (slots if sort == "ASC" else slots[:-4:-1])


@in_loop
async def test_bounds_of_a_page(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process, _ = await counted(on)
        whole = (await on.get(f"/results/{process}?limit=100"))["edges"]
        cursors = [quote(edge["cursor"]) for edge in whole]
        times = [decoded(edge["cursor"])["timestamp"] for edge in whole]

        async def ordinates(query: str) -> list[str]:
            page = await on.get(f"/results/{process}?limit=100&{query}")
            return [decoded(edge["cursor"])["ordinate"] for edge in page["edges"]]

        assert await ordinates(f"from={cursors[2]}&to={cursors[5]}") == ["3", "4", "5"]
        assert await ordinates(f"from={times[0]}&to={times[-1]}") == [
            decoded(edge["cursor"])["ordinate"]
            for edge, time in zip(whole, times, strict=True)
            if times[0] < time <= times[-1]
        ]
        assert await ordinates(f"from={times[-1]}") == []
        # The sort that a cursor was made for outranks the query's, as in a real unit.
        newest = (await on.get(f"/results/{process}?sort=DESC&limit=100"))["edges"]
        begin = quote(newest[-2]["cursor"])
        assert await ordinates(f"from={begin}&sort=ASC") == [
            "10",
            "9",
            "8",
            "7",
            "5",
            "4",
            "3",
            "2",
        ]
        assert len((await on.get(f"/results/{process}"))["edges"]) == 10
        assert (await on.get(f"/results/{process}?limit=9"))["pageInfo"]["hasNextPage"] is True
        for bad in ("from=nonsense", "from=" + quote(base64.b64encode(b"[1]").decode())):
            assert "cursor" in (await on.get(f"/results/{process}?{bad}", 400))["error"]
        for bad in ("limit=0", "limit=-1", "limit=x", "limit=" + "9" * 30, "sort=UP"):
            await on.get(f"/results/{process}?{bad}", 400)
        for path in (f"/results/{NOBODY}", f"/cron/{NOBODY}"):
            assert "is not on this node" in (await on.get(path, 404))["error"]


@pytest.mark.parametrize(
    "cursor",
    [
        "=",
        "e30=",
        "bnVsbA==",
        "A" * 2000,
        "eyJvcmRpbmF0ZSI6IngifQ==",
        "eyJvcmRpbmF0ZSI6LTF9",
        "%00",
    ],
)
@in_loop
async def test_cursors_that_are_none(cursor: str, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        await on.get(f"/results/{process}?from={cursor}", 400)


@in_loop
async def test_a_page_ends_where_it_is_large(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        for _ in range(6):
            await on.eval(process, "return string.rep('x', 1000)")
        monkeypatch.setattr(cu, "LARGEST_PAGE", 2500)
        page = await on.get(f"/results/{process}?limit=100")
        assert len(page["edges"]) < 4 and page["pageInfo"]["hasNextPage"]
        begin = quote(page["edges"][-1]["cursor"])
        monkeypatch.undo()
        rest = await on.get(f"/results/{process}?limit=100&from={begin}")
        assert len(page["edges"]) + len(rest["edges"]) == 7


@in_loop
async def test_results_of_cron(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(**{"Cron-Interval": "1-hour", "Cron-Tag-Action": "Cron"})
        await on.eval(process, 'Handlers.add("c", "Cron", function() print("tick") end)')
        for _ in range(3):
            await on.node.workbench.tick(process)
        await on.eval(process, "return 1")
        found = await on.get(f"/cron/{process}")
        assert [edge["node"]["Output"]["data"] for edge in found["edges"]] == ["tick"] * 3
        assert [decoded(edge["cursor"])["cron"] for edge in found["edges"]] == ["1", "2", "3"]
        two = await on.get(f"/cron/{process}?limit=2")
        assert len(two["edges"]) == 2 and two["pageInfo"]["hasNextPage"]
        begin = quote(two["edges"][1]["cursor"])
        one = await on.get(f"/cron/{process}?from={begin}")
        assert len(one["edges"]) == 1 and not one["pageInfo"]["hasNextPage"]
        everything = await on.get(f"/results/{process}?sort=DESC")
        ticks = [decoded(edge["cursor"])["cron"] for edge in everything["edges"]]
        assert ticks == [None, "3", "2", "1", None, None]


@in_loop
async def test_a_dry_run_changes_nothing(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn("x = 1")
        owner = on.definition().owner_address
        before = await on.send(process, "x = 2", Action="Eval")
        await on.eval(process, "x = 3")
        await on.node.idle()
        kept = content(folder)

        async def dry(data: object, query: str = "", owner: str = owner) -> dict[str, Any]:
            body = {"Owner": owner, "Data": data, "Tags": [{"name": "Action", "value": "Eval"}]}
            answer = await on.client.post(f"/dry-run?process-id={process}{query}", json=body)
            assert answer.status_code == 200, answer.text
            found: dict[str, Any] = answer.json()
            return found

        assert (await dry("x = x + 1 return x"))["Output"]["data"] == "4"
        assert (await dry("x = x + 1 return x"))["Output"]["data"] == "4"
        assert (await dry("return x", f"&to={before}"))["Output"]["data"] == "2"
        assert "x" not in (await dry("return x", owner="somebody"))["Output"]["data"].splitlines()
        assert "Error" in await dry("error('no')")
        await on.node.idle()
        assert content(folder) == kept


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1]",
        b'{"Tags": {"Action": "Eval"}}',
        b'{"Tags": [{"name": "a"}]}',
        b'{"Tags": [1]}',
        b'{"Owner": 5}',
        b'{"Anchor": []}',
        b"[" * 10_000,
        b'"' + b"x" * 100_000,
    ],
)
@in_loop
async def test_what_is_no_dry_run(body: bytes, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        answer = await on.client.post(f"/dry-run?process-id={process}", content=body)
        assert answer.status_code == 400 and answer.json()["error"]


@in_loop
async def test_dry_runs_that_cannot_be(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        for path, status in [
            (f"/dry-run?process-id={NOBODY}", 404),
            ("/dry-run", 400),
            (f"/dry-run?process-id={process}&to={NOBODY}", 404),
        ]:
            assert (
                await on.client.post(path, json={"Data": {"any": ["json"]}})
            ).status_code == status


@in_loop
async def test_the_memory_of_a_process_is_not_handed_out(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        assert "aoshell dump" in (await on.get(f"/state/{process}", 501))["error"]
        assert "is not on this node" in (await on.get(f"/state/{NOBODY}", 404))["error"]


@in_loop
async def test_results_that_are_kept_go_with_what_is_taken_back(
    folder: Path, wallet: Wallet
) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        message = await on.send(process, "return 'first'", Action="Eval")
        for place in (message, "1", message):
            assert (await on.result(process, place))["Output"]["data"] == "first"
        await on.node.workbench.undo(process, 1)
        await on.get(f"/result/{message}?process-id={process}", 404)
        await on.send(process, "return 'second'", Action="Eval")
        assert (await on.result(process, "1"))["Output"]["data"] == "second"
