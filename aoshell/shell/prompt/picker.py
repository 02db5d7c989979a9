"""Ctrl-R: a list of earlier lines that fit what is typed."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import (
    BufferControl,
    ConditionalContainer,
    Container,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.processors import BeforeInput

from aoshell.shell.prompt.history import LineHistory

ROWS = 8
_MOST = 200


class Picker:
    """A search line and its results, shown below the prompt while it is open.

    Args:
        history: what is searched.
        target: gets the chosen line.
        rows: of the screen.
    """

    def __init__(self, history: LineHistory, target: Buffer, rows: Callable[[], int]) -> None:
        self._history, self._target, self._rows = history, target, rows
        self.open = False
        self.found: list[str] = []
        self.chosen = 0
        self.words = Buffer(multiline=False, on_text_changed=lambda _: self._search())
        self._control = BufferControl(self.words, [BeforeInput("history: ", "class:toolbar")])

    @property
    def state(self) -> str:
        """A text that changes when the list must be drawn again."""
        return f"\n{self.words.text}\n{self.chosen}\n{len(self.found)}" if self.open else ""

    def container(self) -> Container:
        """The container with the search line and the list."""
        found = Window(
            FormattedTextControl(self._lines, focusable=False),
            height=lambda: min(len(self.found), self._height) or 1,
            dont_extend_height=True,
        )
        typed = Window(self._control, height=1, dont_extend_height=True)
        return ConditionalContainer(HSplit([typed, found]), Condition(lambda: self.open))

    def begin(self, layout: Layout) -> None:
        """Open, and search for the text in the prompt."""
        self.open = True
        self.words.set_document(self._target.document.__class__(self._target.text.split("\n")[0]))
        self._search()
        layout.focus(self._control)

    def end(self, layout: Layout, *, take: bool) -> None:
        """Close, and put the chosen line into the prompt."""
        self.open = False
        layout.focus(self._target)
        if take and self.found:
            self._target.document = self._target.document.__class__(self.found[self.chosen])

    def move(self, by: int) -> None:
        """Choose another line, within the list."""
        self.chosen = max(0, min(len(self.found) - 1, self.chosen + by))

    @property
    def _height(self) -> int:
        return max(1, min(ROWS, self._rows() - 4))

    def _search(self) -> None:
        self.found = self._history.search(self.words.text, _MOST) if self.open else []
        self.chosen = 0

    def _lines(self) -> StyleAndTextTuples:
        if not self.found:
            return [("class:toolbar", "  no earlier line fits")]
        first = max(0, self.chosen - self._height + 1)
        lines: StyleAndTextTuples = []
        for at, entry in enumerate(self.found[first : first + self._height], first):
            style = "class:picker.current" if at == self.chosen else "class:picker"
            ending = "\n" if at < first + self._height - 1 else ""
            lines.append((style, f"  {entry.replace(chr(10), ' ⏎ ')}"))
            lines.append(("", ending))
        return lines


def bindings(picker: Picker, layout: Callable[[], Layout]) -> KeyBindings:
    """Ctrl-R opens the list and moves to older lines; Enter takes one, Escape closes the list."""
    keys = KeyBindings()
    here = has_focus(picker.words)

    @keys.add("c-r", filter=~here)
    def _open(_: KeyPressEvent) -> None:
        picker.begin(layout())

    @keys.add("c-r", filter=here)
    @keys.add("down", filter=here)
    def _older(_: KeyPressEvent) -> None:
        picker.move(1)

    @keys.add("c-s", filter=here)
    @keys.add("up", filter=here)
    def _newer(_: KeyPressEvent) -> None:
        picker.move(-1)

    @keys.add("enter", filter=here)
    @keys.add("tab", filter=here)
    def _take(_: KeyPressEvent) -> None:
        picker.end(layout(), take=True)

    @keys.add("escape", filter=here, eager=True)
    @keys.add("c-c", filter=here)
    @keys.add("c-g", filter=here)
    @keys.add("c-d", filter=here)
    def _give_up(_: KeyPressEvent) -> None:
        picker.end(layout(), take=False)

    return keys
