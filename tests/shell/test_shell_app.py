"""The prompt: keys in, drawing to nowhere; what is printed is read from the output."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from eventually import turns, until
from prompt_toolkit.input import PipeInput
from prompt_toolkit.input.defaults import create_pipe_input
from prompt_toolkit.output import DummyOutput
from shell_fake import FakeNode

from aoshell.home.folders import Settings
from aoshell.nodes.values import Limits
from aoshell.shell import commands
from aoshell.shell.prompt.app import Prompt
from aoshell.shell.prompt.config import Preferences
from aoshell.shell.prompt.history import LineHistory
from aoshell.shell.session import Patience
from aoshell.shell.start import Key, Start, close_session, open_session

pytestmark = pytest.mark.versions


class Output(DummyOutput):
    """Keeps what is printed above the prompt."""

    def __init__(self) -> None:
        self.text = ""

    def write_raw(self, data: str) -> None:
        self.text += data


class Keyboard:
    """Types, and waits for what it sees."""

    def __init__(self, keys: PipeInput, output: Output, app: Prompt) -> None:
        self.keys, self.output, self.app = keys, output, app
        self._seen = 0

    def type(self, text: str) -> None:
        self.keys.send_text(text)

    async def see(self, text: str) -> None:
        """Wait until `text` is printed, behind what was seen before."""
        for _ in range(6000):
            at = self.output.text.find(text, self._seen)
            if at >= 0:
                self._seen = at + len(text)
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{text!r} not in {self.output.text[self._seen :]!r}")

    async def taken(self) -> None:
        """Wait until the prompt has taken in what was typed."""
        await until(lambda: not select.select([self.keys.fileno()], [], [], 0)[0])
        await turns()

    async def composing(self) -> None:
        """Wait until something takes what is typed: `.editor`, or a question."""
        await until(lambda: self.app._entry._waiting is not None)

    async def helped(self) -> None:
        """Wait until what helps to type is loaded."""
        await until(lambda: self.app._helpers is not None)

    async def learned(self) -> None:
        """Wait until the names of the attached process were read."""
        await self.helped()
        await until(lambda: self.app._helpers._names.of(self.app._session).read)

    async def line(self, text: str) -> None:
        """Wait until the line that is typed is this."""
        await until(lambda: self.app._buffer.text == text, text)


Script = Callable[[Keyboard], Awaitable[None]]


def play(
    node: FakeNode,
    home: Settings,
    script: Script,
    *first: str,
    slow: float = 0,
    preferences: Preferences | None = None,
) -> str:
    """Run the prompt; `script` types. Returns what was printed."""
    output = Output()

    async def opened(_: Settings, __: Limits, ___: Key) -> FakeNode:
        await asyncio.sleep(slow)
        return node

    async def run() -> None:
        with create_pipe_input() as keys:
            app = Prompt(
                *("aos> ", home.history),
                first=first,
                preferences=preferences,
                input=keys,
                output=output,
            )
            opening = asyncio.create_task(open_session(Start(), home, opened, app, Patience.ANSWER))
            running = asyncio.create_task(app.run(opening))
            typing = asyncio.create_task(script(Keyboard(keys, output, app)))
            await asyncio.wait({running, typing}, timeout=60, return_when="FIRST_COMPLETED")
            if typing.done():
                await typing
            assert await asyncio.wait_for(running, 60) == 0
            await typing
            await close_session(await opening)

    asyncio.run(run())
    return output.text


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
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r2+3\r")
        await keyboard.see("2\n")
        await keyboard.see("5\n")
        keyboard.type("\x04")

    play(node, home, script, slow=0.2)
    assert node.codes == ["1+1", "2+3"]


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
        keyboard.type("\x1b[200~aos> 1+1\n[aos]> f(\n 1)\n.limits\n2+2\x1b[201~")
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
        keyboard.type("\x03")
        await keyboard.see("Stopped.")
        await keyboard.see("slot 1 failed")
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type("\x04")

    play(node, home, script)
    assert node.codes == ["slow", "1+1"]  # what was queued behind is dropped


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


# Typing more than a line ------------------------------------------------------------------------


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


# What helps -------------------------------------------------------------------------------------


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
