"""While a line runs: what is waited for is shown, reading is answered, Ctrl-C keeps what waits."""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any, NoReturn

import pytest
from eventually import turns, until
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode
from shell_typing import Typing, Use

from aoshell.home.folders import Settings
from aoshell.shell.attached.questions import query
from aoshell.shell.commands import registry
from aoshell.shell.commands.reading import only_reads
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.front import Patience
from aoshell.shell.prompt.busy import activity, slot_before
from aoshell.shell.prompt.queued import Queued
from aoshell.shell.view.render import interrupted

CTRL_C, CTRL_D = "\x03", "\x04"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="keys of a Unix terminal")


async def stuck(keyboard: Keyboard, node: FakeNode, line: str = "slow") -> None:
    """Type a line that does not end, and wait until it is said to run."""
    keyboard.type(f"{line}\r")
    await until(lambda: node.codes[-1:] == [line])
    await until(lambda: "slot" in keyboard.app.stage)


def test_what_is_waited_for_is_shown_with_what_waits_behind(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await stuck(keyboard, node)
        assert keyboard.app.stage.startswith("· slot 1 of default is computed  ")
        assert "wait" not in keyboard.app.stage
        keyboard.type("1+1\r")
        await until(lambda: keyboard.app.stage.endswith(" s · 1 line waits behind it, first 1+1"))
        keyboard.type("\x1b[200~2+2\x1b[201~\r")
        await until(lambda: "2 lines wait behind it, first 1+1" in keyboard.app.stage)
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_a_line_that_waits_for_a_message_says_so(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("receive()\r")
        await until(lambda: "slot 1 of default waits for a message" in keyboard.app.stage)
        keyboard.type(CTRL_C)
        await keyboard.see("No longer waiting for slot 1")
        await until(lambda: not keyboard.app.stage)
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_reading_is_answered_beside_a_line(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await stuck(keyboard, node)
        for line, answer in ((".ps", "default"), (".messages", "SLOT"), ("? .send", "PROCESS")):
            keyboard.type(f"{line}\r")
            await keyboard.see(f"{line}\n")
            await keyboard.see(answer)
        keyboard.type(".help exit\r")
        await keyboard.see("Leave the shell; the processes stay")
        # What changes something waits its turn, and nothing of the line is lost.
        keyboard.type(".limits seconds 3\r")
        await until(lambda: "first .limits seconds 3" in keyboard.app.stage)
        assert node.limits.seconds != 3
        keyboard.type(CTRL_C)
        await keyboard.see("No longer waiting for slot 1")
        await keyboard.see("  .limits seconds 3\n")
        keyboard.type("\r")
        await keyboard.see("seconds")
        await until(lambda: node.limits.seconds == 3)
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_reading_typed_before_the_line_took_long_is_answered(
    node: FakeNode, home: Settings
) -> None:
    async def script(keyboard: Keyboard) -> None:
        keyboard.type("slow\r.ps\r1+1\r.messages\r")
        await keyboard.see(".ps\n")
        await keyboard.see("default")
        # Behind a line it keeps its place.
        await until(lambda: "2 lines wait behind it, first 1+1" in keyboard.app.stage)
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_reading_that_comes_with_other_lines_is_answered(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await stuck(keyboard, node)
        keyboard.type(".ps\r1+1\r.messages\r")  # at once, as over a slow line
        await keyboard.see(".ps\n")
        await keyboard.see("default")
        await until(lambda: "2 lines wait behind it, first 1+1" in keyboard.app.stage)
        keyboard.type(CTRL_D)

    play(node, home, script)


def test_enter_runs_what_waits_in_its_order(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await stuck(keyboard, node)
        keyboard.type("1+1\r2+2\r")
        await keyboard.taken()
        keyboard.type(CTRL_C)
        await keyboard.see("No longer waiting for slot 1")
        await keyboard.see("  1+1\n  2+2\n")
        await until(lambda: keyboard.app.stage.startswith("2 lines wait: Enter on an empty line"))
        # Another line runs at once; those that wait still wait.
        keyboard.type("3+3\r")
        await keyboard.see("6\n")
        await until(lambda: keyboard.app.stage.startswith("2 lines wait"))
        keyboard.type("\r")
        await keyboard.see("2\n")
        await keyboard.see("4\n")
        await until(lambda: not keyboard.app.stage)
        keyboard.type(CTRL_D)

    play(node, home, script)
    assert node.codes == ["slow", "3+3", "1+1", "2+2"]


def test_ctrl_c_drops_what_is_listed_then_stops(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        for _ in range(2):  # the same lines are listed again
            await stuck(keyboard, node)
            keyboard.type("1+1\r")
            await keyboard.taken()
            keyboard.type(CTRL_C)
            await keyboard.see("No longer waiting for slot")
            await keyboard.see("  1+1\n")
            keyboard.type("half")
            await keyboard.taken()
            keyboard.type(CTRL_C)  # what is typed comes first
            await keyboard.taken()
            assert keyboard.app.stage.startswith("1 line waits: Enter on an empty line runs it")
            keyboard.type(CTRL_C)
            await keyboard.see("1 line was not run; ↑ brings back what was typed.")
            await until(lambda: not keyboard.app.stage)
            keyboard.type(CTRL_C)
            await keyboard.see("Stopped.")
        keyboard.type(CTRL_D)

    play(node, home, script)
    assert node.codes == ["slow", "slow"]


def test_ctrl_c_while_the_shell_starts_keeps_what_waits(node: FakeNode, home: Settings) -> None:
    start = asyncio.Event()

    async def script(keyboard: Keyboard) -> None:
        keyboard.type("1+1\r")
        await keyboard.taken()
        keyboard.type(CTRL_C)
        await keyboard.see("Still starting")
        await keyboard.see("  1+1\n")
        start.set()
        await until(lambda: keyboard.app._session is not None)
        await turns()
        assert not node.codes
        keyboard.type("\r")
        await keyboard.see("2\n")
        keyboard.type(CTRL_D)

    play(node, home, script, start=start)


def test_two_hundred_lines_pasted_behind_a_line(node: FakeNode, home: Settings) -> None:
    pasted = "\n".join(f".dryrun {n}" if n % 2 else f"{n}+0" for n in range(200))

    async def script(keyboard: Keyboard) -> None:
        await stuck(keyboard, node)
        keyboard.type(f"\x1b[200~{pasted}\x1b[201~\r")
        await until(lambda: "200 lines wait behind it, first 0+0" in keyboard.app.stage)
        keyboard.type(CTRL_C)
        await keyboard.see("  .dryrun 7\n  … 192 more\n")
        keyboard.type(CTRL_D)

    assert "200 lines were not run" in play(node, home, script)


def test_ctrl_c_twice_in_one_moment_ends_nothing_else(node: FakeNode, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        await stuck(keyboard, node)
        keyboard.app.interrupted()
        keyboard.app.interrupted()
        await keyboard.see("No longer waiting for slot 1")
        keyboard.type("exit\r")  # asked under a time limit, which a left-over cancel would break

    play(node, home, script)


def test_only_what_reads_is_taken_for_reading() -> None:
    always = {
        *("at", "check", "doctor", "dryrun", "handlers", "help", "history", "inbox", "inspect"),
        *("json", "log", "messages", "node", "now", "ps", "result", "signature", "trace"),
        *("verify-log", "wasm", "why"),
    }
    bare = {"as", "limits", "load-blueprint", "queue", "set", "snapshot", "trust", "verify"}
    assert always | bare <= set(registry())
    for name in set(registry()) - {"waits"}:
        assert only_reads(f".{name}") is (name in always | bare), name
        assert only_reads(f".{name} x") is (name in always), name
    assert only_reads(".waits") and only_reads(".waits dropbox") and only_reads(" .waits token ")
    assert not only_reads(".waits drop 3f") and not only_reads(".waits token drop 3f")
    assert not only_reads("messages") and not only_reads("x = 1") and not only_reads("")


def test_what_a_command_computes_is_shown(typing: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(desk: Typing) -> None:
        await desk("x = 1")
        said = []
        workbench = desk.session.node.local.workbench  # type: ignore[union-attr]
        at = type(workbench).at

        async def looked_at(*given: Any) -> Any:
            said.append(activity(desk.session, ".why 1"))
            said.append(activity(desk.session, ".whys"))  # another one beside it
            return await at(*given)

        monkeypatch.setattr(type(workbench), "at", looked_at)
        desk.session.sent = None
        await desk(".why 1")
        assert said == [".why computes slot 1 once more", ".whys"]
        assert activity(desk.session, ".why 1") == ".why"

    typing(body)


def test_a_process_that_computes_is_read_as_it_was_before(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        await desk("Count = 7")
        await desk(".limits seconds 600")  # it is no limit that ends the loop
        session = desk.session
        node = session.node.local
        assert node is not None
        # The line never ends; meanwhile a dry run would wait for it.
        line = asyncio.ensure_future(desk("Count = 8 while true do end"))
        await until(lambda: session.computing is not None)
        assert (
            session.sent
            and activity(session, "x") == f"slot {session.sent.slot} of desk is computed"
        )
        found = await query(session, "return tostring(Count)")
        assert found == 7 and session.looked_back == session.sent.slot
        line.cancel()
        await asyncio.wait({line})
        await session.stop()
        await node.result(session.attached.id, session.sent.slot)
        assert await query(session, "return tostring(Count)") == 7
        assert session.looked_back is None and session.computing is None

    typing(body)


def test_a_process_is_read_also_while_it_computes_what_was_given_up(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        await desk("Count = 7")
        await desk(".limits seconds 600")  # it is no limit that ends the loop
        session = desk.session

        async def give_up(line: str) -> None:
            running = asyncio.ensure_future(desk(line))
            await until(lambda: session.computing is not None)
            running.cancel()
            await asyncio.wait({running})

        await give_up("Count = 8 while true do end")
        assert session.sent and session.sent.slot
        loop = session.sent.slot
        for line, value in ((".inspect Count", None), (".dryrun Count", None), (".waits", [])):
            found = await run_line(session, line)
            assert isinstance(found, CommandOutput), line
            assert found.note == f"as it was before slot {loop}, which is being computed:", line
            assert value is None or found.value == value
        await give_up("Count = 9")  # it waits for the loop
        assert await query(session, "return tostring(Count)") == 7 and session.looked_back == loop
        await session.stop()
        await session.node.result(session.attached.id, loop + 1)
        found = await run_line(session, ".inspect Count")
        assert isinstance(found, CommandOutput) and not found.note

    typing(body)


def test_lines_that_wait_keep_their_order() -> None:
    queued = Queued([], ["a", "b"])
    queued.hold()
    queued.add(["c"], drawn=True)
    assert (queued.lines, len(queued), queued.first) == (["a", "b", "c"], 1, "c")
    queued.hold()
    queued.add(["d"], drawn=False)
    queued.go_on()
    assert [queued.take()[0] for _ in range(4)] == ["a", "b", "c", "d"]
    assert not queued and not queued.held and not queued.waiting() and not queued.offer
    queued.add(["\x1b[31mred\nsecond"], drawn=False)
    assert "\x1b" not in queued.waiting()
    queued.hold()
    assert "\x1b" not in queued.listing() and queued.listing().count("\n") == 1


def test_all_that_was_given_up_is_stopped_and_what_is_computed_is_told(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        session = desk.session

        async def given_up(line: str) -> str:
            """Give a line up once it is known what it waits for; returns that."""
            running = asyncio.ensure_future(desk(line))
            await until(lambda: session.computing is not None)
            said = activity(session, line, await slot_before(session))
            running.cancel()
            await asyncio.wait({running})
            return said

        await desk("x = 0")  # the process is there
        await desk(".limits seconds 600")  # it is no limit that ends the loop
        assert await given_up("while true do end") == "slot 2 of desk is computed"
        assert await given_up("x = 1") == "slot 3 of desk waits for slot 2"
        assert await session.stop()  # the loop, too, and not only the line behind it
        node, process = session.node, session.attached.id
        assert (await node.result(process, 2)).outcome == "time"
        # The other one may be done before anybody can stop it.
        assert (await node.result(process, 3)).outcome in ("time", "ok")
        assert not await session.stop()
        assert await desk.value("7") == "7"

    typing(body)


def test_a_line_that_waits_on_is_not_said_to_be_stopped(typing: Use) -> None:
    async def body(desk: Typing) -> None:
        desk.session.patience = Patience.ANSWER
        running = asyncio.ensure_future(desk("Receive({ Action = 'Never' })"))
        await until(lambda: desk.session.suspended)
        running.cancel()
        await asyncio.wait({running})
        given_up = desk.session.given_up
        said = interrupted(given_up)
        assert "Ctrl-C" not in said
        drop = re.search(r"\.waits drop [\w-]+", said)
        assert drop
        await desk(drop[0])
        assert await desk.value(".waits") == []

    typing(body)


def test_reading_that_takes_longer_than_the_line_is_given_up(
    node: FakeNode, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def endless() -> NoReturn:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def script(keyboard: Keyboard) -> None:
        await stuck(keyboard, node)
        with monkeypatch.context() as changed:
            changed.setattr(node, "info", endless)
            keyboard.type(".node\r")
            await asked.wait()
        await keyboard.app._session.stop()
        await until(lambda: not keyboard.app._busy)
        keyboard.type(CTRL_C)
        await keyboard.see("Given up.")
        keyboard.type("1+1\r")
        await keyboard.see("2\n")
        keyboard.type(CTRL_D)

    play(node, home, script)
