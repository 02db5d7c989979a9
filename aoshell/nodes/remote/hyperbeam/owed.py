"""Remembers messages that this home sent to a node, until their own messages are delivered.

A node delivers only while a client waits, so if a shell is killed or interrupted, some messages
stay undelivered. The book has each message from before it is sent until its messages are delivered,
or the user was told what became of them. The next shell reports those that are left.
"""

from __future__ import annotations

import os
from contextlib import suppress

from aoshell.nodes.remote.memory import Book

OWED = "owed"  # kind of facts in the book, by message: {"process", "slot", "shell": its pid}
NOWHERE = -1  # in place of a slot, if it is not known whether the message is in the log
SPOKEN_OF = 20  # messages of one process that are checked when it is opened


class Owed:
    """The owed messages of one endpoint."""

    def __init__(self, book: Book, endpoint: str) -> None:
        self._book = book
        self._endpoint = endpoint
        self._begun: set[str] = set()

    def begin(self, process: str, message: str) -> None:
        """Note that a message will be sent now."""
        self._begun.add(message)
        self._put(process, message, NOWHERE)

    def place(self, process: str, message: str, slot: int) -> None:
        """Note that a message is in the log."""
        self._put(process, message, slot)

    def _put(self, process: str, message: str, slot: int) -> None:
        fact = {"process": process, "slot": slot, "shell": os.getpid()}
        self._book.put(self._endpoint, OWED, message, fact, learnt_again=True)

    def end(self, message: str) -> None:
        """Remove a message: everything is delivered, or the user knows."""
        self._begun.discard(message)
        self._book.drop(self._endpoint, OWED, message)

    def take(self, message: str) -> bool:
        """Begin to check a message that is left; False if that has begun already."""
        if message in self._begun:
            return False
        self._begun.add(message)
        return True

    def give_up(self, message: str) -> None:
        """Note that this shell does not deliver it any more."""
        self._begun.discard(message)

    def left(self, process: str) -> dict[str, int]:
        """The slots, by id, of owed messages to a process that no shell delivers now."""
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
    """Whether an operating-system process runs."""
    with suppress(ProcessLookupError):
        with suppress(PermissionError):  # it runs, as another user
            os.kill(process, 0)
        return True
    return False
