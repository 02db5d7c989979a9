"""Terminals that only print: TERM=dumb, and the shell mode of Emacs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from program import AOSHELL, Spawn, run

from aoshell import __version__

PROMPT = "\r\ndesk@aos-2.0.4\\[Inbox:\\d\\]> "


@pytest.fixture
def child(environment: dict[str, str]) -> Iterator[pexpect.spawn]:
    found = Spawn(
        AOSHELL[0],
        [*AOSHELL[1:], "desk"],
        env=environment | {"TERM": "dumb"},
        encoding="utf-8",
        timeout=60,
    )
    yield found
    found.close(force=True)


def test_a_greeting_a_prompt_and_a_line_at_a_time(child: pexpect.spawn) -> None:
    child.expect_exact(f"aoshell {__version__}: the process desk on the built-in node.")
    child.expect(PROMPT)
    child.send("1+1\r")
    child.expect(f"\r\n2{PROMPT}")
    child.send("function f()\r")
    child.expect(r"\r\n\.\.\. $")
    child.send("return 'a' .. 1 end\r")
    child.expect(PROMPT)
    child.send("f()\r")
    child.expect(f"\r\na1{PROMPT}")
    child.send("error('no')\r")
    child.expect(f"1: no(.|\n)*{PROMPT}")
    child.send(".help exit\r")
    child.expect(PROMPT)
    child.send("\x04")
    child.expect("\r\n$|\r\n")
    child.expect(pexpect.EOF)
    assert "\x1b" not in child.before


def test_what_arrives_has_lines_of_its_own(child: pexpect.spawn) -> None:
    child.expect(PROMPT)
    child.send("Send({ Target = ao.id, Action = 'Hi' })\r")
    child.expect(f"New Message From .*Action = Hi{PROMPT}")
    child.send("\x04")
    child.expect(pexpect.EOF)


def test_a_pipe_is_not_asked(environment: dict[str, str]) -> None:
    done = run(
        [*AOSHELL, "desk"],
        env=environment | {"TERM": "dumb"},
        input="1+1\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "2\n" and "aos-" not in done.stderr


EMACS = """
(require 'shell)
(setq comint-process-echoes nil)
(let ((buffer (make-comint-in-buffer "ao" nil "aoshell" nil "desk")))
  (with-current-buffer buffer
    (shell-mode)
    (let ((process (get-buffer-process buffer)) (end (+ (float-time) 60)))
      (defun seen (pattern)
        (while (and (< (float-time) end)
                    (not (save-excursion
                           (goto-char (point-min)) (re-search-forward pattern nil t))))
          (accept-process-output process 0.1)))
      (seen "> $")
      (goto-char (point-max)) (insert "'one' .. 1") (comint-send-input)
      (seen "one1\\n.*> $")
      (goto-char (point-max)) (insert "#Inbox + 40") (comint-send-input)
      (seen "41\\n.*> $")
      (process-send-eof process)
      (accept-process-output process 2)
      (princ (buffer-substring-no-properties (point-min) (point-max))))))
"""


def test_the_shell_mode_of_emacs(command: dict[str, str], tmp_path: Path) -> None:
    if not shutil.which("emacs"):
        pytest.skip("there is no emacs here")
    program = tmp_path / "aoshell"
    (tmp_path / "aoshell-under-test").rename(program)
    script = tmp_path / "session.el"
    script.write_text(EMACS)
    done = subprocess.run(
        ["emacs", "-Q", "--batch", "-l", str(script)],
        env=command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any("aoshell" in line and "desk" in line for line in lines)
    assert "desk@aos-2.0.4[Inbox:1]> 'one' .. 1" in lines and "one1" in lines
    assert lines[lines.index("desk@aos-2.0.4[Inbox:1]> #Inbox + 40") + 1] == "41"
