"""Unpacks compressed bytes in steps: they may unpack to a thousand times their size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from aoshell.bounded.sizes import size

STEP = 1 << 20  # bytes that one step returns at most
GZIP, ZLIB = zlib.MAX_WBITS | 16, zlib.MAX_WBITS


class DamagedZipError(ValueError):
    """Compressed bytes are damaged or too many; the text says how and completes "its bytes …"."""


class Unpacking:
    """Unpacks one compressed stream (RFC 1950 or 1952) that comes in pieces.

    Args:
        kind: `GZIP` or `ZLIB`.
    """

    def __init__(self, kind: int) -> None:
        self._stream = zlib.decompressobj(kind)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Unpack a piece; yields at most `STEP` bytes at a time. Raises DamagedZipError."""
        full = True
        while piece or full:
            try:
                unpacked = self._stream.decompress(piece, STEP)
            except zlib.error as error:
                raise DamagedZipError("are not compressed as they say") from error
            if self._stream.unused_data:
                raise DamagedZipError("go on after the end of the compressed data")
            piece, full = self._stream.unconsumed_tail, len(unpacked) == STEP
            if unpacked:
                yield unpacked

    def end(self) -> None:
        """Raise DamagedZipError if the stream has not ended."""
        if not self._stream.eof:
            raise DamagedZipError("break off")


def unpacked_lines(packed: Iterable[bytes], largest: int, longest: int) -> Iterator[bytes]:
    """The lines of a ZLIB stream, without their ends.

    Args:
        largest: bytes of all lines together.
        longest: bytes of one.

    Raises:
        DamagedZipError: the stream is damaged, or exceeds a bound, which the text names.
    """
    unpacking, rest, total = Unpacking(ZLIB), bytearray(), 0
    for piece in packed:
        for block in unpacking.feed(piece):
            total += len(block)
            if total > largest:
                raise DamagedZipError(f"unpack to more than {size(largest)}")
            first, *more = block.split(b"\n")
            rest += first
            if len(rest) > longest:
                raise DamagedZipError(f"have a line of more than {size(longest)}")
            for line in more:
                ready, rest = [bytes(rest)], bytearray(line)
                yield ready.pop()  # the caller then holds the only reference
    unpacking.end()
    if rest:
        yield bytes(rest)
