"""The pytest plugin, in a pytest of its own; and the examples, as their headers say."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

REPO = Path(__file__).resolve().parents[2]
EXAMPLES = REPO / "examples" / "testing"
PLUGIN = ("-p", "aoshell.testing.plugin", "-p", "no:cacheprovider", "-p", "no:randomly")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """aoshell is found also where it is not installed; of other plugins those that are named."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), *sys.path]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def test_fixtures(pytester: pytest.Pytester) -> None:
    (pytester.path / "counter.lua").write_text(
        'N = 0 Handlers.add("Up", "Up", function(msg) N = N + 1 msg.reply({ N = tostring(N) }) end)'
    )
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("turn", range(3))
        def test_each_has_a_node_of_its_own(ao_node, ao_process, identity, clock, turn):
            assert ao_node.processes() == []
            counter, alice = ao_process("counter.lua", name="c"), identity("alice")
            assert counter.send("Up", as_=alice).reply["N"] == "1"
            assert [mail["N"] for mail in ao_node.inbox(alice)] == ["1"]
            before = clock.now()
            clock.advance("1h")
            assert clock.now() - before == 3_600_000
            assert ao_node.clock is clock

        def test_who_never_sent_is_known(ao_node, ao_process, identity):
            ao_process().eval("Send({Target = '%s'})" % identity("bob"))
            assert ao_node.undelivered() == []

        def test_failing(ao_process):
            assert ao_process("counter.lua").value("N") == 1
        """
    )
    # In a process of its own: within this one it would set signal handlers anew, above wasmtime's.
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*assert 0 == 1*"])


def test_the_plugin_costs_nothing_where_nobody_asks(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing_heavy_is_loaded():
            assert "aoshell.testing.plugin" in sys.modules
            heavy = {"asyncio", "cryptography", "lupa", "sqlite3", "aoshell.nodes"}
            assert not heavy & set(sys.modules) - BEFORE

        BEFORE = {"asyncio"}  # pytest's own plugins may bring it
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(passed=1)


def test_the_example_in_python(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    dear = ("-p", "no:hypothesispytest", "-p", "no:anyio")  # they take longer than these tests
    for file in EXAMPLES.iterdir():
        if file.is_file():
            shutil.copy(file, pytester.path)
    pytester.runpytest_subprocess(*PLUGIN, *dear).assert_outcomes(passed=15)  # six in Lua


def test_the_example_in_lua() -> None:
    script = "import sys; from aoshell.testing.command import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", script, "examples/testing"],
        cwd=REPO,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


LUA = """
test("good", function(t) t:equal(t:spawn("counter.lua"):get("N"), 1) end)

test("bad", function(t)
  print("said \\27[2J")
  t:equal(t:spawn("counter.lua"):get("N"), 2)
end)
skip("later", function(t) end)
test("cases", { 1, two = 2 }, function(t, case)
  local p = t:spawn("counter.lua")
  t:ok(p:send { Action = "Fail" })
end)
"""


@pytest.fixture
def lua(pytester: pytest.Pytester) -> pytest.Pytester:
    (pytester.path / "counter.lua").write_text(
        'N = 1\nHandlers.add("Fail", "Fail", function(msg)\n  error("no way")\nend)'
    )
    (pytester.path / "counter_test.lua").write_text(LUA)
    return pytester


def test_tests_in_lua_stand_beside_those_in_python(lua: pytest.Pytester) -> None:
    """What fails shows Lua, and nothing of Python."""
    lua.makepyfile('def test_both(ao_process): assert ao_process("counter.lua").value("N") == 1')
    result = lua.runpytest_subprocess(*PLUGIN, "-rs")
    result.assert_outcomes(passed=2, failed=3, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "counter_test.lua .FsFF*",
            "*_ bad _*",
            "counter_test.lua:6: not equal",
            '  6 │   t:equal(t:spawn("counter.lua"):get("N"), 2)',
            "  expected 2",
            "  got      1",
            "*Captured stdout call*",
            "said \\x1b[[]2J",
            "*_ cases: two _*",
            "counter_test.lua:11: the message failed: *counter.lua:3: no way",
            '  3 │   error("no way")',
            "SKIPPED [[]1] counter_test.lua*: declared by skip()",
        ]
    )
    text = result.stdout.str()
    assert "Traceback" not in text and "aoshell/testing" not in text and ".py:" not in text


def test_pytest_chooses_among_tests_in_lua(lua: pytest.Pytester) -> None:
    # Others' files of Lua are theirs, unless they are named.
    (lua.path / "test_other.lua").write_text("require('luaunit')")
    (lua.path / "named.lua").write_text('test("n", function() end)')
    result = lua.runpytest_subprocess(*PLUGIN, "-k", "cases and two or good")
    result.assert_outcomes(passed=1, failed=1, deselected=3)
    result.stdout.no_fnmatch_line("*other*")
    result = lua.runpytest_subprocess(*PLUGIN, "counter_test.lua::good", "named.lua")
    result.assert_outcomes(passed=2)


def test_a_file_of_lua_that_does_not_load_is_an_error(lua: pytest.Pytester) -> None:
    (lua.path / "broken_test.lua").write_text("test('a', function(t)\n")
    result = lua.runpytest_subprocess(*PLUGIN)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR collecting broken_test.lua*", "broken_test.lua:2: *<eof>"])
    assert "aoshell/testing" not in result.stdout.str()


def test_tests_run_beside_each_other(lua: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    lua.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("turn", range(6))
        def test_mock(ao_node, ao_process, turn):
            ao_node.mock("m" * 43, "N = %d" % turn)
            assert ao_process("X = 1").value("X") == 1
        """
    )
    result = lua.runpytest_subprocess(*PLUGIN, "-p", "xdist", "-n", "2")
    result.assert_outcomes(passed=7, failed=3, skipped=1)


def test_names_that_pytest_cannot_write_are_written_out(pytester: pytest.Pytester) -> None:
    """pytest keeps them in its cache, in UTF-8."""
    (pytester.path / "a_test.lua").write_text('test("a\\255\\n\\0b", function() end)')
    result = pytester.runpytest_subprocess("-p", PLUGIN[1], "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["a_test.lua::a\\xff\\n\\x00b PASSED*"])
