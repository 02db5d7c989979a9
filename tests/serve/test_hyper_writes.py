"""What is written to the HyperBEAM role: messages, pushes, schedules, tasks of cron."""

from __future__ import annotations

import json
from pathlib import Path

from eventually import in_loop
from hyper_home import AS_JSON, ITEM, hyper_home
from test_hyper_role import GONE, PATCH

from aoshell.nodes.served import Stored
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Message, tags_of, text
from aoshell.protocol.wallet import Wallet
from aoshell.serve.hyper.messages import signed_map
from aoshell.serve.hyper.process import without_commitments


@in_loop
async def test_writes(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        spawned = await home.post("/push", home.definition(accept_codec="httpsig@1.0"))
        said = home.checked(spawned)
        process = str(said["process"])
        assert (said["slot"], said["type"], said["variant"]) == (0, "assignment", "ao.N.1")
        assert said["body"]["type"] == "Process"
        again = home.checked(await home.post("/push", home.definition(), *AS_JSON))
        assert again["process"] != process
        for path in ("/schedule", "/~scheduler@1.0/schedule", "/~process@1.0/schedule"):
            item = home.item(process, "1", Action="Eval")
            first = home.checked(await home.post(path, item))
            assert first["process"] == process
            second = home.checked(await home.post(f"/{process}/schedule", item))
            assert second["slot"] == first["slot"]  # the same item is one slot
        message = {
            "action": "Eval",
            "data": "return\n'a\\nb'",
            "target": process,
            "type": "Message",
        }
        placed = home.checked(await home.post_httpsig(f"/{process}~process@1.0/schedule", message))
        path = f"/{process}~process@1.0/compute&slot={placed['slot']}/results/data"
        assert await home.text(path) == "a\nb"
        assert placed["body"] == message
        for target, status in ((GONE, 404), ("", 400)):
            item = home.item(target, "1", Action="Eval")
            assert (await home.post("/~scheduler@1.0/schedule", item)).status == status
            assert (await home.post(f"/{process}/push", item)).status == 400
        assert (await home.post(f"/{process}/push", home.definition())).status == 400
        item = home.item(process, "1", Action="Eval")
        forged = item.raw[:-1] + b"2"
        assert (await home.ask("POST", f"/{process}/push", ITEM, forged)).status == 400
        assert (await home.ask("POST", "/push")).status == 400
        raw = text(b"\xff\xfe")
        for headers in ((), AS_JSON):
            item = home.item(process, "", Action="Raw", Number=str(len(headers)))
            item = DataItem.sign(wallet, process, item.tags, b"\xff\xfe")
            placed = home.checked(await home.post(f"/{process}/schedule", item, *headers))
            assert placed["body"]["data"] == (raw if not headers else "\ufffd\ufffd")
        missing = await home.post("/push", home.definition(Module=GONE))
        assert (missing.status, b"no module" in missing.body) == (400, True)
        assert b"--fetch" in missing.body


@in_loop
async def test_a_push_tells_what_it_caused(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        first, second = await home.spawn(Name="a"), await home.spawn(Name="b")
        await home.push(second, "Handlers.add('P', 'P', function(m) Send({Target=m.From}) end)")
        line = f"Send({{Target='{second}', Action='P'}}) Send({{Target='{GONE}'}}) {PATCH}"
        said = await home.push(first, line)
        assert list(said["outbox"]) == ["1", "2", "3"]
        there = said["1"]
        assert (there["target"], there["slot"]) == (second, 2)
        back = there["resulted-in"]["1"]
        assert (back["target"], back["slot"]) == (first, said["slot"] + 1)
        assert said["2"]["status"] == 404 and said["2"]["target"] == GONE
        (kept,) = await home.node.undelivered(first)
        assert said["2"]["reason"] == kept.reason
        assert "3" not in said  # it is for a device of the process itself
        path = f"/{first}~process@1.0/push&slot={said['slot']}&result-depth+integer=1000"
        told = home.checked(await home.ask("POST", path, AS_JSON))
        assert told["1"] == there
        at_once = home.item(first, "2", Action="Eval")
        answer = await home.post(f"/{first}~process@1.0/push?async=true", at_once, *AS_JSON)
        assert json.loads(answer.body)["id"] == at_once.id and b"raw" not in answer.body


@in_loop
async def test_schedules(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn(Name="log")
        for n in range(4):
            await home.push(process, f"{n}")
        path = f"/{process}~process@1.0/schedule?from=1&to=3&accept=application/aos-2"
        for asked in (
            path,
            path.replace(
                f"/{process}~process@1.0/schedule?",
                "/~scheduler@1.0/schedule?target=" + process + "&",
            ),
        ):
            answer = await home.get(asked)
            page = json.loads(answer.body)
            assert [edge["cursor"] for edge in page["edges"]] == [1, 2, 3]
            assert page["page_info"]["has_next_page"] is True
            assert page["page_info"]["process"] == process
            message, placed = (page["edges"][0]["node"][k] for k in ("message", "assignment"))
            assert (message["Data"], message["Owner"]) == ("0", wallet.address)
            assert {"name": "Action", "value": "Eval"} in message["Tags"]
            assert {"name": "Slot", "value": "1"} in placed["Tags"]
            home.checked(answer)
        # Any assignment has its path, whichever part of the log was asked for.
        part = f"/{process}~process@1.0/schedule&from=0&to=1/assignments"
        assert await home.text(f"{part}/3/slot") == "3"
        whole = await home.said(f"/{process}~process@1.0/schedule")
        assert list(whole["assignments"]) == ["0", "1", "2", "3", "4"]
        assert whole["assignments"]["2"]["body"]["data"] == "1"
        one = await home.said(f"/{process}~process@1.0/schedule/assignments/2")
        assert (one["slot"], one["body"]["action"]) == (2, "Eval")
        beyond = json.loads((await home.get(path.replace("from=1&to=3", "from=9"))).body)
        assert (beyond["edges"], beyond["page_info"]["has_next_page"]) == ([], False)


@in_loop
async def test_kept_answers_follow_the_log(
    tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()
        await home.push(process, "Send({device='patch@1.0', n=1})")
        path = f"/{process}~process@1.0/now/n"
        assert await home.get(path) is await home.get(path)
        await home.push(process, "Send({device='patch@1.0', n=2})")
        assert await home.text(path) == "2"
        await home.node.workbench.undo(process, 2)
        assert await home.text(path) == "1"
        await home.push(process, "Send({device='patch@1.0', n=3})")
        assert await home.text(path) == "3"


@in_loop
async def test_cron_of_a_process(tmp_path: Path, wallet: Wallet, other_wallet: Wallet) -> None:
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn()

        async def runs() -> bool:
            return (await home.node.find(process)).monitored

        every = f"/~cron@1.0/every?interval=30-seconds&cron-path=/{process}~process@1.0/now"
        assert not await runs()
        elsewhere = ("sec-fetch-site", "cross-site")
        assert (await home.get(every, elsewhere)).status == 403 and not await runs()
        allowed = (elsewhere, ("origin", "http://localhost:3000"))  # the guard has let it in
        assert (await home.get(every, *allowed)).status == 200 and await runs()
        assert await home.text(f"/~cron%401.0/stop?task={process}") and not await runs()
        assert await home.text(every) == process and await runs()
        assert (await home.get(f"/~cron@1.0/stop?task={process}", elsewhere)).status == 403
        stopped = await home.said(f"/~cron@1.0/stop?task={process}")
        assert stopped["body"]["task_id"] == process and not await runs()
        at = "/~cron@1.0/every?interval=1-minute&cron-path="
        for path, status, words in (
            (f"/~cron@1.0/stop?task={process}", 400, "Task not found."),
            (f"/~cron@1.0/stop?task={GONE}", 400, "Task not found."),
            ("/~cron@1.0/stop", 400, "Task not found."),
            (f"{at}/{GONE}/now", 404, "is not on this node"),
            (f"{at}/{process}/slot", 400, "a task is that of a process"),
            (f"{at}/{process}~meta@1.0/now", 400, "a task is that of a process"),
            (f"{at}/~meta@1.0/info", 400, "a task is that of a process"),
            (f"{at}/", 400, "a task is that of a process"),
            ("/~cron@1.0/every?interval=1-minute", 400, "No cron path"),
            (f"/~cron@1.0/every?interval=0-hours&cron-path=/{process}/now", 400, "interval is"),
        ):
            answer = await home.get(path)
            assert (answer.status, words in answer.body.decode()) == (status, True), answer.body
        assert not await runs()


def test_nothing_in_a_state_passes_for_a_commitment() -> None:
    """At any depth, in lists as well."""
    state = {"a": [{"commitments": {"x": 1}, "b": 2}], "commitments": {"x": 1}, "": 1}
    assert without_commitments(state) == {"a": [{"b": 2}]}


def test_a_message_shows_no_commitment_that_a_client_could_not_check(wallet: Wallet) -> None:
    """Of two tags of one name a map holds one, and the signature covers both."""
    for names, shown in (("AB", True), ("AA", False)):
        tags = tags_of(zip(names, "12", strict=True))
        item = DataItem.sign(wallet, GONE, tags, b"x")
        message = Message(item.id, "", "", GONE, item.tags, item.data)
        found = signed_map(Stored(1, GONE, message, item))
        assert ("commitments" in found) is shown
        assert found["a"] == ("1" if shown else "2") and found["data"] == "x"
