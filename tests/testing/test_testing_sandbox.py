"""The sandbox that tests run in, where its worker does not do what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aoshell.testing import guest


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
