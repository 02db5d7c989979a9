"""The module that `aoshell fuzz --module` names, and the test that names it again."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
import wasmtime
from fuzzed import FAULTS, Fuzzing

from aoshell.fuzz.command import main
from aoshell.home.folders import Settings
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.values import Module
from aoshell.protocol.aos_modules import AOS_MODULES
from aoshell.sandbox import environment
from aoshell.testing import open_node
from aoshell.testing.command import main as run_tests

BASE = 'Limit = 5\nHandlers.add("Limit", "Limit", function(msg) msg.reply({ Limit = "5" }) end)\n'
FAULTY = """
Handlers.add("Go", "Go", function(msg)
  if Limit then local _ = Nothing.x end
  msg.reply({})
end)
"""
MENDED = FAULTY.replace("if Limit then local _ = Nothing.x end", "")
EMPTY = "(module)"


def publish(name: str, source: str) -> str:
    """Give the home a module; its id."""
    folder = Settings.find().state
    folder.mkdir(parents=True, exist_ok=True)
    with open_node(folder) as node:
        return node.publish(source, name)


@pytest.mark.parametrize("is_named", [True, False], ids=["name", "id"])
def test_a_module_of_the_home_is_named_by_the_test(is_named: bool, fuzzing: Fuzzing) -> None:
    id = publish("base", BASE)
    fuzzing.write("a.lua", FAULTY)
    given = "base" if is_named else id
    said = fuzzing.json("a.lua", "--module", given)
    assert said["module"] == given
    assert (said["found"]["about"], said["found"]["doubt"]) == ("Go", "")
    test = Path(said["found"]["test"])
    copy = f"{'base' if is_named else 'module'}-{id[:8]}.lua"
    assert f'local p = t:spawn("{copy}")\n  p:load("a.lua")' in test.read_text()
    assert f"aoshell fuzz a.lua --module {given} --seed 0:" in test.read_text()
    assert run_tests([str(test)]) == 1
    fuzzing.write("a.lua", MENDED)
    assert run_tests([str(test)]) == 0


def test_the_environment_is_a_module_too(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", FAULTY.replace("if Limit then", "if not Limit then"))
    for name in ("aos", environment.built_in()[0], ""):
        said = fuzzing.json("a.lua", "--module", name, "--out", "a_test.lua")
        assert said["module"] == ""
        assert 't:spawn("a.lua")' in Path("a_test.lua").read_text()


def test_a_module_that_is_not_here_is_fetched(fuzzing: Fuzzing) -> None:
    asked = []

    async def fetch(settings: Settings, module: str) -> Module:
        asked.append((settings, module))
        return Module(module, "lua", "", BASE.encode())

    fuzzing.write("a.lua", FAULTY)
    assert main(["a.lua", "-x", "--module", "aos@2.0.6"], fetch) == 1
    assert asked == [(Settings.find(), AOS_MODULES["aos@2.0.6"])]
    assert "--module aos@2.0.6 --seed 0:" in Path("a_fuzz_test.lua").read_text()
    assert [path.stem.rpartition("-")[0] for path in Path().glob("aos@*.lua")] == ["aos@2.0.6"]
    # Nothing is fetched for a command line that cannot be carried out.
    for wrong in (["--invariants", "none.lua"], ["--out", "none/a_test.lua"]):
        assert main(["a.lua", "--module", "aos@2.0.6", *wrong], fetch) == 2
    assert main(["none.lua", "--module", "aos@2.0.6"], fetch) == 2
    assert len(asked) == 1


def test_a_module_that_cannot_be_had_is_told_of(fuzzing: Fuzzing) -> None:
    fuzzing.write("a.lua", FAULTY)
    (fuzzing.folder / "b.wasm").write_bytes(wasmtime.wat2wasm(EMPTY))
    publish("base", BASE)
    with closing(Store(Settings.find().state)) as store:
        old = environment.module_id(b"{}")
        store.add_module(old, "environment", b"{}", "", 0)
    for module, why in (
        ("nobody", "no module 'nobody' is in this home"),
        (AOS_MODULES["aos@2.0.3"], "is in this home"),
        ("aos@2.0.9", "no module aos@2.0.9 is known"),
        (old, "is the environment of another version of aoshell"),
        ("b.wasm", "the WASM module cannot be run"),
    ):
        code, said, told = fuzzing.run("a.lua", "--module", module)
        assert (code, said) == (2, ""), module
        assert why in told
    code, _, told = fuzzing.run("b.wasm", "--module", "base")
    assert code == 2
    assert "b.wasm is a module itself" in told


@pytest.mark.parametrize("name", ["base.txt", "elsewhere/base.lua"])
def test_a_file_that_tests_cannot_name_has_a_copy_beside_them(
    name: str, fuzzing: Fuzzing, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuzzing.write("helper.lua", "return 5")
    (fuzzing.folder / "elsewhere").mkdir()
    shutil.copy("helper.lua", "elsewhere")
    fuzzing.write(name, BASE.replace("Limit = 5", 'Limit = require("helper")'))
    (fuzzing.folder / "here").mkdir()
    monkeypatch.chdir("here")
    fuzzing.write("here/a.lua", FAULTY)
    found = fuzzing.json("a.lua", "--module", f"../{name}")["found"]
    assert (found["about"], found["doubt"]) == ("Go", "")
    copies = [path.name for path in Path().glob("base-*.lua")]
    assert f't:spawn("{copies[0]}")' in Path(found["test"]).read_text()


@pytest.mark.usefixtures("lean_pytest")
def test_a_test_for_pytest_names_the_module_too(fuzzing: Fuzzing) -> None:
    id = publish("base", BASE)
    shutil.copy(FAULTS / "missing_owner_check.lua", "a.lua")
    fuzzing.write(
        "a.invariants.py",
        "from aoshell.fuzz import invariant, state\nstate('price', 'Price')\n"
        "state('limit', 'Limit')\n@invariant('free')\ndef free(before, after, msg):\n"
        "    return after['price'] == before['price'] or after['limit'] != 5\n",
    )
    found = fuzzing.json("a.lua", "--module", "base")["found"]
    assert (found["about"], found["doubt"]) == ("free", "")
    assert f"ao_node.spawn(HERE / 'base-{id[:8]}.lua')" in Path(found["test"]).read_text()
