"""Skips drawings between Enter and the answer, which nobody would see.

A full drawing takes about as long as a process takes to answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from prompt_toolkit.application import Application
from prompt_toolkit.data_structures import Size
from prompt_toolkit.layout import Layout, Window
from prompt_toolkit.output import Output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.renderer import Renderer
from prompt_toolkit.styles import BaseStyle


class LeanRenderer(Renderer):
    """A renderer that draws only if there is something to see.

    Args:
        shown: returns a text that changes when the screen must be drawn; "" if nothing is shown.
    """

    def __init__(self, style: BaseStyle, output: Output, shown: Callable[[], str]) -> None:
        super().__init__(style, output)
        self._shown = shown
        self._drawn = ""

    def render(self, app: Application[Any], layout: Layout, is_done: bool = False) -> None:
        shown = self._shown()
        if not shown and self.last_rendered_screen is None:
            return
        self._drawn = shown
        super().render(app, layout, is_done)

    def finish(self, app: Application[Any], window: Window, *, again: bool = False) -> None:
        """Leave what the window shows on the screen, and go on in the line below it.

        Args:
            again: draw once more first, to remove what must not stay on the screen.
        """
        screen, info = self.last_rendered_screen, window.render_info
        if again or screen is None or info is None or self._drawn != self._shown():
            super().render(app, app.layout, is_done=True)
            return
        down = info.window_height - 1 - info.cursor_position.y
        self.output.cursor_down(down)
        self.output.write_raw("\r\n")
        if screen.height > screen.get_cursor_position(window).y + down + 1:
            self.output.erase_down()
        self.reset()

    def erase(self, leave_alternate_screen: bool = True) -> None:
        if self.last_rendered_screen is not None:
            super().erase(leave_alternate_screen)


def terminal_output() -> Output:
    """The terminal at stdout.

    No cursor position requests: nothing here needs them, and their answers would mix with the keys
    of a user who types ahead.
    """

    def size() -> Size:
        try:
            columns, rows = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns, rows = 80, 24
        return Size(rows=rows or 24, columns=columns or 80)

    return Vt100_Output(sys.stdout, size, term=os.environ.get("TERM"), enable_cpr=False)
