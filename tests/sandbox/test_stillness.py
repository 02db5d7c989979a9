"""Workers that hang are distinguished from those that wait for the processor."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from sandbox_worker import eventually

from aoshell.sandbox.supervising import stillness
from aoshell.sandbox.supervising.stillness import QUIET, STILL, Stillness
from aoshell.sandbox.supervising.supervisor import WorkerHandle

GROUP = 1 << 21
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def looks_until_still(monkeypatch: pytest.MonkeyPatch, used: Iterator[int | None]) -> int:
    """How many looks it takes; `used` is what each look at the processes finds."""
    monkeypatch.setattr(stillness, "_used_if_still", lambda _group: next(used))
    watched, looks = Stillness(), 1
    while not watched.lasts(GROUP):
        looks += 1
    watched.end()  # an answer: all is counted anew
    assert not watched.lasts(GROUP)
    return looks


def test_what_does_nothing_for_long_is_still(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first look at the processes has nothing to compare with.
    assert looks_until_still(monkeypatch, iter([7] * 100)) == QUIET + 1 + STILL


@pytest.mark.parametrize("sign", [None, 8])  # busy; or it has computed since the last look
def test_a_sign_of_life_starts_the_count_again(
    monkeypatch: pytest.MonkeyPatch, sign: int | None
) -> None:
    used = [7] * STILL + [sign] + [8] * 100
    again = STILL + (1 if sign is None else 0)
    assert looks_until_still(monkeypatch, iter(used)) == QUIET + STILL + 1 + again


def test_what_proc_says_of_a_group() -> None:
    def group(code: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code], process_group=0)

    with group("import time; time.sleep(60)") as asleep, group("while True: pass") as busy:
        try:
            assert eventually(lambda: stillness._used_if_still(asleep.pid) is not None, 20)
            assert eventually(lambda: stillness._used_if_still(busy.pid) is None, 20)
        finally:
            asleep.kill()
            busy.kill()
    assert stillness._used_if_still(GROUP) == 0  # no such group


@pytest.mark.parametrize("group", [0, GROUP])
def test_a_zygote_that_forks_no_worker_is_ended(group: int) -> None:
    """The next worker starts another. A zygote that has forked is left alone: its worker hangs."""
    looked, done = list[int](), list[str]()
    loop: Any = SimpleNamespace(add_reader=lambda *_: None)
    zygote: Any = SimpleNamespace(pid=7, close=lambda: done.append("closed"))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        nobody: Any = None
        handle = WorkerHandle(loop, ours, theirs, *[nobody] * 3, zygote, memoryview(b""))
        handle.group = group
        handle._stillness = SimpleNamespace(lasts=lambda one: bool(looked.append(one) or True))  # type: ignore[assignment]
        assert handle.hangs()
    assert looked == [group or 7] and done == ([] if group else ["closed"])
