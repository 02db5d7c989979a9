"""What a session knows of the ends of logs without asking for them.

Receipts and answers to pushes name slots that are there, and the messages that the session sent are
its own: the feed need not read them back.
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
        """A slot that is there, for the feed to read up to."""
        self._named[process] = max(slot, self._named.get(process, -1))

    def named(self, process: str) -> int | None:
        """The last slot that was named since the last look; None for none."""
        return self._named.pop(process, None)

    def send(self, process: str, slot: int, message: Message) -> None:
        """A message that this session sent, and where it is."""
        self.name(process, slot)
        sent = self._sent.setdefault(process, {})
        sent[slot] = message
        if len(sent) > SENT:
            del sent[next(iter(sent))]

    def sent(self, process: str, slot: int) -> Message | None:
        """The message in a slot, if this session sent it."""
        return self._sent.get(process, {}).get(slot)

    def passed(self, process: str, slot: int) -> None:
        """The feed is behind this slot."""
        sent = self._sent.get(process, {})
        for one in [one for one in sent if one <= slot]:
            del sent[one]
