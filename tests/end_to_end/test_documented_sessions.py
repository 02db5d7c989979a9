"""Every session in README and docs, run as it is written and compared with what it says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from documented import COMMAND, PROMPT, REPO, Block, Step, blocks, by_form, pattern_of, steps
from eventually import SECONDS
from program import AOSHELL, ENTRY, run
from terminal import Terminal

PROCESS = re.compile(r"(?:\[[\w-]+\])?((?:[\w-]+(?=@aos))?)")  # that a prompt names
ANY_PROMPT = "> "  # on a page that leaves prompts out
ROWS, COLUMNS = 400, 132


@dataclass(frozen=True, slots=True)
class Setting:
    """What is there before a session.

    Attributes:
        name: of the process at whose prompt it is typed; "" for the one that its prompt names.
        before: lines that were typed before it.
        files: texts by the names of files.
        edit: a file, a text in it, and what stands there instead.
        saved: files that are written once the screen says "watching".
    """

    name: str = ""
    before: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    saved: tuple[tuple[str, str], ...] = ()
    edit: tuple[str, str, str] | None = None

    def lay_out(self, folder: Path) -> None:
        """Write and edit its files."""
        for name, text in self.files:
            (folder / name).write_text(text)
        if self.edit:
            name, old, new = self.edit
            text = (folder / name).read_text()
            assert old in text
            (folder / name).write_text(text.replace(old, new))


FIRST = (
    ".load examples/my_script.lua",
    "MyLuaProcess = spawn(MyModule)",
    'Send({ Target = MyLuaProcess, Action = "Calculate", Value = "7" })',
)
ONE = 'Handlers.add("One", "One", function(msg) return msg end)\n'
TWO = 'Handlers.add("Two", "Two", function(msg) end)\n'
MAIN = "\n" * 11 + "T.list[2] = function() end\n"
# By page and first line, as a page has several.
SETTINGS = {
    ("README.md", "default@aos-2.0.4[Inbox:2]> function f()"): Setting(before=FIRST),
    ("README.md", 'default@aos-2.0.4[Inbox:2]> x = 2 error("no")'): Setting(before=FIRST),
    ("docs/commands.md", "> .watch main.lua"): Setting(
        "desk",
        files=(("main.lua", ONE + TWO),),
        saved=(("main.lua", ONE.replace("return msg", "") + ONE.replace("One", "Three")),),
    ),
    ("docs/commands.md", "> .check --target legacy bad.lua"): Setting(
        "desk", files=(("bad.lua", '-- makes a process\nlocal child = spawn("x")\n'),)
    ),
    ("docs/commands.md", "> .inspect T"): Setting(
        "desk",
        before=(
            "T = setmetatable({1, list = {{x = 1}}},\n {\n\n__index = function() end})\nT.self = T",
            ".load main.lua",
        ),
        files=(("main.lua", MAIN),),
    ),
    ("docs/commands.md", "> return { Target = @token, Recipient = @alice }"): Setting(
        "desk", before=(".spawn aos as token", ".as alice", ".as me")
    ),
    ("docs/commands.md", "> .as alice"): Setting("desk", before=(".load examples/token.lua",)),
    ("docs/fuzz.md", "$ aoshell fuzz examples/testing/coin.lua -x"): Setting(
        edit=("examples/testing/coin.lua", "Balances[from] - quantity", "Balances[from] - 1")
    ),
    ("docs/testing.md", "$ aoshell test examples/testing"): Setting(
        edit=("examples/testing/coin.lua", "Balances[from] - quantity", "Balances[from] - 1")
    ),
}
# Sessions that no test can run as they stand, and why.
NOT_RUN = {
    ("docs/attack.md", "$ scripts/attack                # all of it, ten minutes"): (
        "ten minutes; tests/test_attack.py runs some"
    ),
    (
        "docs/attest.md",
        "$ aoshell attest measure --firmware OVMF.fd --kernel vmlinuz --initrd initrd.img \\",
    ): "needs an image of firmware; tests/attest/test_attest_measure.py makes one",
    (
        "docs/local-node.md",
        "$ aoshell fork https://node.example 4WYx…@8412 as desk"
        "    # or .fork URL PROCESS[@SLOT] as NAME",
    ): "forks a process of the network; tests/serve/test_forks.py does it",
    ("docs/serve.md", "$ aoshell serve"): (
        "serves until Ctrl-C, on a port that may be taken; tests/serve/test_serve_command.py"
    ),
    (
        "docs/serve.md",
        """$ curl -X POST -H "Authorization: Bearer $TOKEN" -d '{"milliseconds": 3600000}' \\""",
    ): "asks a served node with its token; tests/serve/test_serve_workbench.py",
}


# Pages whose blocks follow one another, in one folder: files, and sessions of one process each.
STORIES = ("docs/tutorial.md",)


def kind_of(block: Block) -> str:
    """What a block is: at a prompt, at a shell's, other code, or in NOT_RUN."""
    if (block.page, block.first) in NOT_RUN:
        return "not run"
    if block.language:
        return block.language
    if PROMPT.match(block.first):
        return "prompt"
    return "command" if COMMAND.match(block.first) else ""


def of_kind(kind: str) -> list[Block]:
    return [one for one in blocks() if kind_of(one) == kind and one.page not in STORIES]


@pytest.fixture
def folder(tmp_path: Path, environment: dict[str, str]) -> Path:
    """A folder like that of the pages: examples, and `aoshell` on the PATH."""
    place = tmp_path / "home" / "me" / "tokens"
    place.mkdir(parents=True)
    shutil.copytree(REPO / "examples", place / "examples")
    program = tmp_path / "bin" / "aoshell"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c \'{ENTRY}\' "$@"\n')
    program.chmod(0o755)
    environment["PATH"] = f"{program.parent}:{environment['PATH']}"
    environment["NO_COLOR"] = "1"
    return place


@pytest.mark.parametrize("block", of_kind("prompt"), ids=lambda block: block.place)
def test_at_the_prompt(block: Block, folder: Path, environment: dict[str, str]) -> None:
    setting = SETTINGS.get((block.page, block.first), Setting())
    setting.lay_out(folder)
    name = setting.name or PROCESS.match(block.first)[1] or "default"
    arguments = [arg for line in setting.before for arg in ("--run", line)] or ["--run", "1"]
    prepared(folder, environment, name, *arguments)
    terminal = opened(name, folder, environment)
    try:
        terminal.shows(r"aos-[\d.]+(\[Inbox:\d+\])?>$")
        for step in steps(block, PROMPT):
            terminal.type(step.typed.replace("\n", "\x1b\r") + "\r")
            for name, text in setting.saved:
                terminal.shows("^watching ")
                (folder / name).write_text(text)
            seen(terminal, step, block.text)
    finally:
        terminal.child.close(force=True)


def opened(name: str, folder: Path, environment: dict[str, str]) -> Terminal:
    return Terminal(
        [*AOSHELL, name],
        environment,
        columns=COLUMNS,
        rows=ROWS,
        folder=str(folder),
    )


def prepared(folder: Path, environment: dict[str, str], *arguments: str) -> None:
    done = run(
        [*AOSHELL, *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def seen(terminal: Terminal, step: Step, text: str) -> None:
    """Wait until the screen shows what the step comes to, behind what was typed last."""
    wanted = pattern_of(step.shown)
    first, *more = step.typed.split("\n")
    last = more[-1].strip() if more else first.strip()
    prompt_of = PROMPT if step.prompt == ANY_PROMPT else re.compile(re.escape(step.prompt))
    end = time.monotonic() + SECONDS
    while True:
        *said, prompt = terminal.said
        typed = [number for number, line in enumerate(said) if typed_line(line) == last]
        begun = said[typed[-1] - len(more)] if typed else ""
        shown = "".join(f"{by_form(line)}\n" for line in said[typed[-1] + 1 :]) if typed else ""
        is_done = typed and PROMPT.match(prompt + " ") and prompt_of.match(begun)
        if is_done and wanted.fullmatch(shown):
            return
        if time.monotonic() > end:
            pytest.fail(f"the page says\n{text}\nand the screen\n" + "\n".join(terminal.said))
        terminal.look()


def typed_line(line: str) -> str:
    """What was typed in a line of the screen."""
    return PROMPT.sub("", line, count=1).strip()


@pytest.mark.parametrize("block", of_kind("command"), ids=lambda block: block.place)
def test_at_a_shell(
    block: Block, folder: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    setting = SETTINGS.get((block.page, block.first), Setting())
    setting.lay_out(folder)
    for name in ("default", "scratch"):
        prepared(folder, environment, name, "--run", "1")
    for step in steps(block, COMMAND):
        ran(step, block.text, folder, tmp_path, environment)


def ran(step: Step, text: str, folder: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """Run what a step types at a shell, and compare."""
    done = subprocess.run(
        ["bash", "-c", step.typed],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    shown = by_form(done.stdout.replace(str(tmp_path), ""))
    assert pattern_of(step.shown).fullmatch(shown), (
        f"the page says\n{text}\nand the shell\n{done.stdout}"
    )


@pytest.mark.parametrize("page", STORIES)
def test_a_story(page: str, folder: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    shutil.rmtree(folder / "examples")  # it begins in an empty folder
    terminal: Terminal | None = None
    try:
        for block in (one for one in blocks() if one.page == page):
            kind = kind_of(block)
            if kind == "lua":
                (folder / block.first.removeprefix("-- ")).write_text(block.text)
            for step in steps(block, COMMAND) if kind == "command" else ():
                ran(step, block.text, folder, tmp_path, environment)
            for step in steps(block, PROMPT) if kind == "prompt" else ():
                if terminal is None:
                    terminal = opened(block.first.partition("@")[0], folder, environment)
                    terminal.shows(r"aos-[\d.]+(\[Inbox:\d+\])?>$")
                terminal.type(step.typed + "\r")
                seen(terminal, step, block.text)
    finally:
        if terminal:
            terminal.child.close(force=True)


def test_each_block_is_run_or_has_a_reason() -> None:
    known = {"lua", "python", "toml", "sh", "text", "prompt", "command", "not run"}
    assert not [block.place for block in blocks() if kind_of(block) not in known]
    there = {(block.page, block.first) for block in blocks()}
    assert not [key for key in (*NOT_RUN, *SETTINGS) if key not in there]
