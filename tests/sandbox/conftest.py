"""A zygote for all tests of the sandbox, and workers from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest
from sandbox_worker import Driven, Workers, driven

from aoshell.sandbox.supervising import zygote_handle
from aoshell.sandbox.supervising.supervisor import Supervisor


def spared(call: Callable[[int, int], None], forbidden: tuple[int, ...]) -> Callable[..., None]:
    def kill(target: int, number: int) -> None:
        assert target > 1 and target not in forbidden, f"a signal to {target} hits bystanders"
        call(target, number)

    return kill


@pytest.fixture(autouse=True)
def _bystanders_are_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests forge what workers say: a bug must fail here before it ends every process there is."""
    monkeypatch.setattr(os, "kill", spared(os.kill, (os.getpid(),)))
    monkeypatch.setattr(os, "killpg", spared(os.killpg, (os.getpgid(0),)))


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    supervisor.start()
    yield supervisor
    supervisor.close()


@pytest.fixture
def worker(supervisor: Supervisor) -> Iterator[Driven]:
    with driven(supervisor) as worker:
        yield worker


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """Workers of a zygote whose program has some lines more."""
    opened: list[Supervisor] = []

    def workers(lines: str) -> Supervisor:
        main = "from aoshell.sandbox.worker.zygote"
        start = zygote_handle.START.replace(main, lines + main)
        monkeypatch.setattr(zygote_handle, "START", start)
        opened.append(Supervisor())
        return opened[-1]

    yield workers
    for own in opened:
        own.close()
