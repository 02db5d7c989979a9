"""Ctrl-C ends the program without a traceback if no coroutine can be cancelled.

Python would raise KeyboardInterrupt anywhere, even in an import or a finalizer, and print a
traceback if nothing catches it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    import asyncio

INTERRUPTED = 130  # exit code after Ctrl-C, as in shells
_BLOCKED = 1.0  # seconds without a turn of the loop after which Ctrl-C raises at once
_T = TypeVar("_T")
_before: list[Callable[[], None]] = []


def end_on_ctrl_c() -> None:
    """From now on Ctrl-C ends the program at once.

    If the parent process ignores SIGINT, it stays ignored: a shell starts background jobs so.
    """
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)


def heed() -> None:
    """React to Ctrl-C even if the parent ignores it: there is a person at the terminal."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, _end)


def call_before_end(call: Callable[[], None]) -> None:
    """Call a function before Ctrl-C ends the program."""
    _before.append(call)


def forget_before_end(call: Callable[[], None]) -> None:
    """Undo `call_before_end`."""
    _before.remove(call)


@contextmanager
def kept() -> Iterator[None]:
    """Within the block, Ctrl-C between two coroutines ends the next one at its start.

    For code that must remove the files and processes that it makes between them.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, _Kept())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Kept:
    """A signal handler that only notes that the signal came."""

    came = False

    def __call__(self, _number: int, _frame: object) -> None:
        self.came = True


@contextmanager
def ended_alike() -> Iterator[None]:
    """While the block runs, SIGTERM and SIGHUP act like Ctrl-C and end the program after it.

    For code that must remove files. Signals that the parent process ignores stay ignored.
    """
    import sys
    import threading

    came: list[int] = []

    def end(number: int, _frame: object) -> None:
        came.append(number)
        signal.raise_signal(signal.SIGINT)

    taken = []
    if threading.current_thread() is threading.main_thread():  # only it may handle signals
        ends = (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            taken = [number for number in ends if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
        if came:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):  # nobody reads, or it is closed
                    stream.flush()
            signal.raise_signal(came[0])


@contextmanager
def ignored() -> Iterator[None]:
    """While the block runs, Ctrl-C does nothing. For short cleanups."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def run(work: Coroutine[Any, Any, _T]) -> _T:
    """As `asyncio.run`: Ctrl-C cancels the work and raises KeyboardInterrupt after its end."""
    import asyncio

    runner = asyncio.Runner()
    try:
        with _taken(runner.get_loop()) as ctrl_c, runner:
            return ctrl_c.run(runner, work)
    finally:
        work.close()


def run_on(runner: asyncio.Runner, work: Coroutine[Any, Any, _T]) -> _T:
    """As `Runner.run`, but Ctrl-C raises KeyboardInterrupt at any moment, and never hangs.

    See `_CtrlC` for what the runner itself would do.
    """
    try:
        with _taken(runner.get_loop()) as ctrl_c:
            return ctrl_c.run(runner, work)
    finally:
        work.close()


class _CtrlC:
    """Cancels what a loop runs, between two of the loop's calls, each time Ctrl-C is pressed.

    `asyncio.Runner` cancels at the first Ctrl-C and raises KeyboardInterrupt at the second,
    wherever Python is. If the loop has just taken a call from its queue, that call is lost; the
    task that waits for it never ends, and nor does the runner, which waits for all tasks.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.came = False
        self._loop = loop
        self._task: asyncio.Task[Any] | None = None
        self._unheard: float | None = None  # when Ctrl-C came, until the loop handles it

    def run(self, runner: asyncio.Runner, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of a coroutine. Raises CancelledError if Ctrl-C ended it."""
        import asyncio

        async def cancellable() -> _T:
            self._task = asyncio.current_task()
            if self.came:
                raise asyncio.CancelledError
            return await work

        return runner.run(cancellable())

    def take(self, _number: int, _frame: object) -> None:
        """Handle the signal, anywhere in Python: the loop does the rest."""
        import time

        self.came, now = True, time.monotonic()
        if self._unheard is None:
            self._unheard = now
        elif now - self._unheard > _BLOCKED:
            raise KeyboardInterrupt
        with suppress(RuntimeError):  # the loop is closed: nothing is left to cancel
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        import asyncio

        self._unheard = None
        if self._task is None:  # it has not begun: it checks `came` at its start
            return
        # After its end the runner waits for all other tasks.
        tasks = asyncio.all_tasks(self._loop) if self._task.done() else {self._task}
        for task in tasks:
            task.cancel()


@contextmanager
def _taken(loop: asyncio.AbstractEventLoop) -> Iterator[_CtrlC]:
    """Within the block the loop handles Ctrl-C, if the program or Python handled it before.

    Raises:
        KeyboardInterrupt: Ctrl-C cancelled the work of the block.
    """
    import asyncio
    import threading

    ctrl_c, before = _CtrlC(loop), signal.getsignal(signal.SIGINT)
    in_main = threading.current_thread() is threading.main_thread()  # only it may handle signals
    ours = isinstance(before, _Kept) or before in (_end, signal.default_int_handler)
    if not (in_main and ours):
        yield ctrl_c
        return
    signal.signal(signal.SIGINT, ctrl_c.take)
    if isinstance(before, _Kept):
        ctrl_c.came, before.came = before.came, False
    try:
        yield ctrl_c
    except asyncio.CancelledError:
        if ctrl_c.came:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def run_at_once(work: Coroutine[Any, Any, _T]) -> _T:
    """Run work that waits for nothing, without importing an event loop. Ctrl-C ends it.

    Raises:
        RuntimeError: it waits.
    """
    try:
        work.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    work.close()
    raise RuntimeError("work that was to wait for nothing waits")


def in_background(call: Callable[[], _T]) -> asyncio.Future[_T]:
    """Call a function in a thread that the end of the program does not wait for.

    For work that takes seconds and may be lost: at its end the loop waits for the threads of its
    executor, and Ctrl-C would wait, too. The program ends by `leave`.
    """
    import asyncio
    import threading
    from functools import partial

    loop = asyncio.get_running_loop()
    future: asyncio.Future[_T] = loop.create_future()

    def settle(give: Callable[[], None]) -> None:
        if not future.done():  # it may be cancelled
            give()

    def work() -> None:
        try:
            give = partial(future.set_result, call())
        except Exception as error:
            give = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, give)

    threading.Thread(target=work, daemon=True).start()
    return future


def leave(code: int) -> NoReturn:
    """End the program at once, after flushing its streams.

    Everything that must be closed is closed by now. The interpreter's own shutdown would take
    longer than its start, and would unwind the stack of each daemon thread. If that stack contains
    Rust, as in `cryptography`, the C library aborts the program: "FATAL: exception not rethrown".
    """
    import sys

    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody reads, or it is closed
            stream.flush()
    os._exit(code)


def _end(_number: int, _frame: object) -> None:
    for call in _before:
        call()
    os._exit(INTERRUPTED)
