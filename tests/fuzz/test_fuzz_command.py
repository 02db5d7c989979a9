"""`aoshell fuzz` as a command: what cannot be fuzzed, what is told, and what is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from fuzzed import FAULTS, Fuzzing

import aoshell.fuzz
from aoshell.errors import AoError, UsageError
from aoshell.fuzz import installing
from aoshell.home.folders import Settings
from aoshell.testing import open_node

REPO = Path(__file__).resolve().parents[2]
CRON = ("--tag", "Cron-Interval=5-minutes", "--tag", "Cron-Tag-Action=Cron")
COUNTER = """
N = N or 0
Handlers.add("Inc", "Inc", function(msg)
  N = N + 1
  msg.reply({ N = tostring(N) })
end)
"""


def test_a_script_that_does_not_compile_is_named(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", 'Handlers.add("A", "A", function(msg)\n  msg.reply({}\nend)')
    code, said, told = fuzzing.run("a.lua")
    assert (code, said) == (2, "")
    assert "a.lua:3:" in told


@pytest.mark.parametrize(
    ("holding", "told"),
    [
        ('state("n", function() return N.a.b end)', 'state "n" raised: h.lua:1: attempt to index'),
        ('invariant("a", function( end)', "h.lua:1: <name> or '...' expected near 'end'"),
        ("\nerror('no')", "h.lua:2: no"),
        ('invariant("a")', 'usage: invariant("name", function(before, after, msg) ... end)'),
        (
            'state("n", function() Send({ Target = ao.id }) return N end)',
            'state "n" sends a message, and may only look',
        ),
        ("answers(5)", 'usage: answers("HANDLER", ...)'),
        ('for _ = 1, 2 do state("n", function() end) end', "there is a state of this name already"),
    ],
)
def test_invariants_that_do_not_load_are_named(holding: str, told: str, fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write("h.lua", holding)
    code, _, said = fuzzing.run("a.lua", "--invariants", "h.lua")
    assert code == 2
    assert told in said
    assert "mend h.lua" in said


def test_invariants_whose_loading_does_not_end_are_named_with_their_line(
    fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.fuzz.opening.LOADING", 0.1)
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write("h.lua", "\nwhile true do end")
    code, _, said = fuzzing.run("a.lua", "--invariants", "h.lua")
    assert code == 2
    assert "took more than 0.1 s of processor time at h.lua:2" in said


def test_an_invariant_that_sends_is_named(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write(
        "h.lua", 'invariant("x", function() Send({ Target = ao.id, Action = "Inc" }) end)'
    )
    found = fuzzing.json("a.lua", "--invariants", "h.lua")["found"]
    assert (found["about"], found["doubt"]) == ("x", "")
    assert found["text"] == 'invariant "x" sends a message, and may only look'


def test_what_cannot_be_written_is_told_once(
    fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*_: object) -> None:
        raise AoError("answers cannot be written: No space left on device", stage="output")

    monkeypatch.setattr("aoshell.fuzz.report.FuzzReport.found", found)
    fuzzing.write("a.lua", 'Handlers.add("A", "A", function(msg) local _ = msg.Data.x.y end)')
    code, said, told = fuzzing.run("a.lua")
    assert (code, said) == (2, "")
    assert told == "output: answers cannot be written: No space left on device\n"


def test_ctrl_c_while_a_test_is_tried_names_its_fault(
    fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("aoshell.fuzz.command._doubt", stopped)
    fuzzing.write("a.lua", 'Handlers.add("A", "A", function(msg) local _ = msg.Data.x.y end)')
    code, said, _ = fuzzing.run("a.lua")
    assert code == 1
    assert 'found: handler "A": a.lua:1: attempt to index' in said
    assert "that test was not seen to fail: it was stopped" in said
    assert "stopped: " in said
    assert Path("a_fuzz_test.lua").is_file()


def test_misuse_has_a_code_of_its_own(fuzzing: Fuzzing) -> None:
    fuzzing.write("empty.lua", "local a = 1")
    for arguments in (
        ["missing.lua"],
        ["nobody"],
        ["empty.lua"],
        ["empty.lua", "--for", "never"],
        ["empty.lua", "--for", "0"],
        ["empty.lua", "--invariants", "missing.lua"],
        ["empty.lua", "--tag", "Cron-Interval"],
        [],
    ):
        code, said, told = fuzzing.run(*arguments)
        assert (code, said) == (2, ""), arguments
        assert told


@pytest.mark.parametrize(
    ("files", "has_pip", "hint"),
    [
        (["pipx_metadata.json", "pyvenv.cfg"], True, "pipx inject env hypothesis"),
        (["uv-receipt.toml", "pyvenv.cfg"], False, "uv pip install --python env hypothesis"),
        (["pyvenv.cfg"], True, "env/bin/python -m pip install hypothesis"),
        (["EXTERNALLY-MANAGED"], True, "install its package of hypothesis (python3-hypothesis"),
        ([], True, "env/bin/python -m pip install hypothesis"),
    ],
    ids=["pipx", "uv", "clone", "system", "own python"],
)
def test_hypothesis_is_named_where_it_is_missing(
    files: list[str], has_pip: bool, hint: str, fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = fuzzing.folder / "env"
    prefix.mkdir()
    for name in files:
        (prefix / name).touch()
    monkeypatch.setattr(sys, "prefix", str(prefix))
    in_venv = "pyvenv.cfg" in files
    monkeypatch.setattr(sys, "base_prefix", "/usr" if in_venv else str(prefix))
    monkeypatch.setattr(sys, "executable", str(prefix / "bin" / "python"))
    monkeypatch.setattr(sysconfig, "get_path", lambda _name: str(prefix))
    there = {"pip"} if has_pip else set()
    monkeypatch.setattr(installing, "find_spec", lambda name: "here" if name in there else None)
    with pytest.raises(UsageError, match="hypothesis"):
        installing.require_hypothesis()
    fuzzing.write("a.lua", COUNTER)
    code, _, told = fuzzing.run("a.lua")
    assert code == 2
    assert hint in told


def test_what_is_neither_file_nor_process_is_refused_with_a_command_that_lists(
    fuzzing: Fuzzing,
) -> None:
    code, _, told = fuzzing.run("nothing")
    assert code == 2
    assert "no file and no process nothing\n" in told and "aoshell --list shows" in told


def test_hypothesis_is_imported_for_fuzzing_only() -> None:
    code = "import aoshell.cli, aoshell.commandline.table, sys; print('hypothesis' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    ("program", "holding", "kind", "place"),
    [
        (COUNTER, 'invariant("a", function() while true do end end)', "time", "h.lua:1"),
        (
            'Handlers.add("A", function(msg) while msg.Action == "A" do end end, function() end)',
            "",
            "time",
            "a.lua:1",
        ),
        (
            'Handlers.add("A", "A", function()\n  local t = {}\n'
            "  while true do t[#t + 1] = { t } end\nend)",
            "",
            "",
            "a.lua:3",
        ),
    ],
    ids=["invariant", "pattern", "memory"],
)
def test_what_does_not_end_is_named_with_its_line(
    program: str, holding: str, kind: str, place: str, fuzzing: Fuzzing
) -> None:
    fuzzing.write("a.lua", program)
    fuzzing.write("h.lua", holding)
    found = fuzzing.json("a.lua", "--invariants", "h.lua")["found"]
    assert found["kind"] == kind or (not kind and found["kind"] in ("time", "memory"))
    assert place in found["text"]


PYTHON = """
from aoshell.fuzz import answers, invariant, state

state("n", "N")


@invariant("few")
def few(before, after, msg):
    assert msg["Action"] != "Inc" or after["n"] == before["n"] + 1
    return after["n"] < 3
"""


@pytest.mark.usefixtures("lean_pytest")
def test_invariants_may_be_in_python(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write("a.invariants.py", PYTHON)
    said = fuzzing.json("a.lua")
    found = said["found"]
    assert said["invariants"] == ["few"]
    assert (found["kind"], found["about"], found["doubt"]) == ("invariant", "few", "")
    assert found["test"] == "test_a_fuzz.py"
    assert sum(step["times"] for step in found["messages"]) == 3


@pytest.mark.usefixtures("lean_pytest")
@pytest.mark.parametrize(
    ("name", "state", "holds", "more"),
    [
        (
            "replayed_message",
            'state("orders", "Orders")\nstate("total", "Total")',
            'sum(dict(after["orders"]).values()) == after["total"]',
            (),
        ),
        ("cron", 'state("pool", "Pool")', 'after["pool"] >= 0', CRON),
    ],
    ids=["replayed", "cron"],
)
def test_replays_and_cron_are_in_tests_for_pytest(
    name: str, state: str, holds: str, more: tuple[str, ...], fuzzing: Fuzzing
) -> None:
    shutil.copy(FAULTS / f"{name}.lua", fuzzing.folder / "a.lua")
    fuzzing.write(
        "a.invariants.py",
        f"from aoshell.fuzz import invariant, state\n{state}\n"
        f"@invariant('holds')\ndef holds(before, after, msg):\n    return {holds}\n",
    )
    found = fuzzing.json("a.lua", "--for", "5m", *more)["found"]
    assert (found["about"], found["doubt"]) == ("holds", "")
    assert any(step["replayed"] or step["cron"] for step in found["messages"])


@pytest.mark.parametrize(
    ("holding", "told"),
    [
        ("state('n', 'N'", "h.py:1: '(' was never closed"),
        ("\n1 / 0", "h.py:2: ZeroDivisionError"),
        (
            "from aoshell.fuzz import state\nstate('n', 'N.a.b')",
            'state "n" raised: h.py:1: attempt',
        ),
    ],
)
def test_python_that_does_not_load_is_named(holding: str, told: str, fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write("h.py", holding)
    code, _, said = fuzzing.run("a.lua", "--invariants", "h.py")
    assert code == 2
    assert told in said


@pytest.mark.usefixtures("hurried", "untried")
def test_python_that_does_not_end_is_named_with_its_line(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write(
        "h.py",
        "from aoshell.fuzz import invariant\n@invariant('a')\ndef a(*_):\n    while True: pass\n",
    )
    found = fuzzing.json("a.lua", "--invariants", "h.py")["found"]
    assert "h.py:4: TooLongError" in found["text"]


def test_invariants_are_declared_in_a_file_for_fuzzing() -> None:
    with pytest.raises(UsageError, match="declared in a file for aoshell fuzz"):
        aoshell.fuzz.state("n", "N")


def test_the_same_seed_draws_the_same_messages(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write("h.lua", 'state("n", function() return N end)\n'
                  'invariant("few", function(_, after) return after.n < 40 end)')  # fmt: skip
    once = fuzzing.json("a.lua", "--invariants", "h.lua", "--seed", "5")
    again = fuzzing.json("a.lua", "--invariants", "h.lua", "--seed", "5")
    for said in (once, again):
        del said["seconds"], said["faults"], said["found"]["test"]
    assert once == again
    assert sum(step["times"] for step in once["found"]["messages"]) == 40


def test_a_tag_may_be_named_as_a_field(fuzzing: Fuzzing) -> None:
    fuzzing.write(
        "a.lua",
        'Handlers.add("A", "A", function(msg)\n'
        "  local to = msg.Tags.Target\n"
        "  if to and #to == 43 then local _ = Nothing.x end\nend)",
    )
    found = fuzzing.json("a.lua")["found"]
    assert found["doubt"] == ""
    assert "Tags = { Target = t.owner.address }" in Path(found["test"]).read_text()


SEVERAL = """
N = N or 0
Handlers.add("Boom", "Boom", function(msg) local _ = msg.Data.x.y end)
Handlers.add("Again", "Again", function(msg) local _ = msg.Data.x.y end)
Handlers.add("Loop", "Loop", function(msg) while msg.Data ~= "" do end end)
for _, name in ipairs { "Take", "Steal" } do
  Handlers.add(name, name, function(msg) N = N - 1 msg.reply({ N = tostring(N) }) end)
end
"""
OWES = (
    'state("n", function() return N end)\n'
    'invariant("nobody owes", function(_, after) return after.n >= 0, after.n .. " is owed" end)'
)


@pytest.mark.usefixtures("hurried")
def test_each_different_fault_is_named_once(
    fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.fuzz.command.MOST_FAULTS", 5)  # it need not look any longer
    fuzzing.write("a.lua", SEVERAL)
    fuzzing.write("a.invariants.lua", OWES)
    said = fuzzing.whole("a.lua", "--for", "10m", "--out", "x_test.lua")
    found = {(one["kind"], one["messages"][-1]["tags"][0][1]) for one in said["faults"]}
    assert found == {
        ("raises", "Boom"), ("raises", "Again"), ("time", "Loop"),
        ("invariant", "Take"), ("invariant", "Steal"),
    }  # fmt: skip
    assert len(said["faults"]) == len(found)
    assert said["found"] == said["faults"][0]
    tests = [one["test"] for one in said["faults"]]
    assert tests == ["x_test.lua", *(f"x{number}_test.lua" for number in range(1, 5))]
    assert [one["doubt"] for one in said["faults"]] == [""] * 5


@pytest.mark.usefixtures("hurried")
def test_a_run_ends_where_nothing_is_left_to_look_at(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", 'Handlers.add("Loop", "Loop", function() while true do end end)')
    code, said, _ = fuzzing.run("a.lua", "--for", "1h")
    assert code == 1
    assert "each handler has a fault that stops it" in said


@pytest.mark.usefixtures("hurried")
def test_a_run_ends_with_the_most_faults(fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aoshell.fuzz.command.MOST_FAULTS", 2)
    monkeypatch.setattr("aoshell.fuzz.report.MOST_FAULTS", 2)
    fuzzing.write("a.lua", SEVERAL)
    code, said, _ = fuzzing.run("a.lua", "--for", "1h")
    assert code == 1
    assert said.count("found: ") == 2
    assert "a run ends at 2 faults; fix some, and search again" in said


def test_a_test_has_a_name_that_no_file_has(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", 'Handlers.add("A", "A", function(msg) local _ = msg.Data.x.y end)')
    names = [fuzzing.json("a.lua")["found"]["test"] for _ in range(2)]
    assert names == ["a_fuzz_test.lua", "a_fuzz1_test.lua"]
    assert fuzzing.json("a.lua", "--out", "b_test.lua")["found"]["test"] == "b_test.lua"


@pytest.mark.parametrize(
    ("out", "told"), [("no/x_test.lua", "there is no folder no"), ("there", "it is a folder")]
)
def test_what_cannot_be_written_is_refused_before_the_run(
    fuzzing: Fuzzing, out: str, told: str
) -> None:
    fuzzing.write("a.lua", COUNTER)
    (fuzzing.folder / "there").mkdir()
    code, said, error = fuzzing.run("a.lua", "--for", "1s", "--out", out)
    assert (code, said) == (2, "")
    assert f"{out} cannot be written: {told}" in error
    assert "--out FILE names another place" in error


@pytest.mark.usefixtures("untried")
def test_python_that_leaves_is_an_error_of_its_file(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", COUNTER)
    fuzzing.write("h.py", "import sys\nsys.exit(0)")
    code, _, told = fuzzing.run("a.lua", "--invariants", "h.py")
    assert code == 2
    assert "the invariants do not load: h.py:2: SystemExit: 0" in told
    leaves = "import sys\nfrom aoshell.fuzz import invariant\n\n\n@invariant('x')\n"
    fuzzing.write("h.py", f"{leaves}def leave(before, after, msg):\n    sys.exit(0)\n")
    found = fuzzing.json("a.lua", "--invariants", "h.py", "--for", "10m")["found"]
    assert "h.py:7: SystemExit: 0" in str(found)


def test_a_syntax_error_is_placed_in_the_file_that_has_it(
    fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzzing.write("a.lua", COUNTER)
    monkeypatch.syspath_prepend(fuzzing.folder)
    fuzzing.write("a_helper_of_h.py", "\n\nx = = 1\n")
    fuzzing.write("h.py", "import a_helper_of_h")
    code, _, told = fuzzing.run("a.lua", "--invariants", "h.py")
    assert code == 2
    assert "the invariants do not load: a_helper_of_h.py:3: invalid syntax" in told


def test_nothing_is_left_in_the_current_folder(fuzzing: Fuzzing) -> None:
    folder = fuzzing.folder / "empty"
    folder.mkdir()
    fuzzing.write("a.lua", COUNTER)
    code = "import sys; from aoshell.fuzz.command import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "../a.lua", "--for", "1s", "--json"]
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    assert json.loads(run.stdout)["messages"] > 0
    assert not list(folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_ends_it_is_told_what_was_done(fuzzing: Fuzzing, number: signal.Signals) -> None:
    fuzzing.write("a.lua", COUNTER)
    folder, temporary = fuzzing.folder, fuzzing.folder / "tmp"
    temporary.mkdir()
    command = [sys.executable, "-c", _TOLD, "a.lua", "--for", "10m"]
    environment = os.environ | {"PYTHONPATH": str(REPO), "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stderr is not None
        run.stderr.readline()  # it has begun
        os.kill(run.pid, number)
        said, _ = run.communicate(timeout=120)
        assert run.returncode == (130 if number is signal.SIGINT else -number)
    assert said.startswith("stopped: ")
    assert not list(temporary.iterdir())
    assert "nothing found" in said
    assert not list(Path(folder).glob("*_test.lua"))


# Says a line once something was computed.
_TOLD = """
import sys
from aoshell.fuzz import report
from aoshell.fuzz.command import main
report.FuzzReport.progress = lambda self, done: print("computing", file=sys.stderr, flush=True)
sys.exit(main(sys.argv[1:]))
"""


def test_a_process_of_the_home_is_fuzzed_and_stays_as_it_is(
    fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("self_transfer.lua", "self_transfer.invariants.lua"):
        shutil.copy(FAULTS / name, fuzzing.folder)
    folder = Settings.find().state
    folder.mkdir(parents=True)
    with open_node(folder) as node:
        process = node.spawn(fuzzing.folder / "self_transfer.lua", name="purse")
        node.spawn('Handlers.add("A", "A", function() end)', name="purse2")
    found = fuzzing.json("purse", "--invariants", "self_transfer.invariants.lua")["found"]
    assert (found["about"], found["doubt"]) == ("there are fifty", "")
    assert Path("purse_fuzz_test.process").is_file()
    with open_node(folder) as node:
        assert len(node.process(process.id).entries()) == 1
    monkeypatch.setattr("aoshell.fuzz.search._EXAMPLES", 5)
    assert fuzzing.json(process.id, "--for", "5m")["messages"] > 0


def test_cron_messages_of_a_process_of_the_home_are_sent(fuzzing: Fuzzing) -> None:
    folder = Settings.find().state
    folder.mkdir(parents=True)
    with open_node(folder) as node:
        cron = {"Cron-Interval": "1-hour", "Cron-Tag-Action": "Cron"}
        node.spawn(FAULTS / "cron.lua", name="pool", tags=cron)
    shutil.copy(FAULTS / "cron.invariants.lua", fuzzing.folder)
    found = fuzzing.json("pool", "--invariants", "cron.invariants.lua")["found"]
    assert (found["about"], found["doubt"]) == ("the pool owes nothing", "")
    assert "p:tick()" in Path(found["test"]).read_text()
    code, _, told = fuzzing.run("pool", "--tag", "A=b")
    assert code == 2
    assert "--tag and --module are for a file" in told
