"""Flags of `aoshell test`: which tests run, how many at once, and what reports hold."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aoshell.errors import AoError, UsageError
from aoshell.testing.command import main
from aoshell.testing.runs.choosing import parse_choice

pytest_plugins = ["pytester"]

Run = Callable[..., list[tuple[str, str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Run:
    """Runs the tests below a folder; names and outcomes, in the order of the report."""
    monkeypatch.chdir(tmp_path)

    def run(*flags: str) -> list[tuple[str, str]]:
        main(["--json", *flags])
        *outcomes, _end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [(item["name"], item["outcome"]) for item in outcomes]

    return run


def declare(file: str, **tests: str) -> None:
    """Write a test file: names and bodies."""
    Path(file).write_text("".join(f'test("{n}", function(t) {b} end)\n' for n, b in tests.items()))


NAMES = ["pays a fee", "refuses a fee", "pays nothing", "salt and pepper", "a (b)"]


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ("", NAMES),
        ("pays", ["pays a fee", "pays nothing"]),
        ("PAYS and not fee", ["pays nothing"]),
        ("fee and (refuses or nothing)", ["refuses a fee"]),
        ("a fee or nothing", ["pays a fee", "refuses a fee", "pays nothing"]),
        ("not not nothing", ["pays nothing"]),
        ('"salt and pepper"', ["salt and pepper"]),
        ("'(b)' or 'and'", ["salt and pepper", "a (b)"]),
        ("not (fee or 'a')", []),
        ("  pays   a fee ", ["pays a fee"]),
        ("nobody's", []),
    ],
)
def test_names_fit_an_expression(expression: str, fits: list[str]) -> None:
    assert [name for name in NAMES if parse_choice(expression)(name)] == fits


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("and", "a text is expected, not 'and'"),
        ("pays and", "it ends"),
        ("(pays", "a bracket is not closed"),
        ("pays)", "nothing may follow before"),
        ("a (b)", "nothing may follow before"),
        ('"pays', "a quote without an end"),
        ("(" * 10_000, "are nested"),
        ("not " * 10_000 + "x", "are nested"),
    ],
)
def test_what_is_no_expression_is_told(expression: str, why: str) -> None:
    with pytest.raises(UsageError, match=re.escape(why)):
        parse_choice(expression)


@pytest.mark.parametrize("at_once", ["1", "3"])
def test_the_first_failure_may_be_the_end(run: Run, at_once: str) -> None:
    """The same tests are reported however many run at once."""
    declare("a_test.lua", a="", b="", c="t:ok(nil)", d="", e="t:ok(nil)", f="")
    expected = [("a", "passed"), ("b", "passed"), ("c", "failed")]
    assert run("-x", "-j", at_once) == expected
    assert len(run("-j", at_once)) == 6


def test_tests_that_run_at_once_are_reported_in_order(run: Run) -> None:
    busy = "local n = 0 for i = 1, 3e6 do n = n + i end"
    declare("a_test.lua", slow=busy, quick="", bad="t:ok(nil)")
    Path("b_test.lua").write_text("test(")
    declare("c_test.lua", last='print("p") t:spawn { source = "X = 1" }')
    found = run("-j", "3")
    assert found == [
        *(("slow", "passed"), ("quick", "passed"), ("bad", "failed")),
        *(("", "error"), ("last", "passed")),
    ]


def test_what_failed_last_runs_again(run: Run, own_home: Path) -> None:
    declare("a_test.lua", good="", bad="t:ok(nil)")
    declare("b_test.lua", other="t:ok(nil)")
    Path("c_test.lua").write_text("test(")
    run()
    again = [("bad", "failed"), ("other", "failed"), ("", "error")]
    assert run("--last-failed") == again
    declare("a_test.lua", good="", bad="")
    Path("c_test.lua").write_text('test("mended", function() end)')
    assert run("--last-failed", "a_test.lua") == [("bad", "passed")]
    # What was not run is still remembered; of what was not loaded, all runs.
    assert run("--last-failed") == [("other", "failed"), ("mended", "passed")]
    Path("b_test.lua").unlink()
    assert run("--last-failed") == [("good", "passed"), ("bad", "passed"), ("mended", "passed")]
    assert not [path for path in own_home.rglob("*") if path.is_file()]


def test_a_broken_memory_counts_as_none(run: Run, own_home: Path) -> None:
    declare("a_test.lua", bad="t:ok(nil)", good="")
    run()
    (kept,) = (own_home / "cache" / "tests").iterdir()
    for broken in (b"{", b'{"a": 1}', b"[[1], 2]", b"\xff", b"[" * 100_000):
        kept.write_bytes(broken)
        assert len(run("--last-failed")) == 2


@pytest.mark.usefixtures("run")
def test_the_slowest_are_listed(capsys: Any) -> None:
    declare("a_test.lua", **{f"t{n}": "" for n in range(5)})
    main(["--durations", "3"])
    said = capsys.readouterr().out
    took = sorted((int(ms) for ms in re.findall(r"✓ t\d  (\d+) ms", said)), reverse=True)
    listed = said.partition("slowest:\n")[2]
    assert [int(ms) for ms in re.findall(r"(\d+) ms  a_test.lua  t\d\n", listed)] == took[:3]


# Reports ------------------------------------------------------------------------------------------


def test_junit_holds_what_pytest_writes(
    run: Run, tmp_path: Path, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Elements and attributes are those that pytest's own file has for the same outcomes."""
    declare("a_test.lua", good='print("p")', bad="t:equal({ a = '<&\\1]]>' }, {})")
    with Path("a_test.lua").open("a") as file:
        file.write('skip("later", function() end) test("\\"<&\\255\\0>", function() end)')
    Path("b_test.lua").write_text("test(")
    run("--junit", str(tmp_path / "ours.xml"))
    ours = ElementTree.parse(tmp_path / "ours.xml").getroot()

    monkeypatch.chdir(pytester.path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    file = pytester.makepyfile(
        """
        import pytest
        @pytest.fixture
        def broken(): raise OSError("x")
        def test_good(): print("p")
        def test_bad(): assert 1 == 2
        def test_stopped(broken): pass
        @pytest.mark.skip
        def test_later(): pass
        """
    )
    pytester.runpytest_subprocess(file, "--junitxml=theirs.xml", "-o", "junit_logging=all")
    theirs = ElementTree.parse("theirs.xml").getroot()

    def shape(root: ElementTree.Element) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for element in root.iter():
            found.setdefault(element.tag, set()).update(element.attrib)
        return found

    known = shape(theirs)
    known["testsuites"] |= {"time", "tests", "failures", "errors"}  # junit-10.xsd has these as well
    known["testsuite"].add("file")
    known["failure"].add("type")
    known["error"].add("type")
    assert shape(ours).keys() <= known.keys()
    assert {tag: names - known[tag] for tag, names in shape(ours).items()} == {
        tag: set() for tag in shape(ours)
    }
    first, second = ours
    assert (first.get("tests"), first.get("failures"), first.get("skipped")) == ("4", "1", "1")
    assert (second.get("errors"), ours.get("tests")) == ("1", "5")
    good, bad, later, odd = first
    assert (good.get("name"), good.get("classname")) == ("good", "a_test")
    assert good.findtext("system-out") == "p"
    failure = bad.find("failure")
    assert failure is not None and failure.get("message") == "not equal"
    assert 'got      "<&\\001]]>"' in (failure.text or "")
    assert later.find("skipped") is not None
    assert (odd.get("name") or "").startswith('"<&')


def test_junit_goes_where_a_file_can_be(run: Run, tmp_path: Path) -> None:
    declare("a_test.lua", good="")
    with pytest.raises(AoError, match="no regular file"):
        run("--junit", str(tmp_path))
    with pytest.raises(AoError, match=r"missing/x\.xml cannot be written"):
        run("--junit", "missing/x.xml")
    Path("link.xml").symlink_to("real.xml")
    assert main(["--junit", "link.xml"]) == 0
    assert Path("link.xml").is_symlink() and b"<testsuites" in Path("real.xml").read_bytes()


@pytest.mark.usefixtures("run")
def test_annotations_of_github(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escaped as actions/toolkit does it; no line of a guest is taken for a command."""
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path.parent))
    folder = tmp_path.name
    declare("a_test.lua", good="")
    Path("b,c_test.lua").write_text(
        'test("100%: a, b", function(t)\n'
        '  print("::add-mask::x")\n'
        '  error("::set-env name=A::b\\n50%")\nend)\n'
    )
    assert main(["--report", "github"]) == 1
    begin, *shown, end, annotation = capsys.readouterr().out.splitlines()
    token = begin.removeprefix("::stop-commands::")
    assert re.fullmatch("[0-9a-f]{32}", token) and end == f"::{token}::"
    assert "      │ ::add-mask::x" in shown
    assert annotation.startswith(
        f"::error file={folder}/b%2Cc_test.lua,line=3,title=100%25%3A a%2C b::b,c_test.lua:3: "
    )
    assert "::set-env name=A::b%0A50%25" in annotation


def test_numbers_of_flags_are_checked(capsys: Any) -> None:
    for flag, value in (("-j", "0"), ("-j", "x"), ("-j", "65"), ("--durations", "-1")):
        assert main([flag, value]) == 2
    assert "a whole number from 1 to 64" in capsys.readouterr().err


def test_forks_that_run_tests_end_with_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    forked: list[int] = []

    def fork() -> int:
        forked.append(own())
        return forked[-1]

    own = os.fork
    monkeypatch.setattr(os, "fork", fork)
    declare("a_test.lua", **{f"t{n}": "t:spawn()" for n in range(8)})
    assert len(run("-j", "4")) == 8
    assert len(forked) == 4
    for pid in forked:
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
