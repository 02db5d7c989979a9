"""Shows outcomes at the prompt: whole, the first screen of a long one, or through the pager."""

from __future__ import annotations

import re
from collections.abc import Callable

from aoshell.protocol.message import Result
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.outcome import CommandOutput, Outcome
from aoshell.shell.prompt.screen import Screen
from aoshell.shell.view.paging import first_screen, last_rows
from aoshell.shell.view.render import Renderer
from aoshell.shell.view.streams import Write

_END = 10  # rows at the end of a failed answer that are shown below the cut
_PATH = re.compile(r"\s*[A-Za-z_][\w.\[\]\"']{0,60}\s*\Z")  # a name, and perhaps fields


class Answers:
    """Shows the answers to lines.

    Args:
        renderer: makes a renderer from a write function.
        paged: whether answers longer than the screen go through the pager.
    """

    def __init__(
        self, screen: Screen, renderer: Callable[[Write], Renderer], *, paged: Callable[[], bool]
    ) -> None:
        self._screen, self._renderer, self._paged = screen, renderer, paged
        self._whole = ""

    async def show(self, line: str, outcome: Outcome) -> None:
        """Show the outcome of a line."""
        parts: list[str] = []
        self._renderer(parts.append).outcome(line, outcome)
        text = "".join(parts)
        paged = self._paged()
        if paged and text.count("\n") >= self._screen.rows and await self._page(text):
            return
        if text and (paged or (isinstance(outcome, CommandOutput) and outcome.prose)):
            self._screen.write(text)  # our own texts are never long
        elif text:
            self._begin(text, line, failed=not outcome.ok)

    def partial(self, result: Result) -> None:
        """Show what a line has printed before it began to wait."""
        parts: list[str] = []
        self._renderer(parts.append).partial(result)
        if parts:
            self._begin("".join(parts), "", failed=False)

    async def more(self) -> bool:
        """Show the last long answer in the pager; False if none was cut."""
        if self._whole and not await self._page(self._whole):
            self._screen.write(self._whole)
        return bool(self._whole)

    def _begin(self, text: str, line: str, *, failed: bool) -> None:
        shown, left = first_screen(text, self._screen.columns, self._screen.rows)
        self._screen.write(shown)
        if not left:
            return
        self._whole = text
        folded = f", .inspect {line.strip()} folds them" if _is_path(line) else ""
        self._renderer(self._screen.write).note(f"… {left} more: .more shows them{folded}")
        if failed:  # the reason is at the end
            self._screen.write(last_rows(text, self._screen.columns, _END))

    async def _page(self, text: str) -> bool:
        from aoshell.shell.prompt.programs import page_text

        with self._screen.lent():
            return await page_text(text)


def _is_path(line: str) -> bool:
    return not is_command(line) and _PATH.match(line) is not None
