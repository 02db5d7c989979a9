"""The prompt: one prompt_toolkit application that lives as long as the shell.

To print, the prompt is erased, the text is written, and the prompt is drawn again below it. An
entered line is drawn a last time and stays on the screen. While it runs there is no prompt, and
keys already go into the next line. Lines entered meanwhile are queued, and shown with their prompts
when their turn comes.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from asyncio import Task
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.input import Input
from prompt_toolkit.lexers import Lexer
from prompt_toolkit.output import Output
from prompt_toolkit.styles import BaseStyle

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.protocol.message import Result
from aoshell.scarcity import error_of_context
from aoshell.shell.attached.session import Session
from aoshell.shell.lines.pasted import Following
from aoshell.shell.lines.run import run_line
from aoshell.shell.outcome import CommandOutput, Interrupted, Outcome
from aoshell.shell.prompt import config
from aoshell.shell.prompt.answers import Answers
from aoshell.shell.prompt.beside import Beside, may_read
from aoshell.shell.prompt.busy import BusyLine
from aoshell.shell.prompt.config import Preferences
from aoshell.shell.prompt.entry import PromptInput
from aoshell.shell.prompt.history import LONGEST, LineHistory
from aoshell.shell.prompt.keys import make_bindings
from aoshell.shell.prompt.picker import Picker
from aoshell.shell.prompt.queued import Queued
from aoshell.shell.prompt.screen import Marking, Screen
from aoshell.shell.prompt.signing import SigningAhead
from aoshell.shell.prompt.stopping import Stopper
from aoshell.shell.view.render import Renderer, not_run
from aoshell.shell.view.streams import Write
from aoshell.shell.view.text import clean, clean_line, clean_prompt, width_of
from aoshell.shell.view.waiting import SHOWN_AFTER

if TYPE_CHECKING:
    from aoshell.shell.prompt.helpers import Helpers

LOWEST = 10  # rows that a screen needs for a line below the prompt
_CAUSED = "· waiting for all that the last line caused, before the rest of the paste"
_ECHOED = 8_000  # characters of a queued line that are shown


class Prompt:
    """The application; also the front of its session.

    Args:
        prompt: shown until the process gives its own.
        history: file of the lines entered, None for none.
        first: lines to run before the first typed one (`--load`).
        silent: lines to run before these without showing them (start-up files).

    Attributes:
        stage: what the shell waits for a node to do, "" for nothing.
        lexer: colours typed text; None until it is loaded.
        marks: marks errors in typed text; None until it is loaded.
    """

    def __init__(
        self,
        prompt: str,
        history: Path | None = None,
        *,
        first: tuple[str, ...] = (),
        silent: tuple[str, ...] = (),
        colour: bool = True,
        preferences: Preferences | None = None,
        input: Input | None = None,
        output: Output | None = None,
    ) -> None:
        self._preferences = preferences or Preferences()
        self._prompt = prompt
        self._session: Session | None = None
        self._queue = Queued(silent, first)
        self._wake = asyncio.Event()
        self._running: Task[object] | None = None
        self._interrupted = False
        self._listed = True
        self._busy = bool(self._queue)
        self._watching: Task[None] | None = None
        self._busy_line = BusyLine(self._show_stage, self._queue.waiting, self._read_early)
        self._beside = Beside(self, lambda: self._session)
        self._stopper = Stopper()
        self._padded = ""
        self._helpers: Helpers | None = None
        self._unlearned: list[tuple[Session, str, Outcome]] = []
        self.stage = ""
        self.lexer: Lexer | None = None
        self.marks: Marking | None = None
        self._history = LineHistory(history)
        self._buffer = buffer = Buffer(history=self._history, multiline=True)
        buffer.on_text_changed += lambda _: self._suggest()
        self._entry = PromptInput(buffer, self)
        self._signing = SigningAhead(self._entry, lambda: self._session, lambda: not self._busy)
        buffer.on_text_changed += lambda _: self._signing.changed()
        picker = Picker(self._history, buffer, lambda: self._screen.rows)
        keys = make_bindings(self._entry, buffer, picker)
        vi = self._preferences.editing == "vi"
        self._screen = Screen(self, buffer, picker, keys, vi=vi, input=input, output=output)
        self._app = self._screen.app
        self.renderer = self._renderer(self.write, colour)
        self._answers = Answers(
            self._screen,
            lambda write: self._renderer(write, colour),
            paged=lambda: self._preferences.pager,
        )

    # --- what a session needs

    asks = True

    def partial(self, result: Result) -> None:
        self._answers.partial(result)

    def feed(self, text: str) -> None:
        self.renderer.feed(text)

    def note(self, text: str) -> None:
        self.renderer.note(text)

    def opened(self, node: Node) -> None:
        if node.remote:
            self._watch(node)

    def _watch(self, node: Node) -> None:
        from aoshell.shell.view.waiting import show

        self._watching = asyncio.create_task(show(node, self._show_stage))

    async def confirm(self, question: str) -> bool:
        self._app.invalidate()
        return (await self._entry.ask(question)).strip().lower() in ("y", "yes")

    # --- what commands of a terminal need

    async def compose(self) -> str:
        """The lines typed until `.done`; "" if the user gives up."""
        pasted: list[str] = []
        # The lines of a pasted transcript are in the queue by now.
        while self._queue:
            line = self._queue.take()[0]
            if line.strip() in (".done", ".cancel"):
                return self._remembered("\n".join(pasted) if line.strip() == ".done" else "")
            pasted.append(line)
        self._app.invalidate()
        return self._remembered(await self._entry.compose("\n".join(pasted)))

    async def pad(self) -> str:
        """What the user wrote in $EDITOR; "" if nothing changed."""
        from aoshell.shell.prompt.programs import edit_text

        with self._screen.lent():
            text = await edit_text(self._padded)
        if text == self._padded:
            return ""
        self._padded = text
        return self._remembered(text.rstrip("\n"))

    def past(self, words: str, most: int) -> list[str]:
        """The newest lines that were typed and have all of the words, the newest first."""
        return self._history.search(words, most)

    def settings(self) -> Sequence[tuple[str, str, str]]:
        """Each setting: its name, its value, and what it may be."""
        return config.shown(self._preferences)

    def change(self, name: str, value: str) -> str:
        """Change a setting for this session; returns it as a line of the config file."""
        self._preferences, line = config.changed(self._preferences, name, value)
        self._screen.edit_as(vi=self._preferences.editing == "vi")
        self._app.style = self._style()
        return line

    async def more(self) -> bool:
        """Show the last long answer in the pager; False where none was cut."""
        return await self._answers.more()

    async def learn_names(self) -> int:
        """Read the names of the attached process; returns how many globals it has."""
        if self._helpers is None or self._session is None:
            return 0
        return await self._helpers.read(self._session)

    def _remembered(self, code: str) -> str:
        self._history.append_string(code)
        return code

    # --- running

    async def run(self, opening: Task[Session]) -> int:
        """Run until the user leaves. Returns the exit code.

        Raises:
            AoError: the session could not be opened.
        """
        work = asyncio.create_task(self._work(opening))
        work.add_done_callback(lambda _: self.leave())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Not on the main thread: that would take over its signals.
            with suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, self.leave)
        loop.set_exception_handler(self._defect)
        # asyncio also logs, with a traceback, what it passes to that handler.
        logging.getLogger("prompt_toolkit").addHandler(logging.NullHandler())
        background = asyncio.create_task(self._load_rest())
        self._screen.clear_line()
        for problem in self._preferences.problems:
            self.renderer.note(problem)
        try:
            # EOFError: the terminal is gone.
            with suppress(EOFError):
                await self._app.run_async(handle_sigint=False, set_exception_handler=False)
        finally:
            background.cancel()
            self._signing.ended()
            self._stop_watching()
            if self._helpers:
                self._helpers.stop()
            if not work.done():
                work.cancel()
            # Not awaited here: if the session fails to open, the caller needs that error.
            await asyncio.wait({work})
            self._keep_unsent()
        if not work.cancelled() and (error := work.exception()):
            raise error
        return 0

    async def _work(self, opening: Task[Session]) -> None:
        session = self._session = await asyncio.shield(opening)
        session.front = self
        self._stop_watching()
        self._rest()
        while True:
            while not self._queue:
                self._busy = False
                self._app.invalidate()
                self._wake.clear()
                await self._wake.wait()
            line, drawn = self._queue.take()
            if not drawn:
                self.write(self._echo(line))
            self._busy = True
            if self._helpers:
                self._helpers.stop()
            outcome = await self._watched(session, line)
            self._signing.ended()
            if isinstance(outcome, Interrupted) and self._queue.held:
                outcome = outcome._replace(lines=True)
            await self._answers.show(line, outcome)
            self._list_held()
            session.feed.release()
            if isinstance(outcome, CommandOutput) and outcome.leave:
                return
            if isinstance(outcome, CommandOutput):
                self._queue.put_first(outcome.then)
            self._learn(session, line, outcome)
            await self._caused(session)
            self._rest()

    async def _caused(self, session: Session) -> None:
        """Within a paste, wait until all that a line caused is done: the next line may depend on
        it."""
        if not isinstance(self._queue.first, Following) or session.node.local is None:
            return
        timer = asyncio.get_running_loop().call_later(SHOWN_AFTER, self._show_stage, _CAUSED)
        self._running = asyncio.current_task()
        try:
            with suppress(AoError):  # the next line reports the error
                await session.settle(anyway=True)
        except asyncio.CancelledError:
            if not self._goes_on():
                raise
            session.settling = False
            self._list_held()
        finally:
            timer.cancel()
            self._show_stage("")
            self._running, self._interrupted = None, False

    async def _watched(self, session: Session, line: str) -> Outcome:
        """Run a line, and show what the shell waits for."""
        self._busy_line.begin(session, line)
        try:
            return await self._outcome(session, line)
        finally:
            self._busy_line.end()

    def _stop_watching(self) -> None:
        if self._watching:
            self._watching.cancel()
            self._watching = None
            self._show_stage("")

    def _show_stage(self, text: str) -> None:
        shown = clean_line(text)
        if shown != self.stage:
            self.stage = shown
            self._app.invalidate()

    async def _outcome(self, session: Session, line: str) -> Outcome:
        """Run a line in the task of the queue: Ctrl-C cancels what it awaits, not the task."""
        self._running = asyncio.current_task()
        try:
            return await run_line(session, line)
        except asyncio.CancelledError:
            if not self._goes_on():
                raise
            return session.given_up
        finally:
            self._running, self._interrupted = None, False

    def _goes_on(self) -> bool:
        """Let the task of the queue go on, if Ctrl-C cancelled it."""
        if not self._interrupted or self._running is None:
            return False
        # Ctrl-C may have come more than once.
        while self._running.uncancel():
            pass
        return True

    async def _load_rest(self) -> None:
        """While the first line is typed, import what it does not need."""

        def load() -> tuple[Lexer, type[Helpers], Marking, BaseStyle]:
            from aoshell.shell.prompt.helpers import Helpers
            from aoshell.shell.prompt.highlight import LineLexer
            from aoshell.shell.prompt.marks import LuaMarks

            marks = LuaMarks(lambda: self._preferences.marks and self._entry.prefix is None)
            return LineLexer(), Helpers, marks, self._style()

        self.lexer, helpers, self.marks, self._app.style = await asyncio.to_thread(load)
        self._helpers = helpers(
            self._buffer,
            self._app.invalidate,
            lambda: not self._busy,
            opens=lambda: self._preferences.menu,
        )
        for passed in self._unlearned:
            self._helpers.learn(*passed)
        self._unlearned.clear()
        self._rest()

    def _style(self) -> BaseStyle:
        from aoshell.shell.prompt.themes import make_style

        theme = self._preferences.theme if self.renderer.colour else "plain"
        changes = self._preferences.colours if self.renderer.colour else {}
        return make_style(theme, changes)

    def _learn(self, session: Session, line: str, outcome: Outcome) -> None:
        """Let the helpers learn from a line and its outcome, once they are loaded."""
        if self._helpers:
            self._helpers.learn(session, line, outcome)
        else:
            self._unlearned.append((session, line, outcome))

    def _rest(self) -> None:
        """When nothing runs: let the helpers read what has changed."""
        if self._session and self._helpers and not self._queue:
            self._helpers.look(self._session)
        if not self._queue:
            self._show_stage(self._queue.offer)
        self._app.invalidate()

    def _defect(self, _: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Report an error that no caller handles, such as one in a key handler, without a
        traceback."""
        self.renderer.error(error_of_context(context))

    # --- what is entered

    def accept(self, lines: list[str]) -> None:
        """Queue lines. One that runs at once stays on the screen as it was typed, if it fits."""
        now = len(lines) <= 1 and not self._busy and self._screen.whole
        if lines:
            self._signing.entered()
        if self._busy_line.shown and len(lines) == 1 and may_read(lines[0]):
            self._beside.run(lines[0])
        elif lines:
            self._queue.add(lines, drawn=now)
            if self._busy_line.shown:
                self._read_early()
        elif not self._busy:
            self._queue.go_on()
        self._wake.set()
        if now:
            self.finish()
        self._busy = self._busy or bool(self._queue)
        for line in lines:
            self._history.append_string(line)
        self._begin()

    def _read_early(self) -> None:
        """Answer the first lines of the queue that only read, as the running line takes long."""
        # A line of a paste may depend on the lines before it.
        while may_read(first := self._queue.first) and not isinstance(first, Following):
            self._beside.run(self._queue.take()[0])

    async def answer(self, line: str, outcome: Outcome) -> None:
        self.write(self._echo(line))
        await self._answers.show(line, outcome)

    def queue(self, line: str) -> None:
        self._queue.add([line], drawn=False)
        self._wake.set()

    def interrupted(self) -> None:
        """Ctrl-C: give up the running line; else discard typed text; else drop the listed lines;
        else stop what was given up before.
        """
        if self._busy:
            self._queue.hold()
            self._listed = False
            self._beside.stop()
            if self._running:
                self._interrupted = True
                self._running.cancel()
                return
            if self._session is None:
                self.write("Still starting. Ctrl-D leaves.\n")
                self._busy = False
            self._list_held()
            self._rest()
        elif self._buffer.text:
            self._buffer.cursor_position = len(self._buffer.text)
            self.finish()
            self.keep(self._entry.take())
            self._rest()
        elif self._beside.stop():
            self.write("Given up.\n")
        elif self._queue.held:
            self._drop()
        else:
            self._app.create_background_task(self._stop())

    def _list_held(self) -> None:
        """Show, once, the lines that still wait after Ctrl-C."""
        if not self._listed and (listing := self._queue.listing()):
            self.write(listing)
        self._listed = True

    def _drop(self) -> None:
        """Drop these lines, and say how many there were."""
        lines = self._queue.drop()
        self._history.keep(lines)
        self._begin()
        stops = self._session and self._session.node.local and self._session.given
        again = " Ctrl-C again stops what was given up." if stops else ""
        self.write(f"{not_run(len(lines))}; ↑ brings back what was typed.{again}\n")
        self._rest()

    def _begin(self) -> None:
        """Begin an empty line, with the present history."""
        self._buffer.reset()
        # Loaded now: drawing would load it, and nothing is drawn while a line runs.
        self._buffer.load_history_if_not_yet_loaded()

    def keep(self, typed: str) -> None:
        """Keep lines that were typed and not run: ↑ brings them back."""
        self._history.keep([typed])
        self._begin()

    def _keep_unsent(self) -> None:
        """Save the lines that will not run to the history, and say how many there are."""
        lines = self._queue.lines
        if typed := self._entry.take().strip():
            self._history.append_string(typed)
            lines.append(typed)
        if lines:
            kept = all(len(line) <= LONGEST for line in lines)
            where = "; ↑ brings back what was typed, in the next session" if kept else ""
            with suppress(OSError):  # the terminal may be gone
                self.write(f"{not_run(len(lines))}{where}.\n")

    async def _stop(self) -> None:
        try:
            if self._session and (sentence := await self._stopper.stop(self._session)):
                self.write(f"{sentence}\n")
                return
        except AoError as error:
            self.renderer.error(error)
            return
        self.write("Ctrl-D or .exit leaves.\n")

    def tab(self) -> None:
        """Complete what is typed, once completion is loaded."""
        if self._helpers:
            self._helpers.tab(self._session)

    def suspend(self) -> None:
        """Give the terminal back to the shell that this one was started from."""
        self._app.suspend_to_background()

    def leave(self) -> None:
        """End the application."""
        if self._app.is_running and not self._app.is_done:
            self._app.exit()

    # --- the screen

    def write(self, text: str) -> None:
        """Print above the prompt."""
        self._screen.write(text)

    def finish(self) -> None:
        """Leave the line on the screen, and go on below it."""
        self.stage = ""
        self._screen.finish()

    def prefix(self) -> str:
        """The text before the line that is typed."""
        asked = self._entry.prefix
        if asked is not None:
            return asked
        return "" if self._busy else self._shown_prompt()

    def below(self) -> tuple[str, str]:
        """The class and text of the line below the prompt."""
        helpers, asked = self._helpers, self._entry.prefix
        if asked is not None or helpers is None or self._screen.rows < LOWEST:
            return "", ""
        if not self._preferences.toolbar:
            return helpers.signature(self._session, self._screen.columns)
        return helpers.below(self._session, self._shown_prompt(), self._screen.columns)

    def _suggest(self) -> None:
        if self._entry.prefix is None:
            self._buffer.suggestion = self._history.suggestion(self._buffer.text)

    def _renderer(self, write: Write, colour: bool) -> Renderer:
        return Renderer(write, write, colour=colour, columns=lambda: self._screen.columns)

    def _shown_prompt(self) -> str:
        session = self._session
        text = session.prompt if session and session.process else self._prompt
        return clean_prompt(text, colour=self.renderer.colour)

    def _echo(self, line: str) -> str:
        """A line entered earlier, with its prompt, as if it were typed now."""
        prompt, typed = self._shown_prompt(), clean(line[:_ECHOED], colour=False)
        indent = " " * width_of(clean(prompt, colour=False))
        rest = f" … {len(line) - _ECHOED} more characters" if len(line) > _ECHOED else ""
        return prompt + typed.replace("\n", f"\n{indent}") + rest + "\n"
