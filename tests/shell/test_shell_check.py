"""`.check`, `.record`, `.help` and hints; what things cost."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import cast

import pytest
from shell_typing import Typing, Use, typed

from aoshell.home.folders import Settings
from aoshell.lua.bundled import unbundle
from aoshell.protocol.wallet import Wallet
from aoshell.shell.attached.past import Past, Recorded
from aoshell.shell.attached.session import Session
from aoshell.shell.code.bundle import bundle
from aoshell.shell.commands import registry
from aoshell.shell.commands.table import GROUPS
from aoshell.shell.help.hints import HINTS, WELCOME, next_hint
from aoshell.shell.outcome import CommandOutput
from aoshell.testing.command import main
from aoshell.testing.recorded.recording import record_session

BAD = 'local lib = require("lib")\nlocal child = spawn("x")\nprint(child, lib)\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "lib.lua").write_text("return {}\n")
    (tmp_path / "bad.lua").write_text(BAD)
    return tmp_path / "bad.lua"


def test_a_file_is_checked(typing: Use, file: Path) -> None:
    async def body(typed: Typing) -> None:
        found = await typed.json(f".check --target legacy {file}")
        assert not found["ok"]
        (one,) = [one for one in found["value"] if one["severity"] == "error"]
        assert (one["file"], one["line"], one["targets"]) == ("bad.lua", 2, ["legacy"])
        seen = await typed.seen(f".check {file}")
        assert "bad.lua:2:" in seen and "  2 │ local child = spawn" in seen and "  → " in seen
        assert (await typed.json(f".check {file} --target=hyperbeam"))["value"]
        (file.parent / "good.lua").write_text("Total = (Total or 0) + 1\n")
        good = await typed.json(f".check --target legacy {file.parent / 'good.lua'}")
        assert good["ok"] and good["value"] == []

    typing(body)


def test_a_process_is_checked(typing: Use, file: Path) -> None:
    async def body(typed: Typing) -> None:
        good = await typed.json(".check --target legacy desk")
        assert good["ok"] and good["value"] == []
        await typed("Count = 1")
        await typed("Count + 1")
        await typed("error('undone')")
        await typed(f".load {file.parent / 'lib.lua'}")
        assert (await typed.json(".check --target legacy desk"))["value"] == []
        file.write_text('local lib = require("lib")\nif false then spawn("x") end')
        await typed(f".load {file}")
        found = (await typed.json(".check --target legacy desk"))["value"]
        assert ("bad.lua", 2, "error") in [(f["file"], f["line"], f["severity"]) for f in found]
        file.write_text('local lib = require("lib")')
        await typed(f".load {file}")
        assert (await typed.json(".check --target legacy desk"))["value"] == []

    typing(body)


def test_a_bundle_is_taken_apart(file: Path) -> None:
    (file.parent / "lib.lua").write_text("#!lua\nreturn [[ ]=] \n]] --[[\n]==]")
    program = bundle(file)
    parts = unbundle(b"MyModule = 1\n" + program.source)
    assert [(module, name) for module, name, _ in parts] == [
        (["lib"], "lib.lua"),
        ([], "bad.lua"),
    ]
    assert parts[1][2] == BAD.encode()
    assert parts[0][2] == b"--" + (file.parent / "lib.lua").read_bytes()
    assert unbundle(b"return 1") == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (".check", ".help check"),
        (".check --target legacy", ".help check"),
        (
            ".check --target mars desk",
            "--target takes legacy or 2.0.1 or 2.0.6 or hyperbeam, not 'mars'",
        ),
        (".check desk --target", "--target needs legacy or 2.0.1 or 2.0.6 or hyperbeam"),
        (".check --target legacy --target legacy desk", ".help check"),
        (".check nothing", "neither a file nor a process"),
        (".check nothing.lua", "no file nothing.lua"),
    ],
)
def test_what_cannot_be_checked(typing: Use, line: str, said: str) -> None:
    async def body(typed: Typing) -> None:
        assert said in await typed.error(line)

    typing(body)


def test_a_session_is_recorded(tmp_path: Path, wallet: Wallet) -> None:
    pasts: list[Past] = []

    def written(past: Past) -> Recorded:
        pasts.append(past)
        return Recorded("a test \udcff\n", {"code-12.lua": b"code"}, ["a thing"])

    async def body(typing: Typing) -> None:
        await typing("X = 1")
        await typing(".spawn aos as other")
        await typing(".send other Action=Hi")
        await typing("X = 2")
        file = tmp_path / "my_test.lua"
        outcome = await typing(f".record '{file}'")
        assert isinstance(outcome, CommandOutput) and isinstance(outcome.value, dict)
        assert outcome.note.split("\n") == [
            "not in the test: a thing",
            "code-12.lua is beside it: code that the test needs",
        ]
        assert (tmp_path / "code-12.lua").read_bytes() == b"code"
        value = outcome.value
        assert value["messages"] == 5 and len(value["processes"]) == 2
        assert file.read_bytes() == b"a test \xff\n"
        said = [
            entry.message.data.decode() or entry.message.tag("Name") or entry.message.tag("Action")
            for entry in sorted(pasts[0].entries, key=lambda entry: entry.message.assignment.order)
        ]
        assert said == ["desk", "X = 1", "other", "Hi", "X = 2"]
        assert "exists already" in await typing.error(f".record {file}")
        assert "cannot be written" in await typing.error(f".record {tmp_path}/no/file")
        assert ".help record" in await typing.error(".record")

    asyncio.run(asyncio.wait_for(typed(tmp_path, wallet, body, record=written), 60))


def test_what_is_recorded_passes_as_a_test(
    tmp_path: Path, wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "my_test.lua"
    answers = "function(msg) msg.reply({ Data = msg.Data .. msg.Data }) end"

    async def body(typing: Typing) -> None:
        await typing(f'Handlers.add("Twice", "Twice", {answers})')
        await typing("1 + 1")
        await typing(".send desk Action=Twice ab")
        assert "aoshell test" in await typing.text(f".record {file}")

    recorder = partial(record_session, name="what was played")
    asyncio.run(asyncio.wait_for(typed(tmp_path, wallet, body, record=recorder), 60))
    assert main([str(file)]) == 0
    assert "✓ what was played" in capsys.readouterr().out


def test_what_can_be_recorded_is_said(typing: Use, tmp_path: Path) -> None:
    async def body(typed: Typing) -> None:
        assert "cannot be recorded" in await typed.error(f".record {tmp_path / 'x'}")

    typing(body)


def test_help_on_functions(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        assert (await typed.text(".help ao.send")).startswith("ao.send(")
        inside = await typed.value(".help Handlers")
        assert "Handlers.add" in inside["functions"]
        both = await typed.value(".help load")
        assert both["name"] == ".load" and both["function"]["signature"].startswith("load(")
        only = await typed.value(".help .load")
        assert "function" not in only
        assert "did you mean .help ao.send?" in await typed.error(".help ao.sned")
        assert ".help lists the commands" in await typed.error(".help \udcff")

    typing(body)


def test_every_command_has_help_and_docs() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    shown, values = (docs / "commands.md").read_text(), (docs / "json.md").read_text()
    for name, known in registry().items():
        first = known.help.split("\n")[0]
        assert first and len(first) <= 100, name
        form = known.form.replace("|", "\\|")
        assert f"`{form}`" in shown, f"{form} is not in docs/commands.md"
        assert f"`.{name}`" in values or f"`.{name} " in values, f".{name} is not in docs/json.md"


def test_help_lists_all_commands_in_groups() -> None:
    """It was one list of 60 forms, in the order of the alphabet."""
    known = registry()["help"]
    reply = asyncio.run(known.run(cast("Session", None), known.grammar.read("")))
    blocks = [block.split("\n") for block in reply.text.split("\n\n")]
    assert [block[0] for block in blocks[:-1]] == list(GROUPS)
    listed = [line.split()[0] for block in blocks[:-1] for line in block[1:]]
    assert sorted(listed) == sorted(f".{name}" for name in registry())
    assert all(len(line) <= 88 for line in reply.text.split("\n")[:-2])


def test_help_has_an_example_that_the_command_takes() -> None:
    for name, known in registry().items():
        example = known.row.example
        assert example.split()[0] == f".{name}"
        known.grammar.read(example.partition(" ")[2])


def test_hints_go_away(home: Settings) -> None:
    home.hints.unlink()
    home.history.write_text("\n# 2026\n+.load x.lua\n")
    said = [next_hint(home, local=True) for _ in range(8)]
    assert all(one.startswith("Hint: ") for one in said[:5]) and len(set(said[:5])) == 5
    assert said[5:] == ["", "", ""]
    assert max(map(len, said)) < 80  # one line of a screen
    assert not any(one.startswith("Hint: .load") for one in said)
    home.hints.write_text("\n".join(HINTS))
    assert next_hint(home, local=True) == ""
    home.hints.unlink()
    home.hints.mkdir()  # what cannot be written stops nobody
    assert next_hint(home, local=True).startswith("Hint: ")


def test_the_first_start_says_in_five_lines_what_to_type(home: Settings) -> None:
    home.hints.unlink()
    assert next_hint(home, local=False).startswith("Hint: ")
    home.hints.unlink()
    assert next_hint(home, local=True) == WELCOME
    assert len(WELCOME.split("\n")) == 5 and max(map(len, WELCOME.split("\n"))) < 80
    assert next_hint(home, local=True).startswith("Hint: ")  # once
    named = re.findall(r"(?<![\w.])\.([a-z]+)", WELCOME)
    assert set(named) <= set(registry())


def test_costs(typing: Use) -> None:
    async def body(typed: Typing) -> None:
        await typed("1 + 1")
        head, *rows = (await typed.seen(".messages")).splitlines()
        assert "MEMORY" in head and "GAS" not in head
        assert all(re.search(r"\d [kM]B  ", row) for row in rows), rows
        (*_, last) = (await typed.value(".messages"))["slots"]
        assert last["memory"] > 0 and last["ms"] > 0
        assert re.search(r"\d [kM]B of memory", await typed.text(".log 1"))

    typing(body)
