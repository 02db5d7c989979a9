"""The screen, from top to bottom: what the shell waits for, the prompt with typed text, the list of
Ctrl-R, and one line below. Only the prompt is always there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.filters import Condition, has_focus
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text
from prompt_toolkit.formatted_text.utils import fragment_list_width
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindingsBase
from prompt_toolkit.layout import (
    BufferControl,
    CompletionsMenu,
    ConditionalContainer,
    Dimension,
    Float,
    FloatContainer,
    FormattedTextControl,
    HSplit,
    Layout,
    Window,
)
from prompt_toolkit.layout.processors import (
    AppendAutoSuggestion,
    ConditionalProcessor,
    DynamicProcessor,
    HighlightMatchingBracketProcessor,
    Processor,
    Transformation,
    TransformationInput,
)
from prompt_toolkit.lexers import DynamicLexer, Lexer
from prompt_toolkit.output import Output

from aoshell.shell.prompt.drawing import LeanRenderer, terminal_output
from aoshell.shell.prompt.picker import Picker
from aoshell.shell.view.text import HIDDEN

_MENU = 8  # rows of the menu
_ESCAPE = 0.1  # seconds after which Escape counts as a separate key


class Marking(Processor):
    """Marks places in what is typed."""

    @abstractmethod
    def marks(self, document: Document) -> bool:
        """Whether anything is marked in a document."""


class View(Protocol):
    """What the screen shows.

    Attributes:
        stage: what the shell waits for, "" for nothing.
        lexer: colours typed text.
        marks: marks errors in it.
    """

    stage: str
    lexer: Lexer | None
    marks: Marking | None

    def prefix(self) -> str:
        """The prompt, with colours; "" while a line runs."""

    def below(self) -> tuple[str, str]:
        """The class and text of the line below, "" for none."""


class Screen:
    """The application of prompt_toolkit, with writing above it."""

    def __init__(
        self,
        view: View,
        buffer: Buffer,
        picker: Picker,
        keys: KeyBindingsBase,
        *,
        vi: bool,
        input: Input | None,
        output: Output | None,
    ) -> None:
        self._view, self._buffer, self._picker = view, buffer, picker
        self._held: list[str] | None = None
        self._finishing = False
        self._below = ("", "")
        self._window = self._input_window()
        self.app: Application[None] = Application(
            self._layout(),
            key_bindings=keys,
            erase_when_done=True,
            include_default_pygments_style=False,
            input=input,
            output=output or terminal_output(),
        )
        self.edit_as(vi=vi)
        self.app.ttimeoutlen = _ESCAPE
        self._renderer = LeanRenderer(self.app.renderer.style, self.app.output, self.shown)
        self.app.renderer = self._renderer

    def edit_as(self, *, vi: bool) -> None:
        """Use the keys of vi, or those of Emacs."""
        self.app.editing_mode = EditingMode.VI if vi else EditingMode.EMACS

    @property
    def columns(self) -> int:
        return self.app.output.get_size().columns

    @property
    def rows(self) -> int:
        return self.app.output.get_size().rows

    @property
    def whole(self) -> bool:
        """Whether all typed text fits on the screen."""
        info = self._window.render_info
        return info is None or (info.top_visible and info.bottom_visible)

    def write(self, text: str) -> None:
        """Print above the prompt."""
        app = self.app
        if self._held is not None:
            self._held.append(text)
            return
        if app.is_running:
            app.renderer.erase()
        else:
            self.clear_line()
        app.output.write_raw(text)
        app.output.flush()
        if app.is_running:
            app.invalidate()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Lend the terminal to another program; text written in the block is shown after it."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for text in held:
                self.write(text)

    def clear_line(self) -> None:
        """Clear the line: the early prompt may be on it."""
        self.app.output.write_raw("\r")
        self.app.output.erase_down()

    def finish(self) -> None:
        """Leave the line on the screen without menu and toolbar, and go on below it."""
        marking, document = self._view.marks, self._buffer.document
        marked = _has_brackets_marked(self._buffer) or bool(marking and marking.marks(document))
        self._buffer.complete_state = None
        self._buffer.suggestion = None
        self._finishing = True
        try:
            self._renderer.finish(self.app, self._window, again=marked)
        finally:
            self._finishing = False

    # --- drawing

    def shown(self) -> str:
        """A text that changes when the screen must be drawn; "" while nothing is shown."""
        text = self._view.stage + self._view.prefix() + self._buffer.text + self._picker.state
        if not text:
            return ""
        suggested = self._buffer.suggestion.text if self._buffer.suggestion else ""
        state = self._buffer.complete_state
        menu = f"{len(state.completions)} {state.complete_index}" if state else ""
        return "\0".join((text, suggested, menu, *self._line_below()))

    def _line_below(self) -> tuple[str, str]:
        if not self._finishing:
            self._below = self._view.below()
        return self._below

    def _layout(self) -> Layout:
        stage = FormattedTextControl(lambda: self._view.stage, focusable=False)
        above = ConditionalContainer(
            Window(stage, height=1, dont_extend_height=True),
            Condition(lambda: bool(self._view.stage)),
        )
        below = ConditionalContainer(
            Window(
                FormattedTextControl(self._below_fragments, focusable=False),
                height=1,
                dont_extend_height=True,
            ),
            Condition(lambda: not self._finishing and bool(self._below[1])),
        )
        menu = Float(CompletionsMenu(max_height=_MENU, scroll_offset=1), xcursor=True, ycursor=True)
        rows = HSplit([above, self._window, self._picker.container(), below])
        return Layout(FloatContainer(rows, [menu]), focused_element=self._window)

    def _input_window(self) -> Window:
        typed = has_focus(self._buffer)
        control = BufferControl(
            self._buffer,
            lexer=DynamicLexer(lambda: self._view.lexer),
            input_processors=[
                ConditionalProcessor(
                    HighlightMatchingBracketProcessor(), Condition(lambda: not self._finishing)
                ),
                ConditionalProcessor(
                    DynamicProcessor(lambda: self._view.marks),
                    typed & Condition(lambda: not self._finishing),
                ),
                ConditionalProcessor(AppendAutoSuggestion("class:auto-suggestion"), typed),
                ShowHidden(),
            ],
        )
        return Window(
            control,
            height=self._height,
            wrap_lines=True,
            dont_extend_height=True,
            get_line_prefix=self._line_prefix,
        )

    def _height(self) -> Dimension:
        """The height of the text, with room below the cursor while a menu is open."""
        info = self._window.render_info
        if self._buffer.complete_state is None or self._finishing or info is None:
            return Dimension()
        above = info.cursor_position.y + 1
        return Dimension(min=max(1, min(above + _MENU, self.rows - 1 - bool(self._below[1]))))

    def _line_prefix(self, line: int, wrapped: int) -> StyleAndTextTuples:
        """The prompt before the first line, spaces before the others."""
        prompt = to_formatted_text(ANSI(self._view.prefix()))
        width = fragment_list_width(prompt)
        if width > self.columns // 2:
            # Below a wide prompt there is no room for an indentation.
            width = 0
        return prompt if not line and not wrapped else [("", " " * width)]

    def _below_fragments(self) -> StyleAndTextTuples:
        kind, text = self._below
        return [(f"class:{kind}", text)]


def _has_brackets_marked(buffer: Buffer) -> bool:
    document = buffer.document
    return document.current_char in tuple("()[]{}") or document.char_before_cursor in tuple(")]}")


class ShowHidden(Processor):
    """Shows hidden characters as a question mark in reverse, each in one column."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        fragments = transformation_input.fragments
        if all(item[1].isascii() for item in fragments):
            return Transformation(fragments)
        shown: StyleAndTextTuples = []
        for style, text, *_ in fragments:
            for character in text:
                hidden = character in HIDDEN
                shown.append(("class:hidden", "?") if hidden else (style, character))
        return Transformation(shown)
