"""Keeps what a message prints, so that the parked fork can read it after the computing one died."""

from __future__ import annotations

import mmap

PRINTED_LIMIT = 1 << 20  # bytes of prints kept for a message that is killed


class Printed:
    """What the running message has printed, in memory shared with the parked fork."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Take new memory, shared only with later forks. Each worker calls this when it starts."""
        # The first 8 bytes are the length. It is written last, so a fork that is killed in between
        # leaves the prints that were whole before.
        self._page = mmap.mmap(-1, PRINTED_LIMIT + 8)
        self._used = 8

    def clear(self) -> None:
        self._used = 8
        self._page[:8] = bytes(8)

    def line(self, text: str) -> None:
        self.add(text + "\n")

    def add(self, text: str) -> None:
        room = PRINTED_LIMIT + 8 - self._used
        data = text[:room].encode("latin-1")
        self._page[self._used : self._used + len(data)] = data
        self._used += len(data)
        self._page[:8] = self._used.to_bytes(8, "big")

    def text(self) -> str:
        used = int.from_bytes(self._page[:8], "big")
        return self._page[8:used].decode("latin-1").removesuffix("\n")
