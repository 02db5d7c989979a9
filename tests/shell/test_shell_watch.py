"""`.watch`: files are loaded on every save, and what that does to the handlers is told."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

import pytest
from shell_typing import Typing, Use, typed

from aoshell.protocol.wallet import Wallet
from aoshell.shell.code.reloading import Changes, compare_handlers
from aoshell.shell.lines.run import run_line

FIRST = """local lib = require("lib")
Handlers.add("One", "One", function(msg)
  msg.reply({ Data = "1" })
end)
Handlers.add("Two", { Action = "Two" }, function(msg) print(lib.x) end)
"""


def save(path: Path, text: str) -> None:
    """Write a file whose time of change is another for sure."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9, before + 10**9))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(tmp_path / "main file.lua", FIRST)
    save(tmp_path / "lib.lua", "return { x = 1 }")
    return tmp_path / "main file.lua"


def test_it_reloads_and_tells_what_changed(typing: Use, file: Path) -> None:
    async def body(typed: Typing) -> None:
        value = await typed.value(f".watch {file}")
        assert value == {"process": typed.session.attached.id, "watching": [str(file)]}
        said = await typed.heard("loaded")
        assert said.split("\n")[1:] == ["  + One", "  + Two"]
        # A line above moves all handlers: none is another for that.
        save(file, "-- more\n" + FIRST)
        assert "no handler changed" in await typed.heard("loaded")
        save(file, FIRST.replace('"1"', '"one"').replace("Two", "Three"))
        said = await typed.heard("loaded")
        assert said.split("\n")[1:] == [
            "  + Three",
            "  ~ One",
            '  ! Two is still there: Handlers.remove("Two") removes it',
        ]
        save(file, FIRST + 'Handlers.remove("Three")')
        assert "  - Three" in await typed.heard("loaded")
        # So does what it requires.
        save(file.with_name("lib.lua"), "return { x = 2 }")
        await typed.heard("loaded")
        assert await typed.value("1 + 1") == "2"
        assert await typed.text(".watch off") == "nothing is watched any more"
        assert await typed.text(".watch off") == "nothing is watched"
        save(file, "error('never')")
        await asyncio.sleep(0.6)
        assert typed.front.said == []

    typing(body)


def test_a_mistake_is_told_and_mended(typing: Use, file: Path) -> None:
    async def body(typed: Typing) -> None:
        await typed(f'.watch "{file}"')
        await typed.heard("loaded")
        save(file, "x =")
        said = await typed.heard("failed")
        assert "main file.lua:1: unexpected symbol near <eof>" in said and "1 │ x =" in said
        save(file, FIRST + "error('no')")
        assert "main file.lua:6: no" in await typed.heard("failed")
        file.unlink()
        assert "there is no file" in await typed.heard("no file")
        save(file, FIRST)
        assert "loaded" in await typed.heard("loaded")

    typing(body)


def test_an_empty_name_is_no_folder(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        assert "FILE may not be empty" in await typed.error('.watch ""')

    typing(body)


def test_several_files(typing: Use, tmp_path: Path) -> None:
    names = [tmp_path / "a b.lua", tmp_path / "c.lua"]
    for number, name in enumerate(names):
        save(name, f'Handlers.add("H{number}", "H", function() end)')

    async def body(typed: Typing) -> None:
        value = await typed.value(f'.watch "{names[0]}" {names[1]}')
        assert value["watching"] == [str(name) for name in names]
        assert "+ H1" in await typed.heard("c.lua loaded")
        save(names[1], 'Handlers.add("H2", "H", function() end)')
        said = await typed.heard("loaded")
        assert "c.lua" in said and "a b.lua" not in said

    typing(body)


def test_ctrl_c_ends_it(typing: Use, file: Path) -> None:
    async def body(typed: Typing) -> None:
        await typed(f".watch {file}")
        assert await typed.session.stop()
        assert not await typed.session.stop()

    typing(body)


def test_a_line_that_runs_is_not_disturbed(typing: Use, file: Path) -> None:
    async def body(typed: Typing) -> None:
        await typed(f".watch {file}")
        await typed.heard("loaded")
        async with typed.session.turn:
            save(file, FIRST + "X = 1")
            await asyncio.sleep(0.5)
            assert typed.front.said == []
        await typed.heard("loaded")

    typing(body)


def test_without_a_terminal_it_follows_until_it_is_cancelled(
    file: Path, tmp_path: Path, wallet: Wallet
) -> None:
    async def body(typing: Typing) -> None:
        line = asyncio.create_task(run_line(typing.session, f".watch {file}"))
        await typing.heard("loaded")
        save(file, FIRST + "X = 1")
        await typing.heard("loaded")
        assert not line.done()
        line.cancel()
        with suppress(asyncio.CancelledError):
            await line
        assert await typing.value("tostring(X)") == "1"

    asyncio.run(asyncio.wait_for(typed(tmp_path, wallet, body, asks=False), 60))


@pytest.mark.parametrize(
    ("line", "said"),
    [(".watch", ".help watch"), ('.watch "', ".help watch"), (".watch /nothing", "no file")],
)
def test_bad_input(typing: Use, line: str, said: str) -> None:
    async def body(typed: Typing) -> None:
        assert said in await typed.error(line)
        assert typed.session.watching is None

    typing(body)


def test_changes() -> None:
    before = {"a": "1", "b": "1", "c": "1", "d": "1"}
    after = {"a": "1", "b": "2", "d": "1", "e": "1"}
    found = compare_handlers(before, after, {"x": '"d" "b"'}, {"x": "'b' 'e'"})
    assert found == Changes(added=("e",), replaced=("b",), removed=("c",), left=("d",))
    assert str(Changes()) == ""
