"""Passes strings to functions of plain modules, and reads strings that these return.

    __new, __pin                 AssemblyScript: a pointer to a String object (UTF-16)
    malloc, alloc or allocate    where a function takes as many numbers as were given: C strings;
                                 where it takes more: a pointer and a length for each string

Answers come in the same forms; an i64 of a 32-bit module may be a pair, (pointer << 32) | length.

WASM has numbers only, so what an answer points to decides whether it is a string. In AssemblyScript
it must point to an object with the class id of String. Elsewhere a string must have been given, and
the answer must point to one at or above the address where compilers begin to put data: a pair to a
part of memory, a C string to UTF-8 that is not empty and has no control characters.
"""

from __future__ import annotations

import re
from typing import Any

from aoshell.sandbox.wasm.guest import MAX_TEXT, Guest, GuestError

ALLOCATORS = ("malloc", "alloc", "allocate")
_STRING_ID = 2  # AssemblyScript's class id of String
_FIRST_DATA = 1024  # the lowest address of data, in modules of wasm-ld and of AssemblyScript
_TEXT = re.compile("[\t\n\r\x1b\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]+")


class Strings:
    """The strings of one module."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._pointer = "i64" if guest.wide else "i32"
        self._objects = guest.has("__new") and guest.has("__pin")
        self._allocator = next((name for name in ALLOCATORS if guest.has(name)), "")

    def give(self, text: bytes, takes: list[str], alone: bool) -> list[int]:
        """Put a string into the guest's memory. Returns the parameters that stand for it.

        Args:
            takes: the types that the function takes next, at least one.
            alone: pass a pointer only, without a length.

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
        """An answer read as a string. Raises GuestError where it cannot be one."""
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
        """The string that an answer seems to point to; None where it is taken for a number.

        Args:
            given: whether the function was given a string.
        """
        try:
            text = self.take(answer, gives)
        except GuestError:
            return None
        if self._objects:
            return text
        if self._is_pair(gives):
            pointer = self._guest.unsigned(answer >> 32)
            likely = pointer >= _FIRST_DATA or (pointer > 0 and not text)
        else:
            likely = self._guest.unsigned(answer) >= _FIRST_DATA and bool(_TEXT.fullmatch(text))
        return text if given and likely else None

    def _is_pair(self, gives: list[str]) -> bool:
        return gives == ["i64"] and not self._guest.wide and not self._objects

    def _object(self, pointer: int) -> str:
        head = self._guest.read(pointer - 8, 8)
        kind, size = (int.from_bytes(head[at : at + 4], "little") for at in (0, 4))
        if kind != _STRING_ID:
            raise GuestError("an answer points to no String")
        return self._read(pointer, size, 2 * MAX_TEXT).decode("utf-16-le", "replace")

    def _read(self, pointer: int, size: int, limit: int) -> bytes:
        """A string of `size` bytes, cut one byte above `limit` to show that it is too large."""
        self._guest.span(pointer, size)
        return self._guest.read(pointer, min(size, limit + 1))
