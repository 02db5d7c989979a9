"""Who typed a message: a shell by its terminal and process id, as the log keeps it.

`CLIENT` says for whom a node works at the moment. It is a context variable: each task has its own,
so whoever calls a node for several others (the socket of a home, HTTP) sets it for each call.
"""

from __future__ import annotations

import os
from contextlib import suppress
from contextvars import ContextVar

CLIENT: ContextVar[str] = ContextVar("CLIENT", default="")
LONGEST_CLIENT = 64  # characters


def client_name(kind: str = "") -> str:
    """This process as a client: "pts/3:4711", "pipe:4711", "python:4711".

    Args:
        kind: what it is; "" for the terminal that it reads from, "pipe" where there is none.
    """
    if not kind:
        kind = "pipe"
        with suppress(OSError):
            kind = os.ttyname(0).removeprefix("/dev/")
    return f"{kind[: LONGEST_CLIENT - 12]}:{os.getpid()}"
