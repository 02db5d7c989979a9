"""Processes and commands on a remote node in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell_fake import FakeNode
from shell_remote import BROKEN, MODULE, URL, FakeRemote, new
from shell_session import Screen, failed, nothing, printed, replied, run_pipe, use

from aoshell.errors import AoError, UnsupportedError, UsageError
from aoshell.home.folders import Settings
from aoshell.nodes.values import EndpointFinding, Verify
from aoshell.protocol.message import tags_of
from aoshell.sandbox import hyperaos
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.run import run_line
from aoshell.shell.start import Start
from aoshell.shell.view.render import Renderer


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
    _, err, code = run_pipe(FakeRemote(), home, Start(), [".doctor", "1+1"])
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
        (Start("fresh", named=True, module=__file__), "a remote node takes code by its id"),
        (Start("default", module=MODULE), "exists already"),
        (new(cron="soon"), "no interval"),
    ],
)
def test_what_cannot_be_made(there: FakeRemote, home: Settings, start: Start, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        use(there, home, nothing, start, screen=Screen(sure=True))
    assert len(there.infos) == 1 and there.closed


def test_a_node_may_have_no_module(there: FakeRemote, home: Settings) -> None:
    there.module = ""
    with pytest.raises(UsageError, match="no module is set for a new process"):
        use(there, home, nothing, new(), screen=Screen(sure=True))


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


def test_doctor(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        assert (await run_line(session, ".doctor")).ok
        why = "resolve: " + "no such name; " * 40 + "that is all"
        there.found.append(EndpointFinding("gateway", "https://gw", False, why, "spell it"))
        reply = replied(await run_line(session, ".doctor"))
        narrow: list[str] = []
        Renderer(narrow.append, narrow.append, colour=False, columns=lambda: 40).outcome("", reply)
        shown = " ".join("".join(narrow).split())  # broken between words, and none is missing
        assert not reply.ok and f"gateway bad https://gw {why} → spell it" in shown
        assert shown.startswith("WHAT STATE ENDPOINT FOUND ")

    use(there, home, body)


def test_verify_and_signature(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        assert "are refused" in printed(await run_line(session, ".verify on"))
        assert there.verify is Verify.ON
        assert "refused (.verify on)" in printed(await run_line(session, ".node"))
        assert "are accepted" in printed(await run_line(session, ".verify off"))
        assert there.verify is Verify.OFF
        assert "are accepted" in printed(await run_line(session, ".verify"))
        assert "on or off or attested" in failed(await run_line(session, ".verify maybe")).what
        shown = printed(await run_line(session, ".verify on --new-key"))
        assert "are refused; its key is KKK" in shown
        assert there.verify is Verify.ON
        assert "its key is LLL" in printed(await run_line(session, ".verify --new-key"))
        assert there.verify is Verify.ON
        assert ".help verify" in failed(await run_line(session, ".verify on off")).hint
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
        there.cron = there.state = None
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


@pytest.fixture
def mine(there: FakeRemote) -> FakeRemote:
    """A HyperBEAM node of this machine, which has no module yet."""
    there.endpoint = "http://127.0.0.1:8734"
    there.module = ""
    return there


def test_a_node_of_ones_own_is_given_the_environment(mine: FakeRemote, home: Settings) -> None:
    screen = Screen(True)
    use(mine, home, nothing, screen=screen, start=Start("fresh", named=True))
    (given,) = mine.published
    assert given.item.data == hyperaos.source()  # type: ignore[union-attr]
    assert any("Publish it?" in asked for asked in screen.said)
    (made,) = [info for info in mine.infos.values() if info.name == "fresh"]
    assert made.module == given.item.id


def test_a_pipe_says_which_command_gives_it(mine: FakeRemote, home: Settings) -> None:
    start = Start("fresh", named=True)
    with pytest.raises(UsageError, match="no module yet") as raised:
        run_pipe(mine, home, start, ["1+1"])
    command = f"aoshell --node {mine.endpoint} --run '.publish --environment --yes'"
    assert command in raised.value.hint and not mine.published


def test_other_nodes_are_not_given_the_environment(there: FakeRemote, home: Settings) -> None:
    async def body(session: Session, _: Screen) -> None:
        assert (
            "of this machine only" in failed(await run_line(session, ".publish --environment")).what
        )

    use(there, home, body)
    assert not there.published


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
            assert ".help spawn" in failed(await run_line(session, line)).hint

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
