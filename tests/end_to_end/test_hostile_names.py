"""Names that no file, process, host or number can have: commands say so, and change nothing."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import program
import pytest
from program import AOSHELL

from aoshell.cli import main
from aoshell.commandline.table import forms
from aoshell.shell.commands.table import TABLE

PACKAGE = Path(__file__).resolve().parents[2] / "aoshell"
ID = "A" * 43
NODE = "http://127.0.0.1:9"  # where nothing listens
GUEST = ("attest", "measure", "--vcpus=1", "--vcpu-type=EPYC-v4", "--firmware=file")

# Neither can be read or written.
PATHS = {
    "a long name": "x" * 300 + ".lua",
    "a long path": "x/" * 3000,
    "a circle of links": "circle/x.lua",
    "a file as a folder": "file/x.lua",
    "an unknown user": "~nobody-here/x.lua",
    "bytes": "gone\udcff/x.lua",
    "controls": "gone\n\x1b[31m/x.lua",
    "a folder": "folder",
}
# What takes a path, by its command and its flag or place; @ stands for the path.
COMMANDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("aoshell", "--load"): ("--load=@", "--run=1"),
    ("aoshell", "--state"): ("--state=@", "--run=1"),
    ("aoshell", "--wallet"): ("--wallet=@", "--run=1"),
    ("aoshell", "--time-profile"): ("--time-profile=@", "--run=1"),
    ("aoshell", "--module"): ("new", "--module=@", "--run=1"),
    ("aoshell", "--data"): ("new", "--data=@", "--run=1"),
    ("test", "FILE"): ("test", "@"),
    ("test", "--junit"): ("test", "good_test.lua", "--junit=@"),
    ("test", "--coverage-report"): ("test", "good_test.lua", "--coverage-report=lcov:@"),
    ("fuzz", "FILE|PROCESS"): ("fuzz", "@"),
    ("fuzz", "--invariants"): ("fuzz", "good.lua", "--invariants=@"),
    ("fuzz", "--load"): ("fuzz", "good.lua", "--load=@"),
    ("fuzz", "--module"): ("fuzz", "good.lua", "--module=@"),
    ("fuzz", "--out"): ("fuzz", "good.lua", "--out=@"),
    ("serve", "--state"): ("serve", "--port=0", "--state=@"),
    ("compare", "--module"): ("compare", NODE, ID, "--module=@"),
    ("compare", "--load"): ("compare", NODE, ID, "--load=@"),
    ("dump", "FILE"): ("dump", "@"),
    ("load", "FILE"): ("load", "@"),
    ("attest", "NODE|FILE"): ("attest", "@"),
    ("attest", "--vek"): ("attest", "file", "--vek=@"),
    ("attest", "--chain"): ("attest", "file", "--chain=@"),
    ("attest", "--crl"): ("attest", "file", "--crl=@"),
    ("attest", "--ek-chain"): ("attest", "file", "--ek-chain=@"),
    ("attest", "--policy"): ("attest", "file", "--policy=@"),
    ("attest", "--save"): ("attest", NODE, "--save=@"),
    ("attest measure", "--firmware"): (*GUEST, "--firmware=@"),
    ("attest measure", "--kernel"): (*GUEST, "--kernel=@"),
    ("attest measure", "--initrd"): (*GUEST, "--kernel=file", "--initrd=@"),
    ("attest measure", "--policy"): (*GUEST, "--trust=x", "--policy=@"),
}
HOMES = ("a long name", "a long path", "a circle of links", "a file as a folder", "an unknown user")
FILE_KINDS = re.compile("FILE|MODULE|BLUEPRINT")
# The same for dot commands.
LINES = {
    "attest": (".attest @", ".attest file --save @"),
    "check": (".check @",),
    "compare": (".compare --module @", ".compare --load @", ".compare --load @@7"),
    "export": (".export @",),
    "import": (".import @ as copy",),
    "load": (".load @",),
    "load-blueprint": (".load-blueprint @",),
    "mock": (f".mock {ID} @",),
    "publish": (".publish @ as name",),
    "record": (".record @",),
    "source": (".source @",),
    "spawn": (".spawn @ as other",),
    "wasm": (".wasm @",),
    "watch": (".watch @",),
}

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the paths lead through."""
    folder = tmp_path / "work"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_text("text")
    (folder / "good.lua").write_text('Handlers.add("a", "A", function(msg) end)\n')
    (folder / "good_test.lua").write_text('test("a", function(t) end)\n')
    (folder / "circle").symlink_to("circle")
    return folder


@pytest.fixture
def run(environment: dict[str, str], folder: Path) -> Run:
    """Runs the program in that folder."""

    def run(*words: str, input: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        return program.run(
            [*AOSHELL, *words],
            input=input,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
            env=environment | more,
            cwd=folder,
        )

    return run


def content(folder: Path) -> list[tuple[str, bytes]]:
    found = sorted(path for path in folder.rglob("*") if not path.is_symlink())
    return [(str(path), path.read_bytes() if path.is_file() else b"") for path in found]


def is_fit(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether it has failed with an error for people that shows no control characters."""
    shown = done.stdout + done.stderr
    wrong = ("defect", "Traceback", "\x1b", "Errno", "Could not determine")
    lines = shown.splitlines()
    return (
        done.returncode in (1, 2)
        and bool(shown)
        and not any(word in shown for word in wrong)
        and not any(line.startswith("/x.lua") for line in lines)
    )


def test_each_flag_and_place_that_takes_a_path_is_tried() -> None:
    taken = set()
    for form in forms():
        taken |= {
            (form.key, flag.names[0]) for flag in form.flags if flag.value and flag.value.file
        }
        taken |= {(form.key, place.name) for place in form.places if place.file}
    taken |= {("test", "--coverage-report"), ("compare", "--load")}  # FORM:FILE, FILE@SLOT
    assert taken == set(COMMANDS)
    assert {name for name, row in TABLE.items() if FILE_KINDS.search(row.usage)} == set(LINES)


def called(words: list[str], capfd: pytest.CaptureFixture[str]) -> Any:
    """A command in the test's own process, which is ten times as fast."""
    try:
        code = main(words)
    except SystemExit as leaving:
        code = int(leaving.code or 0)
    out, err = capfd.readouterr()
    return subprocess.CompletedProcess(words, code, out, err)


@pytest.mark.parametrize("what", COMMANDS, ids=" ".join)
def test_a_path_of_the_command_line(
    run: Run,
    environment: dict[str, str],
    folder: Path,
    what: tuple[str, str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    before = content(folder)
    for kind, path in PATHS.items():
        words = [word.replace("@", path) for word in COMMANDS[what]]
        done = run(*words) if what[0] in ("aoshell", "serve") else called(words, capfd)
        assert is_fit(done), (kind, done.returncode, done.stdout, done.stderr)
        assert content(folder) == before


def test_paths_of_lines(run: Run, folder: Path) -> None:
    paths = [
        *(path for path in PATHS.values() if "\n" not in path),
        "gone/\0x.lua",
        "gone/\x1b[31m",
    ]
    lines = [
        line.replace("@@", f"{path}@").replace("@", path) if line.endswith("@") else
        line.replace("@@7", f"{path}\0").replace("@", path).replace("\0", "@7")
        for forms in LINES.values() for line in forms for path in paths
    ]  # fmt: skip
    before = content(folder)
    done = run("--json", input="\n".join(lines) + "\n")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines)
    for answer in answers:
        assert not answer["ok"] and answer["stage"] != "shell", answer
    assert content(folder) == before


@pytest.mark.parametrize("kind", HOMES)
@pytest.mark.parametrize("words", [("--run=1",), ("--list",), ("fuzz", "p"), ("dump", "-")])
def test_a_home(run: Run, folder: Path, kind: str, words: tuple[str, ...]) -> None:
    before = content(folder)
    done = run(*words, AOSHELL_HOME=PATHS[kind])
    if words == ("--list",) and not done.returncode:
        assert done.stdout.startswith("NAME") and done.stdout.count("\n") == 1
    else:
        assert is_fit(done), done.stderr
    assert content(folder) == before


@pytest.mark.parametrize("name", ["bytes\udcff", "two\nlines"])
def test_a_home_with_a_strange_name_works(run: Run, folder: Path, name: str) -> None:
    done = run("--run=1", AOSHELL_HOME=str(folder / name))
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr


HOSTS = ("a" * 64, "é" * 70, "..", ".", "a" * 5000, "[", "[::1", "a:99999", "a:x", "")


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: repr(host[:8]))
def test_hosts(run: Run, host: str) -> None:
    done = run("new", f"--node=http://{host}", "--run=1")
    assert done.returncode == 2 and is_fit(done), done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("--watch=\udcff",),
        ("\udcff", "--run=1"),
        ("--node=\udcff", "--run=1"),
        ("fork", NODE, "\udcff", "as", "n"),
        ("fork", NODE, ID, "as", "\udcff"),
        ("fork", NODE, ID, "as", "n", "--with=\udcff"),
        ("new", "--module=\udcff", "--run=1"),
        ("fuzz", "\udcff"),
    ],
    ids=lambda words: repr(words[0]),
)
def test_names_that_are_not_utf8(run: Run, words: tuple[str, ...]) -> None:
    assert is_fit(run(*words))


NUMBERS = ("9" * 5000, "１２", "1_0", "+5", " 5", "5 ", "nan", "inf", "-1", "²", "1e400", "")
NUMERIC = (
    ("new", "--run=1", "--timeout"),
    ("new", "--run=1", "--memory"),
    ("test", "good_test.lua", "-j"),
    ("test", "good_test.lua", "--durations"),
    ("test", "good_test.lua", "--timeout"),
    ("fuzz", "good.lua", "--for"),
    ("serve", "--port"),
    ("serve", "--port=0", "--gas"),
    ("serve", "--port=0", "--body"),
    ("attest", "file", "--at"),
    (*GUEST, "--vcpus"),
)


@pytest.mark.parametrize("words", NUMERIC, ids=" ".join)
def test_numbers_of_flags(run: Run, words: tuple[str, ...]) -> None:
    for number in NUMBERS:
        if words[0] == "fuzz" and number in (" 5", "5 "):
            continue  # spans have blanks: 1d 12h
        done = run(*words[:-1], f"{words[-1]}={number}" if words[-1] != "-j" else f"-j{number}")
        assert done.returncode == 2 and is_fit(done), (number, done.stderr)
    assert run("serve", "--port=000000199999").returncode == 2  # zeros hide nothing


def test_numbers_and_names_of_lines(run: Run) -> None:
    forms = (".log @", ".inbox @", ".at @ 1", ".json main@@ 1", ".warp @s", ".step @", ".why @")
    forms += (".limits seconds @", ".serve @", ".bench 1 @", ".result @")
    lines = [form.replace("@@", "\0").replace("@", number).replace("\0", f"@{number}")
             for form in forms for number in ("9" * 20, "9" * 5000)]  # fmt: skip
    lines += [".nodes --tee http://[", f".mock {ID} good.lua as \udcff", ".serve 000001999999"]
    lines += [".attach \udcff", ".spawn \udcff", ".attach " + "x" * 5000, ".snapshot a\0b"]
    done = run("main", "--json", input="\n".join(lines) + "\n")
    for answer in map(json.loads, done.stdout.splitlines()):
        assert answer.get("stage") != "shell", answer


def test_paths_that_are_named_are_made_in_one_place() -> None:
    """`~` of an unknown user, and circles of links, end a program that resolves them itself."""
    own = re.compile(r"\.expanduser\(|(?<!cwd\(\))\.resolve\(\)")
    known = {"bounded/files.py", "sandbox/supervising/zygote_handle.py", "nodes/joined/door.py"}
    found = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if own.search(file.read_text("utf-8"))
    }
    assert found <= known
