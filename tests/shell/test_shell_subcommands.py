"""`aoshell help` makes no process; a name that looks like a command is asked about."""

from __future__ import annotations

import asyncio

import pytest
from shell_fake import FakeNode
from test_shell_cli import shell

from aoshell import __version__, cli
from aoshell.errors import UsageError
from aoshell.home.folders import Settings
from aoshell.shell.flags.subcommands import SUBCOMMANDS, command_like
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import Start, close_session, open_session


class Asked:
    """A front that answers one way, and keeps what it was asked."""

    asks = True

    def __init__(self, answer: bool) -> None:
        self.answer = answer
        self.questions: list[str] = []

    def opened(self, node: object) -> None: ...
    def partial(self, result: object) -> None: ...
    def feed(self, text: str) -> None: ...
    def note(self, text: str) -> None: ...

    async def confirm(self, question: str) -> bool:
        self.questions.append(question)
        return self.answer


def opened(node: FakeNode, home: Settings, start: Start, front: Asked) -> str:
    """The name of the process that a start attaches."""

    async def open_node(*_: object) -> FakeNode:
        return node

    async def run() -> str:
        session = await open_session(start, home, open_node, front, Patience.ANSWER)
        name = session.attached.name
        await close_session(session)
        return name

    return asyncio.run(run())


@pytest.mark.parametrize(
    "name", ["console", "tests", "Serve", "attets", "dumps", "list", "hlep", "tset"]
)
def test_a_new_process_that_looks_like_a_command_is_asked_about(
    name: str, node: FakeNode, home: Settings
) -> None:
    front = Asked(False)
    with pytest.raises(UsageError, match=f"no process {name}, and none was made") as refused:
        opened(node, home, Start(name, named=True), front)
    assert f"aoshell -- {name}" in refused.value.hint
    assert len(front.questions) == 1 and not node.infos
    assert opened(node, home, Start(name, named=True), Asked(True)) == name
    # One that is there is attached.
    front = Asked(False)
    assert opened(node, home, Start(name, named=True), front) == name
    assert not front.questions


def test_behind_two_dashes_it_is_a_name(node: FakeNode, home: Settings) -> None:
    front = Asked(False)
    assert opened(node, home, Start("tests", named=True, sure=True), front) == "tests"
    assert not front.questions


def test_other_names_are_made_without_a_word(node: FakeNode, home: Settings) -> None:
    for name in ("token", "testbed", "server-1", "loader", "market", "v2"):
        front = Asked(False)
        assert opened(node, home, Start(name, named=True), front) == name
        assert not front.questions


def test_a_script_is_refused(home: Settings) -> None:
    for name in ("tests", "console"):
        done = shell(home, name, stdin="1 + 1")
        assert done.returncode == cli.MISUSED and not done.stdout
        assert f"aoshell -- {name} makes a process of that name" in done.stderr
    assert shell(home, "--run", "1 + 1", "--", "tests").stdout == "2\n"


def test_help_and_version_are_what_they_say(home: Settings) -> None:
    assert shell(home, "help").stdout == shell(home, "--help").stdout
    assert "usage: aoshell" in shell(home, "help").stdout
    assert shell(home, "version").stdout == f"aoshell {__version__}\n"
    assert shell(home, "help", "test").stdout == shell(home, "test", "--help").stdout


def test_each_command_is_one() -> None:
    for name in SUBCOMMANDS:
        assert command_like(f"{name}s"), name
