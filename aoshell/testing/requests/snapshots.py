"""Snapshots: values that tests saw once and expect again, in a text file next to the tests.

People read the file, for example in a diff:

    aoshell snapshots 1: coin_test.lua

    # a transfer tells both sides
    ## messages
    {
      …
    }

A line that begins with `#` names a test, one with `##` a snapshot of it. The text follows, as
written by `lua/written.lua`: none of its lines begins with `#`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from itertools import groupby, islice
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files
from aoshell.bounded.files import real
from aoshell.errors import AoError

LARGEST = 16 << 20  # bytes of a file of snapshots
LARGEST_TEXT = 1 << 20  # bytes of a snapshot
MOST_COMPARED = 2_000  # most lines of a snapshot that are compared one by one
MOST_SHOWN = 40  # most lines of a difference that are shown
FORMAT = 1
UPDATE = "aoshell test --update-snapshots"

_HEAD = re.compile(r"aoshell snapshots ([0-9]{1,9}): .*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\\\u0085\u2028\u2029]")

Key = tuple[str, str]
"""The name of a test and of its snapshot, each as in the file."""


class SnapshotsError(AoError):
    """A file of snapshots that cannot be used; the text names file and line."""

    def __init__(self, path: Path, line: int, why: str) -> None:
        hint = f"fix it, or delete it and run {UPDATE}"
        super().__init__(f"{path}:{line}: {why}", stage="load", hint=hint)


def snapshots_file(tests: Path) -> Path:
    """The snapshots file of a test file."""
    return tests.with_suffix(".snap")


def plain_name(name: str) -> str:
    """A name on one line."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", _readable(name))


def _readable(text: str) -> str:
    """Text with escapes for bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def read_snapshots(path: Path) -> dict[Key, str]:
    """The snapshots of a file, {} if there is none.

    Raises:
        SnapshotsError: it is not a snapshots file, or is damaged.
    """
    try:
        data = files.read(path, LARGEST)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SnapshotsError(path, 1, f"it cannot be read: {error}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SnapshotsError(path, line, "it is not text in UTF-8") from error
    return _parse(path, text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n"))


def _parse(path: Path, lines: list[str]) -> dict[Key, str]:
    head = _HEAD.fullmatch(lines[0])
    if head is None:
        raise SnapshotsError(path, 1, "this is not a file of snapshots of aoshell")
    if int(head[1]) > FORMAT:
        raise SnapshotsError(path, 1, f"it has format {int(head[1])}, newer than this aoshell's")
    found: dict[Key, list[str]] = {}
    begun: dict[Key, int] = {}
    test, body = "", None
    for number, line in enumerate(lines[1:], 2):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")) or line == "=======":
            raise SnapshotsError(path, number, "a merge conflict is not resolved")
        if line.startswith("## "):
            key = (test, line[3:])
            if not test:
                raise SnapshotsError(path, number, "a snapshot has no test above it")
            if key in found:
                why = f"this snapshot is in line {begun[key]} already"
                raise SnapshotsError(path, number, why)
            body = found[key] = []
            begun[key] = number
        elif line.startswith("# "):
            test, body = line[2:], None
        elif line.startswith("#"):
            raise SnapshotsError(path, number, "a name is missing after #")
        elif body is not None:
            body.append(line)
        elif line.strip():
            raise SnapshotsError(path, number, "this line belongs to no snapshot")
    texts = {key: "\n".join(body).strip("\n") for key, body in found.items()}
    for key, text in texts.items():
        if not text:
            raise SnapshotsError(path, begun[key], "this snapshot is empty")
    return texts


def write_snapshots(tests: Path, found: Mapping[Key, str]) -> None:
    """Write the snapshots file of a test file, whole or not at all; without snapshots, no file.

    Raises:
        AoError: stage "output".
    """
    path = snapshots_file(tests)
    parts = [f"aoshell snapshots {FORMAT}: {plain_name(tests.name)}\n"]
    for test, keys in groupby(sorted(found), key=lambda key: key[0]):
        parts.append(f"\n# {test}\n")
        parts += [f"## {key[1]}\n{found[key]}\n" for key in keys]
    try:
        if found:
            data = "".join(parts).encode()
            durable.write(real(path), [data], mode=durable.USERS_FILE)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror or error}"
        raise AoError(
            what, stage="output", hint="snapshots are stored next to their tests"
        ) from None


class TakenSnapshots:
    """The snapshots that one test takes.

    Args:
        file: of snapshots.
        test: the test's name.
        update: whether present values replace the stored ones.

    Attributes:
        found: the snapshots taken so far.
    """

    def __init__(self, file: Path, test: str, *, update: bool) -> None:
        self._file = file
        self._test = plain_name(test)
        self._update = update
        self._stored: dict[Key, str] | None = None  # not read yet
        self.found: dict[Key, str] = {}

    def take(self, name: str, text: str) -> None:
        """Compare a text with the file, or keep it for the file.

        Raises:
            AoError: it differs, is missing, is taken twice, or the file cannot be used.
        """
        key = (self._test, plain_name(name))
        if key in self.found:
            raise _refused(f"the snapshot {name!r} is taken twice in this test", "")
        if len(text) > LARGEST_TEXT:
            raise _refused(
                f"the snapshot {name!r} is larger than {LARGEST_TEXT >> 20} MB",
                "take a part of it",
            )
        if self._stored is None:
            self._stored = read_snapshots(self._file)
        self.found[key] = text = _readable(text)
        if self._update:
            return
        stored = self._stored.get(key)
        if stored is None:
            what = f"there is no snapshot {name!r} of this test in {self._file.name}"
            raise _refused(f"{what}; it would be\n{_cut(text.split(chr(10)))}", f"{UPDATE} adds it")
        if stored != text:
            raise _refused(
                f"the snapshot {name!r} differs (- as it was, + as it is)\n{_diff(stored, text)}",
                f"if it is right now: {UPDATE}",
            )


def _refused(what: str, hint: str) -> AoError:
    return AoError(what, stage="eval", hint=hint)


def _diff(stored: str, text: str) -> str:
    before, after = stored.split("\n"), text.split("\n")
    if max(len(before), len(after)) > MOST_COMPARED:
        pairs = enumerate(zip(before, after, strict=False), 1)
        at = next((n for n, (a, b) in pairs if a != b), min(len(before), len(after)) + 1)
        return f"they are long: the first difference is in their line {at}"
    lines = difflib.unified_diff(before, after, lineterm="", n=2)
    return _cut(list(islice(lines, 2, None)))


def _cut(lines: list[str]) -> str:
    more = len(lines) - MOST_SHOWN
    return "\n".join([*lines[:MOST_SHOWN], *([f"… {more} more lines"] if more > 0 else [])])


def unused(
    stored: Iterable[Key], declared: Iterable[str], passed: Mapping[str, set[Key]]
) -> list[Key]:
    """The snapshots that no test takes any more.

    Args:
        declared: the tests of the file.
        passed: the tests that ran to their end, with their snapshots.
    """
    names = {plain_name(name) for name in declared}
    ended = {plain_name(name): taken for name, taken in passed.items()}
    return [
        key
        for key in stored
        if key[0] not in names or (key[0] in ended and key not in ended[key[0]])
    ]
