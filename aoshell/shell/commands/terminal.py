"""What a front at a terminal can do besides `Front`, for commands that need a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from aoshell.errors import UnsupportedError
from aoshell.shell.attached.session import Session


class TerminalFront(Protocol):
    """A front at a terminal."""

    async def compose(self) -> str:
        """Lines until `.done`; "" if they were given up."""

    async def pad(self) -> str:
        """What the user wrote in an editor; "" if it is nothing new."""

    async def more(self) -> bool:
        """Show the last answer that was cut; False if none was."""

    async def learn_names(self) -> int:
        """Read the names of the attached process; returns how many globals it has."""

    def past(self, words: str, most: int) -> list[str]:
        """The newest lines that were typed and have all of the words, the newest first."""

    def settings(self) -> Sequence[tuple[str, str, str]]:
        """Each setting: its name, its value, and what it may be."""

    def change(self, name: str, value: str) -> str:
        """Change a setting for this session; returns it as a line of the config file.

        Raises:
            UsageError: there is no such setting, or it cannot have this value.
        """


def terminal_front(session: Session, lacking: str, hint: str) -> TerminalFront:
    """The front of a session at a terminal.

    Raises:
        UnsupportedError: there is no terminal; `lacking` and `hint` are its texts.
    """
    if not hasattr(session.front, "compose"):
        raise UnsupportedError(lacking, hint=hint)
    return cast(TerminalFront, session.front)
