"""`aoshell` on a node in memory, for tests that need a process of their own or a terminal."""

from __future__ import annotations

from shell_fake import FakeBackend

from aoshell import interrupts
from aoshell.cli import main

if __name__ == "__main__":
    interrupts.leave(main(backend=FakeBackend()))
