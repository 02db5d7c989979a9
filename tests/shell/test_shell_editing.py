"""A line being typed: pastes, indentation, the editor, Tab, suggestions."""

from __future__ import annotations

from pathlib import Path

import pytest
from eventually import until
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode

from aoshell.home.folders import Settings


def test_enter_continues_what_is_open(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("x = {\r1\r}\r")
        keyboard.type("4*4\r")
        await keyboard.see("16\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["x = {\n1\n}", "4*4"]


def test_a_paste_is_taken_line_by_line(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("\x1b[200~1+1\nf(\n 1)\n.limits\n2+2\x1b[201~")
        await keyboard.taken()
        assert node.codes == []
        keyboard.type("\r")
        await keyboard.see("1+1\n2\n")
        await keyboard.see("f(\n")
        await keyboard.see("seconds")
        await keyboard.see("2+2\n4\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1", "f(\n 1)", "2+2"]


@pytest.mark.versions
def test_tab_and_history(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "only_one.lua").write_text("return 1")

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        await keyboard.helped()
        keyboard.type(f".loa\t {tmp_path}/only\t\r")
        await keyboard.see("loaded\n")
        keyboard.type("\x12" + "1+\r\r")
        await keyboard.see("2\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes[0] == node.codes[2] == "1+1"


def test_a_pasted_program_is_one_line(node: FakeNode, home: Settings) -> None:
    program = "local x = 1\nlocal y = 2\nprint(x + y)"

    async def script(keyboard: Keyboard) -> None:
        keyboard.type(f"\x1b[200~{program}\x1b[201~")
        await keyboard.taken()
        keyboard.type("\r")
        await keyboard.see("\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == [program]


def test_lines_are_indented_and_closed(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        for line in ("if a then", "while b do", "c()", "end", "else", "d = {", "1", "}", "end"):
            keyboard.type(line)
            await keyboard.taken()  # what is typed ahead keeps the indentation it has
            keyboard.type("\r")
            await keyboard.taken()
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["if a then\n  while b do\n    c()\n  end\nelse\n  d = {\n    1\n  }\nend"]


def test_the_inline_editor(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type(".editor\r")
        await keyboard.composing()
        keyboard.type('print("a")\rprint("b")\r3\r.delete\r')
        await keyboard.taken()
        keyboard.type(".print\r")
        await keyboard.see('   1  print("a")\n   2  print("b")\n')
        keyboard.type(".done\r")
        await keyboard.see("a\nb\n")
        for way_out in (".cancel\r", "\x03", "x\x03", "\x04"):
            keyboard.type(".editor\r")
            await keyboard.composing()
            keyboard.type(way_out)
            await keyboard.see("nothing was evaluated")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ['print("a")\nprint("b")']
    assert '+print("a")\n+print("b")\n' in home.history.read_text()


def test_a_pasted_editor_session(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("\x1b[200~.editor\nx = 1\n4+4\n.done\n5+5\x1b[201~")
        await keyboard.taken()
        keyboard.type("\r")
        await keyboard.see("10\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["x = 1\n4+4", "5+5"]


def test_an_editor_that_is_not_there(
    node: FakeNode, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)

    async def script(keyboard: Keyboard) -> None:
        for editor, said in (
            ("no-such-editor-here", "no-such-editor-here cannot be run"),
            ("false", "false failed with 1"),
            ("'", "cannot be run"),
            ("true", "nothing was evaluated"),
        ):
            monkeypatch.setenv("EDITOR", editor)
            keyboard.type(".pad\r")
            await keyboard.see(said)
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == []


def test_tab_knows_the_process(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        await keyboard.learned()
        keyboard.type("Bala\t")
        await keyboard.line("Balance")
        keyboard.type("\r")
        await until(lambda: node.codes[-1] == "Balance")
        await keyboard.learned()
        keyboard.type("Hand\t")
        await keyboard.line("Handlers")
        keyboard.type(".\t")
        await until(lambda: keyboard.app._buffer.complete_state)
        keyboard.type("\t")  # goes into the menu
        await keyboard.line("Handlers.add")
        keyboard.type("\r")  # takes what is chosen,
        await keyboard.taken()
        keyboard.type("\r")  # and sends it
        await until(lambda: node.codes[-1] == "Handlers.add")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1", "Balance", "Handlers.add"]


def test_commands_complete_what_only_the_node_knows(node: FakeNode, home: Settings) -> None:
    node.make("D" * 43, "delta", "O" * 43)

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        await keyboard.helped()
        keyboard.type(".attach del\t")
        await keyboard.line(".attach delta")
        keyboard.type("\r")
        await keyboard.see("attached to delta")
        keyboard.type("\x04")

    play(node, home, script)


def test_a_suggestion_is_taken(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("6*7\r")
        await keyboard.see("42\n")
        keyboard.type("6\x05\r")
        await keyboard.see("42\n")
        keyboard.type("\x12zzz\x07\x12zzz\x1b")
        await until(lambda: not keyboard.app._app.layout.is_searching)
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["6*7", "6*7", "1+1"]


def test_names_are_read_when_told(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        await keyboard.helped()
        keyboard.type(".names\r")
        await keyboard.see("2 names")
        keyboard.type(".names x\r")
        await keyboard.see("usage: .names")
        keyboard.type("\x04")

    play(node, home, script)
