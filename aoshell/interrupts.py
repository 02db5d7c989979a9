"""What Ctrl-C does where no coroutine can be cancelled: end the program, quietly.

Python would raise KeyboardInterrupt wherever it is, in the middle of an import or of a finalizer,
and print a traceback where nobody catches it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
_T = TypeVar("_T")
_before: list[Callable[[], None]] = []


def end_on_ctrl_c() -> None:
    """From now on Ctrl-C ends the program at once; a program that was told to ignore it goes on."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)


def call_before_end(call: Callable[[], None]) -> None:
    """Call this before such an end."""
    _before.append(call)


def forget_before_end(call: Callable[[], None]) -> None:
    """Take back `call_before_end`."""
    _before.remove(call)


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """As `asyncio.run`: Ctrl-C cancels the work, and raises KeyboardInterrupt when it has ended."""
    import asyncio

    mine = signal.getsignal(signal.SIGINT) is _end
    try:
        if mine:  # the loop takes Ctrl-C over from this handler only
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return asyncio.run(work)
    finally:
        if mine:
            signal.signal(signal.SIGINT, _end)
        work.close()


def _end(_number: int, _frame: object) -> None:
    for call in _before:
        call()
    os._exit(INTERRUPTED)
