"""Digests that the host computes for a guest: the same bytes as the guest's own code, but faster.

Text is latin-1, one character a byte. Input comes in pieces: a copy of a large text would escape
the guest's memory limit. Each digest is used once at import: OpenSSL reads its settings on first
use, and a worker cannot open files.
"""

from __future__ import annotations

import hashlib
from typing import Any

NAMES = ("md5", "sha1", "sha256", "sha512", "sha3_256", "sha3_512")


class Digests:
    """One digest at a time: `begin`, any number of `add`, `end`. Only the host's Lua calls them."""

    def __init__(self) -> None:
        self._running: Any = None

    def begin(self, name: str, size: int, key: str) -> None:
        """`name` is blake2b, with `size` bytes of digest and a key, or one of NAMES."""
        if name == "blake2b":
            self._running = hashlib.blake2b(digest_size=size, key=key.encode("latin-1"))
        else:
            self._running = hashlib.new(name, usedforsecurity=False)

    def add(self, text: str) -> None:
        """Add a piece of the input."""
        self._running.update(text.encode("latin-1"))

    def end(self) -> str:
        """The digest's bytes."""
        digest: bytes = self._running.digest()
        self._running = None
        return digest.decode("latin-1")


def pbkdf2(name: str, password: str, salt: str, iterations: int, length: int) -> str:
    """`length` bytes derived from a password (RFC 8018)."""
    pieces = (password.encode("latin-1"), salt.encode("latin-1"))
    return hashlib.pbkdf2_hmac(name, *pieces, iterations, length).decode("latin-1")


def _rehearse() -> None:
    digests = Digests()
    for name in (*NAMES, "blake2b"):
        digests.begin(name, 64, "")
        digests.add("")
        digests.end()
    for name in ("sha1", "sha256"):
        pbkdf2(name, "", "", 1, 1)


_rehearse()


def text_digest(text: bytes) -> str:
    """SHA-256 of a file's text, hexadecimal: it names the file in line counts (`watch`)."""
    return hashlib.sha256(text).hexdigest()
