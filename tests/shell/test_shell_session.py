"""Sessions and dot commands on a node in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from shell_fake import ADDRESS, FakeNode

from aoshell.errors import AoError, UsageError
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.nodes.values import Event, Limits
from aoshell.protocol.message import Result, Tag
from aoshell.shell.lines.batch import run_batch
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput, LineAnswer, LineFailure, Outcome
from aoshell.shell.session import Patience, Session
from aoshell.shell.start import Key, Start, close_session, open_session
from aoshell.shell.view.render import Renderer
from aoshell.shell.view.values import outcome_value


class Screen:
    """A front that keeps what it is shown."""

    def __init__(self, sure: bool = False, asks: bool = True) -> None:
        self.asks = asks
        self.said: list[str] = []
        self.partials: list[str] = []
        self.sure = sure

    def opened(self, node: Node) -> None:
        pass

    def partial(self, result: Result) -> None:
        self.partials.append(result.output)

    def feed(self, said: str) -> None:
        self.said.append(said)

    async def confirm(self, question: str) -> bool:
        self.said.append(question)
        return self.sure


Use = Callable[[Session, Screen], Awaitable[None]]


def use(
    node: FakeNode,
    home: Settings,
    body: Use,
    start: Start | None = None,
    patience: Patience = Patience.SETTLED,
    screen: Screen | None = None,
) -> None:
    """Run `body` on an open session."""

    async def run() -> None:
        async def opened(_: Settings, limits: Limits, __: Key) -> FakeNode:
            node.limits = limits
            return node

        shown = screen or Screen()
        session = await open_session(start or Start(), home, opened, shown, patience)
        try:
            await asyncio.wait_for(body(session, shown), 30)
        finally:
            await close_session(session)
        assert node.closed

    asyncio.run(run())


def failed(outcome: Outcome) -> AoError:
    assert isinstance(outcome, LineFailure), outcome
    return outcome.error


def replied(outcome: Outcome) -> CommandOutput:
    assert isinstance(outcome, CommandOutput), outcome
    return outcome


def answered(outcome: Outcome) -> LineAnswer:
    assert isinstance(outcome, LineAnswer), outcome
    return outcome


def printed(outcome: Outcome) -> str:
    shown: list[str] = []
    Renderer(shown.append, shown.append, colour=False).outcome("", outcome)
    return "".join(shown)


def test_a_line_is_answered(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        answer = answered(await run_line(session, "1+1"))
        assert (answer.last.output, answer.ok, answer.own.slot) == ("2", True, 1)
        assert session.prompt.endswith("[Inbox:2]> ")
        await session.settle()
        session.feed.release()
        assert not [said for said in screen.said if not said.startswith("New process")]

    use(node, home, body)


def test_a_new_name_makes_a_process(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"\0data")
    start = Start("fresh", data=str(data), tags=(Tag("X", "1"),), cron="5-minutes")

    async def body(session: Session, screen: Screen) -> None:
        definition = node.log[session.attached.id][0].message
        assert definition.data == b"\0data" and definition.id == session.attached.id
        values = {tag.name: tag.value for tag in definition.tags}
        assert values["Scheduler"] == values["Authority"] == ADDRESS
        assert values["Module"] == "A" * 43 and values["Type"] == "Process"
        assert (values["Name"], values["X"]) == ("fresh", "1")
        assert (values["Cron-Interval"], values["Cron-Tag-Action"]) == ("5-minutes", "Cron")
        assert "New process fresh" in screen.said[0]

    use(node, home, body, start)


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (Start("Z" * 43), "0 processes"),
        (Start("abcdef"), "2 processes"),
        (Start("known", cron="5-minutes"), "exists already"),
        (Start("new", cron="often"), "no interval"),
        (Start("new", module="nothing"), "no module"),
        (Start("new", data="/absent"), "no file"),
    ],
)
def test_no_process_is_made_by_mistake(
    node: FakeNode, home: Settings, start: Start, what: str
) -> None:
    node.make("abcdef" + "1" * 37, "known", "O" * 43)
    node.make("abcdef" + "2" * 37, "other", "O" * 43)

    async def body(_: Session, __: Screen) -> None:
        raise AssertionError("opened")

    with pytest.raises(AoError, match=what):
        use(node, home, body, start)
    assert len(node.infos) == 2 and node.closed


def test_an_error_is_shown_with_its_line(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        answer = answered(await run_line(session, 'x = 1\nprint("before") error("no")'))
        assert not answer.ok
        assert printed(answer).split("\n")[:4] == [
            "before",
            '[string "aos"]:2: no',
            '  2 │ print("before") error("no")',
            "    │                 ^",
        ]

    use(node, home, body)


@pytest.mark.parametrize("patience", [Patience.ANSWER, Patience.SETTLED])
def test_a_suspended_line_is_answered_later(
    node: FakeNode, home: Settings, patience: Patience
) -> None:
    async def body(session: Session, screen: Screen) -> None:
        answer = answered(await run_line(session, 'receive() send("self", "wake")'))
        assert screen.partials == ["asking"]
        assert answer.later and answer.later.output == "woken" and answer.ok
        assert outcome_value(answer)["output"] == "asking\nwoken"
        session.feed.release()
        assert "woken" not in screen.said

    use(node, home, body, patience=patience)


def test_a_line_that_nothing_can_wake_fails_in_a_script(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        answer = answered(await run_line(session, "receive()"))
        assert answer.waiting and not answer.ok and "still waits" in printed(answer)

    use(node, home, body)


def test_no_wait_is_content_with_the_own_slot(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        answer = answered(await run_line(session, "receive()"))
        assert answer.own.suspended and answer.ok

    use(node, home, body, patience=Patience.OWN)


def test_what_arrives_is_told_after_the_answer(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        node.make("P" * 43, "pong", "O" * 43)
        node.make("Q" * 43, "quiet", "O" * 43)
        await run_line(session, 'send("pong", "one") send("self", "two")')
        await session.settle()
        await asyncio.sleep(0.05)
        said = screen.said[1:]
        assert said == []  # held until the answer is shown
        session.feed.release()
        assert screen.said[1:] == ["pong │ New Message: one\nNew Message: two"]
        node.arrive("Q" * 43, "nobody here caused this")
        node.arrive(session.attached.id, "mine")
        node.arrive(session.attached.id, "bad", outcome="error", error="oops", output="")
        node.tell(Event("notice", "", "", detail="recovered"))
        await asyncio.sleep(0.1)
        said = "\n".join(screen.said[2:])
        assert said == "New Message: mine\nslot 4 failed: oops\nrecovered"

    use(node, home, body)


def test_a_given_up_line_is_told_when_it_comes(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        line = asyncio.create_task(run_line(session, 'sleep(0.05) print("late")'))
        await asyncio.sleep(0.02)
        line.cancel()
        await asyncio.wait({line})
        assert line.cancelled() and session.sent and session.sent.slot == 1
        await asyncio.sleep(0.1)
        assert screen.said[1:] == ["slot 1 │ late"]

    use(node, home, body, patience=Patience.ANSWER)


def test_a_result_that_was_asked_for_is_not_told_besides(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        line = asyncio.create_task(run_line(session, 'sleep(0.05) print("late")'))
        await asyncio.sleep(0.02)
        line.cancel()
        await asyncio.wait({line})
        reply = await run_line(session, ".result 1")
        assert (
            isinstance(reply, CommandOutput) and reply.answer and reply.answer.own.output == "late"
        )
        await asyncio.sleep(0.1)
        assert screen.said[1:] == []

    use(node, home, body, patience=Patience.ANSWER)


def test_a_given_up_line_can_be_stopped(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        line = asyncio.create_task(run_line(session, "slow"))
        await asyncio.sleep(0.02)
        line.cancel()
        await asyncio.wait({line})
        assert await session.stop()
        assert not await session.stop()

    use(node, home, body, patience=Patience.ANSWER)


def test_only_the_owner_evaluates(node: FakeNode, home: Settings) -> None:
    node.make("child1" + "C" * 37, "child", "parent" + "P" * 37)

    async def body(session: Session, _: Screen) -> None:
        attached = replied(await run_line(session, ".attach child1"))
        assert "to look at" in attached.note and "--wallet" in attached.note
        error = failed(await run_line(session, "1+1"))
        assert "belongs to" in error.what and "start with --wallet of its owner" in error.hint
        node.make("parent" + "P" * 37, "parent", "O" * 43)
        error = failed(await run_line(session, "1+1"))
        assert ".attach parentPPPPPP" in error.hint
        assert node.codes == []
        assert printed(await run_line(session, ".dryrun 1+1")) == "2\n"

    use(node, home, body)


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
        (".inbox x", ".help inbox"),
        (".delete default", ".attach another process first"),
    ],
)
def test_a_mistyped_command_is_never_lua(
    node: FakeNode, home: Settings, line: str, hint: str
) -> None:
    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, line))
        assert isinstance(error, UsageError) and error.hint == hint
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
        await asyncio.sleep(0.02)
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


def test_waits_are_dropped_by_an_eval(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        for begin in ("7", "ab", 'a"b'):
            await run_line(session, f".waits drop {begin}")
        drops = [code for code in node.codes if "drop" in code]
        ids = ("7", "abc", "a\\034b")
        assert drops == [f'return require(".process").drop("{id}")' for id in ids]
        assert failed(await run_line(session, ".waits drop a")).what == "2 of them begin with a"
        assert failed(await run_line(session, ".waits drop x")).what == "nothing waits as x"

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


def test_a_broken_wallet_is_told(node: FakeNode, home: Settings) -> None:
    home.wallet.write_text("{}")

    async def body(_: Session, __: Screen) -> None:
        raise AssertionError("opened")

    with pytest.raises(AoError, match="wallet"):
        use(node, home, body)
    assert home.wallet.read_text() == "{}"


def test_a_defect_is_no_traceback(node: FakeNode, home: Settings) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secretly")

    async def body(session: Session, _: Screen) -> None:
        node.send = broken  # type: ignore[assignment]
        assert "defect" in failed(await run_line(session, "1+1")).what

    use(node, home, body)


def test_an_error_is_lua_s_message_in_json(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        error = "before\n\n\x1b[31merror:\n\x1b[0mx.lua:1: no"
        node.arrive(session.attached.id, "", outcome="error", error=error, output="")
        node.arrive(session.attached.id, "", output="\x1b[31mred\x1b[0m")
        _, first, second = replied(await run_line(session, ".messages")).value["slots"]  # type: ignore[index]
        assert (first["error"], first["output"]) == ("x.lua:1: no", "before")
        assert second["output"] == "red"
        own = node.log[session.attached.id][1].result
        assert own
        value = outcome_value(LineAnswer(None, own))
        assert (value["error"], value["output"]) == ("x.lua:1: no", "before")

    use(node, home, body)


def test_a_process_that_fails_at_birth_is_told(node: FakeNode, home: Settings) -> None:
    node.birth = {"outcome": "error", "error": "\x1b[31merror:\n\x1b[0mx.lua:1: no"}

    async def body(_: Session, __: Screen) -> None:
        raise AssertionError("opened")

    with pytest.raises(AoError, match=r"its first message failed: x\.lua:1: no\n"):
        use(node, home, body, Start("new"))


def test_no_process_is_made_of_what_is_no_lua(
    node: FakeNode, home: Settings, tmp_path: Path
) -> None:
    (tmp_path / "users").write_text("root:x:0:0")

    async def body(_: Session, __: Screen) -> None:
        raise AssertionError("opened")

    with pytest.raises(AoError, match="users:1: "):
        use(node, home, body, Start("new", module=str(tmp_path / "users")))
    assert not node.infos


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


def test_ctrl_c_in_a_pipe_stops_the_line(node: FakeNode, home: Settings) -> None:
    async def run() -> None:
        async def opened(_: Settings, __: Limits, ___: Key) -> FakeNode:
            return node

        renderer = Renderer(lambda _: None, lambda _: None, colour=False)
        running = asyncio.create_task(
            run_batch(
                *(Start(), home, opened, renderer, ["slow"]),
                reading=None,
                patience=Patience.SETTLED,
            )
        )
        while not node.codes:
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled() and node.closed

    asyncio.run(run())
    (log,) = node.log.values()
    assert log[1].result and log[1].result.outcome == "time"


class Stuck(FakeNode):
    """What its lines cause is never done, for a process that does not load."""

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.why = AoError("process bad: its code does not load", stage=stage)

    async def settled(self, root: str) -> None:
        del root
        raise self.why


class StuckItself(Stuck):
    """The lines have no answer either."""

    async def result(self, process: str, place: int | str) -> Result:
        if place:
            raise self.why
        return await super().result(process, place)


@pytest.mark.parametrize("made", [Stuck, StuckItself])
@pytest.mark.parametrize(("stage", "run"), [("compute", 2), ("store", 1)])
def test_a_script_goes_on_behind_what_cannot_be_computed(
    home: Settings, made: type[Stuck], stage: str, run: int
) -> None:
    """Every line is run, and told once; but where the disk is full none can go better."""
    node, shown = made(stage), list[str]()

    async def lines() -> int:
        async def opened(_: Settings, __: Limits, ___: Key) -> FakeNode:
            return node

        renderer = Renderer(lambda _: None, shown.append, colour=False)
        script, patience = ["1+1", "2+2"], Patience.SETTLED
        return await run_batch(
            Start(), home, opened, renderer, script, reading=None, patience=patience
        )

    try:
        assert asyncio.run(lines()) == 1
    except AoError as error:
        assert error is node.why and stage == "store"
        shown.append(str(error))
    assert node.codes[-run:] == ["1+1", "2+2"][:run]
    assert "".join(shown).count("its code does not load") == run


@pytest.mark.parametrize("command", [".load", ".import", ".publish"])
def test_only_regular_files_are_read(node: FakeNode, home: Settings, command: str) -> None:
    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, f"{command} /dev/zero"))
        assert error.what.endswith("no regular file")

    use(node, home, body)
