"""Memories that forks begin with. They are truth, and no cache: nothing here can compute them.

A file holds the pages of one memory that are not all zeros, compressed, in the form in which a
worker takes images. Its name is the SHA-256 of the whole memory. It is fsynced before a fork that
needs it is written, and removed with the last one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.sandbox.frames import IMAGE_LIMIT

MAGIC = b"aoshell memory 1\n"
PAGE = 65536  # bytes
_ZEROS = bytes(PAGE)
_HEAD = len(MAGIC) + 65  # bytes in front of what is compressed: the magic, its SHA-256, a newline
_NAME = re.compile(r"[0-9a-f]{64}")


class Memories:
    """The folder of memories."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.memory"

    def put(self, memory: bytes) -> str:
        """Keep a memory, fsynced. Returns its SHA-256, in hexadecimal.

        Raises:
            AoError: it is none, or cannot be written.
        """
        digest = hashlib.sha256(memory).hexdigest()
        if not self._path(digest).exists():
            self.put_packed(digest, pack(memory))
        return digest

    def put_packed(self, digest: str, packed: bytes) -> None:
        """Keep a memory as `packed` gives it. Raises AoError."""
        if not _NAME.fullmatch(digest) or not is_packed(packed):
            raise _damaged(digest)
        try:
            durable.make_folder(self._folder)
            durable.write(self._path(digest), [packed])
        except OSError as error:
            raise AoError(
                f"the memory of a fork cannot be written to {self._folder}: "
                f"{error.strerror or error}",
                stage="store",
                hint="nothing was forked; free some room on the disk, then try again",
            ) from error

    def packed(self, digest: str) -> bytes:
        """A memory as its file has it. Raises AoError where it is missing or damaged."""
        try:
            packed = files.read(self._path(digest), IMAGE_LIMIT + _HEAD)
        except OSError as error:
            raise _damaged(digest) from error
        if not is_packed(packed):
            raise _damaged(digest)
        return packed

    def image(self, digest: str) -> bytes:
        """A memory as a worker takes it. Raises AoError where it is missing or damaged."""
        return self.packed(digest)[_HEAD:]

    def remove(self, digest: str) -> None:
        """Remove a memory."""
        with contextlib.suppress(OSError):
            self._path(digest).unlink(missing_ok=True)


def pack(memory: bytes) -> bytes:
    """A memory as a file has it: the pages that are not all zeros.

    Raises:
        AoError: it has no whole pages.
    """
    if not memory or len(memory) % PAGE:
        raise AoError(
            f"what came is no memory of a WASM guest: {len(memory):,} bytes are no whole pages",
            stage="fork",
            hint="nothing was forked",
        )
    packer = zlib.compressobj(1)
    # Globals are left as they are when an instance has started: between messages they are that.
    parts = [packer.compress(json.dumps({"globals": None, "pages": len(memory) // PAGE}).encode())]
    parts.append(packer.compress(b"\n"))
    parts += [packer.compress(part) for part in _pages(memory)]
    parts.append(packer.flush())
    image = b"".join(parts)
    return MAGIC + hashlib.sha256(image).hexdigest().encode() + b"\n" + image


def _pages(memory: bytes) -> Iterator[bytes]:
    view = memoryview(memory)
    for number in range(len(memory) // PAGE):
        page = view[number * PAGE : (number + 1) * PAGE]
        if page != _ZEROS:
            yield struct.pack("<Q", number)
            yield bytes(page)


def is_packed(packed: bytes) -> bool:
    """Whether bytes are a whole file of a memory."""
    if not packed.startswith(MAGIC) or len(packed) <= _HEAD:
        return False
    said = packed[len(MAGIC) : _HEAD - 1]
    return hashlib.sha256(packed[_HEAD:]).hexdigest().encode() == said


def _damaged(digest: str) -> AoError:
    return AoError(
        f"the memory {digest[:16]}… that a fork begins with is missing or damaged",
        stage="store",
        hint=".delete the fork, then fork it again: no log has what is in it",
    )
