"""`aoshell test` as a command: choosing, finding, what a person reads."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aoshell.errors import UsageError
from aoshell.testing.command import main

REPO = Path(__file__).resolve().parents[2]


def test_tests_are_chosen_by_name_and_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_test.lua").write_text(
        'test("Minting", function() end) test("burning", function() error("x") end)\n'
        'skip("minting later", function() end)\n'
    )
    assert main(["--json", "-k", "MINT", "a_test.lua"]) == 0
    *found, _end = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(item["name"], item["outcome"]) for item in found] == [
        ("Minting", "passed"),
        ("minting later", "skipped"),
    ]


def test_files_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a_test.lua", "sub/test_b.lua", "sub/c.lua", ".hidden/d_test.lua"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'test("{name}", function() end)')
    assert main([]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"✓ (\S+)", said) == ["a_test.lua", "sub/test_b.lua"]
    assert main(["sub/c.lua"]) == 0
    with pytest.raises(UsageError, match="no file missing"):
        main(["missing.lua"])
    assert main(["--nonsense"]) == 2
    assert main(["--timeout", "x"]) == 2
    assert main(["--help"]) == 0
    with pytest.raises(UsageError, match="no test fits -k 'nothing'"):
        main(["-k", "nothing"])
    (tmp_path / "sub" / "c.lua").write_text("")
    with pytest.raises(UsageError, match="declare no tests"):
        main(["sub/c.lua"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no test files"):
        main(["empty"])


def test_a_folder_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tests in it would be left out unseen. Root may read all, so the system is played."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_test.lua").write_text('test("a", function(t) end)')
    (tmp_path / ".hidden").mkdir()
    closed = {".hidden"}
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if isinstance(path, str) and Path(path).name in closed:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert main([]) == 0
    (tmp_path / "sub" / "below").mkdir(parents=True)
    closed.add("below")
    for given in ([], ["sub"], ["sub/below"]):
        with pytest.raises(UsageError, match=r"folder .*below cannot be read: Perm"):
            main(given)
    assert main(["a_test.lua"]) == 0


def test_what_a_person_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_test.lua").write_text(
        'test("good", function() end)\n'
        'test("bad \\27[2J", function(t)\n'
        '  print("p\\27[31m")\n'
        "  t:equal({ a = 1 }, { a = 2 })\nend)\n"
    )
    assert main(["a_test.lua"]) == 1
    said = re.sub(r"\d+ ms|\d\.\d+ s", "TIME", capsys.readouterr().out)
    assert "\x1b" not in said
    assert said.splitlines() == [
        "a_test.lua",
        "  ✓ good  TIME",
        "  ✗ bad \\x1b[2J  TIME",
        "      a_test.lua:4: not equal",
        "        4 │   t:equal({ a = 1 }, { a = 2 })",
        "        .a: expected 2",
        "            got      1",
        "      │ p",
        "1 passed, 1 failed in TIME",
    ]


def test_the_command_as_a_process_of_its_own(tmp_path: Path) -> None:
    """Nothing is left behind, and the network is not asked for."""
    echo = 'Handlers.add("Echo", "Echo", function(msg) msg.reply({ Action = "Echoed" }) end)'
    (tmp_path / "echo.lua").write_text(echo)
    body = 't:ok(t:spawn("echo.lua"):send { Action = "Echo" }) t:advance("1h")'
    (tmp_path / "a_test.lua").write_text(f'test("é", function(t) {body} end)')
    script = "import sys; from aoshell.testing.command import main; sys.exit(main(sys.argv[1:]))"
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = {"PYTHONPATH": os.pathsep.join([str(REPO), *sys.path]), "TMPDIR": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**environment, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"1 passed" in done.stdout and done.stderr == b""
    assert list(folder.iterdir()) == []
