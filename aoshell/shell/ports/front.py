"""Who uses a session: what it shows and asks there, and how long a line is waited for."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from aoshell.nodes.base import Node
from aoshell.protocol.message import Result


class Patience(Enum):
    """How long the shell waits for a line."""

    ANSWER = "until its handling ends"
    SETTLED = "until all that it caused is done"
    OWN = "until its own slot is computed"


class Front(Protocol):
    """What a session needs of the terminal or the pipe that it is used from.

    Attributes:
        asks: whether somebody is there to answer `confirm`.
    """

    asks: bool

    def opened(self, node: Node) -> None:
        """From now on the session waits for this node: show what it waits for."""

    def partial(self, result: Result) -> None:
        """Show what a line printed before it began to wait for another message."""

    def feed(self, text: str) -> None:
        """Show text that is no answer: what arrived."""

    def note(self, text: str) -> None:
        """Show sentences of the shell."""

    async def confirm(self, question: str) -> bool:
        """Ask yes or no; in a pipe the answer is no."""
