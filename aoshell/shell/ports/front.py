"""The user of a session: how it shows text and asks there, and how long lines are waited for."""

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
    """What a session needs from the terminal or pipe that it is used from.

    Attributes:
        asks: whether somebody can answer `confirm`.
    """

    asks: bool

    def opened(self, node: Node) -> None:
        """Show what the session waits for at this node, from now on."""

    def partial(self, result: Result) -> None:
        """Show what a line printed before it began to wait for another message."""

    def feed(self, text: str) -> None:
        """Show what arrived, apart from answers."""

    def note(self, text: str) -> None:
        """Show sentences of the shell."""

    async def confirm(self, question: str) -> bool:
        """Ask yes or no; in a pipe the answer is no."""
