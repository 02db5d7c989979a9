"""The prompt: one prompt_toolkit application that lives as long as the shell.

It is drawn below what was printed. To print is to erase it, write, and draw it again. A line that
was entered is drawn once more as finished and left standing; while it runs, the application shows
no prompt, and keys go into the next line already. Lines entered meanwhile are queued and shown,
with their prompts, when their turn comes.
"""

from __future__ import annotations

import asyncio
import signal
from asyncio import Task
from collections import deque
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import Completer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.formatted_text.utils import fragment_list_width
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import Input
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.lexers import DynamicLexer, Lexer
from prompt_toolkit.output import Output
from prompt_toolkit.styles import BaseStyle
from prompt_toolkit.widgets import SearchToolbar

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.protocol.message import Result
from aoshell.shell.drawing import LeanRenderer, terminal_output
from aoshell.shell.keys import Target, bindings
from aoshell.shell.multiline import chunks
from aoshell.shell.outcome import Outcome, Reply
from aoshell.shell.render import Renderer, cell, clean, prompt_text, width_of
from aoshell.shell.session import Session

_PRIVATE = 0o600


class Prompt(Target):
    """The application, and the front of its session.

    Args:
        prompt: shown until the process gives its own.
        history: file of the lines entered, None for none.
        first: lines to run before the first typed one (`--load`).
    """

    def __init__(
        self,
        prompt: str,
        history: Path | None = None,
        *,
        first: tuple[str, ...] = (),
        colour: bool = True,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self.renderer = Renderer(self.write, self.write, colour=colour, columns=self._columns)
        self._prompt = prompt
        self._session: Session | None = None
        # Lines to run, and whether the screen shows them already.
        self._queue = deque((line, False) for line in first)
        self._wake = asyncio.Event()
        self._running: Task[object] | None = None
        self._interrupted = False
        self._busy = bool(first)
        self._watching: Task[None] | None = None
        self._stage = ""
        self._question: tuple[str, asyncio.Future[str]] | None = None
        self._lexer: Lexer | None = None
        self._buffer = Buffer(history=_history(history), multiline=True)
        self._app = self._application(input, output)

    # --- what a session needs

    def partial(self, result: Result) -> None:
        self.renderer.partial(result)

    def feed(self, said: str) -> None:
        self.renderer.feed(said)

    asks = True

    def opened(self, node: Node) -> None:
        if "remote" in node.capabilities:
            from aoshell.shell.waiting import show

            self._watching = asyncio.create_task(show(node, self._show_stage))

    async def confirm(self, question: str) -> bool:
        self._question = (question, asyncio.get_running_loop().create_future())
        self._app.invalidate()
        try:
            return (await self._question[1]).strip().lower() in ("y", "yes")
        finally:
            self._question = None

    # --- running

    async def run(self, opening: Task[Session]) -> int:
        """Until the user leaves. Returns the exit code.

        Raises:
            AoError: the session could not be opened.
        """
        work = asyncio.create_task(self._work(opening))
        work.add_done_callback(lambda _: self._leave())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self._leave)
        loop.set_exception_handler(self._defect)
        background = asyncio.create_task(self._load_rest())
        self._clear_line()
        try:
            await self._app.run_async(handle_sigint=False, set_exception_handler=False)
        finally:
            background.cancel()
            self._stop_watching()
            if not work.done():
                work.cancel()
            # Not awaited bare: a failure to open the session is what the caller must hear of.
            await asyncio.wait({work})
        if not work.cancelled() and (error := work.exception()):
            raise error
        return 0

    def write(self, said: str) -> None:
        """Print above the prompt."""
        app = self._app
        if app.is_running:
            app.renderer.erase()
        else:
            self._clear_line()
        app.output.write_raw(said)
        app.output.flush()
        if app.is_running:
            app.invalidate()

    def _clear_line(self) -> None:
        """Go to the beginning of a line on which the early prompt may stand."""
        self._app.output.write_raw("\r")
        self._app.output.erase_down()

    async def _work(self, opening: Task[Session]) -> None:
        session = self._session = await asyncio.shield(opening)
        self._stop_watching()
        self._app.invalidate()
        while True:
            while not self._queue:
                self._busy = False
                self._app.invalidate()
                self._wake.clear()
                await self._wake.wait()
            line, drawn = self._queue.popleft()
            if not drawn:
                self.write(self._echo(line))
            self._busy = True
            outcome = await self._watched(session, line)
            self.renderer.outcome(line, outcome)
            session.feed.release()
            if isinstance(outcome, Reply) and outcome.leave:
                return

    async def _watched(self, session: Session, line: str) -> Outcome:
        """Run a line, and show what a remote node is waited for."""
        self.opened(session.node)
        try:
            return await self._outcome(session, line)
        finally:
            self._stop_watching()

    def _stop_watching(self) -> None:
        if self._watching:
            self._watching.cancel()
            self._watching = None
            self._show_stage("")

    def _show_stage(self, said: str) -> None:
        shown = cell(said)
        if shown != self._stage:
            self._stage = shown
            self._app.invalidate()

    async def _outcome(self, session: Session, line: str) -> Outcome:
        """Run a line in the worker's own task: Ctrl-C cancels what it awaits, not the worker."""
        self._running = asyncio.current_task()
        try:
            return await session.run(line)
        except asyncio.CancelledError:
            if not self._interrupted or self._running is None:
                raise
            self._running.uncancel()
            return session.given_up
        finally:
            self._running, self._interrupted = None, False

    async def _load_rest(self) -> None:
        """What the first line does not need, imported while it is typed."""

        def load() -> tuple[Lexer, Completer, BaseStyle]:
            from aoshell.shell.completion import LineCompleter
            from aoshell.shell.highlight import STYLE, LineLexer

            return LineLexer(), LineCompleter(), STYLE

        self._lexer, self._buffer.completer, self._app.style = await asyncio.to_thread(load)
        self._app.invalidate()

    def _defect(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """What failed where nobody waits for it, a key's handler above all: never a traceback."""
        cause = context.get("exception") or context.get("message")
        self.write(f"shell: a defect of the shell itself: {cause!r}\n")

    def _leave(self) -> None:
        if self._app.is_running and not self._app.is_done:
            self._app.exit()

    # --- keys

    def enter(self) -> None:
        buffer = self._buffer
        text = buffer.text
        if self._question:
            self._finish_drawing()
            self._reply(text)
            return
        lines, is_open = chunks(text)
        if is_open or not buffer.document.on_last_line:
            buffer.insert_text("\n")
        else:
            self._accept(lines)

    def interrupt(self) -> None:
        if self._question:
            self._finish_drawing()
            self._reply("")
        elif self._busy:
            self._queue.clear()
            if self._running:
                self._interrupted = True
                self._running.cancel()
            elif self._session is None:
                self.write("Still starting; the line was dropped. Ctrl-D leaves.\n")
                self._busy = False
        elif self._buffer.text:
            self._buffer.cursor_position = len(self._buffer.text)
            self._finish_drawing()
            self._buffer.reset()
        else:
            self._app.create_background_task(self._stop())

    def end(self) -> None:
        if self._question:
            self._finish_drawing()
            self._reply("")
        else:
            self._finish_drawing()
            self._leave()

    def suspend(self) -> None:
        self._app.suspend_to_background()

    def _reply(self, text: str) -> None:
        """Answer the question that `confirm()` asked."""
        self._buffer.reset()
        if self._question and not self._question[1].done():
            self._question[1].set_result(text)

    @property
    def empty(self) -> bool:
        return not self._buffer.text

    async def _stop(self) -> None:
        """Ctrl-C on an empty line: stop what was given up, if it still computes."""
        try:
            if self._session and await self._session.stop():
                self.write("Stopped.\n")
                return
        except AoError as error:
            self.renderer.error(error)
            return
        self.write("Ctrl-D or .exit leaves.\n")

    def _accept(self, lines: list[str]) -> None:
        """Queue the lines. One that runs at once is left standing as it was typed."""
        now = len(lines) <= 1 and not self._busy
        self._queue.extend((line, now) for line in lines)
        self._wake.set()
        if now:
            self._finish_drawing()
        self._busy = self._busy or bool(lines)
        self._buffer.reset()
        for line in lines:
            self._buffer.history.append_string(line)

    def _echo(self, line: str) -> str:
        """A line that was entered earlier, as if it were typed now."""
        prompt, typed = self._shown_prompt(), clean(line, colour=False)
        indent = " " * width_of(clean(prompt, colour=False))
        return prompt + typed.replace("\n", f"\n{indent}") + "\n"

    def _finish_drawing(self) -> None:
        """Leave the line standing as it is and go on below it."""
        self._stage = ""
        self._renderer.finish(self._app, self._window)

    def _shown(self) -> str:
        """What the drawing depends on, "" when there is nothing to see but the answer to come."""
        searching = self._app.layout.is_searching
        return self._stage + self._prefix_text() + self._buffer.text + ("\n" if searching else "")

    # --- drawing

    def _columns(self) -> int:
        return self._app.output.get_size().columns

    def _shown_prompt(self) -> str:
        session = self._session
        said = session.prompt if session and session.process else self._prompt
        return prompt_text(said, colour=self.renderer.colour)

    def _prefix_text(self) -> str:
        if self._question:
            return self._question[0]
        return "" if self._busy else self._shown_prompt()

    def _line_prefix(self, line: int, wrapped: int) -> StyleAndTextTuples:
        """The prompt; below it spaces, which paste back as nothing."""
        prompt = to_formatted_text(ANSI(self._prefix_text()))
        return prompt if not line and not wrapped else [("", " " * fragment_list_width(prompt))]

    def _application(self, input: Input | None, output: Output | None) -> Application[None]:
        search = SearchToolbar()
        control = BufferControl(
            self._buffer,
            lexer=DynamicLexer(lambda: self._lexer),
            search_buffer_control=search.control,
            preview_search=True,
        )
        self._window = window = Window(
            control, wrap_lines=True, dont_extend_height=True, get_line_prefix=self._line_prefix
        )
        waits = FormattedTextControl(lambda: self._stage, focusable=False)
        above = ConditionalContainer(
            Window(waits, height=1, dont_extend_height=True),
            Condition(lambda: bool(self._stage) and not self._question),
        )
        app: Application[None] = Application(
            Layout(HSplit([above, window, search]), focused_element=window),
            key_bindings=bindings(self, self._buffer),
            erase_when_done=True,
            include_default_pygments_style=False,
            input=input,
            output=output or terminal_output(),
        )
        self._renderer = app.renderer = LeanRenderer(app.renderer.style, app.output, self._shown)
        return app


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    try:
        path.touch(mode=_PRIVATE)
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
