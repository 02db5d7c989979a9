"""Which local files a Lua program has, and that every command finds the same ones."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell_typing import Typing, Use

from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.lua.bundled import unbundle
from aoshell.lua.compiling import find_requires
from aoshell.shell.code import program as rules
from aoshell.shell.code.bundle import bundle
from aoshell.shell.code.program import find, read_program, tree_lines
from aoshell.shell.outcome import CommandOutput
from aoshell.testing import Node, open_node
from aoshell.testing.command import main as run_tests

PARTS = {
    "main.lua": 'local part = require(".src.part")\nprint(part.name .. require("src.part").name)',
    "src/part.lua": 'return { name = require("src.deep.tool").name }',
    "src/deep/tool.lua": 'return { name = "tool" }',
}
FILES = ["src/deep/tool.lua", "src/part.lua", "main.lua"]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder / "main.lua"


@pytest.fixture
def main(tmp_path: Path) -> Path:
    return write(tmp_path, PARTS)


def paths(main: Path) -> list[str]:
    return [file.path for file in read_program(main).files]


# Names in a text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("require('a')", ["a"]),
        ('require "a.b"', ["a.b"]),
        ("require[[.a]]", [".a"]),
        ("require([==[\n./a-b/c]==])", ["./a-b/c"]),
        ("require((('a')))", ["a"]),
        ("require --[[ 'x' ]]\n('a')", ["a"]),
        ("local t = { require('a'), require('b').c }", ["a", "b"]),
        ("require('größe')", ["größe"]),
        ("::x::require('a')", ["a"]),
        ("x = 'a' .. require('a')", ["a"]),
        ("require(" * 100 + "'a'", []),
        ("require('a' .. b)", []),
        ("require('a' , 1)", []),
        ("require(('a') .. 'b')", []),
        ("require(a)", []),
        ("require('a\\46b')", []),
        ("require('')", []),
        ("require('a\tb')", []),
        ("require('" + "a" * 256 + "')", []),
        ("x.require('a') x:require('b')", []),
        ("-- require('a')\n--[[ require('b') ]]", []),
        ("[[ require('a') ]] 'require(\"b\")'", []),
        ("pcall(require, 'a')", []),
        ("require('a", []),
        ("require [[a", []),
        ("find_requires('a')", []),
    ],
)
def test_names_that_stand_in_the_text(source: str, names: list[str]) -> None:
    assert [one.name for one in find_requires(source) if one.name is not None] == names


def test_lines_of_requirements() -> None:
    source = 'require("a")\r\n\n\rx = [[\n]] require\n"b"'
    assert [(one.name, one.line) for one in find_requires(source)] == [("a", 1), ("b", 4)]


# Files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a", "a.lua"),
        (".a", "a.lua"),
        ("./a", "a.lua"),
        ("/a", "a.lua"),
        ("...a", "a.lua"),
        ("b.c", "b/c.lua"),
        (".b.c", "b/c.lua"),
        ("b/c", "b/c.lua"),
        ("b..c", "b/c.lua"),
        ("b", "b/init.lua"),
        ("b.init", "b/init.lua"),
        ("../outside", None),
        ("a.lua", None),
        ("folder", None),
        ("missing", None),
        ("A", None),
        (".", None),
        ("a/../a", "a.lua"),
        ("x" * 300, None),
    ],
)
def test_where_a_module_is(tmp_path: Path, name: str, path: str | None) -> None:
    root = tmp_path / "root"
    write(root, {"a.lua": "", "b/c.lua": "", "b/init.lua": "", "folder.lua/x": "", "a/a.lua": ""})
    (tmp_path / "outside.lua").touch()
    if name == "a/../a":
        path = "a/a.lua"  # dots lead down only
    if name == "A" and (root / "A.lua").is_file():
        pytest.skip("this file system does not tell a from A")
    assert find(root, name) == path


def test_a_file_comes_before_a_folder_of_its_name(tmp_path: Path) -> None:
    write(tmp_path, {"a.lua": "", "a/init.lua": ""})
    assert find(tmp_path, ".a") == "a.lua"


def test_links_are_followed(tmp_path: Path) -> None:
    main = write(tmp_path / "here", {"main.lua": "require('a') require('there.b') require('gone')"})
    write(tmp_path / "there", {"b.lua": "", "real.lua": ""})
    (main.parent / "there").symlink_to(tmp_path / "there")
    (main.parent / "a.lua").symlink_to(tmp_path / "there/real.lua")
    (main.parent / "gone.lua").symlink_to(tmp_path / "nothing")
    assert paths(main) == ["a.lua", "there/b.lua", "main.lua"]


def test_files_run_in_the_order_of_aos(tmp_path: Path) -> None:
    """Depth first, what is required first, in the order of the text; in functions as well."""
    main = write(
        tmp_path,
        {
            "main.lua": "function f() require('b') end require('a') require('json') require('.b')",
            "a.lua": "require('.c')",
            "b.lua": "require('d') require('c')",
            "c.lua": "",
            "d.lua": "",
        },
    )
    found = read_program(main)
    assert paths(main) == ["d.lua", "c.lua", "b.lua", "a.lua", "main.lua"]
    assert found.modules == {
        "d": "d.lua", "c": "c.lua", ".c": "c.lua", "b": "b.lua", ".b": "b.lua", "a": "a.lua",
    }  # fmt: skip
    assert not found.circular and not found.notes
    assert [(file.by, file.line) for file in found.files[-2:]] == [("main.lua", 1), ("", 0)]
    assert list(tree_lines(found)) == [
        "main.lua",
        "├─ b.lua",
        "│  ├─ d.lua",
        "│  └─ c.lua",
        "├─ a.lua",
        "│  └─ c.lua",
        "├─ json (not a local file)",
        "└─ b.lua",
    ]


@pytest.mark.parametrize("name", [".utils", ".ao", "json", "string", ".crypto"])
def test_names_of_aos_stay_its_own_unless_the_file_is_there(tmp_path: Path, name: str) -> None:
    main = write(tmp_path, {"main.lua": f"require('{name}')"})
    assert paths(main) == ["main.lua"] and read_program(main).notes == ()
    file = name.removeprefix(".") + ".lua"
    (tmp_path / file).touch()
    assert paths(main) == [file, "main.lua"]
    assert read_program(main).notes == (f"{file} takes the place of aos's own module '{name}'",)


def test_a_file_beside_takes_no_name_that_nobody_says(tmp_path: Path) -> None:
    main = write(tmp_path, {"main.lua": "require('utils')", "utils.lua": ""})
    assert read_program(main).modules == {"utils": "utils.lua"} and read_program(main).notes == ()


def test_other_capitals_are_said(tmp_path: Path) -> None:
    main = write(tmp_path, {"main.lua": "require('Src.Part') require('no')", "src/part.lua": ""})
    if paths(main) != ["main.lua"]:
        pytest.skip("this file system does not tell a from A")
    assert read_program(main).notes == (
        "module 'Src.Part' has no file: src/part.lua has other capitals",
    )


@pytest.mark.parametrize(
    ("bound", "most", "said"),
    [
        ("MOST_FILES", 2, "more than 2 files"),
        ("MOST_NAMES", 2, "more than 2 names"),
        ("MOST_NAMES", 1, "main.lua requires more than 1 times"),
        ("MOST_BYTES", 1 << 20, "more than 1 MB together"),
    ],
)
def test_too_much(
    main: Path, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, said: str
) -> None:
    (main.parent / "src/deep/tool.lua").write_text("-- " + "x" * (1 << 20))
    read_program(main)
    monkeypatch.setattr(rules, bound, most)
    with pytest.raises(AoError, match=said):
        read_program(main)


def test_a_file_that_cannot_be_read_is_named(main: Path) -> None:
    part = main.parent / "src/part.lua"
    part.chmod(0)
    if os.access(part, os.R_OK):
        part.unlink()
        os.mkfifo(part)  # no file to read, and none that is waited for
        assert paths(main) == ["main.lua"]
    else:
        with pytest.raises(AoError, match=r"src/part\.lua cannot be read"):
            read_program(main)


def test_names_come_back_out_of_a_bundle(tmp_path: Path) -> None:
    main = write(tmp_path, {"main.lua": "require('.a}b') require [[a}b]]", "a}b.lua": "return 1"})
    source = bundle(main).source
    assert unbundle(source)[0] == ([".a}b", "a}b"], "a}b.lua", b"return 1")


def test_one_file_is_the_chunk_that_it_always_was(tmp_path: Path) -> None:
    """Hashes of blueprints are kept in homes."""
    main = write(tmp_path, {"main.lua": "require('json')"})
    digest = hashlib.sha256(bundle(main).source).hexdigest()
    assert digest == "0aabfdd78f936b3164c56ed169ec29a1d1a9be95aee00e61829c59ee18ad747f"
    assert unbundle(bundle(main).source) == [([], "main.lua", b"require('json')")]


def test_bundles_in_older_logs_are_taken_apart() -> None:
    old = (
        b"MyModule = 'x'\nlocal function file(name, chunk, source)\n  return 1\n"
        b'end\nfile("a.b", [[\n@a/b.lua]], [[\nreturn 1]])\n'
        b"return file(nil, [[\n@main.lua]], [=[\nx = [[]] ]=])\n"
    )
    assert unbundle(old) == [(["a.b"], "a/b.lua", b"return 1"), ([], "main.lua", b"x = [[]] ")]


# Commands -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("home")
def test_commands_find_the_same_files(typing: Use, main: Path) -> None:
    async def body(typed: Typing) -> None:
        loaded = await typed(f".load {main}")
        assert isinstance(loaded, CommandOutput) and loaded.answer is not None
        assert loaded.answer.last.output == "tooltool"
        assert isinstance(loaded.value, dict) and loaded.value["files"] == FILES
        assert loaded.note.split("\n")[:4] == [
            "main.lua",
            "├─ src/part.lua",
            "│  └─ src/deep/tool.lua",
            "└─ src/part.lua",
        ]
        keys = await typed.value("tostring(package.loaded['.src.part'] == require('src.part'))")
        assert keys == "true"
        await typed(f".publish {main} as program")
        assert "src/part.lua" in await typed.seen(f".publish {main}")
        for line in (f".spawn {main} as one", ".spawn program as two"):
            await typed(line)
        await typed(f".mock {'x' * 43} {main} as three")
        (three,) = [p for p in await typed.value(".ps") if p["name"] == "three"]
        assert three["slots"] == 1
        for name in ("one", "two"):
            assert await typed.value(f".attach {name}")
            assert await typed.value("require('.src.part').name") == "tool"
        assert "nothing found" in await typed.text(f".check {main}")
        shown = await typed(f".load-blueprint {main} --yes")
        assert isinstance(shown, CommandOutput) and shown.ok
        await typed(f".watch {main}")
        assert "loaded" in await typed.heard("loaded")
        os.utime(main.parent / "src/deep/tool.lua", ns=(10**9, 10**9))
        assert "loaded" in await typed.heard("loaded")
        await typed(".watch off")

    typing(body)


@pytest.mark.usefixtures("home")
def test_commands_say_whose_place_a_file_takes(typing: Use, tmp_path: Path) -> None:
    main = write(
        tmp_path, {"main.lua": "return require('.utils').mine", "utils.lua": "return {mine=7}"}
    )
    said = "utils.lua takes the place of aos's own module '.utils'"

    async def body(typed: Typing) -> None:
        loaded = await typed(f".load {main}")
        assert isinstance(loaded, CommandOutput) and said in loaded.note and loaded.answer
        assert loaded.answer.last.output == "7"
        for line in (f".publish {main}", f".check {main}"):
            reply = await typed(line)
            assert isinstance(reply, CommandOutput) and said in reply.note
        for line in (f".spawn {main} as one", f".mock {'x' * 43} {main}", f".watch {main}"):
            await typed(line)
            assert said in await typed.heard("takes the place")
        await typed(".watch off")
        await typed(f".load-blueprint {main} --yes")
        assert said in await typed.heard("takes the place")

    typing(body)


def test_a_file_that_comes_to_be_is_loaded(typing: Use, tmp_path: Path) -> None:
    main = write(tmp_path, {"main.lua": "print(require('late'))"})

    async def body(typed: Typing) -> None:
        await typed(f".watch {main}")
        assert "main.lua:1: module 'late' not found" in await typed.heard("failed")
        (tmp_path / "late.lua").write_text("return 1")
        await typed.heard("loaded")
        await typed(".watch off")

    typing(body)


def test_circles(typing: Use, tmp_path: Path) -> None:
    main = write(
        tmp_path,
        {
            "main.lua": "return require('one').hello()",
            "one.lua": "return { name = 'one', hello = function() return require('two')() end }",
            "two.lua": "local one = require('.one')\nreturn function() return one.name end",
        },
    )

    async def body(typed: Typing) -> None:
        loaded = await typed(f".load {main}")
        assert isinstance(loaded, CommandOutput) and loaded.answer
        assert loaded.answer.last.output == "one"
        assert "nothing found" in await typed.text(f".check {main}")
        await typed(f".spawn {main} as lazy")
        (tmp_path / "one.lua").write_text("\nlocal two = require('two')\nreturn {}")
        circle = "files require each other in a circle: one.lua → two.lua → one.lua"
        seen = await typed.seen(f".load {main}")
        assert f"two.lua:1: {circle}" in seen and "1 │ local one" in seen
        assert circle in await typed.error(f".spawn {main} as true")
        (found,) = (await typed.json(f".check {main}"))["value"]
        assert (found["rule"], found["file"], found["line"]) == ("circle", "two.lua", 1)
        assert found["message"] == circle
        assert found["targets"] == ["legacy", "hyperbeam"]

    typing(body)


def test_names_that_are_computed_are_left_to_run_time(typing: Use, tmp_path: Path) -> None:
    main = write(tmp_path, {"main.lua": "local n = 'a'\nprint(require(n .. 'b'))", "ab.lua": ""})

    async def body(typed: Typing) -> None:
        (found,) = (await typed.json(f".check --target legacy {main}"))["value"]
        assert (found["severity"], found["line"]) == ("note", 2)
        assert "known only at run time" in found["message"]
        seen = await typed.seen(f".load {main}")
        assert "main.lua:2: module 'ab' not found" in seen

    typing(body)


def test_lua_tests_find_the_same_files(
    main: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(main.parent)
    (main.parent / "a_test.lua").write_text(
        "local part = require('.src.part')\n"
        "test('files', function(t)\n"
        "  t:equal(part.name .. require('src.deep.tool').name, 'tooltool')\n"
        "  local made = t:spawn('main.lua')\n"
        "  t:equal(made:eval(\"require('.src.part').name\"), 'tool')\n"
        "end)\n"
    )
    assert run_tests(["a_test.lua"]) == 0, capsys.readouterr().out


def test_python_tests_find_the_same_files(main: Path) -> None:
    with open_node() as node:
        assert isinstance(node, Node)
        assert node.spawn(main).value("require('.src.part').name") == "tool"


def test_tests_say_whose_place_a_file_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"main.lua": "return require('.utils')", "utils.lua": "return { mine = 7 }"})
    (tmp_path / "a_test.lua").write_text(
        "local own = require('.utils')\n"
        "test('files', function(t)\n"
        "  t:equal(own.mine, 7)\n"
        "  t:equal(t:spawn('main.lua'):eval(\"require('.utils').mine\"), '7')\n"
        "end)\n"
    )
    said = "utils.lua takes the place of aos's own module '.utils'"
    assert run_tests(["a_test.lua"]) == 0
    assert said in capsys.readouterr().err
    with open_node() as node, pytest.warns(UserWarning, match="takes the place"):
        node.spawn(tmp_path / "main.lua")


def test_flags_find_the_same_files(home: Settings, main: Path) -> None:
    begin = [sys.executable, "-c", "from aoshell.cli import main; main()", "desk"]
    done = subprocess.run(
        [*begin, "--module", str(main), "--load", str(main), "--run", "require('.src.part').name"],
        capture_output=True, text=True, timeout=60, check=False,
        env=os.environ | {"AOSHELL_HOME": str(home.home)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "tooltool\ntool\n"), done.stderr
    assert "└─ src/deep/tool.lua" in done.stderr


# What others wrote --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "printed"),
    [("dot-require", "helper"), ("dotted", "7"), ("lazy-cycle", "from two, via one")],
)
def test_programs_that_real_aos_or_lua_loads(
    typing: Use, shared: Path, case: str, printed: str
) -> None:
    async def body(typed: Typing) -> None:
        reply = await typed(f".load {shared / 'cases/scripts' / case / 'main.lua'}")
        assert isinstance(reply, CommandOutput) and reply.answer
        assert reply.answer.last.output == printed, reply.answer.last.error

    typing(body)


def test_a_tail_call_says_its_own_line(typing: Use, shared: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(shared / "cases/scripts/tail-place", tmp_path / "tail"))

    async def body(typed: Typing) -> None:
        seen = await typed.seen(f".load {folder / 'main.lua'}")
        assert "mid.lua:2: module 'zzz.none' not found" in seen
        assert '  2 │ return require("zzz.none")' in seen

    typing(body)
