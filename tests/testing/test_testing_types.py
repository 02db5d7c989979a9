"""A user's project, checked by mypy as strictly as it can; and what `dir()` says."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import aoshell
import aoshell.testing

REPO = Path(__file__).resolve().parents[2]

PROJECT = """
from collections.abc import Callable
from pathlib import Path

import aoshell
from aoshell.errors import AoError
from aoshell.testing import Answer, AsyncNode, AsyncProcess, Clock, EvalFailed, Identity, Mail, Node
from aoshell.testing import Process, open_node, record


async def balance(session: aoshell.AoSession, who: str) -> int:
    answer: Answer = await session.send("Balance", Recipient=who)
    return int(answer.messages[0]["Balance"])


async def bank() -> str:
    async with aoshell.open("bank", home=Path("home"), said=print) as session:
        try:
            told = await session.eval("1 + 1")
        except EvalFailed as error:
            return error.what
        await session.run(".ps")
        return told.output + session.process.id


def sync() -> int:
    with open_node() as node:
        coin: Process = node.spawn("coin.lua", name="coin", Cron_Interval="1-hour")
        alice = Identity("alice")
        paid = coin.send("Mint", Recipient=alice, Quantity=5, as_=alice)
        mails: list[Mail] = node.inbox(alice)
        node.clock.advance("1h")
        twin: Process = coin.fork(1, "twin")
        coin.step(1)
        assert paid.reply is not None
        return len(mails) + len(twin.prints()) + len(paid.reply.action)


async def waits(node: AsyncNode) -> AsyncProcess:
    coin = await node.spawn("coin.lua")
    await coin.send("Mint", "data", Quantity=1)
    return await coin.fork()


async def opened() -> None:
    async with aoshell.testing.open_node() as node:
        coin = await waits(node)
        print(coin.id, await node.undelivered())


def test_coin(
    ao_node: Node,
    ao_process: Callable[..., Process],
    identity: Callable[[str], Identity],
    clock: Clock,
) -> None:
    coin = ao_process("coin.lua")
    print(record(coin.entries()) if coin.entries() else "", clock.now(), identity("alice").address)


def refused(error: AoError) -> str:
    return f"{error.stage}: {error.what} {error.hint}"
"""
WRONG = """
import aoshell
from aoshell.testing import open_node

with open_node() as node:
    node.spawn(7)
    node.inbox("alice").sender
aoshell.open(node=1)
aoshell.close()
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with an environment of its own, in which aoshell is installed (editable)."""
    folder = tmp_path_factory.mktemp("project")
    venv.create(folder / ".venv", symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / ".venv" / "lib" / version / "site-packages"
    others = sysconfig.get_paths()["purelib"]
    (packages / "aoshell.pth").write_text(f"{REPO}\n{others}\n")
    return folder


def check(project: Path, name: str, text: str) -> subprocess.CompletedProcess[str]:
    (project / name).write_text(text)
    return subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--strict", "--config-file", "", name),
            *("--python-executable", ".venv/bin/python", "--cache-dir", ".cache"),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_strict_project_passes(project: Path) -> None:
    done = check(project, "project.py", PROJECT)
    assert (done.returncode, done.stdout) == (0, "Success: no issues found in 1 source file\n")


def test_what_is_wrong_is_seen(project: Path) -> None:
    """Types that were Any would let all of it pass."""
    lines = [line for line in check(project, "wrong.py", WRONG).stdout.splitlines() if ":" in line]
    assert [int(line.split(":")[1]) for line in lines if "error" in line] == [6, 7, 7, 8, 9]


def test_dir_is_complete() -> None:
    assert {"AoSession", "__version__", "open", "testing"} <= {*dir(aoshell)}
    assert {*aoshell.testing.__all__} <= {*dir(aoshell.testing)}
    for module in (aoshell, aoshell.testing):
        for name in dir(module):
            getattr(module, name)


def test_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aoshell", "--version"],
        cwd=REPO,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, f"aoshell {aoshell.__version__}\n")
