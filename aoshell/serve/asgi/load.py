"""Counts what all requests under way use, on all ports of a node, and bounds it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aoshell.bounded.sizes import size
from aoshell.serve.asgi.http import RequestError

LARGEST_BODY = 16 << 20  # bytes of a request; the units of the network take 10 MB
LARGEST_BODIES = 256 << 20  # bytes of all requests under way
LARGEST_ANSWERS = 256 << 20  # bytes of all large answers that are held; others wait
MOST_REQUESTS = 256  # under way on all connections, including those that wait for a result
MOST_DRY_RUNS = 4  # dry runs and reads of a state under way; others wait their turn


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds that users may set.

    Attributes:
        body: bytes of the body of a request.
        requests: requests under way at once.
        dry_runs: dry runs and reads of a state under way at once.
    """

    body: int = LARGEST_BODY
    requests: int = MOST_REQUESTS
    dry_runs: int = MOST_DRY_RUNS


class Load:
    """What requests use now.

    Attributes:
        requests: number of requests under way.
        bodies: bytes of their bodies.
        answers: room for large answers.
        dry_runs: held while a dry run, or a read of a state, computes.
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
        """Count bytes of a body. Raises RequestError, 503, if all bodies together have too many."""
        self.bodies += length
        if self.bodies > LARGEST_BODIES:
            what = f"requests under way take {size(LARGEST_BODIES)}; try again soon"
            raise RequestError(503, what)


class Room:
    """Room for bytes that may be held at once.

    Args:
        most: bytes; a single larger answer gets in only alone.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0
        self.freed = asyncio.Event()

    def has(self, length: int) -> bool:
        return not self.held or self.held + length <= self.most


class Share:
    """The part of the room that one answer holds."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._length = 0

    def take(self, length: int) -> bool:
        """Hold `length` bytes instead of those held now. False if there is no room for them."""
        self.give_back()
        if not self._room.has(length):
            return False
        self._length = length
        self._room.held += length
        return True

    async def wait(self, length: int) -> None:
        """Wait until there is room for `length` bytes, and hold them."""
        while not self.take(length):
            self._room.freed.clear()
            await self._room.freed.wait()

    def give_back(self) -> None:
        """Hold nothing."""
        if self._length:
            self._room.held -= self._length
            self._length = 0
            self._room.freed.set()
