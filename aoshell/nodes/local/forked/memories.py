"""Stores the memories that forks begin with. They are not a cache: this node cannot compute them.

A file holds one compressed memory, without the pages that are all zeros, in the form of a worker's
images. Its name is the SHA-256 of the whole memory. It is fsynced before a fork that needs it is
written, and removed with the last such fork. Files left by a kill or a refusal are removed, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from itertools import repeat
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files, jsontext, zipped
from aoshell.errors import AoError
from aoshell.sandbox.frames import IMAGE_LIMIT

FOLDER = "memories"  # in the node's folder
MAGIC = b"aoshell memory 1\n"
PAGE = 65536  # bytes
_ZEROS = bytes(PAGE)
_HEAD = len(MAGIC) + 65  # bytes before the compressed ones: the magic, their SHA-256, a newline
_LONGEST_HEAD = 1 << 10  # bytes
_FILE = re.compile(r"([0-9a-f]{64})\.memory|\.([0-9a-f]{64})\.[0-9a-f]{16}")  # or an unfinished one
MOST_PAGES = (4 << 30) // PAGE  # of a memory


class Memories:
    """The memories of a node.

    Args:
        folder: the node's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._lock = threading.Lock()
        self._coming = Counter[str]()  # needed by forks that are being taken in

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.memory"

    def put(self, memory: bytes) -> str:
        """Store a memory, with fsync. Returns its SHA-256, in hexadecimal.

        Raises:
            AoError: it is no memory, or cannot be written.
        """
        digest = hashlib.sha256(memory).hexdigest()
        self._write(digest, pack(memory))
        return digest

    def put_packed(self, digest: str, packed: bytes) -> None:
        """Store a memory in the form of `packed`, which may be untrusted.

        Raises:
            ValueError: it is not the memory with that SHA-256.
            AoError: it cannot be written.
        """
        if not is_packed(packed) or digest_of(packed) != digest:
            raise ValueError("a memory is not what its SHA-256 says")
        self._write(digest, packed)

    def _write(self, digest: str, packed: bytes) -> None:
        if self._path(digest).exists():
            return
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
        """The content of a memory's file. Raises AoError if it is missing or damaged."""
        try:
            packed = files.read(self._path(digest), IMAGE_LIMIT + _HEAD)
        except OSError as error:
            raise _damaged(digest) from error
        if not is_packed(packed):
            raise _damaged(digest)
        return packed

    def image(self, digest: str) -> bytes:
        """A memory as an image for a worker. Raises AoError if it is missing or damaged."""
        return self.packed(digest)[_HEAD:]

    def whole(self, digest: str, most: int) -> bytes | None:
        """The whole memory; None if it is larger than `most` bytes. Takes long.

        Raises:
            AoError: it is missing or damaged.
        """
        found = bytearray()
        try:
            for part in whole_of(self.packed(digest)):
                found += part
                if len(found) > most:
                    return None
        except ValueError as error:
            raise _damaged(digest) from error
        return bytes(found)

    def remove(self, digest: str) -> None:
        """Remove a memory, unless a fork that is being added needs it."""
        with self._lock, contextlib.suppress(OSError):
            if not self._coming[digest]:
                self._path(digest).unlink(missing_ok=True)

    def remove_all_but(self, needed: Collection[str]) -> None:
        """Remove memories that no fork needs, and unfinished files.

        Call it only while no fork is being added.
        """
        with contextlib.suppress(OSError):  # no folder yet, or the next start can remove them
            for path in self._folder.iterdir():
                found = _FILE.fullmatch(path.name)
                if found and found[1] not in needed:
                    path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def coming(self, let_go: Callable[[str], None]) -> Iterator[Coming]:
        """Protects memories that come with a fork from removal while the block runs.

        Args:
            let_go: called with each of them after the block, as perhaps no fork needs it.
        """
        coming = Coming(self._begin)
        try:
            yield coming
        finally:
            for digest in coming.digests:
                with self._lock:
                    self._coming[digest] -= 1
                let_go(digest)

    def _begin(self, digest: str, packed: bytes) -> None:
        with self._lock:
            self._coming[digest] += 1
        self.put_packed(digest, packed)


class Coming:
    """The memories that come with one fork.

    Attributes:
        digests: SHA-256 of each memory that came.
    """

    def __init__(self, put: Callable[[str, bytes], None]) -> None:
        self._put = put
        self.digests: list[str] = []

    def put_packed(self, digest: str, packed: bytes) -> None:
        """As `Memories.put_packed`."""
        self.digests.append(digest)
        self._put(digest, packed)


def pack(memory: bytes) -> bytes:
    """The content of a file for a memory: the pages that are not all zeros.

    Raises:
        AoError: its size is not a number of whole pages.
    """
    if not memory or len(memory) % PAGE:
        raise AoError(
            f"this is not the memory of a WASM guest: {len(memory):,} bytes are not whole pages",
            stage="fork",
            hint="nothing was forked",
        )
    packer = zlib.compressobj(1)
    # Globals are left out: between messages they have the values of a newly started instance.
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
    """Whether bytes are a complete file of a memory."""
    if not packed.startswith(MAGIC) or len(packed) <= _HEAD:
        return False
    recorded = packed[len(MAGIC) : _HEAD - 1]
    return hashlib.sha256(packed[_HEAD:]).hexdigest().encode() == recorded


def digest_of(packed: bytes) -> str:
    """The SHA-256 of the whole memory in a file's content. Raises ValueError if there is none."""
    digest = hashlib.sha256()
    for part in whole_of(packed):
        digest.update(part)
    return digest.hexdigest()


def whole_of(packed: bytes) -> Iterator[bytes]:
    """The pages of the memory in a file's content, in order. Raises ValueError if damaged."""
    rest = bytearray()
    unpacking = zipped.Unpacking(zipped.ZLIB)
    pages, done = -1, 0
    for block in unpacking.feed(packed[_HEAD:]):
        rest += block
        if pages < 0:
            head, newline, following = bytes(rest).partition(b"\n")
            if not newline:
                raise ValueError("a memory has no head")
            facts = jsontext.parse(head, largest=_LONGEST_HEAD)
            pages, rest = int(facts["pages"]), bytearray(following)
            if facts["globals"] is not None or not 0 < pages <= MOST_PAGES:
                raise ValueError("a memory has another head")
        while len(rest) >= 8 + PAGE:
            (number,) = struct.unpack_from("<Q", rest)
            if not done <= number < pages:
                raise ValueError("the pages of a memory are out of order")
            yield from repeat(_ZEROS, number - done)
            yield bytes(rest[8 : 8 + PAGE])
            done, rest = number + 1, rest[8 + PAGE :]
    unpacking.end()
    if rest or pages < 0:
        raise ValueError("a memory has half a page")
    yield from repeat(_ZEROS, pages - done)


def _damaged(digest: str) -> AoError:
    return AoError(
        f"the memory {digest[:16]}… that a fork begins with is missing or damaged",
        stage="store",
        hint=".delete the fork, then fork it again: no log has what is in it",
    )
