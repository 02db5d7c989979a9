"""The state that a process exposes, read without its code: `LocalNode.now` and `.now`."""

from __future__ import annotations

from pathlib import Path

import pytest
from typed_session import Typed, run

from aoshell.errors import AoError
from aoshell.protocol.wallet import Wallet

PATCH = """Send({ device = "patch@1.0", cache = {
  balances = { [ao.id] = "12", other = 7 }, list = { 1, { deep = true } }, name = "[no JSON",
} })"""


def test_what_is_exposed_is_read(tmp_path: Path, wallet: Wallet) -> None:
    async def body(typed: Typed) -> None:
        desk = typed.session.attached.id
        assert (await typed.reply(".now cache")).value == ""
        await typed(PATCH)
        for key, value in {
            f"cache/balances/{desk}": "12",
            "cache/balances": {desk: "12", "other": 7},
            "cache/list/2/deep": "true",
            "cache/list": [1, {"deep": True}],
            "cache/name": "[no JSON",
            "cache/nothing/there": "",
        }.items():
            assert await typed.node.now(desk, key) == value, key
            assert (await typed.reply(f".now {key}")).value == value, key
        everything = await typed.node.now(desk, "")
        assert isinstance(everything, dict) and everything["cache"]["balances"]["other"] == 7
        slots = await typed.node.slots(desk)
        assert (await typed.reply(".now")).value == everything
        assert await typed.node.slots(desk) == slots  # nothing was sent

    run(tmp_path / "node", wallet, body)


def test_a_process_that_there_is_not(tmp_path: Path, wallet: Wallet) -> None:
    async def body(typed: Typed) -> None:
        with pytest.raises(AoError, match="no process"):
            await typed.node.now("X" * 43, "")

    run(tmp_path / "node", wallet, body)
