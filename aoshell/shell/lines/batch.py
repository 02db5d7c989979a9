"""Lines of a pipe or of flags: each runs as if typed, and the next waits until all is settled."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from typing import TypeAlias

from aoshell.bounded.sizes import size
from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.base import Node
from aoshell.protocol.message import Result, text
from aoshell.scarcity import error_of_context
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.asking import Asking
from aoshell.shell.lines.multiline import Assembler
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput, LineFailure
from aoshell.shell.ports.front import Patience
from aoshell.shell.start import OpenNode, Start, close_session, open_session
from aoshell.shell.view.render import Renderer, interrupted, not_run
from aoshell.texts import strip_mark

Reading: TypeAlias = Callable[[], bytes]
"""The next bytes of standard input, b"" at its end; it waits for them."""

LONGEST = 64 << 20  # bytes of a line, or of the lines of one chunk
INTERRUPTED = "interrupted"
_STOPPING = 5.0  # seconds
_LOOKED_AT = 1.0  # seconds before the stage of the built-in node is polled


class BatchFront:
    """The front of a session without a terminal: answers go to stdout, the rest to stderr.

    Args:
        show: called with what arrives besides answers; the renderer's feed by default.
    """

    asks = False

    def __init__(self, renderer: Renderer, show: Callable[[str], None] | None = None) -> None:
        self._renderer = renderer
        self._show, self._note = show or renderer.feed, show or renderer.note
        self._looking: asyncio.TimerHandle | None = None
        self._reporting: asyncio.Task[None] | None = None

    def opened(self, node: Node) -> None:
        # Waits for the built-in node are rare: short runs do not pay for polling it.
        later = 0 if node.remote else _LOOKED_AT
        self._looking = asyncio.get_running_loop().call_later(later, self._report, node)

    def _report(self, node: Node) -> None:
        from aoshell.shell.view.waiting import report

        self._reporting = asyncio.create_task(report(node, self._renderer.note))

    def partial(self, result: Result) -> None:
        self._renderer.partial(result)

    def feed(self, text: str) -> None:
        self._show(text)

    def note(self, text: str) -> None:
        self._note(text)

    def close(self) -> None:
        """End the reports."""
        if self._looking:
            self._looking.cancel()
        if self._reporting:
            self._reporting.cancel()

    async def confirm(self, question: str) -> bool:
        del question
        return False


async def run_batch(
    start: Start,
    settings: Settings,
    open_node: OpenNode,
    renderer: Renderer,
    script: Sequence[str],
    *,
    reading: Reading | None,
    patience: Patience,
    asking: Asking | None = None,
) -> int:
    """Run the script, then standard input if `reading` is given. Returns the exit code.

    Args:
        asking: asks for each line of standard input; None without a person.

    Raises:
        AoError: the session could not be opened.
    """
    front = BatchFront(renderer, asking.beside(renderer.feed) if asking else None)
    lines = Lines(script, reading, asking)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: renderer.error(error_of_context(context)))
    try:
        with _interruption_noted(renderer):
            session = await open_session(start, settings, open_node, front, patience)
        if asking:
            asking.greet(session)
        hurried = False
        try:
            with _interruption_noted(renderer):
                return await run_lines(session, aiter(lines), renderer, lines.sourced)
        except asyncio.CancelledError:
            hurried = True
            front.close()
            await _give_up(session, renderer)
            raise
        finally:
            await close_session(session, hurried=hurried)
    except BrokenPipeError:  # nobody reads any more
        lines.ahead = 0
        lines.sourced.clear()
        raise
    finally:
        front.close()
        if left := lines.ahead + len(lines.sourced):
            renderer.note(not_run(left))


@contextmanager
def _interruption_noted(renderer: Renderer) -> Iterator[None]:
    """Answer Ctrl-C at once, whatever is running."""
    try:
        yield
    except asyncio.CancelledError:
        renderer.note(INTERRUPTED)
        raise


async def run_watch(
    start: Start, settings: Settings, open_node: OpenNode, renderer: Renderer
) -> int:
    """Follow a process and evaluate nothing, until Ctrl-C. Returns the exit code.

    Raises:
        AoError: there is no such process, or its node cannot be asked.
    """
    front = BatchFront(renderer, renderer.followed)
    try:
        session = await open_session(start, settings, open_node, front, Patience.OWN)
        try:
            renderer.note(f"following {session.attached.id}; Ctrl-C leaves")
            await session.followed()
        except asyncio.CancelledError:
            return 0
        finally:
            await close_session(session)
    finally:
        front.close()
    return 1


async def run_lines(
    session: Session,
    lines: AsyncIterator[str],
    renderer: Renderer,
    sourced: deque[str] | None = None,
) -> int:
    """Run chunks until they end or one is `.exit`. Returns the exit code: 1 if any failed.

    Args:
        sourced: collects the lines of files to run before the next chunk.
    """
    code, then = 0, deque[str]() if sourced is None else sourced
    async for line in with_sourced(lines, then):
        outcome = await run_line(session, line)
        renderer.outcome(line, outcome)
        session.feed.release()
        code = code if outcome.ok else 1
        if isinstance(outcome, CommandOutput):
            if outcome.leave:
                break
            then.extendleft(reversed(outcome.then))
        if isinstance(outcome, LineFailure) and _is_last(outcome.error, session):
            break
        if (error := await _settled(session)) and _is_last(error, session):
            raise error
        if error:
            code = 1
            if not isinstance(outcome, LineFailure) or outcome.error.what != error.what:
                renderer.error(error)
    return code


async def with_sourced(lines: AsyncIterator[str], then: deque[str]) -> AsyncIterator[str]:
    """The lines, each followed by those that were put into `then` while it ran."""
    async for line in lines:
        yield line
        while then:
            yield then.popleft()


async def _settled(session: Session) -> AoError | None:
    """Wait for all that a line caused; the error if that fails."""
    try:
        await session.settle()
    except AoError as error:
        return error
    return None


def _is_last(error: AoError, session: Session) -> bool:
    """Whether all later lines would fail as well: no process is attached, or the store failed."""
    return error is session.lacking or error.stage == "store"


async def _give_up(session: Session, renderer: Renderer) -> None:
    """After Ctrl-C: stop the line, or the next start would compute it again; remote ones go on."""
    if session.node.local:
        with suppress(AoError, TimeoutError):  # then the next start computes it again
            await asyncio.wait_for(_stopped(session), _STOPPING)
    elif session.sending or session.settling:
        renderer.note(interrupted(session.given_up._replace(ends=True)))


async def _stopped(session: Session) -> None:
    """Stop the line that was waited for, and wait until the log records that as its result."""
    if session.sent and await session.stop():
        await session.node.result(session.sent.process, session.sent.place)


class Lines:
    """Chunks to run: the script, then standard input, with an incomplete rest at its end.

    Attributes:
        ahead: lines that were read and have not run: of the script, or typed ahead.
        sourced: lines of files (`.source`) that have not run.
    """

    def __init__(
        self, script: Sequence[str], reading: Reading | None, asking: Asking | None = None
    ) -> None:
        self.ahead = len(script)
        self.sourced = deque[str]()
        self._script = script
        self._reading = reading
        self._asking = asking

    async def __aiter__(self) -> AsyncIterator[str]:
        for line in self._script:
            self.ahead -= 1
            yield line
        if self._reading:
            async for chunk in self._typed(self._reading):
                yield chunk

    async def _typed(self, reading: Reading) -> AsyncIterator[str]:
        assembler, rest, begun = Assembler(), bytearray(), False
        if self._asking:
            self._asking.ask(more=False)
        async for block in _blocks(reading):
            if self._asking:
                self._asking.answered()
            if not begun:
                block, begun = strip_mark(block, "standard input", "load"), True
            first, *more = block.split(b"\n")
            rest += first
            lines = [bytes(rest), *more[:-1]] if more else []
            self.ahead += sum(map(bool, map(bytes.strip, lines)))
            for line in lines:
                self.ahead -= bool(line.strip())
                if chunk := assembler.add(text(line.removesuffix(b"\r"))):
                    yield chunk
            if more:
                rest = bytearray(more[-1])
            if len(rest) + assembler.size > LONGEST:
                what = f"standard input has a line, or an open block, of more than {size(LONGEST)}"
                raise AoError(what, stage="input", hint="nothing of it was sent; is it Lua?")
            if self._asking:
                self._asking.ask(more=bool(assembler.size))
        if self._asking:
            self._asking.end()
        if rest and (chunk := assembler.add(text(bytes(rest)))):
            yield chunk
        if chunk := assembler.rest():
            yield chunk


async def _blocks(reading: Reading) -> AsyncIterator[bytes]:
    """Blocks of input as they come, while the node goes on working.

    A separate thread reads them. The loop's executor would keep the shell from ending while a read
    blocks, and asyncio's pipes make the descriptor non-blocking for its other owners.
    """
    loop, blocks = asyncio.get_running_loop(), asyncio.Queue[bytes](1)

    def read() -> None:
        block = b"?"
        while block:
            try:
                block = reading()
            except OSError:
                block = b""
            put = blocks.put(block)
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except (RuntimeError, CancelledError):
                put.close()  # the loop has ended
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while block := await blocks.get():
        yield block
