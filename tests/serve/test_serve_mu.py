"""The messenger unit: which items are taken or refused, and that none counts twice."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from eventually import in_loop, until
from served_node import AUTHORITY, COUNTER, NOBODY, content, served, tags
from signers import Ed25519, Ethereum, Solana

from aoshell.nodes.local.node import LocalNode
from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.keys import Signer
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet


@in_loop
async def test_spawn_and_message(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        definition = on.definition()
        answer = await on.post(definition)
        assert answer.status_code == 202
        assert answer.json() == {"message": "Processing DataItem", "id": definition.id}
        message = on.message(definition.id, "1+1", Action="Eval")
        answer = await on.post(message)
        assert answer.status_code == 202
        assert answer.json() == {"message": "Processing DataItem", "id": message.id}
        assert (await on.result(definition.id, message.id))["Output"]["data"] == "2"


@pytest.mark.parametrize("signer", [Ed25519(), Ethereum(), Solana()], ids=lambda s: str(s.type))
@in_loop
async def test_every_type_of_signature(folder: Path, wallet: Wallet, signer: Signer) -> None:
    async with served(folder, signer) as on:
        process = await on.spawn()
        found = await on.eval(process, "return Owner")
        assert found["Output"]["data"] == on.definition().owner_address
        forged = on.message(process, "2", Action="Eval").raw[:-1] + b"3"
        assert (await on.post(forged)).status_code == 400
        by_another = on.message(process, "return 1", wallet, Action="Eval")
        assert (await on.post(by_another)).status_code == 202


@in_loop
async def test_items_of_arbundles(shared: Path, folder: Path, wallet: Wallet) -> None:
    vectors = json.loads((shared / "vectors/serve/signature-types.json").read_text())["items"]
    async with served(folder, wallet) as on:
        for name, vector in vectors.items():
            answer = await on.post(base64.b64decode(vector["raw"]))
            refused = {True: (400, "signature type 7"), False: (404, "is not on this node")}
            status, text = refused[name == "typedeth7"]  # the others are for a process elsewhere
            assert answer.status_code == status and text in answer.json()["error"]


@in_loop
async def test_the_same_item_is_one_slot(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(COUNTER)
        item, definition = on.message(process, Action="Add"), on.definition()
        for twice in (item, definition):
            answers = await asyncio.gather(*(on.post(twice) for _ in range(10)))
            assert {answer.text for answer in answers} == {answers[0].text}
            assert {answer.status_code for answer in answers} == {202}
        assert (await on.eval(process, "return N"))["Output"]["data"] == "1"
        assert len(await on.node.processes()) == 2
    async with served(folder, wallet) as on:
        assert (await on.post(item)).json()["id"] == item.id
        assert (await on.post(definition)).status_code == 202
        assert (await on.eval(process, "return N"))["Output"]["data"] == "1"
        assert len(await on.node.processes()) == 2


@in_loop
async def test_what_is_tampered_or_cut_leaves_nothing(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        await on.eval(process, "1")
        await on.node.idle()
        before, raw = content(folder), on.message(process, "x = 1", Action="Eval").raw
        at_each_part = (0, 2, 600, 1030, 1060, len(raw) - 20, len(raw) - 1)
        changed = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in at_each_part]
        cut = [raw[:length] for length in (0, 1, 2, 100, 1026, 1060, len(raw) - 1)]
        for bad in (*changed, *cut, raw + b"x", b"\0" * 2000, b'{"json": true}'):
            answer = await on.post(bad)
            assert answer.status_code == 400 and answer.json()["error"]
            answer = await on.client.request("DELETE", f"/monitor/{process}", content=bad)
            assert answer.status_code == 400
        assert content(folder) == before


@in_loop
async def test_tags_beyond_what_units_take(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        large = on.message(process, Large="v" * 3000, Larger="v" * 3000)
        answer = await on.post(large)
        assert answer.status_code == 400 and "4,096 bytes" in answer.json()["error"]
        many = [Tag(f"n{n}", "v") for n in range(129)]
        item = DataItem.sign(wallet, process, many, b"", limits=False)
        assert (await on.post(item)).status_code == 400


@in_loop
async def test_a_process_that_is_not_here(folder: Path, wallet: Wallet) -> None:
    """aos shows this text, after 24 s of tries, and nothing else."""
    async with served(folder, wallet) as on:
        answer = await on.post(on.message(NOBODY))
        text = answer.json()["error"]
        assert answer.status_code == 404
        assert text.startswith(f"process {NOBODY} is not on this node (aoshell serve)")
        assert ".aos-process-cache.json" in text and str(folder.parent) not in text


@in_loop
async def test_items_for_nobody(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        for item in (DataItem.sign(wallet), DataItem.sign(wallet, "", tags(Type="Message"))):
            answer = await on.post(item)
            assert answer.status_code == 400 and "no target" in answer.json()["error"]


@in_loop
async def test_nothing_that_a_request_names_is_fetched(folder: Path, wallet: Wallet) -> None:
    """Also where the shell itself may fetch: `.serve` at a prompt."""
    asked: list[str] = []

    async def fetch(module: str) -> object:
        asked.append(module)
        raise AssertionError

    async with served(folder, wallet) as on:
        on.node._engine.fetching._fetch = fetch  # type: ignore[assignment]
        answer = await on.post(on.definition(NOBODY))
        assert answer.status_code == 400 and NOBODY in answer.json()["error"]
        process = await on.spawn()
        answer = await on.post(b"", f"/?process-id={process}&assign={NOBODY}&base-layer")
        assert answer.status_code == 404 and "fetches nothing" in answer.json()["error"]
        assert not asked and len(await on.node.processes()) == 1


@in_loop
async def test_modules_are_fetched_where_that_is_allowed(
    folder: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, fetch = list[str](), LocalNode.fetch

    async def watched(node: LocalNode, module: str) -> object:
        asked.append(module)
        return await fetch(node, module)

    monkeypatch.setattr(LocalNode, "fetch", watched)
    async with served(folder, wallet, fetch=True) as on:
        asked.clear()
        answer = await on.post(on.definition(NOBODY))
        assert answer.status_code == 400 and "cannot be had" in answer.json()["error"]
        await on.spawn()  # of a module that is here
        assert asked == [NOBODY]


@in_loop
async def test_an_assignment_schedules_what_is_here(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        one, two = await on.spawn(), await on.spawn("Seen = {} " + SEEN)
        message = await on.send(one, "hello", Action="See")
        answer = await on.post(b"", f"/?process-id={two}&assign={message}")
        assert answer.status_code == 202
        assert answer.json()["message"] == "Processing Assignment"
        assert len(answer.json()["id"]) == 43
        path = f"/?process-id={two}&assign={message}&base-layer&exclude=Data,Anchor"
        assert (await on.post(b"", path)).status_code == 202
        seen = await on.eval(two, 'return table.concat(Seen, ",")')
        assert seen["Output"]["data"] == f"{message}:hello,{message}:"


SEEN = """
ao.addAssignable({Action = "See"})
Handlers.add("See", "See", function(msg) table.insert(Seen, msg.Id .. ":" .. msg.Data) end)
"""


@pytest.mark.parametrize("query", ["process-id=P", "assign=M", "process-id=P&assign="])
@in_loop
async def test_half_an_assignment(query: str, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        answer = await on.post(b"", f"/?{query}")
        assert answer.status_code == 400 and "not just one" in answer.json()["error"]


@in_loop
async def test_assignments_that_cannot_be(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        for query, status in [
            (f"process-id={NOBODY}&assign={process}", 404),
            (f"process-id={process}&assign={NOBODY}", 404),
            (f"process-id={process}&assign=short", 400),
            (f"process-id={process}&assign={process}&exclude={'a,' * 100}", 400),
        ]:
            assert (await on.post(b"", f"/?{query}")).status_code == status


@in_loop
async def test_cron_is_monitored_by_who_signs(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn(**{"Cron-Interval": "1-hour", "Cron-Tag-Action": "Cron"})
        item = DataItem.sign(wallet, process, (), b" ")
        for method, text in [("POST", "Monitoring process"), ("DELETE", "Process deleted")]:
            answer = await on.client.request(method, f"/monitor/{process}", content=item.raw)
            assert (answer.status_code, answer.text) == (200, text)
            (info,) = await on.node.processes()
            assert info.monitored is (method == "POST")
        for path, status in [(f"/monitor/{NOBODY}", 400), ("/monitor/x/y", 404)]:
            assert (await on.client.post(path, content=item.raw)).status_code == status
        absent = DataItem.sign(wallet, NOBODY, (), b" ")
        answer = await on.client.post(f"/monitor/{NOBODY}", content=absent.raw)
        assert answer.status_code == 404


@in_loop
async def test_what_is_pushed_is_trusted(folder: Path, wallet: Wallet) -> None:
    """aos names the public network's authority, and no other."""
    async with served(folder, wallet) as on:
        process = await on.spawn(Authority=AUTHORITY)
        code = 'Handlers.add("p", "Ping", function(m) Got = m.Owner end)'
        await on.eval(process, code)
        await on.eval(process, 'Send({Target = ao.id, Action = "Ping"})')
        await on.node.idle()
        assert (await on.eval(process, "return Got"))["Output"]["data"] == AUTHORITY
    owner = "x" * 43
    async with served(folder, wallet, authority=owner) as on:
        process = await on.spawn(Authority=owner)
        await on.eval(process, code)
        await on.eval(process, 'Send({Target = ao.id, Action = "Ping"})')
        await on.node.idle()
        assert (await on.eval(process, "return Got"))["Output"]["data"] == owner


@in_loop
async def test_who_sent_a_message_is_in_the_log(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        await on.send(process)
        await until(lambda: True)
        entries = await on.node.schedule(process, 0, 9)
        assert [entry.assignment and entry.assignment.client for entry in entries] == ["mu", "mu"]


SENDS = f'Send({{Target = "{NOBODY}", Data = "a"}}) Send({{Target = "%s", Data = "b"}}) return 1'


@in_loop
async def test_what_a_message_caused(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        other = await on.spawn()
        process = await on.spawn()
        message = await on.send(process, SENDS % other, Action="Eval")
        await on.result(process, message)
        await on.node.settled(message)
        asked = f"/?debug=1&process={process}"
        found = await on.get(f"{asked}&message={message}")
        rows = [edge["node"] for edge in found["edges"]]
        assert not found["pageInfo"]["hasNextPage"]
        assert (rows[0]["messageId"], rows[0]["parentId"]) == (message, None)
        assert (rows[0]["processId"], rows[0]["wallet"]) == (process, wallet.address)
        (caused,) = [row for row in rows if row["processId"] == other]
        assert (caused["parentId"], caused["type"]) == (message, "MESSAGE")
        assert "error" not in caused
        (lost,) = [row for row in rows if row.get("error")]
        assert lost["processId"] == process and "no process with this id" in lost["error"]
        first = await on.get(f"{asked}&message={message}&page-size=1")
        assert first["pageInfo"]["hasNextPage"] and first["edges"] == found["edges"][:1]
        second = await on.get(f"{asked}&message={message}&page-size=1&page=2")
        assert second["edges"] == found["edges"][1:2]
        mine = await on.get(f"{asked}&message={message}&wallet={wallet.address}")
        assert [edge["node"] for edge in mine["edges"]] == [rows[0]]
        spawned = await on.get(f"{asked}&spawn={process}")
        assert spawned["edges"][0]["node"]["type"] == "SPAWN"
        for wrong, status in (
            ("/?debug=1", 422),
            (f"/?debug=1&message={message}", 422),
            (f"{asked}&message={message}&spawn={message}", 422),
            (f"{asked}&message={message}&page=0", 422),
            (f"{asked}&message={message}&page-size=x", 422),
            (f"{asked}&message={NOBODY}", 404),
            (f"/?debug=1&process={NOBODY}&message={message}", 404),
        ):
            assert "error" in await on.get(wrong, status), wrong


@in_loop
async def test_pushing_again(folder: Path, wallet: Wallet) -> None:
    """The node has already delivered a result's messages; what it could not deliver is an error."""
    async with served(folder, wallet) as on:
        other = await on.spawn()
        process = await on.spawn()
        message = await on.send(process, SENDS % other, Action="Eval")
        await on.result(process, message)
        await on.node.settled(message)
        slots = await on.node.slots(other)
        for path, status, said in (
            (f"/push/{message}/1?process-id={process}", 202, "Processing Message Result"),
            (f"/push/{message}/0?process-id={process}", 409, "no process with this id"),
            (f"/push/{message}/2?process-id={process}", 404, "does not exist in the result"),
            (f"/push/{message}/x?process-id={process}", 400, "valid number"),
            (f"/push/{NOBODY}/0?process-id={process}", 404, "no result here"),
            (f"/push/{message}/0?process-id={NOBODY}", 404, "is not on this node"),
            (f"/push/{message}/0", 400, "no id of a process"),
        ):
            answer = await on.client.post(path)
            assert (answer.status_code, said in answer.text) == (status, True), answer.text
        assert await on.node.slots(other) == slots
