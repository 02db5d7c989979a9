"""What Tab does: complete what is unambiguous, then offer the rest in a menu.

After `.` and `:`, and for the fields of a message to send, the menu opens by itself if the user
wants that. Until Tab enters it, keys work as without it.

Known words are offered at once. Words that must be read are waited for up to `PATIENCE`; a slower
answer is there at the next Tab. Typing never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.completion import (
    CompleteEvent,
    Completer,
    Completion,
    get_common_complete_suffix,
)
from prompt_toolkit.document import Document

from aoshell.shell.attached.session import Session
from aoshell.shell.prompt.completion import (
    LineCompleter,
    Lists,
    opens_by_itself,
    unknown_path,
    wanted_kinds,
)
from aoshell.shell.prompt.keys import ByItself
from aoshell.shell.prompt.names import Keeper
from aoshell.shell.prompt.words import load_words

PATIENCE = 0.05  # seconds


class Offering:
    """Completes what is typed in a buffer.

    Args:
        names: of the processes.
        opens: whether the menu opens by itself.
    """

    def __init__(self, buffer: Buffer, names: Keeper, *, opens: Callable[[], bool]) -> None:
        self._buffer, self._names, self._opens = buffer, names, opens
        self._lists = Lists()
        self._session: Session | None = None
        self._completer: Completer = LineCompleter(lambda: names.of(self._session), self._lists)
        self._reading: set[asyncio.Task[None]] = set()
        self._follows = False
        buffer.on_text_insert += lambda _: self._typed()

    def tab(self, session: Session | None) -> None:
        """Complete, open the menu, or go to its next entry."""
        self._session = session
        buffer = self._buffer
        if buffer.complete_state and not self._go_in():
            return
        offered = self._offer()
        if session and (reading := self._to_read(session, buffer.document.text_before_cursor)):
            self._keep(reading)
            if not offered:
                self._keep(asyncio.create_task(self._once(reading, buffer.document)))

    def _go_in(self) -> bool:
        """Go to the next entry of the open menu; False if there is more to complete first."""
        buffer, state = self._buffer, self._buffer.complete_state
        if isinstance(state, ByItself):
            found = state.completions
            if len(found) == 1 or get_common_complete_suffix(buffer.document, found):
                buffer.complete_state = None
                return True
            buffer.complete_state = CompletionState(buffer.document, found)
        self._follows = False
        buffer.complete_next()
        return False

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    def close(self) -> None:
        """The line has ended. The next Tab must know what it defines."""
        self._follows = False
        self._lists.known.clear()

    def _offer(self) -> bool:
        """Complete what is unambiguous, and open a menu for the rest. Returns whether anything
        fits."""
        buffer = self._buffer
        found = self._found()
        if len(found) == 1:
            buffer.apply_completion(found[0])
        elif found:
            common = get_common_complete_suffix(buffer.document, found)
            if common:
                buffer.insert_text(common, fire_event=False)
                found = self._found()
            buffer.complete_state = CompletionState(buffer.document, found)
            self._follows = True
        return bool(found)

    def _found(self) -> list[Completion]:
        asked = CompleteEvent(completion_requested=True)
        return list(self._completer.get_completions(self._buffer.document, asked))

    def _typed(self) -> None:
        """Keep the menu open while one of its words is typed, or open it."""
        if not self._follows:
            if self._opens():
                self._open()
            return
        before = self._buffer.document.char_before_cursor
        found = self._found() if before.isalnum() or before in "_-" else []
        self._follows = bool(found)
        self._buffer.complete_state = (
            CompletionState(self._buffer.document, found) if found else None
        )

    def _open(self) -> None:
        """Open the menu if it opens by itself here."""
        buffer = self._buffer
        before = buffer.document.text_before_cursor
        # If more keys follow already, this one is part of a paste.
        if get_app().key_processor.input_queue or not opens_by_itself(before):
            return
        found = self._found()
        if found and not (len(found) == 1 and _is_typed(found[0], before)):
            buffer.complete_state = ByItself(buffer.document, found)

    def _to_read(self, session: Session, before: str) -> asyncio.Task[None] | None:
        path = unknown_path(before, self._names.of(session))
        if path:
            return asyncio.create_task(self._names.below(session, path))
        if wanted_kinds(before):
            return asyncio.create_task(load_words(session, before, self._lists))
        return None

    async def _once(self, reading: asyncio.Task[None], document: Document) -> None:
        """Offer what was read, if it came in time and nothing was typed since."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(reading), PATIENCE)
            if self._buffer.document == document and not self._buffer.complete_state:
                self._offer()
                get_app().invalidate()


def _is_typed(found: Completion, before: str) -> bool:
    """Whether a completion would add nothing."""
    return -found.start_position > 0 and before.endswith(found.text)
