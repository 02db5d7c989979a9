"""What a session knows about the ends of logs without requests.

Receipts and answers to pushes name slots that exist. The session also has the messages that it
sent, so the feed need not fetch them again.
"""

from __future__ import annotations

from aoshell.protocol.message import Message

SENT = 200  # newest messages of this session in one log that the feed has not passed


class Tails:
    """The ends of logs, by process."""

    def __init__(self) -> None:
        self._named: dict[str, int] = {}
        self._sent: dict[str, dict[int, Message]] = {}

    def name(self, process: str, slot: int) -> None:
        """Note a slot that exists; the feed must read up to it."""
        self._named[process] = max(slot, self._named.get(process, -1))

    def named(self, process: str) -> int | None:
        """The last slot that was noted since the last call; None if there was none."""
        return self._named.pop(process, None)

    def send(self, process: str, slot: int, message: Message) -> None:
        """Note a message that this session sent, and its place."""
        self.name(process, slot)
        sent = self._sent.setdefault(process, {})
        sent[slot] = message
        if len(sent) > SENT:
            del sent[next(iter(sent))]

    def sent(self, process: str, slot: int) -> Message | None:
        """The message in a slot, if this session sent it."""
        return self._sent.get(process, {}).get(slot)

    def passed(self, process: str, slot: int) -> None:
        """Note that the feed has passed this slot."""
        sent = self._sent.get(process, {})
        for one in [one for one in sent if one <= slot]:
            del sent[one]
