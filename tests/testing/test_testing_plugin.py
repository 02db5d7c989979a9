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
    """aoshell is found also where it is not installed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPO), *sys.path]))


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
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "no:hypothesispytest", "-p", "no:xdist")
    result.assert_outcomes(passed=1)


def test_tests_run_beside_each_other(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("turn", range(6))
        def test_mock(ao_node, ao_process, turn):
            ao_node.mock("m" * 43, "N = %d" % turn)
            assert ao_process("X = 1").value("X") == 1
        """
    )
    result = pytester.runpytest_subprocess(*PLUGIN, "-p", "xdist", "-n", "2")
    result.assert_outcomes(passed=6)


def test_the_example_in_python(pytester: pytest.Pytester) -> None:
    for file in EXAMPLES.iterdir():
        if file.is_file():
            shutil.copy(file, pytester.path)
    pytester.runpytest_subprocess(*PLUGIN).assert_outcomes(passed=9)


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
