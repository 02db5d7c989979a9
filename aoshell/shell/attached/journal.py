"""What a session did that no log holds, kept in memory while it runs.

`.record` combines it with the logs (`shell.attached.past`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Deed(NamedTuple):
    """A change to the node by a dot command.

    Attributes:
        order: of the newest message before it (`protocol.message.Assignment`).
        verb: "publish", "import", "fork", "pause", "resume", "step" or "advance"; "" if no test can
            repeat it.
        description: for people, if no test can repeat it.
        process: id of the process that it changed or made.
        source: id of the process that was forked, or of the module that was published.
        file: that the process was made of.
        name: that the process was given.
        number: slot, place in a queue, or milliseconds; -1 for none.
    """

    order: int
    verb: str
    description: str = ""
    process: str = ""
    source: str = ""
    file: Path | None = None
    name: str = ""
    number: int = -1


class Journal:
    """The deeds of a session, and the sources of its code.

    Attributes:
        deeds: changes to the node by dot commands.
        typed: id of a message → its line as typed, if that has `@name`.
        files: id of a module → the file that it was made of.
    """

    def __init__(self, deeds: list[Deed] | None = None) -> None:
        self.deeds: list[Deed] = [] if deeds is None else deeds
        self.files: dict[str, Path] = {}
        self.typed: dict[str, str] = {}
