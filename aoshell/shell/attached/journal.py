"""What a session keeps, while it runs, of what it does and no log holds.

`shell.attached.past` is made when `.record` is typed: the logs, and this beside them.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Deed(NamedTuple):
    """A change to the node by a dot command.

    Attributes:
        order: of the newest message before it (`protocol.message.Assignment`).
        verb: "publish", "import", "fork", "pause", "resume", "step" or "advance"; "" where no test
            can repeat it.
        description: for a person, of one that no test can repeat.
        process: id of the process that it is done to, or that it has made.
        source: id of the process that was forked, or of the module that was published.
        file: that it is made of.
        name: that it was given.
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
