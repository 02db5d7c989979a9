"""Cache files: a header with the SHA-256 of the whole, then the bytes.

Their contents save time and can be made again. So they are not fsynced, a full disk is no error,
and a damaged file is removed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aoshell.bounded import files, jsontext
from aoshell.sandbox.frames import IMAGE_LIMIT

LONGEST_HEADER = 64 << 10  # bytes
LARGEST = IMAGE_LIMIT + LONGEST_HEADER  # bytes of a file; nothing larger is written

Header = dict[str, Any]


@cache
def installed(library: str) -> str:
    """Name and version of an installed library, for the header of a file that depends on it.

    The version is in the name of a folder beside the library (Python Packaging User Guide,
    "Recording installed projects"). Reading it there takes a tenth of importlib's time.
    """
    spec = find_spec(library)
    if spec is not None and spec.origin is not None:
        beside = os.listdir(Path(spec.origin).parents[1])  # noqa: PTH208 - names are enough
        start, end = f"{library}-", ".dist-info"
        named = [name for name in beside if name.startswith(start) and name.endswith(end)]
        if len(named) == 1:
            return f"{library} {named[0].removeprefix(start).removesuffix(end)}"
    from importlib.metadata import version

    return f"{library} {version(library)}"


class DamagedFileError(Exception):
    """A file that cannot be used; the text is the reason."""


class Sealed:
    """The files of one folder, private to the user.

    Args:
        suffix: of their names.
    """

    def __init__(self, folder: Path, suffix: str) -> None:
        self._folder = folder
        self._suffix = suffix

    def path(self, name: str) -> Path:
        return self._folder / f"{name}{self._suffix}"

    def write(self, name: str, header: Header, data: bytes) -> None:
        """Write a file; replaces an older one of that name."""
        sealed = header | {"sha256": _digest(header, data)}
        path = self.path(name)
        partial = path.with_suffix(".partial")
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with open(partial, "wb", opener=_private) as file:
                file.write(json.dumps(sealed).encode() + b"\n" + data)
            partial.replace(path)

    def read(self, name: str, expected: Header) -> tuple[Header, bytes] | None:
        """Header and bytes, or None if there is no such file.

        Args:
            expected: values that the header must have.

        Raises:
            DamagedFileError: it cannot be used; it was removed.
        """
        try:
            raw = files.read(self.path(name), LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedFileError(f"it cannot be read: {error.strerror}") from error
        try:
            return _opened(raw, expected)
        except DamagedFileError:
            self.remove(name)
            raise

    def header(self, name: str) -> Header:
        """The header of a file, unchecked; {} if there is none."""
        try:
            line, _, _ = files.read_head(self.path(name), LONGEST_HEADER).partition(b"\n")
            header = jsontext.parse(line)
        except (OSError, ValueError):
            return {}
        return header if isinstance(header, dict) else {}

    def names(self) -> list[str]:
        """Names of all files."""
        with contextlib.suppress(OSError):
            return [path.stem for path in self._folder.iterdir() if path.suffix == self._suffix]
        return []

    def remove(self, name: str) -> None:
        """Remove a file."""
        with contextlib.suppress(OSError):
            self.path(name).unlink(missing_ok=True)


def _opened(raw: bytes, expected: Header) -> tuple[Header, bytes]:
    line, _, data = raw.partition(b"\n")
    try:
        header = jsontext.parse(line, largest=LONGEST_HEADER)
        digest = header.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError("its header is invalid") from error
    for key, value in expected.items():
        if header.get(key) != value:
            raise DamagedFileError(f"it was made for another {key}")
    if _digest(header, data) != digest:
        raise DamagedFileError("its bytes have changed")
    return header, data


def _digest(header: Header, data: bytes) -> str:
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + data).hexdigest()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
