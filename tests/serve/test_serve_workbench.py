"""The workbench over HTTP: for whoever has the token, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from served_node import COUNTER, NOBODY, ServedNode, content, served

from aoshell.protocol.wallet import Wallet

VERBS = ("as", "fork", "pause", "snapshot", "snapshots", "step", "tick", "undo", "warp")


async def ask(served: ServedNode, verb: str, status: int = 200, **fields: Any) -> Any:
    head = {"authorization": f"Bearer {served.serving.facts.token}"}
    answer = await served.client.post(f"/~aoshell@1.0/{verb}", json=fields, headers=head)
    assert answer.status_code == status, answer.text
    assert str(Path.home()) not in answer.text
    return answer.json()


@pytest.mark.parametrize("verb", [*VERBS, "nothing", ""])
@in_loop
async def test_nobody_without_the_token(verb: str, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        await on.node.idle()
        before, token = content(folder), on.serving.facts.token
        fields = {"process": process, "slot": 1, "milliseconds": 1000, "name": "x", "on": True}
        url = f"/~aoshell@1.0/{verb}"
        for head in (
            {},
            {"authorization": "Bearer x"},
            {"authorization": token},
            {"authorization": f"Basic {token}"},
            {"cookie": f"token={token}"},
            {"x-token": token},
        ):
            answer = await on.client.post(url, json=fields, headers=head)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer" and token not in answer.text
        assert (await on.client.get(url)).status_code == 401  # who asks learns of no verb
        for way in (f"{url}?token={token}", f"{url}?authorization=Bearer+{token}"):
            answer = await on.client.post(way, json=fields | {"token": token})
            assert answer.status_code == 401
        assert content(folder) == before


@in_loop
async def test_names_of_devices_may_be_percent_encoded(folder: Path, wallet: Wallet) -> None:
    """The token is required for each spelling of the name."""
    async with served(folder, wallet) as on:
        head = {"authorization": f"Bearer {on.serving.facts.token}"}
        for name in ("~aoshell%401.0", "%7Eaoshell@1.0", "~%61oshell%401%2E0", "~AOSHELL@1.0"):
            url = f"/{name}/warp"
            assert (await on.client.post(url, json={"milliseconds": 0})).status_code == 401
            answer = await on.client.post(url, json={"milliseconds": 0}, headers=head)
            assert answer.status_code == 200, answer.text
            assert (await on.client.get(f"/{name}/page/node")).status_code == 200
        query = {"query": "{ transactions { edges { cursor } } }"}
        answer = await on.client.post("/~query%401.0/graphql", json=query)
        assert answer.json()["data"]["transactions"]["edges"]


@in_loop
async def test_no_answer_tells_the_token(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        assert on.serving.facts.token in on.serving.facts.as_text()
        for path in ("/", "/info", "/~meta@1.0/info", "/~aoshell@1.0/info", "/timestamp"):
            assert on.serving.facts.token not in (await on.client.get(path)).text
        assert on.serving.facts.token not in repr(on.serving.facts)


@in_loop
async def test_the_clock_and_the_past(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER, Name="counter")
        now = int((await on.get("/timestamp"))["timestamp"])
        assert await ask(on, "warp", milliseconds=3_600_000) == {"ahead_ms": 3_600_000}
        assert int((await on.get("/timestamp"))["timestamp"]) >= now + 3_600_000
        await on.send(process, Action="Add")
        assert await ask(on, "snapshot", process="counter", name="one") == {
            "name": "one",
            "slot": 2,
        }
        await on.send(process, Action="Add")
        assert await ask(on, "snapshots", process=process) == {"one": 2}
        made = await ask(on, "fork", process=process, slot=2, name="twin")
        assert made["name"] == "twin"
        assert await ask(on, "undo", process=process, slot=3) == {"process": process, "slot": 3}
        for id in (process, made["id"]):
            assert (await on.eval(id, "return N"))["Output"]["data"] == "1"


@in_loop
async def test_a_queue(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn('Handlers.add("p", "Ping", function() Got = true end)')
        assert await ask(on, "pause", process=process, on=True) == {"paused": True}
        await on.eval(process, 'Send({Target = ao.id, Action = "Ping"})')
        await on.node.idle()
        assert (await on.eval(process, "return tostring(Got)"))["Output"]["data"] == "nil"
        assert await ask(on, "step", process=process) == {"left": 0}
        assert await ask(on, "pause", process=process, on=False) == {"paused": False}
        assert (await on.eval(process, "return Got"))["Output"]["data"] == "true"


@in_loop
async def test_signing_as_somebody_else(folder: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async def sign_as(name: str) -> Wallet:
        return {"alice": other_wallet}[name]

    async with served(folder, wallet, sign_as=sign_as) as on:
        process = await on.spawn("", Name="p")
        tags = [{"name": "Action", "value": "Eval"}]
        sent = await ask(on, "as", name="alice", process="p", tags=tags, data="return 1")
        assert sent["owner"] == other_wallet.address
        node = await on.get(f"/{sent['id']}?process-id={process}")
        assert node["message"]["owner"]["address"] == other_wallet.address
        assert node["message"]["data"] == "return 1"
    async with served(folder, wallet) as on:
        await ask(on, "as", 501, name="alice", process=process)


@in_loop
async def test_what_cannot_be_done(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        for verb, status, fields in [
            ("nothing", 404, {}),
            ("warp", 400, {}),
            ("warp", 400, {"milliseconds": -1}),
            ("warp", 400, {"milliseconds": True}),
            ("warp", 400, {"milliseconds": 1 << 60}),
            ("undo", 400, {"process": process}),
            ("undo", 404, {"process": NOBODY, "slot": 1}),
            ("undo", 404, {"process": "nobody", "slot": 1}),
            ("fork", 400, {"process": process, "slot": 99, "name": "x"}),
            ("pause", 400, {"process": process, "on": "yes"}),
            ("snapshot", 400, {"process": 5, "name": "x"}),
        ]:
            assert (await ask(on, verb, status, **fields))["error"]
        head = {"authorization": f"Bearer {on.serving.facts.token}"}
        assert (await on.client.get("/~aoshell@1.0/warp", headers=head)).status_code == 405
        for body in (b"{", b"[]", b"5"):
            answer = await on.client.post("/~aoshell@1.0/warp", content=body, headers=head)
            assert answer.status_code == 400


@in_loop
async def test_names_and_tags_that_are_refused(
    folder: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async def sign_as(_name: str) -> Wallet:
        return other_wallet

    async with served(folder, wallet, sign_as=sign_as) as on:
        process = await on.spawn()
        for name in ("x" * 100_000, "\0", "a\x1b[31mb", "two\nlines", " x ", "\u202e"):
            for verb in ("snapshot", "fork"):
                refused = await ask(on, verb, 400, process=process, name=name)
                assert len(refused["error"]) < 200
        await ask(on, "snapshot", 400, process=process, name="two words")
        assert await ask(on, "snapshots", process=process) == {}
        assert len((await ask(on, "tick", 400, process="x" * 5000))["error"]) < 200
        for tags in (
            [{"name": "A", "value": "b"}] * 500,
            [{"name": "A" * 5000, "value": "b"}],
            [{"name": "A", "value": "b" * 100_000}],
        ):
            assert (await ask(on, "as", 400, name="a", process=process, tags=tags))["error"]
        head = {"authorization": f"Bearer {on.serving.facts.token}"}
        answer = await on.client.post("/~aoshell@1.0/warp", content=b"\xff", headers=head)
        assert (answer.status_code, "codec" in answer.text) == (400, False)
        half = f'{{"process": "{process}", "name": "\\ud800"}}'  # of a pair of UTF-16
        answer = await on.client.post("/~aoshell@1.0/snapshot", content=half, headers=head)
        assert answer.status_code == 400
