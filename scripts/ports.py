"""Ports of loopback, for scripts that start servers."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

HOST = "127.0.0.1"
_CONNECTING = 10.0  # seconds
_PAUSE = 0.1  # seconds between two tries


def free_port() -> int:
    """A port that is free now."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def connected(port: int) -> socket.socket:
    """A connection to a port."""
    return socket.create_connection((HOST, port), _CONNECTING)


def until_open(port: int, seconds: float, alive: Callable[[], bool] = lambda: True) -> bool:
    """Wait until a server listens on a port; returns whether one does.

    Args:
        alive: whether the server still runs.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and alive():
        with contextlib.suppress(OSError), connected(port):
            return True
        time.sleep(_PAUSE)
    return False
