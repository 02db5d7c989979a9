"""Sessions, commands, waiting and flags on a remote node in memory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from shell_fake import FakeBackend, FakeNode
from shell_remote import MODULE, URL, FakeRemote
from test_shell_app import Keyboard, play
from test_shell_cli import PROMPT, environment, terminal
from test_shell_session import Screen, failed, printed, replied, use

from aoshell import backends, cli
from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.home.endpoints import Endpoints
from aoshell.home.folders import Settings
from aoshell.nodes.values import EndpointFinding, Limits, Stage, Verify
from aoshell.protocol.message import tags_of
from aoshell.protocol.wallet import Wallet
from aoshell.shell import batch
from aoshell.shell.lines import run_line
from aoshell.shell.outcome import Interrupted
from aoshell.shell.prompt import waiting
from aoshell.shell.session import Patience, Session
from aoshell.shell.start import Key, Start
from aoshell.shell.view.render import Renderer

ENTRY = Path(__file__).with_name("shell_remote_entry.py")
BROKEN = AoError("the gateway is away", stage="lookup", hint="try again")
Body = Callable[[Session, Screen], Awaitable[None]]


@pytest.fixture
def there(wallet: Wallet) -> FakeRemote:
    """A remote node with a process called default."""
    node = FakeRemote("default")
    node.own(wallet.address)
    return node


async def nothing(_: Session, __: Screen) -> None:
    pass


def new(name: str = "fresh", **more: object) -> Start:
    return Start(name, default_module=MODULE, named=True, place=f"on {URL}", **more)  # type: ignore[arg-type]


# --- names and new processes


def test_a_line_there(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        assert printed(await run_line(session, "1+1")) == "2\n"
        await session.settle()
        assert screen.said == [f"on {URL}"]

    use(there, home, body, Start(place=f"on {URL}"))


def test_a_new_process_is_said_first_and_asked_for(there: FakeRemote, home: Settings) -> None:
    tags = tags_of((("Scheduler", "S" * 43), ("Authority", "A" * 43)))

    async def body(session: Session, screen: Screen) -> None:
        place, said, question, made = screen.said
        assert place == f"on {URL}" and question == "Make the process fresh there? [y/N] "
        assert said.startswith(f"A new process fresh on {URL}, public and permanent")
        assert MODULE in said and "(lua, 8 B, code)" in said and "S" * 43 in said
        assert made == f"New process fresh: {session.attached.id}"
        definition = there.log[session.attached.id][0].message
        values = [(tag.name, tag.value) for tag in definition.tags]
        assert ("Scheduler", "S" * 43) in values and ("Authority", "A" * 43) in values
        assert ("Module", MODULE) in values and ("Name", "fresh") in values

    use(there, home, body, new(network=tags), screen=Screen(sure=True))


def test_who_says_no_has_a_shell_without_a_process(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        assert screen.said[-1].startswith("spawn: no process was made")
        assert failed(await run_line(session, "1+1")).what == "no process was made"
        assert "attached to default" in printed(await run_line(session, ".attach default"))
        assert printed(await run_line(session, "1+1")) == "2\n"

    use(there, home, body, new(), screen=Screen(sure=False))
    assert len(there.infos) == 1


def test_a_pipe_makes_what_it_names(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        assert session.attached.name == "fresh"
        assert [said.partition(" ")[0] for said in screen.said] == ["on", "A", "New"]

    use(there, home, body, new(), screen=Screen(asks=False))
    _, err, code = run_pipe(FakeRemote(), home, Start(default_module=MODULE), [".doctor", "1+1"])
    assert code == 1 and "must name what it makes" in err


def test_a_new_process_that_ticks_only_if_it_is_run_is_said_to(
    there: FakeRemote, home: Settings
) -> None:
    async def body(_: Session, screen: Screen) -> None:
        assert screen.said[-1] == "it ticks once the network runs it: .monitor"
        assert not there.monitored

    use(there, home, body, new(cron="5-minutes"), screen=Screen(asks=False))


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("name", ["default", "unheard", "U" * 43])
def test_an_unknown_outcome_never_makes_a_process(
    there: FakeRemote, home: Settings, name: str, asks: bool
) -> None:
    there.trouble = BROKEN

    async def body(session: Session, screen: Screen) -> None:
        assert (str(BROKEN) in screen.said) is asks
        assert failed(await run_line(session, "1+1")) is BROKEN
        assert "answers (3 ms)" in printed(await run_line(session, ".doctor"))

    use(there, home, body, new(name), screen=Screen(sure=True, asks=asks))
    assert len(there.infos) == 1 and not there.codes


def test_an_id_that_is_not_there_is_not_made(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        assert "0 processes are called" in failed(await run_line(session, "1+1")).what
        assert not any("New process" in said for said in screen.said)

    use(there, home, body, new("I" * 43), screen=Screen(sure=True))


def test_a_script_stops_where_no_process_is_attached(there: FakeRemote, home: Settings) -> None:
    there.trouble = BROKEN
    out, err, code = run_pipe(there, home, new(), [".doctor", "1+1", "2+2"])
    assert code == 1 and "answers (3 ms)" in out and err.count("the gateway is away") == 1
    assert run_pipe(there, home, new(), [".doctor", ".node"])[2] == 0


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (Start("fresh", named=True, default_module=""), "nothing says what a new process"),
        (Start("fresh", named=True, module=__file__), "a remote node takes code by its id"),
        (Start("default", module=MODULE), "exists already"),
        (new(cron="soon"), "no interval"),
    ],
)
def test_what_cannot_be_made(there: FakeRemote, home: Settings, start: Start, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        use(there, home, nothing, start, screen=Screen(sure=True))
    assert len(there.infos) == 1 and there.closed


def test_code_that_cannot_be_looked_at(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, screen: Screen) -> None:
        assert f"{'X' * 43} (not looked at: there is no module" in screen.said[1]
        assert session.attached.module == "X" * 43

    use(there, home, body, new(module="X" * 43), screen=Screen(sure=True))


def test_a_broken_wallet_is_no_matter_of_the_node(there: FakeRemote, home: Settings) -> None:
    home.wallet.write_text("{}")
    with pytest.raises(AoError, match="no Arweave wallet"):
        use(there, home, nothing, new(), screen=Screen(sure=True))


def test_what_lives_elsewhere_is_not_made_here(node: FakeNode, home: Settings) -> None:
    node.make("L" * 43, "mine", "O" * 43)
    start = {"elsewhere": lambda name: (URL, f"--node {URL}") if name != "new" else None}
    for name in ("other", "T" * 43):
        with pytest.raises(AoError, match=f"{name} lives on {URL}") as caught:
            use(node, home, nothing, Start(name, **start))  # type: ignore[arg-type]
        assert f"aoshell {name} --node {URL}" in caught.value.hint
    assert len(node.infos) == 1
    for name in ("mine", "new"):
        node.closed = False
        use(node, home, nothing, Start(name, **start))  # type: ignore[arg-type]


def test_the_book_knows_what_lives_where(home: Settings) -> None:
    from aoshell.nodes.remote.memory import Book

    assert backends._elsewhere(home, "counter") is None
    book = Book(home.state / "remote.db")
    book.put(URL, "process", "P" * 43, {"name": "counter", "device": "lua@5.3a"})
    book.put("http://mu", "process", "Q" * 43, {"name": "it's"})
    book.put(URL, "module", "M" * 43, {"name": "code"})
    book.close()
    for reference in ("counter", "P" * 43):
        assert backends._elsewhere(home, reference) == (URL, f"--node {URL}")
    assert backends._elsewhere(home, "it's") == ("http://mu", "--profile of that network")
    assert backends._elsewhere(home, "code") is None
    (home.state / "remote.db").write_bytes(b"no database at all" * 100)
    assert backends._elsewhere(home, "counter") is None


# --- commands


def test_doctor(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        assert (await run_line(session, ".doctor")).ok
        there.found.append(
            EndpointFinding("gateway", "https://gw", False, "resolve: no name", "spell it")
        )
        reply = replied(await run_line(session, ".doctor"))
        assert not reply.ok and "resolve: no name" in printed(reply)
        assert reply.note == "gateway: spell it"

    use(there, home, body)


def test_verify_and_signature(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        assert "are refused" in printed(await run_line(session, ".verify on"))
        assert there.verify is Verify.ON
        assert "refused (.verify on)" in printed(await run_line(session, ".node"))
        assert "are taken" in printed(await run_line(session, ".verify off"))
        assert there.verify is Verify.OFF
        assert "are taken" in printed(await run_line(session, ".verify"))
        assert failed(await run_line(session, ".verify maybe")).hint == "off, on or attested"
        shown = printed(await run_line(session, ".verify on --new-key"))
        assert "are refused; its key is KKK" in shown
        assert there.verify is Verify.ON
        assert "its key is LLL" in printed(await run_line(session, ".verify --new-key"))
        assert there.verify is Verify.ON
        assert failed(await run_line(session, ".verify on off")).hint == ".help verify"
        assert "no answer had" in printed(await run_line(session, ".signature"))
        there.last_failure = '"slot": 7\n"@signature-params": \x1b[1m'
        assert printed(await run_line(session, ".signature")).startswith('"slot": 7\n"@signature')

    use(there, home, body)


@pytest.mark.parametrize("line", [".verify --new-key", ".verify off", ".verify on"])
def test_what_verify_takes_is_attached(there: FakeRemote, home: Settings, line: str) -> None:
    there.trouble = AoError("the node has another key", stage="verify")

    async def body(session: Session, _: Screen) -> None:
        assert failed(await run_line(session, "1+1")) is there.trouble
        assert (await run_line(session, ".verify")).ok and session.process is None
        there.trouble = AoError("the node has a third key", stage="verify")
        assert (await run_line(session, line)).ok and session.process is None
        assert failed(await run_line(session, "1+1")) is there.trouble
        there.trouble = None
        assert (await run_line(session, line)).ok
        assert (
            printed(await run_line(session, "1+1")) == "2\n" and session.attached.name == "default"
        )

    use(there, home, body)


def test_node(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        shown = printed(await run_line(session, ".node"))
        for said in ("hyperbeam", URL, "N" * 43, "verified", "taken (.verify off)"):
            assert said in shown

    use(there, home, body)


def test_monitor(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        assert "is monitored" in printed(await run_line(session, ".monitor"))
        assert "not monitored" in printed(await run_line(session, ".unmonitor default"))
        id = session.attached.id
        assert there.monitored == [(id, True), (id, False)]
        there.capabilities = frozenset({"remote"})  # type: ignore[misc]
        assert "--cron" in failed(await run_line(session, ".monitor")).hint
        assert ".dryrun" in failed(await run_line(session, ".now")).hint

    use(there, home, body)


def test_now(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        reply = replied(await run_line(session, ".now"))
        assert reply.value == {"balances": {"a": "7"}, "at": session.attached.id}
        assert json.loads(reply.text) == reply.value
        assert printed(await run_line(session, ".now balances/a")) == "7\n"

    use(there, home, body)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (".doctor", ".verify-log"),
        (".verify on", ".verify-log"),
        (".signature", "--node URL"),
        (".monitor", "--cron"),
        (".now", ".dryrun"),
    ],
)
def test_the_built_in_node_says_what_to_use(
    node: FakeNode, home: Settings, line: str, hint: str
) -> None:
    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, line))
        assert isinstance(error, UnsupportedError) and hint in error.hint
        assert "local" in printed(await run_line(session, ".node"))

    use(node, home, body)


@pytest.mark.parametrize("line", [".limits", ".verify-log", ".export x", ".delete other --yes"])
def test_what_only_the_built_in_node_does(there: FakeRemote, home: Settings, line: str) -> None:
    there.make("X" * 43, "other", "O" * 43)

    async def body(session: Session, _: Screen) -> None:
        error = failed(await run_line(session, line))
        assert isinstance(error, UnsupportedError) and "--node local" in error.hint

    use(there, home, body)


@pytest.mark.parametrize(
    ("flag", "sure", "published"), [("", False, 0), ("", True, 1), (" --yes", False, 1)]
)
def test_publish_shows_and_asks(
    there: FakeRemote, home: Settings, tmp_path: Path, flag: str, sure: bool, published: int
) -> None:
    file = tmp_path / "my code.lua"
    file.write_text("return 1")

    async def body(session: Session, screen: Screen) -> None:
        outcome = await run_line(session, f".publish '{file}' as mine{flag}")
        said = screen.said[0]
        for part in ("public and permanent", "https://up.example", "0.000004 AR", "kB"):
            assert part in said
        assert outcome.ok == bool(published)
        assert (screen.said[1:] == []) == bool(flag)
        if not outcome.ok:
            assert "--yes" in failed(outcome).hint
        else:
            assert replied(outcome).text == there.published[0].item.id

    use(there, home, body, screen=Screen(sure))
    assert len(there.published) == published


def test_load_uploads_nothing(there: FakeRemote, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "x.lua").write_text("return 1")

    async def body(session: Session, screen: Screen) -> None:
        assert "MyModule" not in printed(await run_line(session, f".load {tmp_path / 'x.lua'}"))
        assert "MyModule" not in there.codes[0] and not screen.said[1:]

    use(there, home, body)


@pytest.mark.parametrize("remote", [True, False])
def test_spawn(node: FakeNode, there: FakeRemote, home: Settings, remote: bool) -> None:
    used = there if remote else node
    module = MODULE if remote else "aos"

    async def body(session: Session, screen: Screen) -> None:
        before, asked = session.attached, len(screen.said)
        reply = replied(await run_line(session, f".spawn {module} as child"))
        assert used.infos[reply.text].name == "child" and ".attach child" in reply.note
        assert any("[y/N]" in said for said in screen.said[asked:]) is remote
        nameless = replied(await run_line(session, f".spawn {module} --yes")).text
        definition = used.log[nameless][0].message
        assert definition.tag("Name", "none") == "none" and session.attached == before
        assert "exists already" in failed(await run_line(session, f".spawn {module} as child")).what
        assert "no module" in failed(await run_line(session, ".spawn nothing")).what
        for line in (".spawn", ".spawn a b", ".spawn a as", ".spawn a as b c", ".spawn --yes"):
            assert failed(await run_line(session, line)).hint == ".help spawn"

    use(used, home, body, screen=Screen(sure=True))


def test_spawn_where_names_cannot_be_looked_up(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        there.trouble = BROKEN
        assert failed(await run_line(session, f".spawn {MODULE} as child")) is BROKEN
        assert len(there.infos) == 1

    use(there, home, body, screen=Screen(sure=True))


def test_a_process_without_spawn(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        shown = printed(
            await run_line(session, "error(\"attempt to call a nil value (global 'spawn')\")")
        )
        assert "→ this process has no spawn: use Spawn(…), or .spawn MODULE" in shown
        assert "no spawn" not in printed(await run_line(session, "error(\"(global 'spin')\")"))

    use(there, home, body)


def test_ps_there(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        header = printed(await run_line(session, ".ps")).splitlines()[0].split()
        assert header == ["NAME", "ID", "MODULE", "MADE"]

    use(there, home, body)


# --- waiting


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_stages_are_timed(there: FakeRemote) -> None:
    clock = Clock()
    watch = waiting.Watch(there, clock)
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


def run_pipe(
    node: FakeRemote, home: Settings, start: Start, lines: list[str]
) -> tuple[str, str, int]:
    """What lines without a terminal print on stdout and stderr, and the exit code."""
    out: list[str] = []
    err: list[str] = []

    async def opened(_: Settings, __: Limits, ___: Key) -> FakeRemote:
        return node

    renderer = Renderer(out.append, err.append, colour=False)
    running = batch.run_batch(
        *(start, home, opened, renderer, lines), reading=None, patience=Patience.SETTLED
    )
    code = asyncio.run(asyncio.wait_for(running, 30))
    return "".join(out), "".join(err), code


def test_a_pipe_hears_once_of_a_stage_that_lasts(
    there: FakeRemote, home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TOLD_AFTER", 0.2)
    monkeypatch.setattr(waiting, "EVERY", 0.02)
    out, err, code = run_pipe(there, home, Start(), ["1+1", 'sleep(0.8) print("x")'])
    assert (out, code) == ("2\nx\n", 0)
    assert err.count("· compute") == 1 and f"· compute {URL}  0." in err


def test_ctrl_c_in_a_pipe_says_how_to_go_on(there: FakeRemote, home: Settings) -> None:
    err: list[str] = []

    async def opened(_: Settings, __: Limits, ___: Key) -> FakeRemote:
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
        while not there.codes:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait({running})
        assert running.cancelled()

    asyncio.run(run(False))
    assert ".result 0 shows its result." in err[-1] and "stops it" not in err[-1]
    asyncio.run(run(True))
    (log,) = there.log.values()
    assert f".result {log[-1].message.id} shows" in err[-1]


def test_what_was_given_up_while_it_was_sent(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        async def lost(*_: object) -> None:
            await asyncio.sleep(60)

        there.send = lost  # type: ignore[assignment]
        line = asyncio.create_task(run_line(session, "1+1"))
        await asyncio.sleep(0.1)
        line.cancel()
        await asyncio.wait({line})
        given_up = session.given_up
        assert given_up == Interrupted(None, session.sending, stops=False)
        said = printed(given_up)
        assert "whether it arrived is not known" in said
        assert f".result {session.sending} shows" in said and len(session.sending) == 43

    use(there, home, body)


def test_the_prompt_shows_what_is_waited_for(there: FakeRemote, home: Settings) -> None:
    seen: list[str] = []

    async def script(keyboard: Keyboard) -> None:
        keyboard.type('sleep(1) print("done")\r')
        await asyncio.sleep(0.15)
        seen.append(keyboard.app._screen.shown().split("\0")[0])
        await asyncio.sleep(0.6)
        keyboard.type("typed")
        await asyncio.sleep(0.1)
        seen.append(keyboard.app._screen.shown().split("\0")[0])
        await keyboard.see("done\n")
        await asyncio.sleep(0.05)
        seen.append(keyboard.app._screen.shown().split("\0")[0])
        keyboard.type("\x03\x04")

    play(there, home, script)
    early, late, after = seen
    assert early == "" and after.endswith("typed") and "compute" not in after
    assert late.startswith(f"· compute {URL}  0.") and late.endswith(" styped")


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
        screen.child.send('sleep(1.5) print("done")\r')
        end = time.monotonic() + 20
        while not any(line.startswith(f"· compute {URL}  ") for line in screen.lines):
            assert time.monotonic() < end, screen.lines
            screen.look()
        screen.child.send("1+")
        prompt = PROMPT.format(1)
        screen.see(f'{prompt} sleep(1.5) print("done")', "done", f"{prompt} 1+")
        screen.child.send("1\r")
        screen.see(f"{prompt} 1+1", "2", PROMPT.format(2))
        assert not any("compute" in line for line in screen.lines)


def test_ctrl_c_in_a_terminal_gives_the_wait_up(home: Settings) -> None:
    with terminal(home, entry=ENTRY) as screen:
        screen.see(PROMPT.format(1))
        screen.child.send("slow\r")
        end = time.monotonic() + 20
        while not any(line.startswith("· compute") for line in screen.lines):
            assert time.monotonic() < end, screen.lines
            screen.look()
        screen.child.send("\x03")
        screen.see(
            "No longer waiting for slot 0; it goes on. .result 0 shows its result.",
            PROMPT.format(1),
        )


# --- following


def test_watch_only_follows(there: FakeRemote, home: Settings) -> None:
    out: list[str] = []
    err: list[str] = []
    id = next(iter(there.infos))

    async def opened(_: Settings, __: Limits, ___: Key) -> FakeRemote:
        return there

    async def run() -> int:
        renderer = Renderer(out.append, err.append, colour=False)
        start = Start(id, existing=True)
        watching = asyncio.create_task(batch.run_watch(start, home, opened, renderer))
        while not err:
            await asyncio.sleep(0.01)
        there.arrive(id, "one")
        there.arrive(id, "", outcome="error", error="oops", output="")
        await asyncio.sleep(0.05)
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


# --- flags


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch, wallet: Wallet) -> list[tuple[Endpoints, str]]:
    """Endpoints that the command line has opened; a node in memory answers there."""
    seen: list[tuple[Endpoints, str]] = []

    def made(endpoints: Endpoints, _: Settings, __: Key, verify: str) -> FakeRemote:
        seen.append((endpoints, verify))
        node = FakeRemote("default", "NAME")
        node.own(wallet.address)
        return node

    monkeypatch.setattr(backends, "remote_node", made)
    for name in ("AO_URL", "MU_URL", "CU_URL", "SU_URL", "SCHEDULER", "AUTHORITY", "AOS_MODULE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GATEWAY_URL", raising=False)
    return seen


Dialled = list[tuple[Endpoints, str]]


@pytest.mark.usefixtures("home")
def test_the_node_of_the_flags(dialled: Dialled, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--node", f"{URL}/", "--verify", "on", "--run", "1+1"]) == 0
    assert (dialled[0][0].node, dialled[0][1]) == (URL, "on")
    said = capsys.readouterr()
    assert said.out == "2\n" and f"on {URL} (hyperbeam, by --node)" in said.err


@pytest.mark.parametrize(
    ("flags", "hosts"),
    [
        (["--node", "http://node.example:8734"], "node.example:8734"),
        (["--node", URL, "--gateway-url", "http://gate.example"], "gate.example"),
        (
            ["--mu-url", "http://a.example", "--cu-url", URL, "--su-url", "http://b.example"],
            "a.example, b.example",
        ),
        (["--node", URL], ""),
        (["--node", "http://localhost:8734"], ""),
        (["--node", "local", "--gateway-url", "http://gate.example"], "gate.example"),
        (["--node", "local", "--gateway-url", "http://127.0.0.1:1"], ""),
    ],
)
@pytest.mark.parametrize("listing", [False, True])
@pytest.mark.usefixtures("home", "dialled")
def test_what_is_not_encrypted_is_warned_of_once(
    capsys: pytest.CaptureFixture[str], flags: list[str], hosts: str, listing: bool
) -> None:
    hosts = "" if listing and "local" in flags else hosts  # then nobody is asked
    assert cli.main([*flags, *(["--list"] if listing else ["--run", "1+1", "--run", "2+2"])]) == 0
    said = capsys.readouterr().err
    assert said.count("is not encrypted") == bool(hosts)
    assert f"http:// to {hosts} is not encrypted" in said or not hosts


@pytest.mark.usefixtures("home")
def test_legacy_does_not_swallow_a_name(
    dialled: Dialled, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["--legacy", "NAME", "--json", "--run", "1+1"]) == 0
    assert dialled[0][0].kind == "legacynet"
    said = capsys.readouterr()
    assert json.loads(said.out)["process"].startswith("1NNN")


def test_the_file_and_the_environment(
    home: Settings,
    dialled: Dialled,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home.config.mkdir()
    scheduler = "S" * 43
    keys = f'node = "{URL}"\nmodule = "{MODULE}"\nscheduler = "{scheduler}"'
    (home.config / "config.toml").write_text(f'profile = "x"\n[profiles.x]\n{keys}')
    assert cli.main(["fresh", "--run", "1+1"]) == 0
    said = capsys.readouterr().err
    assert "by the profile x" in said and MODULE in said and f"scheduler  {scheduler}" in said
    monkeypatch.setenv("AO_URL", "http://other")
    assert cli.main(["--run", "1+1"]) == 0
    assert [endpoints.node for endpoints, _ in dialled] == [URL, "http://other"]
    (home.config / "config.toml").write_text("profile")
    assert cli.main(["--run", "1+1"]) == 1
    assert "config.toml" in (error := capsys.readouterr().err) and "line 1" in error


@pytest.mark.usefixtures("home", "dialled")
def test_list_of_a_remote(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--node", URL, "--list"]) == 0
    assert "MODULE" in (shown := capsys.readouterr().out) and "NAME" in shown
    assert cli.main(["--node", URL, "--list", "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--verify", "on", "--run", "1"], "--verify goes with --node URL"),
        (["--verify", "maybe"], "--verify"),
        (["--watch", "x", "--run", "1"], "--watch only follows, and --run"),
        (["--watch", "x", "--json"], "--json does not go"),
        (["--watch", "x", "--list"], "--list does not go"),
        (["--watch", "x", "y"], "y does not go"),
        (["--watch", ""], "it is empty"),
        (["--node", ""], "it is empty"),
        (["--node", "nosuch", "--run", "1"], "no profile nosuch"),
        (["--scheduler", "x", "--run", "1"], "--scheduler is not for"),
        (["--mu-url", "http://x", "--run", "1"], "nothing says its CU"),
    ],
)
@pytest.mark.usefixtures("home", "dialled")
def test_flags_misused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    assert cli.main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_help_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"], FakeBackend()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 45 and max(map(len, lines)) <= 100


def test_every_flag_of_the_network_is_there() -> None:
    from aoshell.home.endpoints import FLAGS
    from aoshell.shell.flags.arguments import parse

    given = [part for flag in FLAGS.values() for part in (flag, "x")]
    assert parse(given).network == dict.fromkeys(FLAGS, "x")
    assert parse(["--legacy", "--profile", "p"]).network == {"legacy": "--legacy", "profile": "p"}


@pytest.mark.parametrize("id_", ["-" + "q" * 42, "--" + "q" * 41, "-r" + "u" * 41])
def test_an_id_that_begins_as_a_flag_is_an_id(id_: str) -> None:
    from aoshell.shell.flags.arguments import parse

    assert parse([id_, "--node", "local"]).reference == id_
    assert parse(["--node", "local", id_]).reference == id_
    assert parse(["name", "--module", id_]).module == id_
    assert parse(["--watch", id_]).watch == id_
    pairs = parse(["--tag-name", "Module", "--tag-value", id_, "--run", "1+1"]).pairs
    assert pairs == [("Module", id_)]


@pytest.mark.parametrize("kind", ["hyperbeam", "legacynet"])
def test_real_nodes_are_made_of_endpoints(home: Settings, wallet: Wallet, kind: str) -> None:
    endpoints = Endpoints(kind, *(f"http://{name}.example" for name in ("n", "mu", "cu", "su")))

    async def key() -> Wallet:
        return wallet

    async def run() -> None:
        node = backends.remote_node(endpoints, home, key, None)
        assert "remote" in node.capabilities and node.stage is None
        await node.close()

    asyncio.run(run())
    assert (home.state / "remote.db").exists()


def test_a_local_start_pays_for_no_network(home: Settings) -> None:
    code = (
        "import sys; from aoshell.cli import main; main(['--run', '1+1']);"
        "print([m for m in ('httpx', 'tomllib', 'aoshell.home.endpoints',"
        " 'aoshell.shell.prompt.waiting') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(home),
        check=True,
    )
    assert done.stdout == "2\n[]\n" and os.environ
