"""Reads numbers and byte strings in order, never beyond the end."""

from __future__ import annotations

from typing import Literal

from aoshell.attest.errors import EvidenceError


class BytesReader:
    """Reads bytes in order. Each method raises EvidenceError where they do not suffice.

    Args:
        data: all bytes.
        what: what they are, for errors ("the EK's public area").
        error: the name of the errors.
        order: of the bytes of numbers: "big" in TPM structures, "little" in those of firmware.
    """

    def __init__(
        self, data: bytes, what: str, error: str, order: Literal["big", "little"] = "big"
    ) -> None:
        self._data = data
        self._what = what
        self._error = error
        self._order = order
        self.at = 0

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return self.at < len(self._data)

    def refuse(self, why: str, error: str = "") -> EvidenceError:
        """The error for what was just read."""
        return EvidenceError(error or self._error, f"{self._what}: {why} (at byte {self.at})")

    def take(self, size: int) -> bytes:
        """The next bytes, exactly so many."""
        end = self.at + size
        if end > len(self._data):
            raise self.refuse(f"{size} bytes are due, {len(self._data) - self.at} are left")
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def number(self, size: int) -> int:
        """The next number, which has so many bytes and no sign."""
        return int.from_bytes(self.take(size), self._order)

    def sized(self, most: int) -> bytes:
        """A byte string after its length in two bytes (TPM2B).

        Args:
            most: bytes that it may have.
        """
        size = self.number(2)
        if size > most:
            raise self.refuse(f"a string of {size} bytes, where {most} is the most")
        return self.take(size)

    def end(self, error: str = "") -> None:
        """Checks that nothing is left."""
        if self:
            left = len(self._data) - self.at
            raise self.refuse(f"{left} bytes after the end", error)
