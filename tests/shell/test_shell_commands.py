"""Dot commands on a node in memory."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from shell_fake import FakeNode
from shell_remote import FakeRemote
from shell_session import Screen, failed, printed, replied, use

from aoshell.errors import AoError, UsageError
from aoshell.home.folders import Settings
from aoshell.nodes.values import Limits, ProcessInfo
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import registry
from aoshell.shell.lines.run import run_line
from aoshell.shell.start import Start
from aoshell.shell.view.render import Renderer
from aoshell.shell.view.tables import process_table


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (".lod x", "did you mean .load?"),
        (".Help", "did you mean .help?"),
        (".zzz", ".help lists the commands"),
        (".load", ".help load"),
        (".help nothing", ".help lists the commands"),
        (".limits seconds -1", "a number from 0.001 to 86400"),
        (".limits memory 65537", "a number from 1 to 65536"),
        (".limits pushes 0", "a whole number from 1 to 1000000000"),
        (".limits pushes 2.5", "a whole number from 1 to 1000000000"),
        (".limits gas 1000000000000001", "a whole number from 0 to 1000000000000000"),
        (".limits network maybe", "on or off"),
        (".publish x.lua as", ".help publish"),
        (".exit a b", ".help exit"),
        (".attach \udcff", ""),
        (".limits nothing 1", ".help limits"),
        (".inbox 0", ".help inbox"),
        (".delete default", ".attach another process first"),
    ],
)
def test_a_mistyped_command_is_never_lua(
    node: FakeNode, home: Settings, line: str, hint: str
) -> None:
    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, line))
        assert isinstance(error, UsageError)
        assert error.hint == hint or f"; {hint} says more" in error.hint
        assert node.codes == []

    use(node, home, body)


@pytest.mark.parametrize(
    "line",
    [
        *(
            ".send -x hello",
            ".send --now A=b",
            ".attach -x",
            ".delete -x --yes",
            ".tick -x",
        ),
    ],
)
def test_a_word_like_a_flag_is_told_to_be_none(home: Settings, line: str) -> None:
    word = line.split()[1]
    there = FakeRemote()

    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, line))
        said = f"'{word}' is no flag of this command, and no process here has that name"
        assert (type(error), error.what) == (UsageError, said)

    use(there, home, body, Start("default", named=True))


def test_names_and_ids_that_begin_as_flags_are_found(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        for reference in ("-x", f"-{'y' * 42}"):
            node.make(f"-{'y' * 42}", "-x", session.attached.owner)
            replied(await run_line(session, f".messages {reference}"))
        missing = failed(await run_line(session, f".messages -{'z' * 42}"))
        assert "no flag" not in missing.what

    use(node, home, body)


def test_each_command_tells_of_itself(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        for name in registry():
            described = replied(await run_line(session, f".help {name}"))
            assert replied(await run_line(session, f".{name} --help")) == described
        assert node.codes == []

    use(node, home, body)


def test_load(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "lib.lua").write_text("return 1")
    main = tmp_path / "my main.lua"
    main.write_text("local lib = require('lib')\nreturn lib")

    async def body(session: Session, _: Screen) -> None:
        reply = replied(await run_line(session, f".load {main}"))
        assert reply.answer and reply.answer.last.output == "loaded"
        module = next(m for m in node.modules.values() if m.name == "")
        assert f"MyModule = {module.id}" in reply.note and "└─ lib.lua" in reply.note
        assert node.codes[-1] == f'MyModule = "{module.id}"\n{module.data.decode()}'
        # An error of the file later on is shown with the file's line.
        node.arrive(session.attached.id, "", outcome="error", error="my main.lua:2: no", output="")
        await session.feed.caught_up()
        session.feed.release()

    screen = Screen()
    use(node, home, body, screen=screen)
    assert "  2 │ return lib" in screen.said[-1]


def test_publish_refuses_what_is_no_lua(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "part.lua").write_text("return 1\nreturn =")
    (tmp_path / "x.lua").write_text("require('part')")

    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, f".publish {tmp_path / 'x.lua'}"))
        assert error.what.startswith("part.lua:2: ")

    use(node, home, body)


def test_publish(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "x.lua").write_text("return 1")
    (tmp_path / "x.wasm").write_bytes(b"\0asm\1\0\0\0")

    async def body(session: Session, _: Screen) -> None:
        reply = replied(await run_line(session, f".publish {tmp_path / 'x.lua'} as mine"))
        assert node.modules["mine"].id == reply.text and node.codes == []
        reply = replied(await run_line(session, f".publish '{tmp_path / 'x.wasm'}'"))
        assert node.modules[reply.text].data == b"\0asm\1\0\0\0"

    use(node, home, body)


def test_looking(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        await run_line(session, 'error("bad")')
        await run_line(session, "lose()")
        slots = len(node.log[session.attached.id])
        inbox = printed(await run_line(session, ".inbox"))
        assert "\\x1b]0;x\\x07é" in inbox and "2 older" in inbox
        messages = printed(await run_line(session, ".messages --last 5"))
        assert "bad" in messages and "no such process" in messages
        assert "Spawned" in printed(await run_line(session, ".waits"))
        assert session.attached.id in printed(await run_line(session, ".ps"))
        assert ".verify-log" in printed(await run_line(session, ".help"))
        assert "Ask" in printed(await run_line(session, ".help delete")).title()
        assert "recorded results" in printed(await run_line(session, ".verify-log"))
        assert len(node.log[session.attached.id]) == slots

    use(node, home, body)


def test_every_reply_is_json(node: FakeNode, home: Settings) -> None:
    lines = (".help", ".ps", ".inbox", ".messages", ".waits", ".limits", ".verify-log", "1+1")

    async def body(session: Session, _: Screen) -> None:
        for line in lines:
            shown: list[str] = []
            outcome = await run_line(session, line)
            Renderer(shown.append, shown.append, colour=False, as_json=True).outcome(line, outcome)
            value: dict[str, Any] = json.loads(shown[0])
            assert len(shown) == 1 and value["ok"] and value["input"] == line

    use(node, home, body)


def test_a_log_that_differs_fails(node: FakeNode, home: Settings) -> None:
    node.make("B" * 43, "bent", "O" * 43)

    async def body(session: Session, _: Screen) -> None:
        reply = replied(await run_line(session, ".verify-log bent"))
        assert not reply.ok and "slot 1" in reply.text

    use(node, home, body)


def test_all_logs_are_told_of_in_the_order_of_the_processes(
    node: FakeNode, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    bent, gone = "B" * 43, "C" * 43
    node.make(bent, "bent", "O" * 43)
    node.make(gone, "gone", "O" * 43)
    verify, under_way = node.verify_log, set[str]()

    async def verify_log(process: str) -> Sequence[str]:
        under_way.add(process)
        assert len(under_way) <= 2
        try:
            for _ in range(3 if process == bent else 1):
                await asyncio.sleep(0)
            if process == gone:
                raise AoError("its code is gone", stage="compute")
            return await verify(process)
        finally:
            under_way.discard(process)

    monkeypatch.setattr(node, "verify_log", verify_log)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)

    async def body(session: Session, _: Screen) -> None:
        processes = [one.id for one in await node.processes()]
        reply = replied(await run_line(session, ".verify-log --all"))
        found = reply.value["processes"]
        assert not reply.ok and [one["process"] for one in found] == processes
        differs = {one["process"]: one["differences"] for one in found}
        assert "slot 1" in differs[bent][0] and "its code is gone" in differs[gone][0]
        assert "bent" in reply.text and reply.text.count("gives the recorded results") == 1

    use(node, home, body)


def test_waits_are_dropped_by_an_eval(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        for begin in ("7", "ab", 'a"b'):
            await run_line(session, f".waits drop {begin}")
        drops = [code for code in node.codes if "drop" in code]
        ids = ("7", "abc", "a\\034b")
        assert drops == [f'return require(".process").drop("{id}")' for id in ids]
        assert failed(await run_line(session, ".waits drop a")).what == "2 ids begin with a"
        assert failed(await run_line(session, ".waits drop x")).what == "no ids begin with x"

    use(node, home, body)


def test_limits(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        for line in ("seconds 2.5", "memory 64", "pushes 7", "gas 900", "network off"):
            replied(await run_line(session, f".limits {line}"))
        assert node.limits == Limits(2.5, 64 << 20, 7, 900, False)

    use(node, home, body)


def test_export_and_import(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    async def body(session: Session, _: Screen) -> None:
        file = tmp_path / "saved"
        replied(await run_line(session, f".export {file}"))
        assert "exists already" in failed(await run_line(session, f".export {file}")).what
        assert "again" in printed(await run_line(session, f".import {file}"))
        assert "twin" in printed(await run_line(session, f".import {file} as twin"))
        for line in (".import", f".import {file} as"):
            assert failed(await run_line(session, line)).stage == "usage"

    use(node, home, body)


@pytest.mark.parametrize(
    ("line", "sure", "gone"),
    [
        (".delete other", False, False),
        (".delete other", True, True),
        (".delete other --yes", False, True),
    ],
)
def test_delete_asks(node: FakeNode, home: Settings, line: str, sure: bool, gone: bool) -> None:
    node.make("D" * 43, "other", "O" * 43)

    async def body(session: Session, _: Screen) -> None:
        outcome = await run_line(session, line)
        assert outcome.ok is gone and ("D" * 43 not in node.infos) is gone

    use(node, home, body, screen=Screen(sure))


def test_a_failed_load_binds_nothing(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text('error("no")')

    async def body(session: Session, _: Screen) -> None:
        reply = replied(await run_line(session, f".load {tmp_path / 'bad.lua'}"))
        assert (
            not reply.ok
            and "MyModule = " not in reply.note
            and "MyModule is not bound" in reply.note
        )

        assert not (await run_line(session, '.dryrun error("no")')).ok

    use(node, home, body)


@pytest.mark.parametrize("command", [".load", ".import", ".publish"])
def test_only_regular_files_are_read(node: FakeNode, home: Settings, command: str) -> None:
    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, f"{command} /dev/zero"))
        assert error.what.endswith("no regular file")

    use(node, home, body)


def test_who_owns_what_is_pushed_is_shown_where_a_client_has_spawned() -> None:
    made = ProcessInfo("p" * 43, "a", "o", "m", 1, 1, False, None, 0, 0, 0, "", 0)
    assert "AUTHORITY" not in process_table([made]).columns
    table = process_table([made, replace(made, authority="f" * 43)])
    assert table.columns[-1] == "AUTHORITY"
    assert [row[-1] for row in table.rows] == ["node", "f" * 43]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (".editor", "in a pipe, code may have several lines as it is"),
        (".more", "in a pipe, answers are shown whole"),
        (".names", "the names are for completion by Tab"),
    ],
)
def test_what_needs_a_terminal_says_what_there_is_without_one(
    node: FakeNode, home: Settings, line: str, hint: str
) -> None:
    async def body(session: Session, _: Screen) -> None:
        assert failed(await run_line(session, line)).hint == hint

    use(node, home, body)
