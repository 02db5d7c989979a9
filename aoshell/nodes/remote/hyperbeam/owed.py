"""Messages that this home sent to a node, and whose deliveries have not ended.

A node delivers while somebody waits, so what a shell leaves behind that is killed or interrupted
is delivered by nobody. The book has each message from before it is sent until what it sends is
delivered, or the user was told what became of that. What is left there the next shell tells of.
"""

from __future__ import annotations

import os
from contextlib import suppress

from aoshell.nodes.remote.memory import Book

OWED = "owed"  # kind of facts in the book, by message: {"process", "slot", "shell": its pid}
NOWHERE = -1  # the slot of a message that is not known to be in the log
SPOKEN_OF = 20  # messages of one process that are looked at when it is opened


class Owed:
    """Those of one endpoint."""

    def __init__(self, book: Book, endpoint: str) -> None:
        self._book = book
        self._endpoint = endpoint
        self._begun: set[str] = set()

    def begin(self, process: str, message: str) -> None:
        """A message is about to be sent."""
        self._begun.add(message)
        self._put(process, message, NOWHERE)

    def place(self, process: str, message: str, slot: int) -> None:
        """It is in the log."""
        self._put(process, message, slot)

    def _put(self, process: str, message: str, slot: int) -> None:
        fact = {"process": process, "slot": slot, "shell": os.getpid()}
        self._book.put(self._endpoint, OWED, message, fact, learnt_again=True)

    def end(self, message: str) -> None:
        """Nothing is owed any more: it was delivered, or the user knows."""
        self._begun.discard(message)
        self._book.drop(self._endpoint, OWED, message)

    def take(self, message: str) -> bool:
        """Begin to look at one that is left; False where that has begun already."""
        if message in self._begun:
            return False
        self._begun.add(message)
        return True

    def give_up(self, message: str) -> None:
        """This shell delivers it no more."""
        self._begun.discard(message)

    def left(self, process: str) -> dict[str, int]:
        """The slots of messages to a process that are owed and that no shell delivers, by id."""
        facts = self._book.all(self._endpoint, OWED)
        found = [
            (message, int(fact["slot"]))
            for message, fact in facts.items()
            if fact["process"] == process and self._is_left(message, int(fact["shell"]))
        ]
        return dict(found[:SPOKEN_OF])

    def _is_left(self, message: str, shell: int) -> bool:
        return message not in self._begun if shell == os.getpid() else not _runs(shell)


def _runs(process: int) -> bool:
    """Whether a process of this machine runs."""
    with suppress(ProcessLookupError):
        with suppress(PermissionError):  # it is somebody else's
            os.kill(process, 0)
        return True
    return False
