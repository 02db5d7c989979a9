"""Waiting for a remote node, giving the wait up, and only following a process."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from eventually import turns, until
from prompt_keyboard import Keyboard, play
from shell_fake import FakeNode
from shell_remote import BROKEN, URL, FakeRemote
from shell_session import Screen, nothing, printed, run_pipe, use
from test_shell_cli import PROMPT, terminal

from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.values import Event, Stage
from aoshell.shell import start as starting
from aoshell.shell.attached.session import Session
from aoshell.shell.lines import batch
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import Interrupted
from aoshell.shell.ports.front import Patience
from aoshell.shell.prompt import busy
from aoshell.shell.start import Start
from aoshell.shell.view import waiting
from aoshell.shell.view.render import Renderer

ENTRY = Path(__file__).with_name("shell_remote_entry.py")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_stages_are_timed(there: FakeRemote) -> None:
    clock = Clock()
    watch = waiting.StageWatch(there, clock)
    compute, note = Stage("compute", URL), Stage("compute", URL, "busy (429)")

    def look(seconds: float, stage: Stage | None) -> tuple[Stage, float] | None:
        clock.now += seconds
        there.stage = stage
        found = watch.look()
        return found and (found[0], round(found[1], 3))

    assert look(0, None) is None
    assert look(1, Stage("sign", URL)) == (Stage("sign", URL), 0)
    assert look(1, compute) == (compute, 0)
    assert look(2, note) == (note, 2)
    assert look(0.2, None) == (note, 2.2)  # between two tries
    assert look(0.2, compute) == (compute, 2.4)
    assert look(1, None) is None
    assert look(0.1, compute) == (compute, 0)
    assert waiting.line(note, 3.21) == f"· compute {URL}  3.2 s  busy (429)"


def test_a_pipe_hears_once_of_a_stage_that_lasts(
    there: FakeRemote, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "REPORTED_AFTER", 0.2)
    monkeypatch.setattr(waiting, "EVERY", 0.02)
    out, err, code = run_pipe(there, home, Start(), ["1+1", 'sleep(0.8) print("x")'])
    assert (out, code) == ("2\nx\n", 0)
    assert err.count("· compute") == 1 and f"· compute {URL}  " in err


def test_ctrl_c_in_a_pipe_says_how_to_go_on(there: FakeRemote, home: Settings) -> None:
    err: list[str] = []

    async def opened(*_: object) -> FakeRemote:
        return there

    async def run(slotless: bool) -> None:
        there.slotless = slotless
        there.codes.clear()
        renderer = Renderer(err.append, err.append, colour=False)
        lines = ["slow"]
        running = asyncio.create_task(
            batch.run_batch(
                *(Start(), home, opened, renderer, lines),
                reading=None,
                patience=Patience.SETTLED,
            )
        )
        await until(lambda: there.codes)
        await turns()
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    asyncio.run(run(False))
    assert err[-2] == "interrupted\n"
    assert ".result 0 shows its result." in err[-1] and "stops it" not in err[-1]
    asyncio.run(run(True))
    (log,) = there.log.values()
    assert f".result {log[-1].message.id} shows" in err[-1]


def test_after_ctrl_c_a_remote_node_is_not_waited_for(
    there: FakeRemote, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that still delivers; were it waited for, this would not end."""
    monkeypatch.setattr(starting, "HURRIED", 0.05)
    ended: list[str] = []

    async def opened(*_: object) -> FakeRemote:
        return there

    async def close() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("closed")

    async def run() -> None:
        there.close = close  # type: ignore[method-assign]
        renderer = Renderer(lambda _: None, lambda _: None, colour=False)
        running = asyncio.create_task(
            batch.run_batch(
                *(Start(), home, opened, renderer, ["slow"]),
                reading=None,
                patience=Patience.SETTLED,
            )
        )
        await until(lambda: there.codes)
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled() and ended == ["closed"]

    asyncio.run(run())


def test_ctrl_c_while_a_session_opens_is_answered(home: Settings) -> None:
    err: list[str] = []

    async def opened(*_: object) -> FakeRemote:
        return await asyncio.Future[FakeRemote]()

    async def run() -> None:
        renderer = Renderer(err.append, err.append, colour=False)
        running = asyncio.create_task(
            batch.run_batch(
                *(Start(), home, opened, renderer, ["1+1"]),
                reading=None,
                patience=Patience.SETTLED,
            )
        )
        await turns()
        running.cancel()
        await asyncio.wait({running})

    asyncio.run(run())
    assert err == ["interrupted\n", "1 line was not run\n"]


def settles(there: FakeRemote, *, ever: bool = True) -> list[str]:
    """Has the node take its time until what a line caused is done; the roots that it was asked."""
    asked: list[str] = []

    async def settled(root: str) -> None:
        asked.append(root)
        await turns()
        if not ever:
            await asyncio.Event().wait()
        there.tell(Event("notice", "", "", "and this came of it"))

    there.settled = settled  # type: ignore[method-assign]
    return asked


def test_a_line_there_waits_for_what_it_caused(there: FakeRemote, home: Settings) -> None:
    asked = settles(there)
    out, err, code = run_pipe(there, home, Start(), ["1+1"])
    (log,) = there.log.values()
    assert asked == [log[-1].message.id] and (out, code) == ("2\n", 0)
    assert "and this came of it" in err


def test_one_that_shall_not_wait_does_not(there: FakeRemote, home: Settings) -> None:
    asked = settles(there, ever=False)

    async def body(session: Session, _: Screen) -> None:
        session.patience = Patience.OWN
        await run_line(session, "1+1")
        await session.settle()

    use(there, home, body)
    assert asked == []


def test_ctrl_c_gives_up_the_wait_for_what_a_line_caused(there: FakeRemote, home: Settings) -> None:
    asked, err = settles(there, ever=False), list[str]()

    async def opened(*_: object) -> FakeRemote:
        return there

    async def run() -> None:
        renderer = Renderer(err.append, err.append, colour=False)
        given = (Start(), home, opened, renderer, ["1+1", "2+2"])
        running = asyncio.create_task(
            batch.run_batch(*given, reading=None, patience=Patience.SETTLED)
        )
        await until(lambda: asked)
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    asyncio.run(run())
    assert "No longer waiting for what slot 0 caused." in err[-2] and err[-1].startswith("1 line ")


def test_what_a_session_leaves_undelivered_is_said(there: FakeRemote, home: Settings) -> None:
    there.left = "what slot 4 sends took too long"
    _, err, code = run_pipe(there, home, Start(), ["1+1"])
    assert there.left in err and code == 0


@pytest.mark.parametrize("reached", [True, False])
def test_what_was_given_up_while_it_was_sent(
    there: FakeRemote, home: Settings, reached: bool
) -> None:
    """Where no connection was made, it is known that it did not arrive."""

    async def body(session: Session, _: Screen) -> None:
        async def lost(*_: object) -> None:
            await asyncio.Event().wait()

        there.send = lost  # type: ignore[assignment]
        there.reached = reached
        line = asyncio.create_task(run_line(session, "1+1"))
        await until(lambda: session.sending)
        await turns()
        line.cancel()
        await asyncio.wait({line})
        given_up = session.given_up
        assert given_up == Interrupted(None, session.sending if reached else "", stops=False)
        said = printed(given_up)
        if not reached:
            assert said == "Given up; nothing of it was sent.\n"
            return
        assert "whether it arrived is not known" in said
        assert f".result {session.sending} shows" in said and len(session.sending) == 43

    use(there, home, body)


def test_a_command_that_was_given_up_may_have_sent_something(
    there: FakeRemote, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(session: Session, _: Screen) -> None:
        begun = asyncio.Event()

        async def lost(*_: object) -> None:
            begun.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(there, "evidence", lost, raising=False)
        line = asyncio.create_task(run_line(session, ".attest"))
        await begun.wait()
        line.cancel()
        await asyncio.wait({line})
        said = printed(session.given_up)
        assert said.startswith("Given up. What it has asked for") and "nothing" not in said
        await run_line(session, "1+1")
        assert not session.given_up.command

    use(there, home, body)


def test_the_prompt_shows_what_is_waited_for(there: FakeRemote, home: Settings) -> None:
    async def script(keyboard: Keyboard) -> None:
        def shown() -> str:
            return keyboard.app._screen.shown().split("\0")[0]

        keyboard.type('held print("done")\r')
        await until(lambda: "compute" in shown())
        assert shown().startswith(f"· compute {URL}  ")
        keyboard.type("typed")
        await until(lambda: shown().endswith(" styped"))
        assert shown().startswith(f"· compute {URL}  ")
        there.gate.set()
        await keyboard.see("done\n")
        await until(lambda: shown().endswith("typed") and "compute" not in shown())
        keyboard.type("\x03\x04")

    play(there, home, script)


def test_what_comes_soon_is_not_shown_as_waited_for(
    there: FakeRemote, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy, "SHOWN_AFTER", 60.0)

    async def script(keyboard: Keyboard) -> None:
        keyboard.type('held print("done")\r')
        await until(lambda: there.stage is not None)
        await turns()
        assert keyboard.app._screen.shown() == ""
        there.gate.set()
        await keyboard.see("done\n")
        keyboard.type("\x04")

    play(there, home, script)


def test_the_built_in_node_is_not_looked_at(node: FakeNode, home: Settings) -> None:
    class Watched(FakeNode):
        @property
        def stage(self) -> None:  # type: ignore[override]
            raise AssertionError("looked at")

    async def script(keyboard: Keyboard) -> None:
        keyboard.type('sleep(0.6) print("done")\r')
        await keyboard.see("done\n")
        keyboard.type("\x04")

    assert "done" in play(Watched(), home, script) and node


def test_stages_in_a_terminal(home: Settings) -> None:
    with terminal(home, entry=ENTRY) as screen:
        screen.see(PROMPT.format(1))
        screen.type('sleep(1.5) print("done")\r')
        screen.shows(f"^· compute {URL}  ")
        screen.type("1+")
        prompt = PROMPT.format(1)
        screen.see(f'{prompt} sleep(1.5) print("done")', "done", f"{prompt} 1+")
        screen.type("1\r")
        screen.see(f"{prompt} 1+1", "2", PROMPT.format(2))
        assert not any("compute" in line for line in screen.said)


def test_ctrl_c_in_a_terminal_gives_the_wait_up(home: Settings) -> None:
    with terminal(home, entry=ENTRY) as screen:
        screen.see(PROMPT.format(1))
        screen.type("slow\r")
        screen.shows("^· compute")
        screen.type("\x03")
        screen.see(
            "No longer waiting for slot 0; it goes on. .result 0 shows its result.",
            PROMPT.format(1),
        )


def test_watch_only_follows(there: FakeRemote, home: Settings) -> None:
    out: list[str] = []
    err: list[str] = []
    id = next(iter(there.infos))

    async def opened(*_: object) -> FakeRemote:
        return there

    async def run() -> int:
        renderer = Renderer(out.append, err.append, colour=False)
        start = Start(id, existing=True)
        watching = asyncio.create_task(batch.run_watch(start, home, opened, renderer))
        await until(lambda: err)
        there.arrive(id, "one")
        there.arrive(id, "", outcome="error", error="oops", output="")
        await until(lambda: "oops" in "".join(out))
        watching.cancel()
        return await watching

    assert asyncio.run(run()) == 0
    assert "".join(out) == "New Message: one\nslot 1 failed: oops\n"
    assert "Ctrl-C leaves" in err[-1] and there.closed and not there.codes


def test_watch_makes_nothing(there: FakeRemote, node: FakeNode, home: Settings) -> None:
    for used in (there, node):
        with pytest.raises(AoError, match="no process new to follow"):
            use(used, home, nothing, Start("new", existing=True), screen=Screen(sure=True))
    assert not node.infos


def test_a_feed_that_ends_says_why(there: FakeRemote, home: Settings) -> None:
    async def broken() -> object:
        raise BROKEN
        yield

    there.subscribe = broken  # type: ignore[assignment, method-assign]

    async def body(_: Session, screen: Screen) -> None:
        assert any(str(BROKEN) in said for said in screen.said)

    use(there, home, body)
