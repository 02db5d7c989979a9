""".time, .bench, .history, .source, .set, and start-up files."""

from __future__ import annotations

from pathlib import Path

import pytest
from eventually import until
from hypothesis import given
from hypothesis import strategies as st
from prompt_keyboard import Keyboard, play
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from shell_fake import FakeBackend, FakeNode
from typed_session import Typed, run

from aoshell import cli
from aoshell.errors import AoError, UsageError
from aoshell.home.endpoints import resolve_endpoints
from aoshell.home.folders import Settings
from aoshell.protocol.wallet import Wallet
from aoshell.shell.commands.reading import sends_nothing
from aoshell.shell.commands.timing import MOST_RUNS, RUNS, split_count, spread
from aoshell.shell.lines.sourcing import read_lines
from aoshell.shell.prompt.completion import LineCompleter
from aoshell.shell.prompt.config import CHOICES, Preferences, changed, load_preferences, shown
from aoshell.shell.prompt.startup import startup_files, startup_lines

# --- .time and .bench


def test_time_and_bench_change_nothing_unless_asked(tmp_path: Path, wallet: Wallet) -> None:
    async def body(typed: Typed) -> None:
        await typed("x = 1")
        before = await typed.node.slots(typed.session.attached.id)
        timed = await typed.reply(".time x = x + 1 return x")
        assert timed.answer and timed.answer.own.output == "2"
        assert timed.value["kept"] is False and timed.value["memory"] > 0
        assert " ms computing · " in timed.text and " MB of memory" in timed.text
        benched = await typed.reply(".bench x = x + 1 7")
        assert benched.value["runs"] == 7 and not benched.value["kept"]
        assert await typed.node.slots(typed.session.attached.id) == before
        assert await typed.value("x") == "1"
        kept = await typed.reply(".bench --keep x = x + 1 3")
        assert kept.value["runs"] == 3
        assert await typed.value("x") == "5"  # one more run is not counted
        await typed.reply(".time --keep x = 7")
        assert await typed.value("x") == "7"

    run(tmp_path, wallet, body)


def test_a_run_that_fails_ends_the_bench(tmp_path: Path, wallet: Wallet) -> None:
    async def body(typed: Typed) -> None:
        await typed("n = 0")
        failed = await typed.reply(".bench --keep n = n + 1 if n == 3 then error('no') end 9")
        assert not failed.ok and failed.text == "run 3 failed"
        assert failed.answer and "no" in failed.answer.own.error
        assert not (await typed.reply(".time error('no')")).ok
        for wrong in (".time", ".bench", ".bench --keep", ".time --keep "):
            assert "usage" in await typed.error(wrong)
        assert "cannot run 0 times" in await typed.error(".bench f() 0")

    run(tmp_path, wallet, body)


@pytest.mark.parametrize(
    ("text", "code", "count"),
    [
        ("f()", "f()", RUNS),
        ("f() 20", "f()", 20),
        ("return 5", "return 5", RUNS),
        ("return 5 20", "return 5", 20),
        ("x = 5", "x = 5", RUNS),
        ("1 + 1 3", "1 + 1", 3),
        ("5", "5", RUNS),
        ("for i = 1, 3 do f(i) end 10000", "for i = 1, 3 do f(i) end", MOST_RUNS),
    ],
)
def test_the_number_of_runs(text: str, code: str, count: int) -> None:
    assert split_count(text) == (code, count)


@pytest.mark.parametrize("word", ["0", "10001", "99999999999999", "٣"])
def test_numbers_of_runs_that_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match="cannot run"):
        split_count(f"f() {word}")


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200))
def test_the_spread_is_in_order(numbers: list[float]) -> None:
    found = spread(numbers)
    assert found["least"] <= found["median"] <= found["most"]
    assert found["least"] <= found["p95"] <= found["most"]
    assert sum(one <= found["p95"] for one in numbers) >= 0.95 * len(numbers)


# --- .source


def files(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return folder


def test_lines_of_a_file(tmp_path: Path) -> None:
    place = files(
        tmp_path,
        main="x = 1\n.ps\n-- nothing\nfunction f()\n  return 2\nend\n.source below/one\n",
        below__one=".source two\ny = 3",
        below__two="z = 4",
    )
    assert read_lines(place / "main") == [
        *("x = 1", ".ps", "function f()\n  return 2\nend"),
        *("z = 4", "y = 3"),
    ]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("x = (", "not complete"),
        (".source main\n", "circle: main → main"),
        (".ps\n.source other", "circle: main → other → main"),
        (".source", "needs the name"),
        (".source nowhere", "there is no file"),
        (".ps\n" * 10_001, "more than 10,000"),
        ("x" * (1 << 20) + "x", "larger|more than"),
    ],
)
def test_files_of_lines_that_are_refused(tmp_path: Path, text: str, wrong: str) -> None:
    place = files(tmp_path, main=text, other=".source main")
    with pytest.raises(AoError, match=wrong):
        read_lines(place / "main")


def test_source_gives_the_lines_to_run(tmp_path: Path, wallet: Wallet) -> None:
    files(tmp_path, habits="x = 1\n.names\n")

    async def body(typed: Typed) -> None:
        done = await typed.reply(f".source {tmp_path / 'habits'}")
        assert done.then == ("x = 1", ".names")
        assert "usage" in await typed.error(".source")
        for name in (".set", ".history"):
            assert "only a prompt" in await typed.error(name)

    run(tmp_path / "home", wallet, body)


# --- settings


def test_every_setting_is_shown_and_can_be_changed(tmp_path: Path) -> None:
    now = Preferences()
    assert {name for name, _, _ in shown(now)} >= {*CHOICES, "colours.keyword"}
    for name, allowed in CHOICES.items():
        for value in allowed:
            word = {True: "on", False: "off"}.get(value, value) if value in (True, False) else value
            now, line = changed(now, name, str(word))
            assert getattr(now, name) == value
            # The line is one that the config file takes.
            (tmp_path / "config.toml").write_text(f"[shell]\n{line}\n")
            read = load_preferences(tmp_path / "config.toml")
            assert (getattr(read, name), read.problems) == (value, ())
    now, line = changed(now, "colours.keyword", '"#ff8800 bold"')
    (tmp_path / "config.toml").write_text(f"[shell]\n{line}\n")
    assert load_preferences(tmp_path / "config.toml").colours == now.colours


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (".set the", ["theme"]),
        (".set colours.key", ["colours.keyword"]),
        (".set toolbar ", ["off", "on"]),
        (".set editing v", ["vi"]),
        (".set colours.keyword ", []),
    ],
)
def test_settings_are_completed(typed: str, offered: list[str]) -> None:
    asked = CompleteEvent(completion_requested=True)
    found = LineCompleter().get_completions(Document(typed), asked)
    assert [one.text for one in found] == offered


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("thems", "dark", "editing, theme"),
        ("theme", "pink", "dark or"),
        ("toolbar", "yes", "on or off"),
        ("colours.frame", "ansired", "keyword"),
        ("colours.keyword", "pinkish", "ansiblue"),
        ("colours", "ansired", "colours.NAME"),
    ],
)
def test_settings_that_are_refused(name: str, value: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed(Preferences(), name, value)
    assert hint in caught.value.hint


def test_settings_and_history_at_a_prompt(node: FakeNode, home: Settings, tmp_path: Path) -> None:
    (tmp_path / "habits").write_text('1+1\n.set theme light\n"behind"\n')

    async def script(keys: Keyboard) -> None:
        keys.type(".set editing vi\r")
        await keys.see('in [shell] of config.toml it would be: editing = "vi"')
        await until(lambda: keys.app._app.editing_mode == EditingMode.VI)
        keys.type(".set editing emacs\r")
        await keys.see("editing")
        keys.type(".set theme pink\r")
        await keys.see("theme cannot be pink")
        keys.type(".history editing\r")
        await keys.see(".set editing vi\n.set editing emacs\n")
        keys.type(f".source {tmp_path / 'habits'}\r")
        await keys.see("1+1\n2\n")
        await keys.see(".set theme light\n")
        await keys.see("behind")
        assert keys.app._preferences.theme == "light"
        keys.type(".exit\r")

    play(node, home, script)


def test_what_a_file_says_runs_before_what_was_typed_ahead(
    node: FakeNode, home: Settings, tmp_path: Path
) -> None:
    (tmp_path / "habits").write_text("1+1\n2+2\n")

    async def script(keys: Keyboard) -> None:
        keys.type(f"\x1b[200~.source {tmp_path / 'habits'}\n3+3\x1b[201~\r")
        for answer in ("2\n", "4\n", "6\n"):
            await keys.see(answer)
        keys.type(".exit\r")

    play(node, home, script)


def test_start_up_lines_are_not_shown_and_their_answers_are(node: FakeNode, home: Settings) -> None:
    async def script(keys: Keyboard) -> None:
        await keys.see("42\n")
        await keys.see("1+1")
        await keys.see("2\n")
        keys.type(".exit\r")

    assert "6*7" not in play(node, home, script, "1+1", silent=("6*7",))


@pytest.mark.usefixtures("home")
def test_a_file_of_lines_in_a_pipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "habits").write_text("1+1\n.source inner\n")
    (tmp_path / "inner").write_text("3+4\n")
    lines = ["--run", f".source {tmp_path / 'habits'}", "--run", "2+2"]
    assert cli.main(lines, FakeBackend()) == 0
    assert capsys.readouterr().out == "2\n7\n4\n"


@pytest.mark.usefixtures("home")
def test_lines_of_a_file_behind_the_way_out_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "habits").write_text("1+1\n.exit\n2+2\n3+3\n")
    lines = ["--run", f".source {tmp_path / 'habits'}", "--run", "4+4"]
    assert cli.main(lines, FakeBackend()) == 0
    told = capsys.readouterr()
    assert (told.out, told.err.endswith("3 lines were not run\n")) == ("2\n", True)


# --- start-up files


def test_start_up_files_are_those_of_the_config_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = files(tmp_path / "config", **{"startup.aos": "a = 1", "startup__desk.aos": "b = 2"})
    here = files(tmp_path / "here", **{"startup.aos": "evil = 1"})
    monkeypatch.chdir(here)
    assert startup_lines(config, "desk", True) == (["a = 1", "b = 2"], [])
    assert startup_lines(config, "bank", True) == (["a = 1"], [])
    for name in ("../here/startup", "..", "a/b", "", ".x/..", "desk\0"):
        assert startup_files(config, name) == [config / "startup.aos"]


def test_another_node_gets_no_message_of_a_start_up_file(tmp_path: Path) -> None:
    text = (
        "x = 1\n.live --where Action=Hi\n.load a.lua\n.as alice\n.send x Action=y\n.bench f() 3\n"
    )
    config = files(tmp_path, **{"startup.aos": text})
    lines, notes = startup_lines(config, "desk", False)
    assert lines == [".live --where Action=Hi", ".as alice"]
    assert len(notes) == 1 and "4 of its 6 lines" in notes[0] and "startup = true" in notes[0]


def test_a_start_up_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    config = files(tmp_path, **{"startup.aos": "x = (", "startup__desk.aos": "y = 1"})
    lines, notes = startup_lines(config, "desk", True)
    assert lines == ["y = 1"] and "not complete" in notes[0]


def test_no_harmless_command_sends() -> None:
    """What sends is left out unless it is known to send nothing."""
    for line in ("x = 1", ".load a", ".send a", ".dryrun f()", ".time --keep x", ".unknown", "."):
        assert not sends_nothing(line)
    assert sends_nothing(" .ps") and sends_nothing(".live")
    assert sends_nothing(".waits token") and not sends_nothing(".waits drop 3f")


@pytest.mark.parametrize(("value", "allowed"), [("true", True), ("false", False), (None, False)])
def test_a_profile_allows_start_up_files(tmp_path: Path, value: str | None, allowed: bool) -> None:
    file = tmp_path / "config.toml"
    line = f"startup = {value}\n" if value else ""
    file.write_text(f'profile = "work"\n[profiles.work]\nnode = "http://n"\n{line}')
    assert resolve_endpoints({}, {}, file).startup is allowed
    assert resolve_endpoints({"node": "work"}, {}, file).startup is allowed
    assert not resolve_endpoints({"node": "http://n"}, {}, file).startup


def test_a_profile_with_a_wrong_switch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[profiles.work]\nnode = "http://n"\nstartup = "yes"\n')
    with pytest.raises(AoError, match="startup"):
        resolve_endpoints({"node": "work"}, {}, tmp_path / "config.toml")
