"""Work in a thread that the end of the program does not wait for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from aoshell.interrupts import in_background, run_at_once


def test_the_end_does_not_wait_for_it() -> None:
    """Were it waited for, this would not end."""
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait()

    async def give_up() -> None:
        waiting = in_background(work)
        await asyncio.to_thread(begun.wait)
        waiting.cancel()

    try:
        asyncio.run(give_up())
        assert not go_on.is_set()
    finally:
        go_on.set()


def test_what_it_returns_and_raises() -> None:
    def failing() -> None:
        raise ValueError("no")

    async def both() -> None:
        assert await in_background(lambda: 5) == 5
        with pytest.raises(ValueError, match="no"):
            await in_background(failing)

    asyncio.run(both())


# A thread whose stack holds Rust calls Python, while the interpreter ends: what aborts the program.
_ENDING = """
import sys, threading, time
from cryptography.hazmat.primitives import hashes
from aoshell import cli, entry, interrupts

begun = threading.Event()

class Slow(hashes.SHA256):
    @property
    def name(self):
        begun.set()
        time.sleep(0.3)
        return "sha256"

class Late:
    def __del__(self, sleep=time.sleep):
        sleep(1)

sys.modules["late"] = Late()

def run():
    threading.Thread(target=lambda: hashes.Hash(Slow()), daemon=True).start()
    begun.wait()
    print("printed", end="")
    return CODE

cli.main = run
sys.exit(entry.main())
"""


@pytest.mark.parametrize("code", [0, 3])
def test_the_program_ends_with_its_code_while_a_thread_works(code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ENDING.replace("CODE", str(code))],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "printed", "")


async def _told(what: str) -> str:
    return what


async def _failing() -> None:
    raise KeyError(await _told("x"))


def test_what_waits_for_nothing_needs_no_loop() -> None:
    assert run_at_once(_told("done")) == "done"
    with pytest.raises(KeyError):
        run_at_once(_failing())
    with pytest.raises(RuntimeError, match="waits"):
        run_at_once(asyncio.sleep(0))
