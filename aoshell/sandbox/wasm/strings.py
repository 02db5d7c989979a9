"""How plain modules are given strings and answer them.

    __new, __pin                 AssemblyScript: a pointer to a String object (UTF-16)
    malloc, alloc or allocate    where a function takes as many numbers as were given: C strings;
                                 where it takes more: a pointer and a length for each string

and answers are alike; an i64 of a 32-bit module may be a pair, (pointer << 32) | length.

WASM has numbers only: whether an answer is a string must be seen by where it points. A String
object of AssemblyScript says what it is. Elsewhere a string must have been given, and the answer
must point to one: a pair into memory, a C string to text that is not empty, UTF-8 without control
characters; neither to below where compilers begin to put data.
"""

from __future__ import annotations

import re
from typing import Any

from aoshell.sandbox.wasm.guest import MAX_TEXT, Guest, GuestError

ALLOCATORS = ("malloc", "alloc", "allocate")
_STRING_ID = 2  # AssemblyScript's class id of String
_FIRST_DATA = 1024  # the lowest address of data, of wasm-ld as of AssemblyScript
_TEXT = re.compile("[\t\n\r\x1b\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]+")


class Strings:
    """The strings of one module."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._pointer = "i64" if guest.wide else "i32"
        self._objects = guest.has("__new") and guest.has("__pin")
        self._allocator = next((name for name in ALLOCATORS if guest.has(name)), "")

    def give(self, text: bytes, takes: list[str], alone: bool) -> list[int]:
        """What a function is to be given for a string.

        Args:
            takes: what it takes next, one type at least.
            alone: whether a pointer is to do, without a length.

        Raises:
            GuestError: no string fits there, or the module has no room for one.
        """
        guest, size = self._guest, len(text)
        if not self._objects and not self._allocator:
            raise GuestError("the module has no malloc for a string: give Parameters = [numbers]")
        if takes[0] != self._pointer:
            raise GuestError(f"no string is {takes[0]}: give Parameters = [numbers]")
        if self._objects:
            units = text.decode("utf-8", "replace").encode("utf-16-le")
            pointer = guest.call("__pin", guest.call("__new", len(units), _STRING_ID))
            guest.write(pointer, units)
            return [pointer]
        pointer = int(guest.call(self._allocator, size + 1))
        if pointer == 0:
            raise GuestError(f"{self._allocator} gave no room for {size} bytes")
        guest.write(pointer, text + b"\0")
        return [pointer] if alone else [pointer, size]

    def take(self, answer: Any, gives: list[str]) -> str:
        """The string that an answer is. Raises GuestError where it can be none."""
        if self._is_pair(gives):
            raw = self._read(answer >> 32, answer & 0xFFFF_FFFF, MAX_TEXT)
        elif gives != [self._pointer]:
            raise GuestError(f"an answer of {', '.join(gives) or 'nothing'} is no string")
        elif self._objects:
            return self._object(answer)
        else:
            raw = self._guest.text(answer)
        return raw.decode("utf-8", "surrogateescape")

    def find(self, answer: Any, gives: list[str], given: bool) -> str | None:
        """The string that an answer points to; None where it is to be taken for a number.

        Args:
            given: whether the function was given a string.
        """
        try:
            said = self.take(answer, gives)
        except GuestError:
            return None
        if self._objects:
            return said
        if self._is_pair(gives):
            pointer = self._guest.unsigned(answer >> 32)
            likely = pointer >= _FIRST_DATA or (pointer > 0 and not said)
        else:
            likely = self._guest.unsigned(answer) >= _FIRST_DATA and bool(_TEXT.fullmatch(said))
        return said if given and likely else None

    def _is_pair(self, gives: list[str]) -> bool:
        return gives == ["i64"] and not self._guest.wide and not self._objects

    def _object(self, pointer: int) -> str:
        head = self._guest.read(pointer - 8, 8)
        kind, size = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4))
        if kind != _STRING_ID:
            raise GuestError("an answer points to no String")
        return self._read(pointer, size, 2 * MAX_TEXT).decode("utf-16-le", "replace")

    def _read(self, pointer: int, size: int, limit: int) -> bytes:
        """A string of that many bytes, of which one more than `limit` tell that it is too large."""
        self._guest.span(pointer, size)
        return self._guest.read(pointer, min(size, limit + 1))
