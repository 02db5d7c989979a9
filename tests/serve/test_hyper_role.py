"""The HyperBEAM role over a real node: paths as curl users and clients ask them."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from hyper_home import AS_JSON, ITEM, MODULE, hyper_home, in_path

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.serve.asgi.http import Request, Response

PATCH = "Send({device='patch@1.0', cache={acl={abc={'p1','p2'}}, info={Name='Tok'}}, n=5})"
GONE = "A" * 43


@in_loop
async def test_reads(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn(Name="tok")
        assert (await home.push(process, "1+1"))["raw"]["Output"]["data"] == "2"
        await home.push(process, PATCH)
        of = f"/{process}~process@1.0"
        assert await home.text("/~meta@1.0/info/address") == other_wallet.address
        assert (await home.json("/~meta@1.0/info"))["address"] == other_wallet.address
        for path, due in (
            (f"/{process}/slot/current", "2"),
            (f"{of}/slot/current", "2"),
            (f"{of}/compute&slot=1/at-slot", "1"),
            (f"{of}/compute=1/at-slot", "1"),
            (f"{of}/compute?slot=1", None),
            (f"{of}/compute/at-slot?slot=1", "1"),
            (f"{of}/compute&slot=1/results/output/data", "2"),
            (f"{of}/compute/results=1/data", "2"),
            (f"{of}/COMPUTE&SLOT+integer=1/Results/Data", "2"),
            (f"{of}/now/at-slot", "2"),
            (f"/{process}%7Eprocess%401.0/now/at-slot", "2"),
            (f"{of}/latest/at-slot", "2"),
            (f"{of}/now/n", "5"),
            (f"{of}/now/cache/info/name", "Tok"),
            (f"{of}/now/cache/acl/abc/2", "p2"),
            (f"{of}/module", None),
            (f"/{process}/now/cache/info/NAME", "Tok"),
        ):
            assert (await home.text(path) == due) or due is None, path
        cache = {"acl": {"abc": ["p1", "p2"]}, "info": {"Name": "Tok"}}
        assert await home.json(f"{of}/compute/cache") == cache
        assert await home.json(f"{of}/now/cache/acl/abc") == ["p1", "p2"]
        assert await home.json(f"{of}/compute&slot=1/results/outbox") == {}
        assert {"cache", "n", "at-slot", "results", "device", "name"} <= set(
            await home.json(f"{of}/compute/keys")
        )
        wao = json.loads(await home.text(f"/{process}/compute/~json@1.0/serialize?slot=1"))
        assert json.loads(wao["results"]["json"]["body"])["Output"]["data"] == "2"
        assert (await home.said(f"{of}/now/cache"))["acl"] == {"abc": ["p1", "p2"]}
        # What was there after slot 1 had no cache yet.
        assert (await home.get(f"{of}/compute&slot=1/cache")).status == 404


@in_loop
async def test_answers_are_signed_in_each_codec(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        await home.push(process, "1+1")
        await home.push(process, "error('boom')")
        for path in (
            "/~meta@1.0/info",
            "/~meta@1.0/info/address",
            f"/{process}/slot/current",
            f"/{process}~process@1.0/compute",
            f"/{process}~process@1.0/compute&slot=1/results",
            f"/{process}~process@1.0/compute&slot=2/results",
            f"/{process}~process@1.0/compute&slot=2/results/error",
            f"/{process}~process@1.0/compute&slot=9/results",
            f"/{process}~process@1.0/now/none",
            f"/{process}~process@1.0/schedule",
            f"/{process}~process@1.0/schedule?from=0&to=1&accept=application/aos-2",
            f"/{process}~process@1.0/schedule/assignments/1?from=1&to=1",
            f"/{process}~process@1.0",
            f"/{GONE}~process@1.0/now",
            "/~nobody@1.0/here",
        ):
            plain = await home.said(path)
            for headers in (AS_JSON, (("require-codec", "application/json"),)):
                answer = await home.ask("GET", path, headers)
                assert dict(answer.headers)["content-type"].startswith("application/json")
                if not path.endswith("aos-2"):
                    found = home.checked(answer)
                    assert found["status"] == plain["status"], path
        assert (await home.get("/~meta@1.0/info", ("require-codec", "x@1.0"))).status == 406
        both = await home.get(f"/{process}/compute?require-codec=application/json")
        assert json.loads(both.body)["at-slot"] == 2


@in_loop
async def test_what_is_not_here_is_named(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        for path, status, words in (
            (f"/{GONE}~process@1.0/now", 404, "is not on this node"),
            (f"/{GONE}/compute", 404, "is not on this node"),
            ("/~cron@1.0/once?cron-path=/x", 404, "~cron@1.0 has no key 'once'"),
            ("/~relay@1.0/cast", 404, "~relay@1.0 has no key 'cast'"),
            (f"/{process}~node-process@1.0/schedule", 404, "~node-process@1.0"),
            (f"/{process}~process@1.0/compute&slot=x", 400, "no slot"),
            (f"/{process}~process@1.0/schedule?from=x", 400, "from is a number"),
            ("/~scheduler@1.0/schedule", 400, "target"),
            (f"/~scheduler@1.0/schedule?target={GONE}", 404, "is not on this node"),
            (f"/{process}~process@1.0/as=other/compute", 404, "as='other' is not answered here"),
            (f"/{process}~process@1.0/as/compute", 404, "as='' is not answered here"),
            ("/x~process@1.0/compute", 400, "'x' is no id of a process"),
            (f"/{process}~scheduler@1.0/slot/current", 404, "/PROCESS~process@1.0/"),
            (f"/{process}~process@1.0/compute/~scheduler@1.0/slot", 404, "at this place of a path"),
            (f"/{process}~meta@1.0/info", 404, "at this place of a path"),
            (f"/~process@1.0/{process}/now", 404, f"/{process}~process@1.0/"),
            ("/~process@1.0/now", 404, "~process@1.0 has no key 'now'"),
            ("/x~scheduler@1.0", 404, "~scheduler@1.0 has no key 'x'"),
            ("/x~meta@1.0", 404, "~meta@1.0 has no key 'x'"),
            (f"/{process}~process@1.0/now/%2e%2e/..", 404, "not_found"),
            (f"/{process}~process@1.0/" + "a" * 8192, 400, "characters"),
            (f"/{process}~process@1.0/push", 400, "push takes"),
        ):
            answer = await home.get(path)
            assert (answer.status, words in answer.body.decode()) == (status, True), answer.body
            home.checked(answer)
        early = await home.said(f"/{process}~process@1.0/compute&slot=7/results")
        assert (early["attempted-slot"], early["phase"]) == (7, "get-schedule")


@in_loop
async def test_other_roles_keep_their_paths(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        for method, path, query in (
            ("GET", "/", ""),
            ("POST", "/", ""),
            ("GET", f"/{process}", ""),
            ("GET", f"/{process}/latest", f"process-id={process}"),
            ("GET", "/result/" + process, ""),
            ("POST", "/graphql", ""),
            ("POST", "/~query@1.0/graphql", ""),
            ("PUT", f"/{process}~process@1.0/push", ""),
            ("GET", "/push", ""),
        ):
            assert await home.role.answer(Request(method, path, query)) is None, path
        message = await home.get(f"/{process}?require-codec=application/json")
        assert json.loads(message.body)["module"]


@in_loop
async def test_a_message_has_its_own_status(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        item = home.item(process, "1", Action="Add", Status="Active")
        assert (await home.post(f"/{process}/schedule", item)).status == 200
        answer = await home.get(f"/{item.id}?require-codec=application/json")
        said = json.loads(answer.body)
        assert (answer.status, said["status"], said["action"]) == (200, "Active", "Add")


@in_loop
async def test_an_item_that_may_be_two_things_is_refused(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        for first, second in (("Message", "Process"), ("Process", "Message")):
            for target in (process, ""):
                tags = (("Type", first), ("Module", MODULE), ("type", second))
                item = DataItem.sign(wallet, target, tags_of(tags), b"")
                answer = await home.post("/push", item)
                assert (answer.status, b"several tags Type" in answer.body) == (400, True)
        # A Type of one's own beside that of a client is usual.
        item = DataItem.sign(wallet, process, tags_of((("Type", "Message"), ("Type", "X"))), b"")
        assert (await home.post(f"/{process}/schedule", item)).status == 200
        assert await home.slots(process) == 2


@in_loop
async def test_a_read_that_is_signed_is_no_write(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        await home.push(process, "N = 7; return N")
        before = await home.slots(process), home.node.newest
        asked = home.item(process, "1984", require_codec="application/json")
        for path in (
            f"/{process}~process@1.0/compute/results=1",
            f"/{process}/compute/results=1",
            f"/{process}~process@1.0/compute&slot=1",
            f"/{process}/now",
        ):
            answer = await home.post(path, asked)
            assert home.checked(answer), path
            assert json.loads(answer.body)["commitments"]
        slot = await home.post(f"/{process}/slot/current", home.item("", ""))
        assert slot.body == b"1"
        found = json.loads((await home.post(f"/{process}/compute/results=1", asked)).body)
        assert (found["at-slot"], found["raw"]["Output"]["data"]) == (1, "7")
        assert (await home.slots(process), home.node.newest) == before


@in_loop
async def test_dry_runs(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn(Name="dry")
        await home.push(
            process, "Handlers.add('Info', 'Info', function(m) m.reply({Foo=m.Foo}) end)"
        )
        before = home.node.newest
        base = f"/{process}~process@1.0/as=execution/compute"

        def raw(answer: Response) -> Any:
            assert answer.status == 200, answer.body
            return json.loads(answer.body)["raw"]

        item = home.item(process, "1984", require_codec="application/json", SDK="aoconnect")
        sent = raw(await home.post(base + in_path(Action="Info", Foo="a b"), item))
        assert {"name": "Foo", "value": "a b"} in sent["Messages"][0]["Tags"]
        line = home.item(process, "Name", require_codec="application/json")
        assert raw(await home.post(base + in_path(Action="Eval"), line))["Output"]["data"] == "dry"
        message = {"action": "Eval", "data": "1+\n1", "target": process, "type": "Message"}
        whole = home.checked(await home.post_httpsig(f"{base}/results", message))
        assert (whole["output"]["data"], whole["process"]) == ("2", process)
        unsigned = await home.said(base + in_path(Action="Eval"))
        assert "data" in unsigned["output"]  # nobody's line is not evaluated, and nothing fails
        forged = await home.ask("POST", base + in_path(Action="Eval"), ITEM, line.raw[:-1] + b"x")
        assert forged.status == 400
        assert home.node.newest == before


@in_loop
async def test_a_process_forges_no_signature(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        own = "commitments={x={committer='me'}}, priv=1, ['ao-types']='n=\"atom\"', ['x+link']='y'"
        await home.push(process, f"Send({{device='patch@1.0', state={{{own}, fine=1}}, {own}}})")
        for headers in ((), AS_JSON):
            state = await home.said(f"/{process}~process@1.0/now", *headers)
            assert state["state"] == {"fine": 1}
            assert not {"priv", "x+link", "x"} & state.keys()


@in_loop
async def test_any_path_is_answered_and_signed(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        await home.push(process, PATCH)
        words = [
            *("compute", "now", "latest", "slot", "current", "schedule", "results", "outbox"),
            *("keys", "serialize~json@1.0", "~json@1.0", "serialize", "cache", "1", "0", "-1"),
            *("compute&slot=1", "compute=0", "compute&slot=-1", "results=1", "as=execution"),
            *("at-slot", "process", "device", "~meta@1.0", "info", "..", "%00", "%ff", "a" * 300),
            *("assignments", "~x@1.0", "&", "=", "~", "&slot", "push&slot=1", "body", "raw"),
            *(process, f"{process}~process@1.0", GONE, "compute&slot=99999999999999999999"),
        ]
        chance = random.Random(4)
        for _ in range(150):
            path = "/" + "/".join(chance.choices(words, k=chance.randint(1, 5)))
            path = chance.choice(("", f"/{process}", f"/{process}~process@1.0")) + path
            request = Request("GET", path, chance.choice(("", "slot=1", "from=0&to=x", "&&=")))
            answer = await home.role.answer(request)
            if answer is not None:
                assert answer.status < 500, (path, answer.body)
                home.checked(answer)


@in_loop
async def test_what_waits_is_ended_with_its_client(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        line = home.item(process, "while true do end", Action="Eval")
        task = asyncio.ensure_future(home.post(f"/{process}/push", line))
        while await home.slots(process) < 2:
            await asyncio.sleep(0.01)
        assert await home.text(f"/{process}/slot/current") == "1"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await home.node.cancel(process, 1)


@in_loop
async def test_a_relay_to_nobody_else(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        await home.push(process, "1+1")
        host = ("host", "127.0.0.1:4000")

        async def relay(path: str, *more: tuple[str, str]) -> Response:
            return await home.get("/~relay@1.0/call", host, ("relay-path", path), *more)

        for place in ("", "http://127.0.0.1:4000", "http://localhost:4000", "http://[::1]:4000"):
            answer = await relay(f"{place}/result/1?process-id={process}")
            assert json.loads(answer.body)["Output"]["data"] == "2", answer.body
        tags = [{"name": "Action", "value": "Eval"}]
        asked = json.dumps({"Data": "return 3", "Tags": tags, "Owner": wallet.address})
        answer = await relay(
            f"/dry-run?process-id={process}", ("relay-method", "POST"), ("relay-body", asked)
        )
        assert json.loads(answer.body)["Output"]["data"] == "3"
        for path, status in (
            ("http://127.0.0.1:4001/result/1", 403),
            ("http://127.0.0.1/result/1", 403),
            ("http://127.0.0.1:4000@evil.test/result/1", 403),
            ("http://evil.test:4000/result/1", 403),
            ("//evil.test/result/1", 403),
            ("https://arweave.net/info", 403),
            ("file:///etc/passwd", 404),
            ("result/1", 403),
            ("", 403),
            ("/~aoshell@1.0/warp", 404),
            ("/~relay@1.0/call", 404),
            ("/graphql", 404),
        ):
            answer = await relay(path)
            assert answer.status == status, (path, answer.body)
        assert (await relay("/result/1", ("relay-method", "DELETE"))).status == 400


@in_loop
async def test_names_of_devices_may_be_percent_encoded(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        for path in (
            "/~meta%401.0/info/address",
            "/%7Emeta%401%2E0/info/address",
            "/%7emeta@1.0/info/address",
        ):
            assert await home.text(path) == home.key.address
        assert await home.text(f"/{process}~process%401.0/slot/current") == "0"
        for name in ("~query@1.0", "~query%401.0", "%7E%71uery%401.0", "~query@1.0&a=b"):
            asked = Request("POST", f"/{name}/graphql", "", (), b"{}")
            assert await home.role.answer(asked) is None  # it is the gateway's


@in_loop
async def test_results_that_are_kept_go_with_what_is_taken_back(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        await home.push(process, "return 'first'")
        path = f"/{process}~process@1.0/compute&slot=1/results/data"
        kept = await home.get(path)
        assert kept.body == b"first" and await home.get(path) is kept
        as_json = await home.get(path, ("accept", "application/json"))
        assert json.loads(as_json.body)["body"] == "first"
        asks_more = await home.ask("GET", path, ITEM, home.item(process, require_codec="x").raw)
        assert asks_more.status == 406  # a body says more than the head
        await home.node.workbench.undo(process, 1)
        assert (await home.get(path)).status == 404
        await home.push(process, "return 'second'")
        assert await home.text(path) == "second"
