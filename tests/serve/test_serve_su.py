"""The scheduler unit: one message or a page, by time or nonce, and the chain that a CU checks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from eventually import in_loop
from served_node import COUNTER, NOBODY, ServedNode, served

from aoshell.protocol.encoding import b64url, unb64url
from aoshell.protocol.wallet import Wallet


def tag(node: dict[str, Any], name: str) -> str:
    found: str = next(tag["value"] for tag in node["assignment"]["tags"] if tag["name"] == name)
    return found


def nonces(page: dict[str, Any]) -> list[int]:
    return [int(tag(edge["node"], "Nonce")) for edge in page["edges"]]


async def logged(on: ServedNode, messages: int = 7) -> tuple[str, list[str]]:
    process = await on.spawn(COUNTER)
    ids = [await on.send(process, f"{n}", Action="Add") for n in range(messages)]
    await on.result(process, ids[-1])
    return process, ids


@in_loop
async def test_the_hash_chain_is_the_networks(folder: Path, wallet: Wallet) -> None:
    """As servers/cu of permaweb/ao checks it: over the assignment before and its chain."""
    async with served(folder, wallet) as on:
        process, _ = await logged(on)
        edges = (await on.get(f"/{process}?process-id={process}&limit=1000"))["edges"]
        assert len(edges) == 9
        before = edges[0]["node"]
        for edge in edges[1:]:
            chain = unb64url(before["assignment"]["id"]) + unb64url(tag(before, "Hash-Chain"))
            assert tag(edge["node"], "Hash-Chain") == b64url(hashlib.sha256(chain).digest())
            before = edge["node"]


@in_loop
async def test_messages_are_as_they_were_signed(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process = await on.spawn()
        item = on.message(process, "1+1", Action="Eval")
        await on.post(item)
        node = await on.get(f"/{item.id}?process-id={process}")
        assert node["message"] == {
            "id": item.id,
            "owner": {"address": item.owner_address, "key": b64url(item.owner)},
            "data": "1+1",
            "tags": [{"name": tag.name, "value": tag.value} for tag in item.tags],
            "signature": b64url(item.signature),
            "anchor": None,
            "target": process,
        }
        placed = {one["name"]: one["value"] for one in node["assignment"]["tags"]}
        assert placed["Process"] == process and placed["Message"] == item.id
        assert (placed["Epoch"], placed["Nonce"], placed["Type"]) == ("0", "1", "Assignment")
        assert len(placed["Block-Height"]) == 12 and placed["Data-Protocol"] == "ao"
        assert node["assignment"]["owner"]["address"] == on.serving.facts.address
        assert node["assignment"]["signature"] and node["assignment"]["id"]
        newest = await on.get(f"/{process}/latest?process-id={process}")
        assert newest == node
        binary = on.message(process, b"\xff\xfe")
        await on.post(binary)
        node = await on.get(f"/{binary.id}?process-id={process}")
        assert node["message"]["data"] is None  # as a real unit


@in_loop
async def test_pages_by_nonce(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        process, _ = await logged(on)
        for query, expected in [
            ("from-nonce=-1", list(range(9))),
            ("from-nonce=0", list(range(1, 9))),
            ("from-nonce=2&to-nonce=5", [3, 4, 5]),
            ("to-nonce=1", [0, 1]),
            ("from-nonce=8", []),
            ("from-nonce=1&limit=2", [2, 3]),
        ]:
            page = await on.get(f"/{process}?process-id={process}&{query}")
            assert nonces(page) == expected
            assert [edge["cursor"] for edge in page["edges"]] == [str(n) for n in expected]
        begin, paged, more = "-1", list[int](), True
        while more:
            page = await on.get(f"/{process}?from-nonce={begin}&limit=4")
            more, begin = page["page_info"]["has_next_page"], page["edges"][-1]["cursor"]
            paged += nonces(page)
        assert paged == list(range(9))


@in_loop
async def test_pages_by_time_leave_nothing_out(folder: Path, wallet: Wallet) -> None:
    """Messages of one millisecond stay on one page: the next page begins after that time."""
    async with served(folder, wallet) as on:
        process = await on.spawn()
        on.node._engine.scheduler._clock = lambda: 1_800_000_000_000
        for n in range(5):
            await on.send(process, f"{n}")
        on.node._engine.scheduler._clock = lambda: 1_800_000_000_001
        for n in range(2):
            await on.send(process, f"{n}")
        page = await on.get(f"/{process}?process-id={process}&limit=3")
        assert nonces(page) == [0, 1, 2, 3, 4, 5] and page["page_info"]["has_next_page"]
        begin = page["edges"][-1]["cursor"]
        assert begin == "1800000000000"
        page = await on.get(f"/{process}?process-id={process}&limit=3&from={begin}")
        assert nonces(page) == [6, 7] and not page["page_info"]["has_next_page"]
        page = await on.get(f"/{process}?process-id={process}&to={begin}")
        assert nonces(page) == [0, 1, 2, 3, 4, 5]
        whole = await on.get(f"/{process}?process-id={process}&limit=6")
        assert nonces(whole) == [0, 1, 2, 3, 4, 5] and whole["page_info"]["has_next_page"]


@in_loop
async def test_a_process_and_the_time(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        item = on.definition(Name="desk")
        await on.post(item)
        found = await on.get(f"/processes/{item.id}")
        assert list(found) == [
            *("process_id", "block", "owner", "data", "tags", "signature", "anchor", "target"),
            "timestamp",
        ]
        assert (found["process_id"], found["data"]) == (item.id, " ")
        assert found["target"] is None  # nobody signed one; a real unit gives what was signed
        page = await on.get(f"/{item.id}?process-id={item.id}&to-nonce=0")
        assert page["edges"][0]["node"]["message"]["target"] is None
        assert {"name": "Name", "value": "desk"} in found["tags"]
        assert type(found["timestamp"]) is int and len(found["block"]) == 12
        now = await on.get("/timestamp")
        assert int(now["timestamp"]) >= found["timestamp"] and len(now["block_height"]) == 12


@in_loop
async def test_an_assigned_message_is_left_to_the_gateway(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        one, two = await on.spawn(), await on.spawn()
        message = await on.send(one, "hello")
        answer = await on.post(b"", f"/?process-id={two}&assign={message}&exclude=Data")
        node = await on.get(f"/{answer.json()['id']}?process-id={two}")
        assert node["message"] is None
        assert (tag(node, "Message"), tag(node, "Exclude")) == (message, "Data")


@in_loop
async def test_what_is_not_here(folder: Path, wallet: Wallet) -> None:
    """A scheduler unit answers 400."""
    async with served(folder, wallet) as on:
        process = await on.spawn()
        for path in (
            f"/{NOBODY}?process-id={process}",
            f"/{NOBODY}?process-id={NOBODY}",
            f"/{process}?process-id={NOBODY}",
            f"/processes/{NOBODY}",
            f"/{NOBODY}/latest?process-id={NOBODY}",
            f"/{process}?process-id={process}&from=x",
            f"/{process}?process-id={process}&from-nonce=-2",
            f"/{process}?process-id={process}&to={'9' * 40}",
        ):
            assert (await on.get(path, 400))["error"]


@in_loop
async def test_single_roles_on_their_ports(folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet, ports=True) as on:
        ports = on.serving.facts.ports
        assert list(ports) == ["bundler", "mu", "su", "cu"]
        urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        process = on.definition()
        assert (await on.post(process, urls["mu"])).status_code == 202
        assert (await on.client.get(urls["mu"])).text == "ao messenger unit"
        assert (await on.client.get(urls["cu"])).json()["address"] == on.serving.facts.address
        assert list((await on.client.get(urls["su"])).json()) == ["timestamp", "address"]
        page = await on.client.get(f"{urls['su']}/{process.id}")
        assert nonces(page.json()) == [0]
        for wrong in (f"{urls['cu']}/timestamp", f"{urls['su']}/results/{process.id}"):
            assert (await on.client.get(wrong)).status_code == 404
