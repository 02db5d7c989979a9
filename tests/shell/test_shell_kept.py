"""Nothing that was typed is lost unsaid: what is not run is told, and can be brought back."""

from __future__ import annotations

import asyncio
import sys

import pytest
from eventually import turns, until
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode

from aoshell.home.folders import Settings
from aoshell.shell.prompt.history import LONGEST

UP, CTRL_C, CTRL_D = "\x1b[A", "\x03", "\x04"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="keys of a Unix terminal")


def kept(home: Settings) -> list[str]:
    """The entries of the history's file, the newest last."""
    return [entry.split("\n+", 1)[1] for entry in home.history.read_text().split("\n# ")[1:]]


def test_lines_typed_ahead_are_counted_and_come_back(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("slow\r9+9\r8+8\r")
        await keyboard.taken()
        await until(lambda: node.codes)
        await turns()
        keyboard.type(CTRL_C)
        await keyboard.see("  9+9\n  8+8\n")
        keyboard.type(CTRL_C)
        await keyboard.see("2 lines were not run; ↑ brings back what was typed.")
        await turns()
        keyboard.type(UP + UP + "\r")
        await keyboard.see("18\n")
        keyboard.type(CTRL_D)

    play(node, home, script)
    assert node.codes == ["slow", "9+9"]


def test_a_paste_too_long_for_the_history_comes_back(node: FakeNode, home: Settings) -> None:
    long = "x = '" + "y" * LONGEST + "'"

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("slow\r")
        await until(lambda: node.codes)
        await turns()
        pasted = f"\x1b[200~{long}\x1b[201~\r"
        for at in range(0, len(pasted), 16_384):  # a pipe holds 64 KB
            keyboard.type(pasted[at : at + 16_384])
            await keyboard.taken()
        keyboard.type(CTRL_C)
        await keyboard.see("No longer waiting")
        await keyboard.see("  x = 'yyy")
        keyboard.type(CTRL_C)
        await keyboard.see("1 line was not run")
        assert keyboard.app._history.entries[0] == long
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_what_ctrl_c_gives_up_comes_back(node: FakeNode, home: Settings) -> None:
    paste = "\n".join(f"x{n} = {n}" for n in range(1000))

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("6+1" + CTRL_C)
        await keyboard.taken()
        keyboard.type(UP + "\r")
        await keyboard.see("7\n")
        keyboard.type(f"\x1b[200~{paste}\x1b[201~" + CTRL_C)
        await keyboard.taken()
        assert keyboard.app._history.entries[0] == paste
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_code_that_was_given_up_in_the_editor_comes_back(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type(".editor\r")
        await keyboard.composing()
        keyboard.type("a = 1\rb = 2" + CTRL_C)
        await keyboard.see("nothing was evaluated")
        assert keyboard.app._history.entries[0] == "a = 1\nb = 2"
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_lines_behind_the_way_out_are_told(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("sleep(0.2)\r.exit\r7+7\r")

    assert "1 line was not run; ↑ brings back what was typed, in the next session." in play(
        node, home, script
    )
    assert node.codes == ["sleep(0.2)"] and kept(home)[-1].strip() == "7+7"


def test_ctrl_d_while_lines_wait(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("slow\r7+7\r8+8\r")
        await keyboard.taken()
        await until(lambda: node.codes)
        keyboard.type(CTRL_D)

    assert "2 lines were not run" in play(node, home, script)


def test_a_line_that_was_typed_when_the_terminal_went(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type("half of a line")
        await keyboard.taken()
        keyboard.app.leave()  # as SIGHUP does

    assert "1 line was not run" in play(node, home, script)
    assert kept(home)[-1].strip() == "half of a line"


def test_lines_typed_for_a_start_that_fails(node: FakeNode, home: Settings) -> None:
    home.wallet.write_text("[]")
    start = asyncio.Event()

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r2+2\r")
        await keyboard.taken()
        start.set()

    with pytest.raises(Exception, match="wallet"):
        play(node, home, script, start=start)
    assert [entry.strip() for entry in kept(home)] == ["1+1", "2+2"]


# Those that leave, go to the background, search, and take the next key as it is.
OTHERS = "\r\n\t\x1b\x04\x1a\x12\x13\x11\x16"
KEYS = [chr(code) for code in range(32) if chr(code) not in OTHERS]


def test_no_key_deadens_the_line(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        for number, key in enumerate(KEYS, 1000):
            keyboard.type(f"1+1{key}x\x7f\x05\x15{number}+0\r")
            try:
                await asyncio.wait_for(keyboard.see(f"{number}\n"), 60)
            except (AssertionError, TimeoutError):
                keyboard.app.leave()
                raise AssertionError(f"Ctrl-{chr(ord(key) + 64)} deadens the line") from None
        keyboard.type(CTRL_D)

    play(node, home, script)


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ("1+1\x00\r", "2\n"),
        ("1+1x\x00\x7f\r", "2\n"),
        ("1+\x004\r", "5\n"),
        ("1+\x00\x1b[200~6\x1b[201~\r", "7\n"),
        ("9\x00\x01\x17" + "1+8\r", "9\n"),  # what was marked is cut, as ever
    ],
)
def test_ctrl_space(node: FakeNode, home: Settings, keys: str, answer: str) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type(keys)
        await keyboard.see(answer)
        keyboard.type(CTRL_D)

    play(node, home, script)
