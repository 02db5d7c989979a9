"""Zygotes that all nodes of a process of tests share: starting one costs more than most tests.

A node that closes kills its workers, and each worker begins as a fork of the zygote as it was when
it started, so nodes do not meet there. A test that stops or counts zygotes has its own.
"""

from __future__ import annotations

from functools import cache

import pytest

from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.requests.guest import base
from aoshell.testing.testbed.opening import Zygotes


class KeptZygotes(Supervisor):
    """They stay when a node closes, and end with this process."""

    def close(self) -> None:
        pass


SHARED = KeptZygotes()


class KeptTestZygotes(Zygotes):
    """Those of nodes and sandboxes of `aoshell.testing`; they end with this process, too."""

    def shut_down(self) -> None:
        pass


@cache
def _kept() -> KeptTestZygotes:
    return KeptTestZygotes(base=base())


def _zygotes_of_runner(coverage: Coverage | None, _base: bytes) -> Zygotes:
    """Those that count lines are a runner's own."""
    return Zygotes(coverage, base()) if coverage else _kept()


@pytest.fixture
def kept_zygotes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes and commands that would start their own share those of this process."""
    monkeypatch.setattr("aoshell.nodes.local.node.Supervisor", lambda: SHARED)
    monkeypatch.setattr("aoshell.testing.testbed.opening.Supervisor", lambda _watch: _kept())
    monkeypatch.setattr("aoshell.testing.runs.running.Zygotes", _zygotes_of_runner)
