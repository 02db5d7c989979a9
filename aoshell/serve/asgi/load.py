"""What the requests under way use together, on all ports of a node, and how much they may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aoshell.bounded.sizes import size
from aoshell.serve.asgi.http import RequestError

LARGEST_BODY = 16 << 20  # bytes of a request; the units of the network take 10 MB
LARGEST_BODIES = 256 << 20  # bytes of all requests under way
LARGEST_ANSWERS = 256 << 20  # bytes of all large answers that are held; others wait
MOST_REQUESTS = 256  # under way, of all connections; those that wait for a result are among them
MOST_DRY_RUNS = 4  # and looks at a state, under way; others wait their turn


@dataclass(frozen=True, slots=True)
class Bounds:
    """What users may set.

    Attributes:
        body: bytes of the body of a request.
        requests: under way at once.
        dry_runs: and looks at a state, under way at once.
    """

    body: int = LARGEST_BODY
    requests: int = MOST_REQUESTS
    dry_runs: int = MOST_DRY_RUNS


class Load:
    """What is in use.

    Attributes:
        requests: under way.
        bodies: bytes that they have.
        answers: room for large answers.
        dry_runs: to be held while one computes.
    """

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.bounds = bounds or Bounds()
        self.requests = 0
        self.bodies = 0
        self.answers = Room(LARGEST_ANSWERS)
        self.dry_runs = asyncio.Semaphore(self.bounds.dry_runs)

    def check_requests(self) -> None:
        """Raise RequestError, 503, where too many are under way."""
        if self.requests > (most := self.bounds.requests):
            raise RequestError(503, f"{most} requests are under way; try again soon")

    def hold(self, length: int) -> None:
        """Count bytes of a body. Raises RequestError, 503, where all have too many."""
        self.bodies += length
        if self.bodies > LARGEST_BODIES:
            what = f"requests under way have {size(LARGEST_BODIES)}; try again soon"
            raise RequestError(503, what)


class Room:
    """Bytes that may be held at once.

    Args:
        most: one that is larger is let in alone.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.freed = asyncio.Event()

    def has(self, length: int) -> bool:
        return not self.held or self.held + length <= self.most


class Share:
    """What one answer has of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._length = 0

    def take(self, length: int) -> bool:
        """Hold so many bytes, in place of what is held; whether there was room for them."""
        self.give_back()
        if not self._room.has(length):
            return False
        self._length = length
        self._room.held += length
        return True

    async def wait(self, length: int) -> None:
        """Hold so many bytes once there is room for them."""
        while not self.take(length):
            self._room.freed.clear()
            await self._room.freed.wait()

    def give_back(self) -> None:
        """Hold nothing."""
        if self._length:
            self._room.held -= self._length
            self._length = 0
            self._room.freed.set()
