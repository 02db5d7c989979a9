"""The shell's own keys; all others are prompt_toolkit's, of Emacs or of vi."""

from __future__ import annotations

import select
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from itertools import takewhile

from prompt_toolkit.application import get_app
from prompt_toolkit.buffer import Buffer, CompletionState
from prompt_toolkit.filters import Condition, emacs_mode, has_completions, has_focus, has_selection
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.bindings.auto_suggest import load_auto_suggest_bindings
from prompt_toolkit.key_binding.key_bindings import KeyBindingsBase, merge_key_bindings
from prompt_toolkit.key_binding.key_processor import KeyPress
from prompt_toolkit.keys import Keys

from aoshell.shell.prompt.picker import Picker
from aoshell.shell.prompt.picker import bindings as picker_bindings
from aoshell.shell.prompt.structure import INDENT


class Ahead:
    """Keys that wait after the current one: typed ahead, or pasted without marks of the terminal.

    Args:
        queue: keys that were read.
        more: reads the waiting keys.
    """

    def __init__(self, queue: deque[KeyPress], more: Callable[[], Sequence[KeyPress]]) -> None:
        self._queue, self._more = queue, more

    def __bool__(self) -> bool:
        return bool(self._queue)

    def take(self) -> str:
        """Take out the text at the front; "" if no line ends in it: then it is typed ahead."""
        if all(map(_is_text, self._queue)):
            self._queue.extend(self._more())
        if not any(key.data in _ENDS for key in takewhile(_is_text, self._queue)):
            return ""
        taken: list[str] = []
        while True:
            while self._queue and _is_text(self._queue[0]):
                taken.append(self._queue.popleft().data)
            if self._queue or not taken:
                return "".join(taken)
            # A terminal is read in blocks: a paste may span several.
            self._queue.extend(self._more())
            if not self._queue:
                return "".join(taken)


_ENDS = ("\r", "\n")


def _is_text(key: KeyPress) -> bool:
    return key.data in (*_ENDS, "\t") or (len(key.key) == 1 and key.data.isprintable())


class KeyTarget(ABC):
    """What the keys act on."""

    @abstractmethod
    def enter(self, ahead: Ahead) -> None:
        """Send the line, or begin the next one if it is not complete."""

    @abstractmethod
    def newline(self, *, ahead: bool) -> None:
        """Begin the next line.

        Args:
            ahead: more keys follow already: they were pasted, with their own indentation.
        """

    @abstractmethod
    def complete(self) -> None:
        """Complete what stands before the cursor."""

    @abstractmethod
    def paste(self, text: str) -> None:
        """Take in what was pasted."""

    @abstractmethod
    def interrupt(self) -> None:
        """Give up a wait, else discard typed text."""

    @abstractmethod
    def end(self) -> None:
        """The end of the input."""

    @abstractmethod
    def suspend(self) -> None:
        """Give the terminal back to the shell that this one was started from."""

    @property
    @abstractmethod
    def empty(self) -> bool:
        """Whether nothing is typed."""


def make_bindings(target: KeyTarget, buffer: Buffer, picker: Picker) -> KeyBindingsBase:
    """The keys of the prompt, of its menu, and of the list that Ctrl-R opens."""
    return merge_key_bindings(
        [
            load_auto_suggest_bindings(),
            _line(target, buffer),
            _marked(buffer),
            _menu(buffer),
            picker_bindings(picker, lambda: get_app().layout),
        ]
    )


def _line(target: KeyTarget, buffer: Buffer) -> KeyBindings:
    keys = KeyBindings()
    here = has_focus(buffer)

    @keys.add("enter", filter=here)
    def _enter(event: KeyPressEvent) -> None:
        target.enter(Ahead(event.key_processor.input_queue, _waiting))

    @keys.add("escape", "enter", filter=here)
    def _newline(event: KeyPressEvent) -> None:
        target.newline(ahead=bool(event.key_processor.input_queue))

    @keys.add("c-c", filter=here)
    def _interrupt(_: KeyPressEvent) -> None:
        target.interrupt()

    @keys.add("c-d", filter=here & Condition(lambda: target.empty))
    def _end(_: KeyPressEvent) -> None:
        target.end()

    @keys.add("c-z")
    def _suspend(_: KeyPressEvent) -> None:
        target.suspend()

    @keys.add("tab", filter=here)
    def _complete(_: KeyPressEvent) -> None:
        if buffer.document.current_line_before_cursor.strip():
            target.complete()
        else:
            buffer.insert_text(INDENT)

    @keys.add(Keys.BracketedPaste, filter=here)
    def _paste(event: KeyPressEvent) -> None:
        target.paste(event.data)

    return keys


def _waiting() -> list[KeyPress]:
    """Keys that wait in the terminal."""
    reader = get_app().input
    ready = select.select([reader.fileno()], [], [], 0)[0] if not reader.closed else []
    return reader.read_keys() if ready else []


def _marked(buffer: Buffer) -> KeyBindings:
    """Keys after Ctrl-Space, which sets a mark: they drop the mark and then work as usual.

    Without this, prompt_toolkit accepts no text while there is a mark.
    """
    keys = KeyBindings()
    here = has_focus(buffer) & has_selection & emacs_mode

    def _typed(event: KeyPressEvent) -> None:
        buffer.exit_selection()
        event.key_processor.feed_multiple(event.key_sequence, first=True)

    for key in (Keys.Any, "backspace", "delete", "tab", "enter", Keys.BracketedPaste):
        keys.add(key, filter=here)(_typed)
    return keys


class ByItself(CompletionState):
    """A menu that opened by itself: keys ignore it until Tab enters it."""


def _menu(buffer: Buffer) -> KeyBindings:
    keys = KeyBindings()
    opened = Condition(lambda: isinstance(buffer.complete_state, ByItself))
    here = has_focus(buffer) & has_completions & ~opened

    @keys.add("s-tab", filter=here)
    def _back(_: KeyPressEvent) -> None:
        buffer.complete_previous()

    @keys.add("escape", filter=here, eager=True)
    def _close(_: KeyPressEvent) -> None:
        buffer.cancel_completion()

    # Not eager: Escape followed by other keys means something else.
    @keys.add("escape", filter=has_focus(buffer) & opened & emacs_mode)
    def _leave(_: KeyPressEvent) -> None:
        buffer.complete_state = None

    def _without(event: KeyPressEvent) -> None:
        buffer.complete_state = None
        event.key_processor.feed_multiple(event.key_sequence, first=True)

    for key in ("up", "down", "c-p", "c-n"):
        keys.add(key, filter=has_focus(buffer) & opened)(_without)
    return keys
