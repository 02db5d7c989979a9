"""A session that is recorded passes at once as a test, whatever its processes were made by."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from program import AOSHELL, run
from wasmtime import wat2wasm
from zygotes import kept_zygotes

from aoshell.cli import main
from aoshell.protocol.wallet import Wallet

pytestmark = pytest.mark.usefixtures("known_keys", "kept_zygotes")

REPO = Path(__file__).resolve().parents[2]
__all__ = ["kept_zygotes"]  # the fixture
BANK = """\
local rules = require("rules")
Balances = Balances or {}
Handlers.add("Pay", "Pay", function(msg)
  rules.check(msg.Sum)
  Balances[msg.To] = (Balances[msg.To] or 0) + tonumber(msg.Sum)
  msg.reply({ Action = "Paid", Sum = msg.Sum, To = msg.To })
end)
Handlers.add("Ask", "Ask", function(msg) print("balance " .. (Balances[msg.From] or 0)) end)
"""
RULES = 'return { check = function(sum) assert(tonumber(sum), "Sum (a number) is missing") end }\n'
ECHO = 'Handlers.add("Echo", "Echo", function(msg) msg.reply({ Data = "echo " .. msg.Data }) end)\n'
Play = Callable[..., "Played"]


class Played:
    """A session, the test that it wrote, and what became of that test."""

    def __init__(self, folder: Path, said: str, told: str) -> None:
        self.test = (folder / "played_test.lua").read_text()
        self.said = said
        self.outcomes = [json.loads(line) for line in told.splitlines()][:-1]

    def passed(self) -> None:
        """The one test that it is has passed."""
        (outcome,) = self.outcomes
        assert outcome["outcome"] == "passed", f"{outcome['failure']}\n{self.test}"


@pytest.fixture
def desk(
    aoshell_home: Path, tmp_path: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder that the shell is started in, with a wallet in its home."""
    state, desk = aoshell_home / "state", tmp_path / "desk"
    state.mkdir(parents=True, mode=0o700, exist_ok=True)
    (state / "wallet.json").write_text(json.dumps(wallet.jwk()))
    desk.mkdir()
    for name, content in (("bank.lua", BANK), ("rules.lua", RULES), ("echo.lua", ECHO)):
        (desk / name).write_text(content)
    monkeypatch.chdir(desk)
    return desk


@pytest.fixture
def play(desk: Path, capsys: pytest.CaptureFixture[str]) -> Play:
    """Runs lines one after the other, records them, and runs the test."""

    def played(
        *lines: str, name: str = "desk", flags: tuple[str, ...] = (), failed: bool = False
    ) -> Played:
        runs = [part for line in (*lines, ".record played_test.lua") for part in ("--run", line)]
        code = main([name, *flags, *runs])
        said = capsys.readouterr()
        assert code == failed, said.err
        main(["test", "--json"])
        told = capsys.readouterr()
        assert told.out, told.err
        return Played(desk, said.out + said.err, told.out)

    return played


PAY = ".send bank Action=Pay To=@alice Sum=5"
WAYS = {
    "a line of Lua": [
        "x = 1",
        "return x + 1",
        "Balances = { a = 1 }",
        'Handlers.add("N", "N", function(msg) print("n is " .. msg.N) end)',
        ".send desk Action=N N=7",
        'return table.concat({ "several",\n  "lines" }, "\\n")',
    ],
    ".load": [".load bank.lua", ".send desk Action=Ask", "return MyModule ~= nil"],
    ".load and spawn": [
        ".load bank.lua",
        "Bank = spawn(MyModule)",
        'Send({ Target = Bank, Action = "Pay", To = "x", Sum = "5" })',
        "return Inbox[#Inbox].Sum",
        "return Bank",
    ],
    "Spawn in Lua": [
        ".load echo.lua",
        'Child = Spawn(MyModule, { Tags = { Colour = "red" } }).receive().Process',
        'Send({ Target = Child, Action = "Echo", Data = "hi" })',
        "return Inbox[#Inbox].Data",
    ],
    ".spawn FILE": [".spawn bank.lua as bank", ".as alice", PAY, ".send bank Action=Ask"],
    ".spawn of a published name": [
        ".publish bank.lua as teller",
        ".spawn teller as bank",
        ".as alice",
        PAY,
    ],
    "spawn of a published name": [
        ".publish echo.lua as parrot",
        'Parrot = spawn("parrot")',
        'Send({ Target = Parrot, Action = "Echo", Data = "hello" })',
        "return Inbox[#Inbox].Data",
    ],
    ".load-blueprint": [
        ".load-blueprint chatroom",
        "return type(Members)",
        "return #Handlers.list",
    ],
    ".load-blueprint of a file": [".load-blueprint ./echo.lua --yes", ".send desk Action=Echo hi"],
    ".fork": [
        "Count = 1",
        "Count = 2",
        ".fork desk@1 as twin",
        ".fork as other",
        ".attach twin",
        "return Count",
        "Count = Count + 10 return Count",
        ".attach other",
        "return Count",
    ],
    ".mock": [
        f".mock {'m' * 43} echo.lua as oracle",
        f'Send({{ Target = "{"m" * 43}", Action = "Echo", Data = "x" }})',
        "return Inbox[#Inbox].Data",
    ],
    ".queue": [
        ".spawn echo.lua as echo",
        ".attach echo",
        ".queue on",
        ".attach desk",
        '.send desk Action=Eval Send({Target="x"})',
        ".attach echo",
        ".queue off",
        "return #Inbox",
    ],
    "a clock set forward": ["return 1", ".warp 1h", "return 2"],
    ".update": ["x = 5", ".update", "return x"],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_session_passes_as_a_test(play: Play, way: str) -> None:
    played = play(*WAYS[way])
    played.passed()
    assert "file(nil" not in played.test and "not in the test" not in played.said


def test_flags_make_and_load(play: Play) -> None:
    flags = ("--module", "bank.lua", "--load", "echo.lua", "--tag-name", "Colour")
    played = play(".send desk Action=Ask", flags=(*flags, "--tag-value", "red"))
    played.passed()
    assert 'file = "bank.lua"' in played.test and 'p1:load("echo.lua")' in played.test
    assert '{ name = "Colour", value = "red" }' in played.test


def test_cron_comes_again(play: Play) -> None:
    played = play(
        "Count = 0",
        'Handlers.add("C", "Cron", function() Count = Count + 1 end)',
        ".tick",
        ".tick",
        "return Count",
        flags=("--cron", "1-hour"),
    )
    played.passed()
    assert played.test.count("p1:tick()") == 2


def test_identities_keep_their_names(play: Play) -> None:
    lines = (".spawn bank.lua as bank", ".as bob-2", PAY, ".as alice", ".send bank Action=Ask")
    played = play(".as alice", ".as me", *lines)
    played.passed()
    assert 'local alice = t:as("alice")' in played.test
    assert 'local bob_2 = t:as("bob-2")' in played.test
    assert 'alice:send(p1, { Action = "Ask" })' in played.test


def test_an_imported_process_comes_from_its_file(play: Play, desk: Path) -> None:
    begun = (".spawn bank.lua as bank", ".as alice", PAY, ".as me", ".attach bank")
    first = play(*begun, "Kept = 'kept'", ".export out.process")
    first.passed()
    (desk / "played_test.lua").unlink()
    later = (
        ".delete bank --yes",
        ".import out.process",
        ".attach bank",
        "return Kept",
        ".as alice",
    )
    second = play(*later, ".send bank Action=Ask", name="other")
    second.passed()
    assert 't:import { file = "out.process", names = ' in second.test
    assert "not in the test: .delete of bank" in second.said


def test_lines_and_saves_that_failed(play: Play, tmp_path: Path) -> None:
    (tmp_path / "desk" / "bad.lua").write_text("x = = 1\n")
    (tmp_path / "desk" / "raises.lua").write_text('error("not today")\n')
    played = play(
        "x = 1",
        "error('no (1)')",
        ".load bad.lua",
        ".load raises.lua",
        ".load nowhere.lua",
        "return x",
        ".fork desk@1 as twin",
        ".attach twin",
        "return x",
        failed=True,
    )
    played.passed()
    assert "-- raises.lua did not load, which left all as it was: raises.lua:1: not today" in (
        line.strip() for line in played.test.splitlines()
    )
    assert "t:fails(p1:send" in played.test and "no %(1%)" in played.test


def test_code_of_a_file_that_changed_since_is_kept_beside(play: Play, desk: Path) -> None:
    play(".load echo.lua", ".spawn bank.lua as bank").passed()
    (desk / "played_test.lua").unlink()
    (desk / "echo.lua").write_text("error('another one')\n")
    (desk / "rules.lua").unlink()
    played = play(".send desk Action=Echo hi", PAY.replace("@alice", "x"))
    played.passed()
    assert "p1:load(" in played.test and len(list(desk.glob("module-*.lua"))) == 2
    assert "Handlers.add" not in played.test


def test_the_answer_that_a_line_waited_for_is_compared(play: Play) -> None:
    played = play(
        ".load echo.lua",
        'print("asking") return Send({Target = ao.id, Action = "Echo"}).receive().Data',
        "return Receive({Action = 'Later'}).Data",
        ".send desk Action=Later at last",
        failed=True,  # a line waits for the next one
    )
    played.passed()
    assert '"asking\\necho ")' in played.test
    waited = next(line for line in played.test.splitlines() if "Receive(" in line)
    assert waited.strip().startswith("p1:eval(")
    assert "at last" not in waited


def test_wasm(play: Play, desk: Path) -> None:
    (desk / "counter.wasm").write_bytes(wat2wasm((REPO / "examples/wasm/counter.wat").read_text()))
    lines = (
        ".spawn counter.wasm as counter",
        ".send counter Action=Add",
        ".send counter Action=Add",
    )
    played = play(*lines)
    played.passed()
    assert 't:spawn { file = "counter.wasm", name = "counter" }' in played.test
    (desk / "counter.wasm").unlink()
    (desk / "played_test.lua").unlink()
    again = play(".send counter Action=Add")
    again.passed()
    assert len(list(desk.glob("module-*.wasm"))) == 1


def test_through_a_pipe(desk: Path, environment: dict[str, str]) -> None:
    lines = [line for way in (".load and spawn", ".spawn FILE") for line in WAYS[way]]
    kept = environment | {"AOSHELL_HOME": os.environ["AOSHELL_HOME"]}
    done, told = (
        run(
            [*AOSHELL, *arguments],
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            env=kept,
            check=False,
        )
        for arguments, typed in (
            (["desk"], "\n".join([*lines, ".record played_test.lua", ""])),
            (["test", "--json"], ""),
        )
    )
    assert done.returncode == 0, done.stderr
    Played(desk, done.stdout, told.stdout).passed()


def test_what_a_test_cannot_do_is_said(play: Play) -> None:
    played = play("x = 1", "x = 2", ".undo", "return x")
    played.passed()
    assert "not in the test: what .undo took back of desk" in played.said
    assert "-- not here: what .undo took back of desk" in played.test


def test_names_stay_names(play: Play) -> None:
    """The ids of the session, cut into pieces of a string, told a reader nothing."""
    played = play(
        ".spawn bank.lua as bank",
        ".as alice",
        ".as me",
        'Send({ Target = @bank, Action = "Pay", Sum = "5", To = @alice })',
        "T = { @me, [[@bank]] }",
        "T[1] == @me",
        ".spawn echo.lua as echo",
        ".rename echo as parrot",
        "return @parrot ~= @bank",
    )
    played.passed()
    assert "Target = @bank" in played.test and "To = @alice" in played.test
    assert "T[1] == @me" in played.test
    assert "@parrot" not in played.test  # the test makes it with the name echo
