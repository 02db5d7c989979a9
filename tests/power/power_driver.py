"""A session that does all that a home remembers, and says what it was told, for test_power_cuts.py.

Run with recorder.c loaded, as `python power_driver.py HOME WALLET`.
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aoshell.api
from aoshell.api import AoSession
from aoshell.backends import LocalBackend
from aoshell.home.wallets import load_wallet
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.remote.memory import Book
from aoshell.protocol.wallet import Wallet

KEPT = ("work", "state/undone", "state/identities")  # folders with files that were promised
FILES = ("state/trusted.toml", "state/blueprints.json", "state/wallet.json")
SENDER = (
    'Handlers.add("Go", "Go", function(m) Send({Target = m.To, Action = "Note", Data = "n"}) end)'
)
# A chain of messages that workers compute ahead of the log.
HOPPER = """Handlers.add("Hop", "Hop", function(m)
  if m.Left ~= "" then Send({Target = ao.id, Action = "Hop", Left = m.Left:sub(2)}) end
end)"""
ADDRESS = "m" * 43
BOOK, NODE = "state/remote.db", "https://node.example"


def facts(node: LocalNode, home: Path) -> dict[str, Any]:
    """What a home remembers."""
    engine = node._engine
    store = engine.store
    rows = store.processes()
    files = [path for name in KEPT if (home / name).is_dir() for path in (home / name).iterdir()]
    files += [home / name for name in FILES if (home / name).exists()]
    return {
        "processes": {row.id: [row.name, row.cron != "[]"] for row in rows},
        "heads": {
            row.id: store.head(row.number)[2:4] + store.head(row.number)[11:12] for row in rows
        },  # type: ignore[index]
        "computed": [store._db.execute("SELECT count(*) FROM results").fetchone()[0]],
        "names": sorted(store._db.execute("SELECT name, module FROM names")),
        "marks": sorted(store._db.execute("SELECT key, value FROM meta WHERE key LIKE 'marks %'")),
        "paused": sorted(engine.keeping.paused),
        "waits": [kept.id for _, _, kept in store.kept()],
        "ahead": engine.clock.ahead,
        "book": remembered(home),
        "files": {
            str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(files)
            if not path.name.startswith(".")
        },
    }


def remembered(home: Path) -> dict[str, Any]:
    """What is known of processes on remote nodes."""
    if not (home / BOOK).exists():
        return {}
    book = Book(home / BOOK)
    try:
        return book.all(NODE, "process")
    finally:
        book.close()


def lines(home: Path) -> list[str]:
    """What is typed: each command that changes something, and lines of Lua between."""
    work, lib = home / "work", home.parent / "lib.lua"
    lib.write_text("Lib = 1")
    return [
        "N = 1",
        f".publish {lib} as lib",
        f".load {lib}",
        ".snapshot first",
        "N = 2",
        f".export {work}/one.process",
        f".record {work}/one_test.lua",
        ".undo",
        "N = 3",
        ".undo",
        "N = 4",
        "N = 5",
        ".undo",
        ".restore first",
        "N = 6",
        ".warp 1h",
        ".spawn aos as other",
        ".attach other",
        "N = 7",
        f".export {work}/other.process",
        ".attach default",
        ".delete other --yes",
        f".import {work}/other.process",
        ".fork as twin",
        f".mock {ADDRESS} {lib} as stand-in",
        SENDER,
        HOPPER,
        'Send({Target = ao.id, Action = "Hop", Left = ("x"):rep(30)})',
        ".attach other",
        ".queue on",
        ".attach default",
        'Send({Target = ao.id, Action = "Go", To = "%OTHER%"})',
        'Send({Target = ao.id, Action = "Go", To = "%OTHER%"})',
        ".attach other",
        ".step",
        ".queue off",
        ".attach default",
        ".load-blueprint token --yes",
        f".trust good {'ab' * 48}",
        ".as alice",
        "N = 8",
        ".as me",
        'spawn(ao.env.Module.Id, {Name = "clock", ["Cron-Interval"] = "1-hour"})',
        ".tick clock",
        ".delete twin --yes",
    ]


async def run(home: Path, wallet: Wallet) -> None:
    mark: Callable[[bytes], Any] = ctypes.CDLL(None).power_mark
    # In this thread, in which its facts are read.
    aoshell.api.LocalBackend = lambda **_: LocalBackend(named=True)  # type: ignore[misc, assignment]
    Wallet.generate = classmethod(lambda _cls: wallet)  # type: ignore[method-assign, assignment]

    told: dict[str, Any] = {}

    async def done(what: str, session: AoSession, *, settled: bool = False) -> None:
        carried = session.node._reach.node  # type: ignore[attr-defined]
        told.update(what=what, facts=facts(carried, home))
        if not settled:  # results that nobody has waited for are computed again
            del told["facts"]["computed"]
        mark(json.dumps(told).encode())

    async with aoshell.api.open("early") as session:
        await done("a start", session)
    async with aoshell.api.open() as session:
        await done("another start", session)
        for line in lines(home):
            if "%OTHER%" in line:
                other = (await session.node.find("other")).id
                line = line.replace("%OTHER%", other)
            outcome = await session.run(line)
            if not outcome.ok:
                sys.exit(f"{line}: {outcome}")
            await done(line, session, settled=not line.startswith("."))
        book = Book(home / BOOK)
        book.put(NODE, "process", ADDRESS, {"name": "far"})
        await done("a process made on a remote node", session)
        book.close()
    mark(json.dumps(told | {"what": "leaving"}).encode())


def main() -> None:
    home, wallet = Path(sys.argv[1]), load_wallet(Path(sys.argv[2]))
    os.environ["AOSHELL_HOME"] = str(home)
    (home / "work").mkdir()
    asyncio.run(run(home, wallet))


if __name__ == "__main__":
    main()
