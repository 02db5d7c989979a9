"""Reads files that others may have written: regular ones only, of a bounded size, without waiting.

Paths that a user, a file or a peer names are made, looked at and shown here: no such name may end
the program, whatever the system thinks of it.

A pipe is read only if the command line names it (`take_pipe`): then the user expects to wait, and
can press Ctrl-C.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from aoshell.bounded.sizes import size

# Without these, opening a pipe without a writer waits, and a terminal may become ours.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


LARGEST_PIPE = 64 << 20  # bytes
_PIECE = 1 << 20  # bytes that are read at a time
_taken: dict[str, bytes] = {}  # what came through the pipes of the command line, by their names

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class UnfitFileError(OSError):
    """A file that is refused; `strerror` says why and completes "the file …"."""

    def __init__(self, why: str) -> None:
        super().__init__(None, why)

    def __str__(self) -> str:
        return str(self.strerror)


def path_of(name: str) -> Path:
    """The path that somebody names; `~` of an unknown user stays, as in shells."""
    path = Path(name)
    with suppress(RuntimeError):  # there is no such user, or no home
        return path.expanduser()
    return path


def shown(path: object) -> str:
    """A path for one line of text: control characters and line breaks escaped."""
    return _CONTROLS.sub(lambda found: repr(found[0])[1:-1], str(path))


def reason_of(error: BaseException) -> str:
    """Why the system refuses a path."""
    return (isinstance(error, OSError) and error.strerror) or str(error)


def is_there(path: Path) -> bool:
    """Whether something lies at a path. True also if that cannot be found out: reading says why."""
    return _looked_at(path) is not None


def is_file(path: Path) -> bool:
    """The same for a regular file. A pipe that was taken counts."""
    mode = _looked_at(path)
    return mode is not None and (mode == 0 or stat.S_ISREG(mode) or str(path) in _taken)


def is_folder(path: Path) -> bool:
    """The same for a folder; False if that cannot be found out."""
    mode = _looked_at(path)
    return mode is not None and stat.S_ISDIR(mode)


def real(path: Path) -> Path:
    """The path without links, as far as they can be followed; absolute.

    Raises:
        ValueError: it holds a zero byte.
    """
    return Path(os.path.realpath(path))


def _looked_at(path: Path) -> int | None:
    """The mode of what lies at a path; None for nothing, 0 if it cannot be looked at."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        return None if error.errno == errno.ENAMETOOLONG else 0


def take_pipe(path: Path) -> None:
    """Read a pipe to its end; `read` and `read_head` then give what came. Ignores other files.

    Raises:
        UnfitFileError: more than `LARGEST_PIPE` came.
        OSError: it cannot be read.
    """
    try:
        if not stat.S_ISFIFO(path.stat().st_mode):
            return
    except (OSError, ValueError):
        return  # reading it later reports that
    came = bytearray()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            came += piece
            if len(came) > LARGEST_PIPE:
                raise _too_large(LARGEST_PIPE)
    _taken[str(path)] = bytes(came)


def read(path: Path, largest: int) -> bytes:
    """The bytes of a regular file, or of a pipe that was taken.

    Args:
        largest: bytes that it may have.

    Raises:
        UnfitFileError: it is larger, or a folder, a pipe or a device.
        OSError: it cannot be read.
        ValueError: the path holds a zero byte.
    """
    with _opened(path) as file:
        length = _size(file)
        if length > largest:
            raise _too_large(largest)
        data = file.read(length + 1)
        if len(data) > length:  # it grows, or is one of those in /proc, whose size is 0
            data += file.read(largest - length)
    if len(data) > largest:
        raise _too_large(largest)
    return data


def read_tail(path: Path, most: int) -> bytes:
    """The last `most` bytes of a regular file, all of it where it has fewer. Raises as `read`."""
    with _opened(path) as file:
        length = _size(file)
        file.seek(max(0, length - most))
        return file.read(min(length, most))  # read() takes room for that many bytes at once


def read_head(path: Path, most: int) -> bytes:
    """The first `most` bytes of a regular file, all of it where it has fewer. Raises as `read`."""
    with _opened(path) as file:
        return file.read(most)


def pieces(path: Path, largest: int) -> Iterator[bytes]:
    """As `read`, a piece at a time: for files that memory need not hold."""
    with _opened(path) as file:
        left = largest
        if _size(file) > left:
            raise _too_large(largest)
        while piece := file.read(_PIECE):
            left -= len(piece)
            if left < 0:
                raise _too_large(largest)
            yield piece


def _opened(path: Path) -> BinaryIO:
    if (came := _taken.get(str(path))) is not None:
        return io.BytesIO(came)
    number = os.open(path, _FLAGS)
    try:
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            raise UnfitFileError(f"is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'}")
        return os.fdopen(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _size(file: BinaryIO) -> int:
    """The size of a file, bytes, as the system reports it."""
    if isinstance(file, io.BytesIO):
        return len(file.getbuffer())
    return os.fstat(file.fileno()).st_size


def _too_large(largest: int) -> UnfitFileError:
    return UnfitFileError(f"is larger than {size(largest)}")
