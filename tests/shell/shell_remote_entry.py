"""`aoshell` on a remote node in memory, for tests that need a process of their own."""

from __future__ import annotations

import sys

from shell_remote import RemoteBackend

from aoshell.cli import main

if __name__ == "__main__":
    sys.exit(main(backend=RemoteBackend()))
