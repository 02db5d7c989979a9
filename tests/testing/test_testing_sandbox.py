"""The sandbox that tests run in, where its worker does not do what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aoshell.testing.requests import guest


class Silent:
    """A supervisor and its worker, which takes everything and says nothing."""

    def worker(self, *_arguments: Any, **_named: Any) -> Silent:
        return self

    def send(self, _frame: list[Any]) -> None:
        pass

    def stop_computing(self) -> None:
        pass


def test_a_worker_that_does_not_go_back_is_not_taken_for_one_that_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guest, "_LAST", 0.001)

    async def went_back() -> bool:
        silent: Any = Silent()
        sandbox = guest.TestSandbox(silent, 1.0)
        sandbox.keep()
        return await sandbox.go_back()

    assert not asyncio.run(went_back())


class Ending(Silent):
    """A worker that ends, with all its forks, when the one that computes is stopped."""

    def worker(self, *arguments: Any, **_named: Any) -> Ending:
        self.stop_computing = arguments[3]
        return self


def test_a_worker_that_ends_instead_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "_LAST", None)  # no time is too long

    async def went_back() -> bool:
        ending: Any = Ending()
        sandbox = guest.TestSandbox(ending, 1.0)
        sandbox.keep()
        return await asyncio.wait_for(sandbox.go_back(), 30)

    assert not asyncio.run(went_back())
