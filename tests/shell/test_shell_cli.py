"""The command, as a process of its own: pipes, flags, exit codes, and a few true terminals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from program import Ended, Popen, run
from shell_fake import FakeBackend, FakeNode
from terminal import Terminal

from aoshell import __version__, cli
from aoshell.home.folders import Settings

ENTRY = Path(__file__).with_name("shell_entry.py")
REPO = Path(__file__).resolve().parents[2]
ARROW = "\x1b[A"


def environment(home: Settings, **more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    own = {"AOSHELL_HOME": str(home.home), "PYTHONPATH": str(REPO), "LC_ALL": "C.UTF-8"}
    return kept | own | {"TERM": "xterm-256color"} | more


def shell(
    home: Settings, *arguments: str, stdin: str | bytes = b""
) -> subprocess.CompletedProcess[str]:
    done = run(
        [sys.executable, str(ENTRY), *arguments],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=60,
        env=environment(home),
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.mark.versions
def test_a_pipe_has_answers_alone_on_stdout(home: Settings) -> None:
    script = 'aos> 1+1\n-- comment\n(2*\n3)\nsend("self", "hi")\n.lod x\nprint("end")'
    done = shell(home, stdin=script)
    assert done.stdout == "2\n6\nsent\nend\n"
    assert "New Message: hi" in done.stderr and "did you mean .load?" in done.stderr
    assert done.returncode == 1


def test_a_pipe_that_succeeds(home: Settings) -> None:
    done = shell(home, "--no-wait", stdin="1+1\r\n.exit\n3+3\n")
    assert (done.returncode, done.stdout) == (0, "2\n")


def test_an_open_end_is_sent_as_it_is(home: Settings) -> None:
    done = shell(home, "--json", stdin='error("x"\n')
    assert json.loads(done.stdout)["input"] == 'error("x"' and done.returncode == 1


def test_input_that_is_no_text(home: Settings) -> None:
    done = shell(home, "--json", stdin=b'print("\xff")\n')
    assert json.loads(done.stdout)["output"] == "\udcff"


def test_run_prints_just_the_value(home: Settings, tmp_path: Path) -> None:
    (tmp_path / "x.lua").write_text("return 1")
    done = shell(home, "--load", str(tmp_path / "x.lua"), "--run", "1+1", stdin="3+3")
    assert (done.returncode, done.stdout) == (0, "loaded\n2\n")
    assert "MyModule = " in done.stderr


def test_json_objects(home: Settings) -> None:
    done = shell(home, "fresh", "--json", "--run", 'send("self", "x")', "--run", ".limits")
    line, command = map(json.loads, done.stdout.splitlines())
    assert set(line) == {
        *("input", "ok", "outcome", "process", "slot", "resumed"),
        *("output", "returned", "error", "hint", "messages", "assignments", "ms", "gas"),
    }
    assert line["messages"][0]["tags"] == [["Action", "Hi"]]
    assert set(command) == {"input", "ok", "value"}
    documented = (REPO / "docs" / "json.md").read_text()
    assert all(f"`{field}`" in documented for field in (*line, *command, *line["messages"][0]))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--nonsense"], "unrecognized"),
        (["-name"], "if it is a NAME, give it last: -- -name"),
        (["--tag-name", "a"], "pairs"),
        (["--timeout", "-1"], "0.001 to 86400"),
        (["--timeout", "nan"], "0.001 to 86400"),
        (["--memory", "65537"], "1 to 65536"),
        (["--list", "a"], "--list takes no name"),
        (["--list", "--run", "1"], "--list only lists, and --run or --load"),
        (["na\udcff", "--run", "1"], "UTF-8"),
        (["--memory", "x"], "--memory"),
        (["lod", "x"], "unrecognized arguments: x (aoshell load is a command)"),
        (["alpha", "beta"], "unrecognized arguments: beta\n"),
        (["x", "--cron", "soon", "--run", "1"], "no interval"),
    ],
)
def test_misuse_is_2(home: Settings, arguments: list[str], said: str) -> None:
    done = shell(home, *arguments)
    assert done.returncode == 2 and said in done.stderr and not done.stdout


@pytest.mark.parametrize("id_", ["-" + "a" * 42, "--" + "A" * 41])
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{}", "--run", "1"], 1, "processes are called {}"),
        (["--run", "1", "--json", "{}"], 1, "processes are called {}"),
        (["--watch", "{}"], 1, "processes are called {}"),
        (["x", "--wallet", "{}", "--run", "1"], 1, "no wallet at {}"),
        (["x", "--data", "{}", "--run", "1"], 1, "no file {}"),
        (["--list", "{}"], 2, "but got {}"),
        (["{}", "{}"], 2, "unrecognized arguments: {}"),
        (["attest", "{}"], 2, "{} cannot be read"),
        (["attest", "--vek", "{}", "{}"], 2, "{} cannot be read"),
        (["test", "{}"], 2, "no file {}"),
        (["--run", ".attach {}"], 1, "processes are called {}"),
        (["--run", ".delete {}"], 1, "processes are called {}"),
    ],
)
def test_an_id_that_begins_as_a_flag_is_an_id(
    home: Settings, id_: str, arguments: list[str], code: int, said: str
) -> None:
    done = shell(home, *(one.replace("{}", id_) for one in arguments))
    assert (done.returncode, said.format(id_) in done.stderr) == (code, True), done.stderr


def test_limits_reach_the_node(home: Settings) -> None:
    done = shell(home, "--timeout", "2.5", "--memory", "64", "--json", "--run", ".limits")
    value = json.loads(done.stdout)["value"]
    assert (value["seconds"], value["memory"]) == (2.5, 64 << 20)


def test_version_imports_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"aoshell {__version__}\n"
    done = loaded_by("--version")
    heavy = {"asyncio", "argparse", "dataclasses", "prompt_toolkit", "cryptography", "sqlite3"}
    assert not {*heavy, "lupa"} & done


def test_a_file_is_attested_offline_without_an_event_loop(tmp_path: Path) -> None:
    """And without what reads the answers of nodes: it would be half of what is loaded."""
    report = tmp_path / "report"
    report.write_bytes((2).to_bytes(4, "little") + bytes(1180))
    done = loaded_by("attest", str(report), "--offline", code=(1, 3))
    assert not {"asyncio", "secrets", "uuid", "aoshell.shell.outcome"} & done
    answers = ("aoshell.attest.envelope", "aoshell.attest.launch", "aoshell.attest.tpm.")
    of_nodes = {name for name in done if name.startswith(answers)} - {"aoshell.attest.tpm.vendors"}
    assert not of_nodes | {"aoshell.attest.signed", "aoshell.protocol.message"} & done


def test_a_line_loads_what_it_needs(home: Settings) -> None:
    assert shell(home, "--run", "1+1").returncode == 0  # the home is there from then on
    done = loaded_by("--run", "1+1", env=environment(home))
    rooms = ("aoshell.shell.prompt", "aoshell.shell.commands", "aoshell.serve", "aoshell.attest")
    assert not [name for name in done if name.startswith((*rooms, "aoshell.nodes.remote"))]
    others = {"prompt_toolkit", "httpx", "uvicorn", "lupa", "wasmtime", "http_sf", "tomllib"}
    rare = {"aoshell.nodes.transaction", "aoshell.nodes.httpitem", "aoshell.nodes.joined.server"}
    assert not (others | rare) & done


def test_a_start_looks_for_no_garbage(home: Settings) -> None:
    program = (
        "import gc\n"
        "from aoshell.entry import COLLECT\n"
        "gc.set_threshold(*COLLECT)\n"
        "looked = []\n"
        "gc.callbacks.append(lambda phase, info: looked.append(phase))\n"
        "import aoshell.cli as c\n"
        "assert c.main(['--run', '1+1']) == 0 and not looked"
    )
    subprocess.run([sys.executable, "-c", program], cwd=REPO, env=environment(home), check=True)


def loaded_by(
    *arguments: str, code: tuple[int, ...] = (0,), env: dict[str, str] | None = None
) -> set[str]:
    """The modules that a command has loaded when it ends."""
    program = (
        "import json, sys, aoshell.cli as c\n"
        f"code = c.main({list(arguments)!r})\n"
        "print(json.dumps([code, *sys.modules]))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPO, env=env, check=True)
    came, *modules = json.loads(done.stdout.splitlines()[-1])
    assert came in code, done.stdout + done.stderr
    return set(modules)


def test_list(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    node = FakeNode()
    node.make("L" * 43, "na\x1bme", "O" * 43)
    assert cli.main(["--list"], FakeBackend(node)) == 0
    assert "na\\x1bme" in capsys.readouterr().out and home
    assert cli.main(["--list", "--json"], FakeBackend(node)) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "L" * 43


def test_ctrl_c_in_a_pipe_is_130(home: Settings) -> None:
    with Popen(
        [sys.executable, str(ENTRY), "--run", 'print("on") sleep(20)'],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
        text=True,
    ) as process:
        assert process.stderr and "New process" in process.stderr.readline()
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said


def test_a_closed_pipe_ends_quietly(home: Settings) -> None:
    lines = "\\n".join(["1+1"] * 200)
    command = f'printf "{lines}\\n" | "{sys.executable}" "{ENTRY}" | head -n 1'
    done = subprocess.run(
        ["sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(home),
        check=False,
    )
    assert done.stdout == "2\n"
    assert all(line.startswith("New process") for line in done.stderr.splitlines())


@contextmanager
def terminal(
    home: Settings, *arguments: str, entry: Path = ENTRY, **more: str
) -> Iterator[Terminal]:
    shown = Terminal([sys.executable, str(entry), *arguments], environment(home, **more))
    try:
        yield shown
    finally:
        shown.child.close(force=True)


PROMPT = "default@aos-2.0.4[Inbox:{}]>"


@pytest.mark.versions
def test_a_session_in_a_terminal(home: Settings) -> None:
    with terminal(home) as screen:
        screen.see(PROMPT.format(1))
        assert screen.said[0].startswith("New process default")
        screen.type("1+1\r")
        screen.see(f"{PROMPT.format(1)} 1+1", "2", PROMPT.format(2))
        screen.type("f(\r1)\r")
        screen.see(f"{PROMPT.format(2)} f(", " " * 28 + "1)", PROMPT.format(3))
        screen.type('send("self", "hi")\r')
        screen.see("sent", "New Message: hi", PROMPT.format(5))
        screen.type(ARROW)
        screen.see(f'{PROMPT.format(5)} send("self", "hi")')
        screen.type("\x03")
        screen.see(f'{PROMPT.format(5)} send("self", "hi")', PROMPT.format(5))
        screen.type("\x04")
        screen.ended()
        assert screen.child.exitstatus == 0


def test_keys_typed_at_once_are_in_the_line_once(home: Settings) -> None:
    with terminal(home) as screen:
        screen.child.expect("aos> ")
        screen.type("1+1\r2+2\r3+")  # one paste, whose last line is open
        screen.see(" " * len(f"{PROMPT.format(1)} ") + "3+")
        assert sum("1+1" in line for line in screen.said) == 1
        screen.type("4\r")
        screen.see(
            "2", f"{PROMPT.format(2)} 2+2", "4", f"{PROMPT.format(3)} 3+4", "7", PROMPT.format(4)
        )


def test_the_terminal_is_given_back_as_it_was(home: Settings) -> None:
    command = f'stty -a > before; "{sys.executable}" "{ENTRY}"; stty -a > after; echo DO"NE"'
    child = Ended(
        "sh", ["-c", command], env=environment(home), cwd=str(home.home), encoding="utf-8"
    )
    try:
        child.expect("New process", timeout=60)
        child.send("\x04")
        child.expect("DONE", timeout=60)
    finally:
        child.close(force=True)
    assert (home.home / "before").read_text() == (home.home / "after").read_text()


def test_a_failed_start_leaves_a_clean_line(home: Settings) -> None:
    home.wallet.write_text("{}")
    with terminal(home) as screen:
        screen.ended()
        assert screen.said[0].startswith("wallet:")
        assert not any("Traceback" in line for line in screen.said)
        assert screen.child.exitstatus == 1


def test_a_terminal_that_lacks_characters(home: Settings) -> None:
    done = subprocess.run(
        [sys.executable, str(ENTRY), "--run", 'error("x")'],
        capture_output=True,
        env=environment(home, PYTHONIOENCODING="ascii"),
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and b"\\u2502" in done.stderr


def test_no_color(home: Settings) -> None:
    with terminal(home, NO_COLOR="1") as screen:
        screen.type('print("\\27[31mred")\r')
        screen.child.expect("red\r\n")
        assert b"\x1b[31m" not in screen.child.before


def redirected(home: Settings, how: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {how}', sys.executable, str(ENTRY), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(home),
        check=False,
    )
    for noise in ("Traceback", "defect", "Exception ignored", "Warning"):
        assert noise not in done.stderr
    return done


@pytest.mark.parametrize(
    "arguments",
    [["--run", "1+1"], ["--version"], ["--help"], ["test", "--help"], ["attest", "--help"]],
)
@pytest.mark.parametrize(
    ("how", "why"),
    [(">&-", "standard output is not open for writing"), (">/dev/full", "No space left on device")],
)
def test_answers_that_cannot_be_written(
    home: Settings, how: str, why: str, arguments: list[str]
) -> None:
    done = redirected(home, how, *arguments)
    assert done.returncode != 0
    assert f"output: answers cannot be written: {why}" in done.stderr


@pytest.mark.parametrize("how", ["<&-", "2>&-", "2>/dev/full", "<&- 2>&-"])
def test_streams_that_answers_do_not_need(home: Settings, how: str) -> None:
    assert redirected(home, how, "--run", "1+1").stdout == "2\n"
    assert redirected(home, how, "--run", 'error("no")').returncode == 1
    assert redirected(home, f"</dev/null {how}").returncode == 0


def interrupted(home: Settings, pause: float) -> str:
    """What a shell says that is interrupted while lines come, some pauses behind the second."""
    with Popen(
        [sys.executable, str(ENTRY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        process.stdin.write("1+1\nsleep(20)\n")
        process.stdin.flush()
        assert process.stdout.readline() == "2\n"
        for _ in range(3):  # the first of them is taken, the others wait for that
            process.stdin.write("2+2\n")
            process.stdin.flush()
            time.sleep(pause)
        process.send_signal(signal.SIGINT)
        said = process.stderr and process.stderr.read()
        assert process.wait(60) == 130
    return str(said)


def test_ctrl_c_while_lines_come_through_a_pipe(home: Settings) -> None:
    for pause in (0.1, 1.0, 5.0):  # on a busy machine the second line has not begun so soon
        said = interrupted(home, pause)
        if "failed" in said:
            break
    new, word, failed = said.splitlines()
    assert new.startswith("New process") and failed.startswith("slot 2 failed: ")
    assert word == "interrupted"


def test_a_line_that_was_not_evaluated_fails(home: Settings) -> None:
    done = shell(home, "--run", "lost_owner")
    assert done.returncode == 1 and "did not evaluate the line" in done.stderr
    value = json.loads(shell(home, "--json", "--run", "lost_owner").stdout)
    assert (value["ok"], value["outcome"]) == (False, "unevaluated")
    assert "did not evaluate the line" in value["error"]


def test_the_search_is_seen_while_it_is_typed(home: Settings) -> None:
    with terminal(home) as screen:
        screen.see(PROMPT.format(1))
        screen.type("1+1\r")
        screen.see("2", PROMPT.format(2))
        screen.type("5*5\r")
        screen.see("25", PROMPT.format(3))
        screen.type("\x121+")
        screen.see(PROMPT.format(3), "history: 1+", "  1+1")
        screen.type("\r\r")
        screen.see(f"{PROMPT.format(3)} 1+1", "2", PROMPT.format(4))


def test_ctrl_z_gives_the_terminal_back(home: Settings) -> None:
    child = Ended(
        "sh", ["-i"], env=environment(home, PS1="$ "), encoding="utf-8", dimensions=(24, 80)
    )
    try:
        child.send(f'"{sys.executable}" "{ENTRY}"\r')
        child.expect("New process", timeout=60)
        child.send("1+1\r")
        child.expect("Inbox:2", timeout=60)
        child.send("\x1a")
        child.expect("Stopped", timeout=60)
        child.send("fg\r2+3\r")
        child.expect("5\r\n", timeout=60)
        child.send("\x04")
    finally:
        child.close(force=True)
