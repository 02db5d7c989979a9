"""The lines entered in all sessions: kept in a file, suggested, and searched.

The file has prompt_toolkit's format. Each entry is one write to its end, so two shells on one home
do not mix their entries.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.auto_suggest import Suggestion
from prompt_toolkit.history import History

from aoshell.bounded.files import read_tail
from aoshell.protocol.message import raw, text

KEPT = 10_000  # newest entries that a session knows
_READ = 16 << 20  # bytes at the file's end that are read
LONGEST = 1 << 16  # characters of an entry; a longer one was pasted from a file
_PRIVATE = 0o600
_FUZZY = 3  # letters at least, to find an entry by their order alone


class LineHistory(History):
    """Entries, newest first.

    Args:
        path: of the file, None for a session that stores nothing.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        self._begun = self._suggested = ""

    @property
    def entries(self) -> list[str]:
        """All entries, the newest first; not to be changed."""
        return self._loaded_strings

    def load_history_strings(self) -> Iterable[str]:
        if self._path is None:
            return []
        try:
            self._path.touch(mode=_PRIVATE)
            content = read_tail(self._path, _READ)
        except OSError:
            return []
        return _entries(content)

    def append_string(self, string: str) -> None:
        """Add an entry, unless it repeats the one before it or is longer than LONGEST."""
        if len(string) <= LONGEST and string.strip() and self._loaded_strings[:1] != [string]:
            super().append_string(string)

    def keep(self, lines: list[str]) -> None:
        """Add lines that were not run, however long, for this session only; the last is newest."""
        known = self._loaded_strings[: len(lines)]
        for line in lines:
            if line.strip() and line not in known:
                self._loaded_strings.insert(0, line)

    def store_string(self, string: str) -> None:
        if self._path is None:
            return
        import time

        lines = "".join(f"+{line}\n" for line in string.split("\n"))
        entry = f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')}\n{lines}"
        # Not fsynced: the log holds what the line does, and typing must not wait for a disk. On a
        # full disk, or with text that no file can hold, the line still runs.
        with suppress(OSError, UnicodeEncodeError):
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, _PRIVATE)
            try:
                os.write(file, raw(entry))
            finally:
                os.close(file)

    def suggestion(self, typed: str) -> Suggestion | None:
        """The rest of the newest entry that begins with what is typed."""
        if not typed.strip() or "\n" in typed:
            return None
        # While the user types a suggested line on, it stays the newest that fits.
        begun, fits = self._begun, self._suggested.startswith(typed)
        self._begun = typed
        if not (begun and typed.startswith(begun) and fits and len(self._suggested) > len(typed)):
            self._suggested = next(
                (
                    entry
                    for entry in self._loaded_strings
                    if entry.startswith(typed) and len(entry) > len(typed)
                ),
                "",
            )
        rest = self._suggested[len(typed) :]
        return Suggestion(rest) if rest else None

    def search(self, words: str, most: int) -> list[str]:
        """Entries that hold all words, the newest first; else those with their letters in order.

        Each entry comes once. Case counts where the words have capital letters.
        """
        folded = words == words.lower()
        found = _found(self._loaded_strings, most, _has_all(words), folded=folded)
        if found or len(words.strip()) < _FUZZY:
            return found
        return _found(self._loaded_strings, most, _in_order(words), folded=folded)


def _has_all(words: str) -> Callable[[str], bool]:
    parts = words.split()
    return lambda entry: all(part in entry for part in parts)


def _in_order(words: str) -> Callable[[str], bool]:
    letters = words.replace(" ", "")

    def fits(entry: str) -> bool:
        at = 0
        for letter in letters:
            at = entry.find(letter, at) + 1
            if not at:
                return False
        return True

    return fits


def _found(
    entries: list[str], most: int, fits: Callable[[str], bool], *, folded: bool
) -> list[str]:
    found: dict[str, None] = {}
    for entry in entries:
        if entry not in found and fits(entry.lower() if folded else entry):
            found[entry] = None
            if len(found) == most:
                break
    return list(found)


def _entries(content: bytes) -> list[str]:
    """The entries of a file, newest first, without cut or damaged ones."""
    found = []
    for part in reversed(text(content).split("\n# ")):
        _, _, lines = part.partition("\n")
        if lines[:1] == "+":
            found.append(lines[1:].rstrip("\n").replace("\n+", "\n"))
            if len(found) == KEPT:
                break
    return found
