"""Transcripts and pastes: what was typed is run again, and answers are left out."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from eventually import until
from hypothesis import given
from hypothesis import strategies as st
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode

from aoshell.home.folders import Settings
from aoshell.shell.lines.pasted import split_chunks, without_answers

README = Path(__file__).resolve().parents[2] / "README.md"
PROMPT = "default@aos-2.0.4[Inbox:1]> "
PAD = " " * len(PROMPT)


def readme_session() -> str:
    """All sessions of README, as somebody copies them."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    return "".join(block for block in fenced if "@aos-" in block)


def test_the_session_of_readme_gives_what_was_typed() -> None:
    """Its answers were run as Lua: `Result: 49` is a syntax error."""
    chunks, is_open = split_chunks(readme_session())
    assert not is_open and chunks == [
        ".load examples/my_script.lua",
        "MyLuaProcess = spawn(MyModule)",
        'Send({ Target = MyLuaProcess, Action = "Calculate", Value = "7" })',
        "Inbox[#Inbox].Data",
        "function f()\nlocal t = nil\nreturn t.x\nend f()",
        'x = 2 error("no")',
        "tostring(x)",
    ]


@pytest.mark.parametrize(
    ("transcript", "chunks"),
    [
        # Answers that are Lua, or look like commands.
        ("aos> x\n1\n.exit\nx = 2\naos> y\n2", ["x", "y"]),
        # Copied from behind the first prompt; from the middle of an answer.
        ("1+1\n2\naos> 3+3\n6", ["1+1", "3+3"]),
        ("Result: 49\naos> 3+3\n6", ["3+3"]),
        (".ps\nNAME ID\naos> 1", [".ps", "1"]),
        # Several lines: as the prompt shows them, and as other tools do.
        (f"{PROMPT}f(\n{PAD}  1)\n  9\n{PROMPT}2", ["f(\n  1)", "2"]),
        ("aos> f(\n 1)\n9\naos> 2", ["f(\n 1)", "2"]),
        (f"{PROMPT}x = 1\n{PAD}x = x + 1\n{PROMPT}x\n2", ["x = 1\nx = x + 1", "x"]),
        # An answer that stands far to the right is no Lua behind the line above it.
        (f"{PROMPT}x\n{PAD}2 3 4\n{PROMPT}y", ["x", "y"]),
        # A prompt within a string that was typed.
        (f"{PROMPT}s = [[\n{PAD}aos> no\n{PAD}]]\n{PROMPT}s", ["s = [[\naos> no\n]]", "s"]),
        # Lines that failed, and were incomplete where they were typed.
        ("aos> f(\nerror: unexpected symbol near <eof>\naos> 1", ["f(", "1"]),
        ("aos> (\naos> 1", ["(", "1"]),
        # Prompts with colours, without a line, with spaces before them.
        ("\x1b[32mme\x1b[0m@aos-2.0.4[Inbox:\x1b[31m1\x1b[0m]> x\n7\n  aos>\n\naos> y", ["x", "y"]),
        ("aos> .editor\n… x = 1\n  y\n  .done\n2\naos> 1", [".editor", "x = 1", "y", ".done", "1"]),
        ("aos> -- a remark\naos> 1", ["1"]),
    ],
)
def test_answers_are_left_out(transcript: str, chunks: list[str]) -> None:
    assert split_chunks(transcript) == (chunks, False)
    shown, _ = without_answers(transcript)
    assert split_chunks(shown) == (chunks, False)  # what is left on the screen runs the same


def test_a_transcript_may_end_in_an_open_line() -> None:
    assert split_chunks("aos> 1\n1\naos> f(") == (["1", "f("], True)


def test_a_program_that_holds_a_transcript_is_a_program() -> None:
    program = "s = [[\naos> x\n1\n]]\nreturn s"
    assert split_chunks(program) == ([program], False)


pieces = st.sampled_from(
    ["aos> ", PROMPT, PAD, "x", "f(", ")", "[[", "]]", "\n", " ", ".ps", ".editor", "… "]
)


@given(st.lists(pieces, max_size=30).map("".join))
def test_any_text_is_taken(text: str) -> None:
    split_chunks(text)
    shown, gone = without_answers(text)
    assert gone >= 0 and without_answers(shown)[0] == shown


def test_a_pasted_session_runs_again(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("\x1b[200~aos> 1+1\n2\naos> f(\n 1)\nResult: 49\naos> 2+2\n4\n\x1b[201~")
        await keyboard.see("3 lines of answers were left out of the paste.")
        keyboard.type("\r")
        await until(lambda: len(node.codes) == 3)  # other texts may end with a 4, too
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1", "f(\n 1)", "2+2"]


def test_an_unmarked_paste_is_one(node: FakeNode, home: Settings) -> None:
    """Each of its lines was run by itself: a `local` was gone in the next one."""
    program = "local x = 1\r\tlocal y = 2\rprint(x + y)\r"

    async def script(keyboard: Keyboard) -> None:
        keyboard.type(program)
        await until(lambda: node.codes)
        keyboard.type("aos> 1+1\r2\raos> 2+2\r4\r")
        await keyboard.see("2+2\n4\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["local x = 1\n\tlocal y = 2\nprint(x + y)", "1+1", "2+2"]


def test_lines_that_were_typed_before_the_prompt_was_there(node: FakeNode, home: Settings) -> None:
    """A terminal that is not raw yet ends them with a newline: the last one was never run."""

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\n2+2\n")
        await until(lambda: len(node.codes) == 2)
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1", "2+2"]


def test_an_unmarked_paste_of_many_blocks_is_one(node: FakeNode, home: Settings) -> None:
    """A terminal is read in blocks of a kilobyte."""
    lines = [f"local x{n} = {n}" for n in range(190)]

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("\r".join([*lines, "print(x7)"]) + "\r")
        await until(lambda: node.codes)
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["\n".join([*lines, "print(x7)"])]


def test_an_unmarked_paste_that_does_not_end_waits(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("x = 1\ry = 2\rz = 3")
        await keyboard.line("x = 1\ny = 2\nz = 3")
        assert node.codes == []
        keyboard.type("\r")
        await until(lambda: node.codes)
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["x = 1\ny = 2\nz = 3"]


def test_what_is_typed_ahead_is_no_paste(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r2+")
        await keyboard.see("2\n")
        await keyboard.line("2+")
        keyboard.type("2\r")
        await keyboard.see("4\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1", "2+2"]


def test_a_line_of_a_paste_waits_for_what_the_one_before_caused(
    node: FakeNode, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    done = asyncio.Event()

    async def settled(root: str) -> None:
        waited.append(root)
        await done.wait()

    monkeypatch.setattr(node, "settled", settled)

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("\x1b[200~.limits\n1+1\n2+2\n3+3\x1b[201~\r")
        await until(lambda: len(waited) == 1)
        assert node.codes == ["1+1"]
        done.set()
        await until(lambda: len(waited) == 2)
        await keyboard.see("6\n")
        done.clear()
        keyboard.type("\x1b[200~.limits\n4+4\n5+5\x1b[201~\r")
        await until(lambda: len(waited) == 3)
        keyboard.type("\x03")
        await keyboard.see("  5+5\n")  # it is listed, and kept
        keyboard.type("\x03")
        await keyboard.see("1 line was not run")
        keyboard.type("7+7\r")
        await keyboard.see("14\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["1+1", "2+2", "3+3", "4+4", "7+7"]
