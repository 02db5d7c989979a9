"""What `.doctor` finds out about the built-in node."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
from typed_session import Typed, run

from aoshell.nodes.local import health
from aoshell.protocol.wallet import Wallet


def by_name(folder: Path) -> dict[str, tuple[bool, str, str]]:
    return {one.name: (one.ok, one.detail, one.hint) for one in health.examine(folder)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A home with a database of some pages."""
    tmp_path.chmod(0o700)
    database = sqlite3.connect(tmp_path / "node.db")
    database.execute("CREATE TABLE t (x)")
    database.executemany("INSERT INTO t VALUES (?)", [("x" * 500,) for _ in range(500)])
    database.commit()
    database.close()
    return tmp_path


@pytest.fixture(autouse=True)
def any_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases without the tables of a node, too."""
    monkeypatch.setattr("aoshell.nodes.local.log.schema.show_older", lambda _: None)


def test_all_is_well(folder: Path) -> None:
    found = by_name(folder)
    assert all(ok for ok, _, _ in found.values())
    assert "whole" in found["database"][1] and "GB free; a line is on it in" in found["disk"][1]
    assert {path.name for path in folder.iterdir()} == {"node.db"}  # nothing is left behind


def test_a_damaged_database(folder: Path) -> None:
    path = folder / "node.db"
    data = bytearray(path.read_bytes())
    data[8192:12288] = bytes([0xFF]) * 4096
    path.write_bytes(data)
    ok, detail, hint = by_name(folder)["database"]
    assert not ok and ("damaged" in detail or "cannot be read" in detail) and "copy" in hint
    path.write_bytes(b"no database at all" * 1000)
    assert not by_name(folder)["database"][0]
    path.unlink()
    assert not by_name(folder)["database"][0]


def test_looking_has_an_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LOOKED", -1.0)
    monkeypatch.setattr(health, "_STEPS", 1)
    ok, detail, _ = by_name(folder)["database"]
    assert ok and "no damage found in" in detail


def test_a_folder_that_others_can_reach(folder: Path) -> None:
    folder.chmod(0o755)
    ok, detail, hint = by_name(folder)["home"]
    assert (ok, "755" in detail, f"chmod 700 {folder}" in hint) == (False, True, True)


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    ok, detail, hint = by_name(folder)["disk"]
    assert not ok and detail.startswith("0.0 GB free") and "make room" in hint


def test_at_a_prompt(tmp_path: Path, wallet: Wallet) -> None:
    async def body(typed: Typed) -> None:
        (tmp_path / "home").chmod(0o700)
        await typed('Send({ Target = string.rep("x", 43), Action = "Hi" })')
        reply = await typed.reply(".doctor")
        assert reply.ok, reply.text
        names = [one["name"] for one in reply.value]
        assert names == [
            *("home", "disk", "database", "node", "wallet", "process", "delivery"),
        ]
        assert "1 message was not delivered" in reply.text and "answers a dry run" in reply.text
        assert "usage" in await typed.error(".doctor now")

    (tmp_path / "home").mkdir()
    run(tmp_path / "home", wallet, body)
