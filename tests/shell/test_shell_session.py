"""Lines of a session, on a node in memory."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from eventually import turns, until
from shell_fake import ADDRESS, FakeNode
from shell_session import Screen, answered, failed, printed, replied, use

from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.values import Event
from aoshell.protocol.message import Result, Tag
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.batch import run_batch
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput, LineAnswer
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import Start
from aoshell.shell.view.render import Renderer
from aoshell.shell.view.values import outcome_value


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


@pytest.mark.parametrize("named", [False, True])
def test_the_default_of_a_client_is_not_that_of_the_shell(
    node: FakeNode, home: Settings, named: bool
) -> None:
    """aos calls its process "default", too, where nobody says a name."""
    info = node.make("C" * 43, "default", "O" * 43)
    node.infos[info.id] = replace(info, network=True)

    async def body(session: Session, _: Screen) -> None:
        assert (session.attached.id == info.id) is named

    use(node, home, body, Start("default", named=named))


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
        await session.feed.caught_up()
        said = screen.said[1:]
        assert said == []  # held until the answer is shown
        session.feed.release()
        assert screen.said[1:] == ["pong (PPPPPPPP…) │ New Message: one\nNew Message: two"]
        node.arrive("Q" * 43, "nobody here caused this")
        node.arrive(session.attached.id, "mine")
        node.arrive(session.attached.id, "bad", outcome="error", error="oops", output="")
        node.tell(Event("notice", "", "", detail="recovered"))
        await until(lambda: "recovered" in "".join(screen.said))
        said = "\n".join(screen.said[2:])
        assert said == "New Message: mine\nslot 4 failed: oops\nrecovered"

    use(node, home, body)


def test_a_given_up_line_is_told_when_it_comes(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        line = asyncio.create_task(run_line(session, 'sleep(0.5) print("late")'))
        await until(lambda: node.codes)
        await turns()
        line.cancel()
        await asyncio.wait({line})
        assert line.cancelled() and session.sent and session.sent.slot == 1
        await until(lambda: screen.said[1:])
        assert screen.said[1:] == ["slot 1 │ late"]

    use(node, home, body, patience=Patience.ANSWER)


def test_a_result_that_was_asked_for_is_not_told_besides(node: FakeNode, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        line = asyncio.create_task(run_line(session, 'sleep(0.5) print("late")'))
        await until(lambda: node.codes)
        await turns()
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
        await until(lambda: node.codes)
        await turns()
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


def test_ctrl_c_in_a_pipe_stops_the_line(node: FakeNode, home: Settings) -> None:
    async def run() -> None:
        async def opened(*_: object) -> FakeNode:
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
        async def opened(*_: object) -> FakeNode:
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


@pytest.mark.parametrize(("ready", "shown"), [(False, ["Making it"]), (True, [])])
def test_the_note_about_the_wallet_is_shown_once_while_it_is_made(
    ready: bool, shown: list[str]
) -> None:
    notes: list[str] = []

    async def wallet() -> str:
        return "the wallet"

    session: Any = SimpleNamespace(
        wallet_note="Making it",
        identities=SimpleNamespace(ready=ready, wallet=wallet),
        front=SimpleNamespace(note=notes.append),
    )
    for _ in range(2):
        assert asyncio.run(Session.wallet(session)) == "the wallet"
    assert notes == shown
