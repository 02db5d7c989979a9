"""Recorded sessions of real clients, replayed to our server: requests and answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from eventually import in_loop
from hyper_home import AS_JSON, Home, hyper_home
from recordings import exchanges

from aoshell.protocol.ans104 import DataItem
from aoshell.protocol.message import Tag
from aoshell.protocol.wallet import Wallet

PATCH = (
    "Send({device='patch@1.0', cache={acl={abc={'p1','p2'}}, balances={a='1'},"
    " info={name='Tok', ticker='TOK'}}})"
)


def signed_again(sent: dict[str, Any], home: Home, process: str) -> DataItem:
    """A recorded item by another wallet, for another process."""
    tags = tuple(Tag(one["name"], one["value"]) for one in sent["tags"])
    owned = {"Authority", "Scheduler"}
    mine = (Tag(t.name, home.key.address if t.name in owned else t.value) for t in tags)
    return DataItem.sign(
        home.wallet, sent["target"] and process, tuple(mine), sent["data"].encode()
    )


def outcomes(answer: dict[str, Any]) -> tuple[Any, ...]:
    raw = answer.get("raw", {})
    output = raw.get("Output")
    data = output.get("data") if isinstance(output, dict) else None
    return data, raw.get("Error"), len(raw.get("Messages", ()))


async def told_again(home: Home, recorded: list[dict[str, Any]]) -> Iterator[tuple[Any, Any, Any]]:
    """Each exchange: the recorded one, what our server answers, and the process so far."""
    process, there, found = "", "", []
    for one in recorded:
        sent = (one["reqBody"] or {}).get("ans104")
        if one["method"] != "POST":
            continue
        if one["path"] == "/push":  # whose tags were cut
            item = home.definition(Name="rp-mainnet")
        elif sent is None:
            continue
        else:
            item = signed_again(sent, home, process)
        path = one["path"].replace(there, process) if there else one["path"]
        answer = await home.post(path, item)
        assert answer.status == one["status"] == 200, (path, answer.body)
        if one["path"] == "/push":
            process = dict(answer.headers)["process"]
            there = one["resBody"]["json"]["process"]
            assert process == item.id
        found.append((one, answer, process))
    return iter(found)


@in_loop
async def test_a_session_of_aos(
    shared: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    """aos 2.0.16 with --url: spawn, lines, errors, `.load`, and the feed that it polls."""
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        recorded = exchanges(shared, "aos-repl-mainnet.json")
        due: list[tuple[Any, ...]] = []
        for one, answer, process in await told_again(home, recorded):
            was = one["resBody"].get("json")
            if one["path"].endswith("/slot/current"):
                assert int(answer.body) >= was
            elif isinstance(was, dict) and "raw" in was:
                now = json.loads(answer.body)
                masked = json.dumps(was).replace(was.get("process", "\0"), process)
                assert now.get("slot", now.get("at-slot")) == was.get("slot", was.get("at-slot"))
                due.append((outcomes(json.loads(masked)), outcomes(now)))
        assert len(due) > 15
        texts = [(a, b) for a, b in due if "PING FROM" not in str(a)]
        assert [b for _, b in texts] == [a for a, _ in texts]
        assert any("PING FROM" in str(b[0]) for _, b in due)


@in_loop
async def test_the_reads_of_ar_io(
    shared: Path, tmp_path: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    """Its SDK decides by a HEAD of `now/cache` whether it reads `compute/cache`."""
    async with hyper_home(tmp_path, other_wallet, wallet) as home:
        process = await home.spawn(Name="tok")
        await home.push(process, PATCH)
        there = ""
        for one in exchanges(shared, "ario-sdk.json"):
            if one["method"] == "POST":
                continue
            there = there or one["path"][1:44]
            path = one["path"].replace(there, process)
            answer = await home.get(path)
            assert answer.status == one["status"], path
            was = one["resBody"]
            if path.endswith("keys/serialize~json@1.0"):
                assert {"cache", "device", "at-slot", "results"} <= set(json.loads(answer.body))
            elif path.endswith("serialize~json@1.0"):
                assert json.loads(answer.body) == was["json"]
            elif "text" in was:
                assert answer.body.decode() == was["text"]
            else:
                assert (
                    json.loads((await home.ask("GET", path, AS_JSON)).body).items()
                    >= was["json"].items()
                )
