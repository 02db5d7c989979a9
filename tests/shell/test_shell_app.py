"""The prompt: lines that run, Ctrl-C, questions, what is printed, and how it starts and ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from eventually import turns, until
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode

from aoshell.home.folders import Settings
from aoshell.shell import commands
from aoshell.shell.prompt.config import Preferences
from aoshell.shell.prompt.history import LineHistory


@pytest.mark.versions
def test_a_line_and_the_way_out(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type(".exit\r")

    play(node, home, script)
    assert node.codes == ["1+1"]
    assert [line[1:] for line in home.history.read_text().splitlines() if line[:1] == "+"] == [
        "1+1",
        ".exit",
    ]
    assert home.history.stat().st_mode & 0o777 == 0o600


def test_keys_before_the_node_is_open_count(node: FakeNode, home: Settings) -> None:
    start = asyncio.Event()

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r2+3\r")
        await keyboard.taken()
        start.set()
        await keyboard.see("2\n")
        await keyboard.see("5\n")
        keyboard.type("\x04")

    play(node, home, script, start=start)
    assert node.codes == ["1+1", "2+3"]


def test_ctrl_c_clears_what_is_typed(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("nonsense(\x03")
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type("\x03")
        await keyboard.see("Ctrl-D or .exit leaves.")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1"]


def test_ctrl_c_gives_up_the_wait_then_stops(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("slow\r9+9\r")
        await keyboard.taken()
        await until(lambda: node.codes)
        await turns()
        keyboard.type("\x03")
        await keyboard.see("No longer waiting for slot 1")
        await keyboard.see("  9+9\n")
        keyboard.type("\x03")
        await keyboard.see("1 line was not run")
        keyboard.type("\x03")
        await until(lambda: "slot 1 failed" in keyboard.output.text)
        await until(lambda: "Stopped." in keyboard.output.text)
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["slow", "1+1"]  # what waited behind is dropped


def test_arrivals_are_told_behind_the_answer(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type('send("self", "hello")\r')
        await keyboard.see("sent\n")
        await keyboard.see("New Message: hello\n")
        keyboard.type('receive() send("self", "wake")\r')
        await keyboard.see("asking\n")
        await keyboard.see("woken\n")
        keyboard.type("\x04")

    assert play(node, home, script).count("woken") == 1


def test_questions(node: FakeNode, home: Settings) -> None:
    node.make("D" * 43, "one", "O" * 43)
    node.make("E" * 43, "two", "O" * 43)

    async def script(keyboard: Keyboard) -> None:
        keyboard.type(".delete one\r")
        await keyboard.composing()
        keyboard.type("n\r")
        await keyboard.see("nothing was deleted")
        keyboard.type(".delete two\r")
        await keyboard.composing()
        keyboard.type("y\r")
        await keyboard.see("deleted E")
        keyboard.type(".delete one\r")
        await keyboard.composing()
        keyboard.type("\x03")
        await keyboard.see("nothing was deleted")
        keyboard.type("\x04")

    play(node, home, script)
    assert "D" * 43 in node.infos and "E" * 43 not in node.infos


def test_given_lines_run_first(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await keyboard.see("3+4\n7\n")
        keyboard.type("\x04")

    play(node, home, script, "3+4")


def test_output_cannot_drive_the_terminal(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type('print("\\27]52;c;x\\27[31mred")\r')
        await keyboard.see("\\x1b]52;c;x\x1b[31mred\x1b[0m\n")
        keyboard.type("\x04")

    play(node, home, script)


def test_a_failed_start_is_an_error(node: FakeNode, home: Settings) -> None:
    home.wallet.write_text("[]")

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")

    with pytest.raises(Exception, match="wallet"):
        play(node, home, script)


@pytest.mark.parametrize("where", ["the history", "a line", "nobody waits"])
def test_a_lack_is_told_and_the_prompt_goes_on(
    node: FakeNode, home: Settings, monkeypatch: pytest.MonkeyPatch, capfd, where: str
) -> None:
    """Wherever the memory ends: what lacks is said, without a traceback."""

    def fail(*_: object) -> None:
        raise MemoryError

    if where == "the history":
        monkeypatch.setattr(LineHistory, "load_history_strings", fail)
    if where == "a line":
        monkeypatch.setattr(commands, "run_command", fail)

    async def script(keyboard: Keyboard) -> None:
        if where == "nobody waits":
            asyncio.get_running_loop().call_soon(fail)
        keyboard.type(".ps\r")
        await keyboard.see("machine: the shell has too little memory to go on")
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type("\x04")

    said = play(node, home, script)
    told = capfd.readouterr()
    assert "Traceback" not in said + told.out + told.err and "defect" not in said


def test_long_answers_are_paged_where_asked_for(
    node: FakeNode, home: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    pager = tmp_path / "pager"
    pager.write_text(f'#!/bin/sh\ncat > "{seen}"\n')
    pager.chmod(0o755)
    monkeypatch.setenv("PAGER", str(pager))

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type(".help\r")
        await until(lambda: seen.exists() and ".help" in seen.read_text())
        monkeypatch.setenv("PAGER", "no-such-pager-here")
        keyboard.type(".help\r")
        await keyboard.see(".help")
        keyboard.type("\x04")

    said = play(node, home, script, preferences=Preferences(pager=True))
    assert ".inspect" in seen.read_text()
    assert said.count(".inspect") >= 1


def test_problems_of_the_config_are_told(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await keyboard.see("config: line 2")
        keyboard.type("\x04")

    play(node, home, script, preferences=Preferences(problems=("config: line 2",)))
