"""Zygotes that all nodes of a process of tests share: starting one costs more than most tests.

A node that closes kills its workers, and each worker begins as a fork of the zygote as it was when
it started, so nodes do not meet there. A test that stops or counts zygotes has its own.
"""

from __future__ import annotations

from aoshell.sandbox.supervisor import Supervisor


class KeptZygotes(Supervisor):
    """They stay when a node closes, and end with this process."""

    def close(self) -> None:
        pass


SHARED = KeptZygotes()
