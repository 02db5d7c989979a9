"""Files that commands name: the path in an argument, reading, writing a new file."""

from __future__ import annotations

import os
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.protocol.message import raw
from aoshell.texts import strip_mark

_LARGEST = 64 * 1024 * 1024  # bytes of a file that is read whole


def path_of_argument(rest: str) -> Path:
    """The file that an argument names, in quotes or without."""
    quoted = len(rest) > 1 and rest[0] == rest[-1] and rest[0] in "\"'"
    name = rest[1:-1] if quoted else rest
    return files.path_of(_decoded(name))


def read_file(path: Path, largest: int = _LARGEST) -> bytes:
    """The bytes of a regular file; a device or a pipe is refused, as it might never end.

    Raises:
        AoError: stage "load"; also for more than `largest` bytes.
    """
    try:
        return files.read(path, largest)
    except files.UnfitFileError as error:
        what = f"{files.shown(path)} {error}"
    except FileNotFoundError:
        what = f"there is no file {files.shown(path)}"
    except (OSError, ValueError) as error:
        what = f"{files.shown(path)} cannot be read: {files.reason_of(error)}"
    raise AoError(what, stage="load", hint=f"paths start from {Path.cwd()}")


def read_text(path: Path, largest: int = _LARGEST) -> bytes:
    """As `read_file`, without a byte order mark (`texts.strip_mark`)."""
    return strip_mark(read_file(path, largest), path, "load")


def write_new_file(path: Path, data: bytes, stage: str) -> None:
    """Write a file that must not exist yet, and fsync it.

    Raises:
        AoError: of that stage; it exists, or cannot be written.
    """
    try:
        durable.write(path, [data], new=True, mode=durable.USERS_FILE)
    except FileExistsError:
        raise AoError(
            f"{files.shown(path)} exists already", stage=stage, hint="name a file that does not"
        ) from None
    except (OSError, ValueError) as error:
        raise AoError(
            f"{files.shown(path)} cannot be written: {files.reason_of(error)}",
            stage=stage,
            hint="name a file in a folder that you can write to",
        ) from error


def _decoded(name: str) -> str:
    """A file name with the bytes that were typed, whatever their encoding."""
    return os.fsdecode(raw(name))
