"""aoconnect in legacy mode, from npm, against a node that is served (conformance checks 5 and 6).

Without npm this is skipped.
"""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

from eventually import in_loop
from served_node import served

from aoshell.protocol.wallet import Wallet

PEER = Path(__file__).with_name("aoconnect_legacy.mjs")


async def said(packages: Path, url: str) -> dict[str, Any]:
    pipe = asyncio.subprocess.PIPE
    command = ["node", str(PEER), str(packages), url]
    started = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await started.communicate()
    assert started.returncode == 0, err.decode()
    answer: dict[str, Any] = json.loads(out)
    return answer


def ordinates(page: dict[str, Any]) -> list[str]:
    """As aos reads them."""
    return [json.loads(base64.b64decode(edge["cursor"]))["ordinate"] for edge in page["edges"]]


@in_loop
async def test_aoconnect_in_legacy_mode(packages: Path, folder: Path, wallet: Wallet) -> None:
    async with served(folder, wallet) as on:
        found = await said(packages, on.serving.facts.url)
    assert found["first"]["Output"]["data"] == "2" and "print" not in found["first"]["Output"]
    assert "boom" in found["failed"]["Error"] and found["failed"]["Messages"] == []
    ping = found["ping"]
    assert (ping["Output"]["data"], ping["Output"]["print"]) == ("got ping", True)
    assert (ping["Messages"][0]["Data"], ping["Spawns"], ping["GasUsed"]) == ("pong", [], 0)
    assert ordinates(found["newest"]) == ["4", "3", "1"]  # 2 failed
    assert ordinates(found["oldest"]) == ["0", "1"] and ordinates(found["next"]) == ["3", "4"]
    assert found["dry"]["Output"]["data"] == "got ping"
    assert len(found["monitor"]) == len(found["unmonitor"]) == 43
    assert len({found["assigned"], found["assignedOf"]}) == 2
    assert found["seen"]["Output"]["data"] == "look,2"
    assert [one["type"] for one in found["types"]] == [2, 3, 4]
    for one in found["types"]:
        assert one["result"]["Messages"][0]["Data"] == "pong"
    assert found["twice"]["answers"] == [found["twice"]["id"]] * 2
    assert found["counted"]["Output"]["data"] == "1"
    assert "error" in found["tampered"]  # aoconnect keeps its text to itself
    assert found["refused"]["status"] == 400 and "signature" in found["refused"]["error"]
    assert "is not on this node (aoshell serve)" in found["absent"]["error"]
    assert "not found" in json.dumps(found["unknown"])
