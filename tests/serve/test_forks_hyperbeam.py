"""Logs that HyperBEAM nodes keep: recorded pages, and the schedule of our own HyperBEAM role."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from eventually import in_loop
from served_node import served
from test_forks import asked, counted, home, settings

from aoshell.forks.messages import Following, read_edge
from aoshell.forks.remote import Remote
from aoshell.forks.taking import take
from aoshell.protocol.wallet import Wallet
from aoshell.serve.serving import ServeOptions, Serving

PAGES = (
    "hyperbeam/schedule-get-aos2.json",
    "hyperbeam-2025-09/june-schedule-aos2.json",
    "hyperbeam-2025-09/sept-schedule-aos2.json",
)


def edges_of(file: Path) -> list[Any]:
    """The edges of a recorded page."""
    answer = json.loads(file.read_text())["response"]
    body = base64.b64decode(answer.get("body_b64", "")) or answer["body_text"]
    found: list[Any] = json.loads(body)["edges"]
    return found


@pytest.mark.parametrize("name", PAGES)
def test_recorded_pages_are_read(shared: Path, name: str) -> None:
    edges = edges_of(shared / "vectors" / name)
    assert edges
    found = sorted(
        (read_edge(edge, "the node") for edge in edges), key=lambda one: one.assigned.slot
    )
    first = found[0].assigned
    following = Following(first.process, "the node", chained=False, begin=first.slot)
    for one in found:
        following.follow(one)
        assert one.message is not None and one.message.owner and one.item is None
        assert one.assigned.timestamp > 0


class HyperBeamOnly(Remote):
    """A node that is no scheduler unit."""

    async def _is_unit(self, process: str) -> bool:
        del process
        return False


@in_loop
async def test_a_schedule_of_hyperbeam_is_forked_and_compared(
    folder: Path, wallet: Wallet, other_wallet: Wallet
) -> None:
    here = settings(folder / "here")
    async with served(folder / "there", wallet) as there, home(folder / "here") as node:
        process = await counted(there)
        serving = await Serving.open(
            there.node, ServeOptions(port=0), tell=there.told.append, key=other_wallet
        )
        remote = HyperBeamOnly.named(serving.facts.url, here)
        try:
            assert await remote.newest(process) == 4
            told: list[str] = []
            fork = (await take(node, here, remote, process, "twin", told.append)).process
            assert fork.origin is not None
            assert (fork.slots, fork.origin.unsigned) == (5, 5), "that form has no keys"
            assert await asked(node, process, "return N") == "3"
            result = await remote.result(process, 4, "")
            assert result.messages[0].data == b"3"
        finally:
            await remote.close()
            await serving.close()
