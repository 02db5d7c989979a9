"""Lua that HyperBEAM's lua@5.3a cannot compile is not sent.

What luerl refuses, and where it breaks, was tried with luerl itself (the one of September 2025).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from shell_remote import FakeRemote
from shell_session import Screen, failed, use

from aoshell.home.folders import Settings
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.run import run_line

SHOWN = "  1 │ local x = = 3\n    │           ^"


@pytest.mark.parametrize(
    ("line", "due"),
    [
        (
            "local x = = 3",
            "line 1: unexpected symbol near '='\n  1 │ local x = = 3\n    │           ^",
        ),
        ("local x = 1\nlocal y = = 2", "line 2: unexpected symbol near '='"),
        ('x = "abc', "line 1: unfinished string near"),
        ("x = $", "line 1: unexpected symbol near '$'"),
        ("if x then", "near <eof>"),
        ("goto a", "no visible label 'a'"),
        ("do goto a end ::a::", "line 1: the Lua of HyperBEAM cannot compile goto and labels"),
        ("x = 1\n::a:: ", "line 2: the Lua of HyperBEAM cannot compile goto and labels"),
        ('"\\u{48}"', "line 1: the Lua of HyperBEAM cannot compile \\u{…}"),
        ("[====[x]====]", "line 1: the Lua of HyperBEAM cannot compile a string in [====["),
    ],
)
def test_a_line_is_refused(there: FakeRemote, home: Settings, line: str, due: str) -> None:
    there.luerl = True

    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, line))
        assert due in error.what and error.hint.startswith("it was not sent")
        assert (error.stage, there.codes) == ("message", [])

    use(there, home, body)


@pytest.mark.parametrize(
    "line",
    [
        "1 + 1",
        "x = 1",
        "return ':: goto ' -- :: goto",
        "gotox = 1",
        "\n".join(f"local x{n} = {n}" for n in range(300)),  # a bound that luerl has not got
    ],
)
def test_a_line_that_compiles_is_sent(there: FakeRemote, home: Settings, line: str) -> None:
    there.luerl = True

    async def body(session: Session, _: Screen) -> None:
        await run_line(session, line)
        assert there.codes == [line]

    use(there, home, body)


def test_a_dry_run_is_refused(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, ".dryrun x = = 3"))
        assert error.what.startswith("line 1: unexpected symbol near '='")

    there.luerl = True
    use(there, home, body)


def test_another_lua_decides_itself(there: FakeRemote, home: Settings) -> None:

    async def body(session: Session, _: Screen) -> None:
        await run_line(session, "local x = = 3")
        assert there.codes == ["local x = = 3"]

    use(there, home, body)


def test_a_file_is_refused(there: FakeRemote, home: Settings, tmp_path: Path) -> None:
    there.luerl = True
    file = tmp_path / "jumps.lua"
    file.write_text("x = 1\nfor i = 1, 2 do goto on ::on:: end")

    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, f".load {file}"))
        assert "jumps.lua:2: the Lua of HyperBEAM cannot compile goto and labels" in error.what
        assert there.codes == []

    use(there, home, body)
