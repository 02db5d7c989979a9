"""What a session does that no log holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aoshell.shell.past import Deed


class Journal:
    """The deeds of a session, and where code came from.

    Attributes:
        deeds: changes to the node by dot commands.
        typed: id of a message → its line as it was typed, where that has `@name`.
        files: id of a module → the file that it was made of.
    """

    def __init__(self, deeds: list[Deed] | None = None) -> None:
        self.deeds: list[Deed] = [] if deeds is None else deeds
        self.files: dict[str, Path] = {}
        self.typed: dict[str, str] = {}
