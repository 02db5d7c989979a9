"""Coverage: what ran is told, of the right file, and nothing else is."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from aoshell.errors import AoError, UsageError
from aoshell.nodes.values import Limits
from aoshell.testing.command import main
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.coverage.totals import file_totals
from aoshell.testing.testbed.opening import Zygotes, open_node

# A message that ends takes a hundredth of that time.
LITTLE = Limits(seconds=0.2, memory=64 << 20)
FLOW = Path(__file__).resolve().parents[1] / "lua" / "data" / "flow.lua"

# It takes each message.
TAKING = """(module
  (memory (export "memory") 16)
  (data (i32.const 8) "{\\"ok\\":true,\\"response\\":{\\"Output\\":\\"taken\\"}}\\00")
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "free") (param i32))
  (func (export "handle") (param i32 i32) (result i32) (i32.const 8)))"""
SHOP = """local stock = { tea = 3 }

local function left(name)
  return stock[name] or 0
end

Handlers.add("Buy", "Buy", function(msg)
  local name = msg.Name
  if left(name) == 0 then
    msg.reply({ Error = "sold out" })
    return
  end
  stock[name] = left(name) - 1
  local done = pcall(function()
    error("thrown")
  end)
  for _ = 1, 2 do
    left(name)
  end
  msg.reply({ Name = name })
end)

Handlers.add("Close", "Close", function(msg)
  stock = {}
end)
"""
TEST = """test("buys", function(t)
  local shop = t:spawn("shop.lua")
  shop:send { Action = "Buy", Name = "tea" }
end)
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a program and a test of a part of it, the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.lua").write_text(SHOP)
    (tmp_path / "shop_test.lua").write_text(TEST)
    return tmp_path


def covered(capsys: Any, *flags: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The only file that is told of, and the whole value."""
    assert main(["--json", "--coverage", *flags]) == 0
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    return (value["coverage"] or [{}])[0], value


@pytest.mark.usefixtures("shop")
def test_lines_and_branches_by_file_and_handler(capsys: Any) -> None:
    file, value = covered(capsys)
    assert value["notes"] == []
    assert file["file"] == "shop.lua"
    assert file["missing"] == [10, 11, 24]
    assert (file["branches"], file["taken"]) == (4, 3)
    buy, close = file["handlers"]
    assert (buy["name"], buy["first"], buy["last"]) == ("Buy", 7, 21)
    assert (buy["missing"], buy["branches"], buy["taken"]) == ([10, 11], 4, 3)
    assert (close["name"], close["missing"], close["run"]) == ("Close", [24], 0)


@pytest.mark.usefixtures("shop")
def test_the_table_says_what_did_not_run(capsys: Any) -> None:
    assert main(["--coverage"]) == 0
    said = re.sub(" +", " ", capsys.readouterr().out)
    assert "shop.lua 16 of 19 lines 84% 3 of 4 branches\n" in said
    assert " Buy (7-21) 9 of 11 lines 81% 3 of 4 branches\n not run: 10-11\n" in said
    assert " line 9 never went on to 10\n" in said
    assert " Close (23-25) 0 of 1 lines 0%\n not run: 24\n" in said
    assert "left" not in said  # a function that is no handler, all of which ran


def test_how_often_lines_ran_is_what_the_text_says(shop: Path) -> None:
    coverage = Coverage()
    zygotes = Zygotes(coverage)
    with open_node(files=shop, supervisor=zygotes) as node:
        process = node.spawn("shop.lua")
        for _ in range(4):
            process.send("Buy", Name="tea")
        process.dryrun("Close")
    zygotes.shut_down()
    (file,) = file_totals(coverage)
    lines = file.whole.lines
    assert [lines[at] for at in (8, 9, 10, 11, 13, 15, 18, 20)] == [4, 4, 1, 1, 3, 3, 6, 3]
    assert lines[4] == 4 + 3 + 6  # `left` is called in lines 9, 13 and 18
    assert lines[24] == 1  # a dry run counts
    (left,) = [one for one in file.functions if one.name == "left"]
    assert left.called == 13
    assert {branch.line: branch.ways for branch in file.whole.branches} == {
        9: {10: 1, 13: 3},
        17: {18: 6, 20: 3},
    }


@pytest.mark.parametrize("at_once", ["1", "2"])
def test_a_file_that_cannot_count_is_said_to_be_left_out(
    shop: Path, capsys: Any, at_once: str
) -> None:
    """Not to have run in no line, which nobody has looked at."""
    names = ", ".join(f"a{at}" for at in range(199))
    used = ", ".join(f"a{at}" for at in range(51))
    wide = f"local function wide(f)\n  local {names}\n  return f({used})\nend\nwide(type)\n"
    (shop / "wide.lua").write_text(wide.replace("f(", "f(1, ") + SHOP)
    (shop / "wide_test.lua").write_text(TEST.replace("shop.lua", "wide.lua"))
    assert main(["--json", "--coverage", "-j", at_once]) == 0
    value = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [file["file"] for file in value["coverage"]] == ["shop.lua"]
    assert value["notes"] == [
        f"{shop}/wide.lua is left out, as its lines cannot be counted: "
        "a function needs too many registers"
    ]


def test_what_processes_gather_is_added_up(shop: Path) -> None:
    one = Coverage()
    zygotes = Zygotes(one)
    with open_node(files=shop, supervisor=zygotes) as node:
        node.spawn("shop.lua").send("Buy", Name="tea")
    zygotes.shut_down()
    packed = json.loads(json.dumps(one.packed()))
    other = Coverage()
    other.add(packed)
    assert file_totals(other) == file_totals(one)
    other.add(packed)
    (twice,), (once,) = file_totals(other), file_totals(one)
    assert twice.whole.lines == {line: 2 * times for line, times in once.whole.lines.items()}


# What guests can do -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "@../../etc/passwd",
        "@/etc/passwd",
        "@shop.lua\\nend_of_record\\nSF:/etc/passwd",
        "@shop.lua\\0",
        "@",
        "=shop.lua",
        "@.handlers",
        "@" + "x" * 600,
    ],
)
def test_names_that_a_guest_made_up_open_no_file(shop: Path, capsys: Any, name: str) -> None:
    with (shop / "shop_test.lua").open("a") as file:
        code = f'load("local function f() return 1 end\\nf()\\nreturn f", "{name}")()'
        file.write(f"test('made up', function(t) t:spawn('shop.lua'):eval([==[{code}]==]) end)\n")
    _file, value = covered(capsys, "--coverage-report", "lcov")
    assert [file["file"] for file in value["coverage"]] == ["shop.lua"]
    assert value["notes"] == []
    found = re.findall(r"^SF:.*$", Path("lcov.info").read_text(), re.MULTILINE)
    assert found == ["SF:shop.lua"]


def test_another_text_under_the_name_of_a_file_is_told_and_not_counted(
    shop: Path, capsys: Any
) -> None:
    # Its functions stand in the lines of the handler Close.
    code = "\\n" * 22 + "function trick()\\n return 1\\nend trick()"
    (shop / "shop_test.lua").write_text(
        'test("x", function(t)\n  local shop = t:spawn("shop.lua")\n'
        f"  shop:eval([==[load('{code}', '@shop.lua')()]==])\nend)\n"
    )
    file, value = covered(capsys)
    assert 24 in file["missing"]
    assert value["notes"] == ["another text ran under the name shop.lua: its lines are left out"]


def test_code_that_is_no_file_is_left_out(shop: Path, capsys: Any) -> None:
    (shop / "shop_test.lua").write_text(
        'test("x", function(t)\n  local p = t:spawn { source = "function f() return 1 end f()" }\n'
        '  p:eval("function g() return 1 end g()")\n  p:blueprint("token")\nend)\n'
    )
    assert main(["--coverage"]) == 0
    assert (
        "no file whose lines can be counted was loaded, so nothing is covered"
        in capsys.readouterr().out
    )


def test_names_of_handlers_are_text_and_nothing_else(shop: Path) -> None:
    evil = '<script>alert(1)</script>\\nSF:/etc/passwd\\nend_of_record,\\"\\27[31m\\u{202e}'
    (shop / "shop.lua").write_text(
        f'Handlers.add("{evil}", "Buy", function(msg)\n  local a = "<b>&amp;</b>"\nend)\n'
    )
    assert main(["--coverage-report", "lcov", "--coverage-report", "html"]) == 0
    lcov = Path("lcov.info").read_text()
    assert [line for line in lcov.splitlines() if line.startswith("SF:")] == ["SF:shop.lua"]
    assert lcov.count("end_of_record\n") == 1
    page = Path("coverage.html").read_text()
    tags: list[str] = []
    reader = HTMLParser()
    reader.handle_starttag = lambda tag, _attributes: tags.append(tag)  # type: ignore[method-assign]
    reader.feed(page)
    assert not {"script", "b"} & set(tags)
    assert html.escape("<b>&amp;</b>") in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_what_no_worker_writes_is_refused() -> None:
    coverage = Coverage()
    for lines in ("x", "\0\0\0", struct.pack("<I", 1).decode("latin-1"), "\0" * 13, "\xff" * 40):
        with pytest.raises(ValueError, match="lines of a message"):
            coverage.lines_came(lines)
    coverage.lines_came("\0" * 12)
    assert coverage.jumps == {}


# Programs -----------------------------------------------------------------------------------------


def ran(folder: Path, main_file: str) -> dict[str, dict[int, int]]:
    """How often each line of a program's files runs while it is loaded."""
    coverage = Coverage()
    zygotes = Zygotes(coverage)
    with open_node(files=folder, supervisor=zygotes) as node:
        node.spawn(Path(main_file))
    zygotes.shut_down()
    assert list(coverage.notes) == []
    hits: dict[str, dict[int, int]] = {}
    for place, jumps in coverage.jumps.items():
        lines = hits.setdefault(place.name, {})
        for (_start, to), times in jumps.items():
            lines[to] = lines.get(to, 0) + times
    return hits


def test_all_files_of_a_program_count(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "a.lua").write_text("local b = require('lib.b')\nreturn { n = b.n }\n")
    (tmp_path / "lib" / "b.lua").write_text("return { n = 1 }\n")
    (tmp_path / "main.lua").write_text(
        "#!/usr/bin/lua\r\nlocal a = require('lib.a')\r\nN = a.n\r\n"
    )
    assert ran(tmp_path, "main.lua") == {
        "main.lua": {2: 1, 3: 1},
        "lib/a.lua": {1: 1, 2: 1},
        "lib/b.lua": {1: 1},
    }


def test_two_files_of_one_name_and_text_are_not_mixed_up(tmp_path: Path) -> None:
    coverage = Coverage()
    zygotes = Zygotes(coverage)
    with open_node(files=tmp_path, supervisor=zygotes) as node:
        for folder in ("one", "two"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "main.lua").write_text("N = 1\n")
            node.spawn(f"{folder}/main.lua")
    zygotes.shut_down()
    (note,) = coverage.notes
    assert note.endswith("have one name and one text: which of them ran is not known")


def luacov() -> str:
    """Why LuaCov cannot be asked, "" where it can."""
    lua = shutil.which("lua5.3")
    if lua is None:
        return "no lua5.3 on the path"
    asked = subprocess.run([lua, "-lluacov.defaults", "-e", ""], capture_output=True, check=False)
    return "" if asked.returncode == 0 else "no LuaCov for lua5.3 (LUA_PATH)"


@pytest.mark.parametrize("name", ["flow.lua", "traceback.lua", "libraries.lua", "preload.lua"])
def test_luacov_agrees(tmp_path: Path, name: str, request: pytest.FixtureRequest) -> None:
    if why := luacov():
        pytest.skip(why)
    scripts = (
        FLOW.parent if name == "flow.lua" else request.getfixturevalue("shared") / "cases/scripts"
    )
    shutil.copy(scripts / name, tmp_path / name)
    run = [str(shutil.which("lua5.3")), "-lluacov", name]
    subprocess.run(run, cwd=tmp_path, capture_output=True, check=True)
    stats = (tmp_path / "luacov.stats.out").read_text().split("\n")
    theirs = next(hits for file, hits in zip(stats[::2], stats[1::2], strict=False) if name in file)
    lines = {at for at, times in enumerate(theirs.split(), 1) if int(times)}
    assert set(ran(tmp_path, name)[name]) == lines


# Reports ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("shop")
def test_lcov_is_read_by_lcov() -> None:
    genhtml = shutil.which("genhtml")
    if genhtml is None:
        pytest.skip("no genhtml (Debian package lcov)")
    assert main(["--coverage-report", "lcov:out.info"]) == 0
    flags = ["--branch-coverage", "out.info", "-o", "made"]
    said = subprocess.run([genhtml, *flags], capture_output=True, text=True, check=True)
    told = said.stdout + said.stderr
    assert re.search(r"lines\.*: 84\.2% \(16 of 19 lines\)", told), told
    assert re.search(r"branches\.*: 75\.0% \(3 of 4 branches\)", told), told
    assert re.search(r"functions\.*: 75\.0% \(3 of 4 functions\)", told), told


@pytest.mark.usefixtures("shop")
def test_lcov_has_each_record() -> None:
    assert main(["--coverage-report", "lcov"]) == 0
    lines = Path("lcov.info").read_text().splitlines()
    assert lines[:2] == ["TN:", "SF:shop.lua"]
    assert lines[-1] == "end_of_record"
    for expected in ("FN:7,Buy", "FNDA:1,Buy", "FNDA:0,Close", "DA:10,0", "DA:18,2", "LF:19",
                     "LH:16", "BRF:4", "BRH:3", "BRDA:9,0,0,0", "BRDA:9,0,1,1"):  # fmt: skip
        assert expected in lines


def test_the_page_has_what_did_not_run_first(shop: Path) -> None:
    (shop / "tea.lua").write_text("Handlers.add('T', 'T', function()\n  local a = 1\nend)\n")
    with (shop / "shop_test.lua").open("a") as file:
        file.write("test('tea', function(t) t:spawn('tea.lua') end)\n")
    assert main(["--coverage-report", "html:out.html"]) == 0
    page = Path("out.html").read_text()
    assert page.index(">tea.lua<") < page.index(">shop.lua<")
    handlers = page[page.index('<h2 id="f0">shop.lua') :]
    assert handlers.index("Close (23-25)") < handlers.index("Buy (7-21)")
    assert '<li id="f0-10" class="no">' in page
    assert 'class="part" title="never went on to 10"' in page
    assert "prefers-color-scheme: dark" in page


@pytest.mark.usefixtures("shop")
def test_misuse_says_what_to_write() -> None:
    for wrong in ("pdf", "lcov:", "text:x", ""):
        with pytest.raises(UsageError, match="is no report of coverage") as raised:
            main(["--coverage-report", wrong])
        assert "html[:FILE]" in raised.value.hint
    with pytest.raises(AoError, match="cannot be written"):
        main(["--coverage-report", "lcov:missing/out.info"])


def test_webassembly_is_named_and_left_out() -> None:
    from aoshell.testing.code.sources import ModuleSource

    coverage = Coverage()
    coverage.know(ModuleSource(b"\0asm", {}, path=Path("/x/counter.wasm")))
    assert list(coverage.notes) == [
        "/x/counter.wasm is WebAssembly, which has no line hook: it is left out"
    ]


def test_lua_that_is_loaded_into_webassembly_is_not_said_to_have_not_run(
    shop: Path, capsys: Any
) -> None:
    (shop / "taking.wasm").write_bytes(wasmtime.wat2wasm(TAKING))
    (shop / "other.lua").write_text("Other = 1")
    (shop / "shop_test.lua").write_text(
        'test("both", function(t)\n  t:spawn("shop.lua")\n  local there = t:spawn("taking.wasm")\n'
        '  there:load("shop.lua")\n  there:fork():load("other.lua")\nend)\n'
    )
    _, end = covered(capsys)
    assert [Path(one["file"]).name for one in end["coverage"]] == ["shop.lua"]
    left_out = "was loaded into WebAssembly, which has no line hook"
    assert sorted(end["notes"]) == [
        f"{shop}/other.lua {left_out}: it is left out",
        f"{shop}/shop.lua {left_out}: what ran of it there is left out",
        f"{shop}/taking.wasm is WebAssembly, which has no line hook: it is left out",
    ]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("while os do end", "time"),
        ('string.find(string.rep("a", 50000), string.rep("a*", 50) .. "b")', "time"),
        ('local s = "x" while s do s = s .. s end', "memory"),
        ('error("no")', "error"),
    ],
)
def test_what_a_message_that_is_stopped_has_run_counts(shop: Path, body: str, outcome: str) -> None:
    with (shop / "shop.lua").open("a") as file:
        file.write(f'Handlers.add("Loop", "Loop", function()\n  {body}\n  X = 1\nend)\n')
    coverage = Coverage()
    zygotes = Zygotes(coverage)
    with open_node(files=shop, supervisor=zygotes, limits=LITTLE) as node:
        process = node.spawn("shop.lua")
        assert process.send("Buy", Name="tea").ok
        assert process.send("Loop").outcome == outcome
        assert process.dryrun("Loop").outcome == outcome
        assert process.send("Close").ok
    zygotes.shut_down()
    (file,) = file_totals(coverage)
    assert file.whole.missing == [10, 11, 28]
    assert file.whole.lines[27] >= 2  # the message, and its dry run


@pytest.mark.parametrize("flags", [[], ["-n", "2"]])
def test_pytest_shows_it(shop: Path, flags: list[str]) -> None:
    if flags:
        pytest.importorskip("xdist")
    (shop / "test_shop.py").write_text(
        "def test_a(ao_process): ao_process('shop.lua').send('Buy', Name='tea')\n"
        "def test_b(ao_process): ao_process('shop.lua').send('Close')\n"
    )
    plugin = ["-p", "aoshell.testing.plugin", "-p", "no:cacheprovider", "-q"]
    plugin += ["-p", "xdist"] if flags else []
    repo = str(Path(__file__).resolve().parents[2])
    reports = [f"--aoshell-coverage-report={form}" for form in ("text", "lcov:p.info")]
    said = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, *flags, *reports],
        capture_output=True,
        text=True,
        check=False,
        cwd=shop,
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join([repo, *sys.path]), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert "coverage written to p.info" in said.stdout
    assert "17 of 19 lines" in said.stdout
    assert "LH:17" in (shop / "p.info").read_text()


def test_forks_suspended_handlers_and_imports_count(shop: Path) -> None:
    (shop / "waits.lua").write_text(
        'Handlers.add("Ask", "Ask", function(msg)\n  local a = 1\n'
        '  local got = Receive({ Action = "Tell" })\n  Answer = got.Data\nend)\n'
    )
    coverage = Coverage()
    zygotes = Zygotes(coverage)
    with open_node(files=shop, supervisor=zygotes) as node:
        process = node.spawn("waits.lua")
        assert process.send("Ask").suspended
        (file,) = file_totals(coverage)
        assert file.whole.missing == [4]
        process.send("Tell", "yes")
        assert process.value("Answer") == "yes"
        (file,) = file_totals(coverage)
        assert (file.whole.missing, file.whole.lines[4]) == ([], 1)
        twin = process.fork()
        twin.send("Ask")
        (file,) = file_totals(coverage)
        assert (file.whole.lines[2], file.whole.lines[4]) == (2, 1)
    zygotes.shut_down()
    assert list(coverage.notes) == []
