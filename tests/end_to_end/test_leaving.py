"""Leaving while processes compute: nothing that is not so is said, and the log is whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest
from program import AOSHELL, Popen, Spawn

pytestmark = pytest.mark.long

REPO = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]
PING_PONG = """\
P = spawn(ao.env.Module.Id, {Authority = ao.authorities[1]})
Handlers.add("pong", "Pong", function(m) Send({Target = m.From, Action = "Ping"}) end)
Send({Target = P, Action = "Eval", Data = 'Handlers.add("ping", "Ping", function(m) \
Send({Target = m.From, Action = "Pong"}) end)'})
"""
WORK = "local n = 0 for i = 1, 4e6 do n = n + i end return 2"  # worth a checkpoint when leaving
FALSE = ("Traceback", "Exception", "is damaged", "defect", "cannot be used")


def test_leaving_while_messages_go_on(environment: dict[str, str], aoshell: Run) -> None:
    assert aoshell("pp", stdin=PING_PONG).returncode == 0
    said = [aoshell("pp", "--no-wait", "--run", 'Send({Target = P, Action = "Ping"})').stderr]
    for _ in range(2):
        done = aoshell("pp", "--run", WORK)
        assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr
        said.append(done.stderr)
    said.append(at_a_prompt(environment))
    said.append(interrupted(environment))
    assert not [text for text in said if any(words in text for words in FALSE)], said
    listed = json.loads(aoshell("pp", "--json", "--no-wait", "--run", "return 6 * 7").stdout)
    assert listed["output"] == "42"


def at_a_prompt(environment: dict[str, str]) -> str:
    """What the screen has from a start to Ctrl-D."""
    child = Spawn(AOSHELL[0], [*AOSHELL[1:], "pp"], env=environment, cwd=str(REPO), timeout=60)
    child.expect_exact("Inbox")
    child.send(f"{WORK}\r\x04")
    child.expect(pexpect.EOF)
    said: str = child.before.decode(errors="replace")
    child.close()
    return said


def interrupted(environment: dict[str, str]) -> str:
    """What a script says that is ended by Ctrl-C, twice."""
    shell = Popen(
        [*AOSHELL, "pp", "--run", f"{WORK}", "--run", "while true do end"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=REPO,
    )
    assert shell.stdout and shell.stdout.readline() == "2\n"
    shell.send_signal(signal.SIGINT)
    try:
        shell.wait(0.2)
    except subprocess.TimeoutExpired:
        os.kill(shell.pid, signal.SIGINT)
    return shell.communicate(timeout=60)[1]
