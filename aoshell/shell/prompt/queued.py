"""Lines that were entered and have not run yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from aoshell.shell.view.text import clean_line

_LISTED = 8  # lines that a list shows
_WIDEST = 200  # characters of a line in it


class Queued:
    """Lines that run one after the other, and those that Ctrl-C holds back.

    Args:
        silent, first: lines to begin with; silent ones are not shown on the screen.

    Attributes:
        held: lines that wait until the user decides whether they run.
    """

    def __init__(self, silent: Iterable[str], first: Iterable[str]) -> None:
        self._next = deque([*((line, True) for line in silent), *((line, False) for line in first)])
        self.held: list[str] = []

    def __bool__(self) -> bool:
        """Whether a line runs next."""
        return bool(self._next)

    def __len__(self) -> int:
        """How many lines run next, without those that are held."""
        return len(self._next)

    @property
    def first(self) -> str:
        """The line that runs next, "" for none."""
        return self._next[0][0] if self._next else ""

    @property
    def lines(self) -> list[str]:
        """All lines, in the order in which they were entered."""
        return [*self.held, *(line for line, _ in self._next)]

    def add(self, lines: Iterable[str], *, drawn: bool) -> None:
        """Add lines after the others.

        Args:
            drawn: the screen shows them already.
        """
        self._next.extend((line, drawn) for line in lines)

    def take(self) -> tuple[str, bool]:
        """The line that runs next, and whether the screen shows it."""
        return self._next.popleft()

    def hold(self) -> None:
        """Hold all lines until `go_on`."""
        self.held += [line for line, _ in self._next]
        self._next.clear()

    def go_on(self) -> None:
        """Run the held lines, before all others."""
        self.put_first(self.held)
        self.held.clear()

    def put_first(self, lines: Sequence[str]) -> None:
        """Add lines before the others."""
        self._next.extendleft((line, False) for line in reversed(lines))

    def drop(self) -> list[str]:
        """Take out the held lines."""
        dropped, self.held = self.held, []
        return dropped

    @property
    def offer(self) -> str:
        """What the user can do with the held lines, "" if there are none."""
        if not self.held:
            return ""
        many = len(self.held) > 1
        return (
            f"{_waits(len(self.held))}: Enter on an empty line runs {'them' if many else 'it'},"
            f" Ctrl-C drops {'them' if many else 'it'}"
        )

    def listing(self) -> str:
        """The held lines, one per line."""
        shown = [f"  {clean_line(line[:_WIDEST])}\n" for line in self.held[:_LISTED]]
        more = len(self.held) - len(shown)
        return "".join(shown) + (f"  … {more} more\n" if more else "")

    def waiting(self) -> str:
        """The lines that wait after the running one, on one line of the screen; "" for none."""
        parts = []
        if self._next:
            first = clean_line(self.first[:_WIDEST])
            parts.append(f"{_waits(len(self._next))} behind it, first {first}")
        if self.held:
            parts.append(f"{_waits(len(self.held))} for Enter")
        return "; ".join(parts)


def _waits(lines: int) -> str:
    return "1 line waits" if lines == 1 else f"{lines} lines wait"
