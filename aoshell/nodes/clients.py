"""Names of clients, for the log: a shell by its terminal and process id.

`CLIENT` is the client for whom a node works now. It is a context variable, so each task has its
own. Code that calls a node for several clients (the socket of a home, HTTP) sets it for each call.
"""

from __future__ import annotations

import os
from contextlib import suppress
from contextvars import ContextVar

CLIENT: ContextVar[str] = ContextVar("CLIENT", default="")
LONGEST_CLIENT = 64  # characters


def client_name(kind: str = "") -> str:
    """The name of this process as a client: "pts/3:4711", "pipe:4711", "python:4711".

    Args:
        kind: the part before the colon; "" for its terminal, or "pipe" without one.
    """
    if not kind:
        kind = "pipe"
        with suppress(OSError):
            kind = os.ttyname(0).removeprefix("/dev/")
    return f"{kind[: LONGEST_CLIENT - 12]}:{os.getpid()}"
