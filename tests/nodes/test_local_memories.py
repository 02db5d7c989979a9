"""Memories that forks begin with: kept as what they are, whoever hands them in."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from pathlib import Path

import pytest

from aoshell.errors import AoError
from aoshell.nodes.local.forked.memories import MAGIC, PAGE, Memories, digest_of, pack

PART = b"x" * PAGE
MEMORY = bytes(2 * PAGE) + PART + bytes(PAGE) + b"y" * PAGE + bytes(PAGE)


def packed_as(head: bytes, body: bytes) -> bytes:
    """A file whose own hash is right."""
    image = zlib.compress(head + b"\n" + body)
    return MAGIC + hashlib.sha256(image).hexdigest().encode() + b"\n" + image


def head(pages: object, values: object = None) -> bytes:
    return json.dumps({"globals": values, "pages": pages}).encode()


def test_a_memory_is_kept_as_its_pages_that_are_not_zeros(tmp_path: Path) -> None:
    memories = Memories(tmp_path)
    digest = memories.put(MEMORY)
    assert digest == hashlib.sha256(MEMORY).hexdigest() == digest_of(pack(MEMORY))
    first, _, rest = zlib.decompress(memories.image(digest)).partition(b"\n")
    assert json.loads(first) == {"globals": None, "pages": 6}
    assert rest == struct.pack("<Q", 2) + PART + struct.pack("<Q", 4) + b"y" * PAGE
    memories.remove(digest)
    with pytest.raises(AoError, match="missing or damaged"):
        memories.image(digest)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    memories = Memories(tmp_path)
    digest = memories.put(MEMORY)
    (file,) = (tmp_path / "memories").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(AoError, match="missing or damaged"):
        memories.image(digest)


@pytest.mark.parametrize(
    "packed",
    [
        pack(bytes(PAGE)),
        b"",
        MAGIC,
        packed_as(head(0), b""),
        packed_as(head(1 << 40), b""),
        packed_as(head(6, [1]), b""),
        packed_as(b"{}", b""),
        packed_as(b"x" * 2000, b""),
        packed_as(head(6), struct.pack("<Q", 6) + PART),
        packed_as(head(6), struct.pack("<Q", 2) + PART + struct.pack("<Q", 2) + PART),
        packed_as(head(6), struct.pack("<Q", 2) + PART[:-1]),
        pack(MEMORY)[:-1],
    ],
    ids=range(12),
)
def test_what_is_another_memory_than_it_says_is_refused(tmp_path: Path, packed: bytes) -> None:
    memories = Memories(tmp_path)
    with pytest.raises((ValueError, KeyError, TypeError)):
        memories.put_packed(hashlib.sha256(MEMORY).hexdigest(), packed)
    assert not list(tmp_path.iterdir())


def test_what_is_here_is_not_replaced(tmp_path: Path) -> None:
    memories = Memories(tmp_path)
    digest = memories.put(MEMORY)
    before = memories.packed(digest)
    body = b"".join(struct.pack("<Q", n) + MEMORY[n * PAGE : (n + 1) * PAGE] for n in range(6))
    memories.put_packed(digest, packed_as(head(6), body))  # the same, in another form
    assert memories.packed(digest) == before
