"""The keys that mean something here; all others are prompt_toolkit's Emacs bindings."""

from __future__ import annotations

from abc import ABC, abstractmethod

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.bindings.completion import display_completions_like_readline

_INDENT = "  "


class Target(ABC):
    """Who the keys act on."""

    @abstractmethod
    def enter(self) -> None:
        """Send the line, or go on in the next one."""

    @abstractmethod
    def interrupt(self) -> None:
        """Give up: a wait, else what is typed."""

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


def bindings(target: Target, buffer: Buffer) -> KeyBindings:
    """Enter, Ctrl-C, Ctrl-D, Ctrl-Z and Tab in the line's buffer; a search keeps its own."""
    keys = KeyBindings()
    here = has_focus(buffer)

    @keys.add("enter", filter=here)
    def _enter(_: KeyPressEvent) -> None:
        target.enter()

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
    def _complete(event: KeyPressEvent) -> None:
        if buffer.document.current_line_before_cursor.strip():
            display_completions_like_readline(event)
        else:
            buffer.insert_text(_INDENT)

    return keys
