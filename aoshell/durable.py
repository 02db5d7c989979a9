"""Writes files and folders that survive a power cut once these functions return.

Writes all data that users rely on and that is not in the database. A file is written next to its
place, fsynced and renamed; then the folder is fsynced. So it exists completely or not at all. Data
that can be made again (caches, checkpoints) may be written elsewhere.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
USERS_FILE = 0o666  # before the user's umask

# Errors of a file system without hard links, and of a folder that cannot be fsynced because its
# file system does not support it or the user may not read it.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NO_SYNC = (errno.EINVAL, errno.EOPNOTSUPP, errno.EACCES)


def write(
    path: Path, parts: Iterable[bytes], *, new: bool = False, mode: int = PRIVATE_FILE
) -> None:
    """Write a file, whole or not at all.

    Args:
        new: it must not exist yet; otherwise an existing file is replaced.

    Raises:
        OSError: it cannot be written; FileExistsError if it must not exist but does.
    """
    with writing(path, new=new, mode=mode) as file:
        file.writelines(parts)


@contextmanager
def writing(path: Path, *, new: bool = False, mode: int = PRIVATE_FILE) -> Iterator[BinaryIO]:
    """As `write`, a part at a time: the file is in its place after the block.

    If the block raises, nothing is left of it.
    """
    if new and os.path.lexists(path):  # checked before its parts are made
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    partial = path.with_name(f".{path.name[:64]}.{os.urandom(8).hex()}")
    with open(partial, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if new:
                _put_where_none_is(partial, path)
            else:
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents with mode 0700. Raises OSError."""
    for folder in reversed((path, *path.parents)):
        if not folder.is_dir():
            with suppress(FileExistsError):  # made by another process; or a file, which fails below
                folder.mkdir(PRIVATE_FOLDER)
            sync_folder(folder.parent)


def refusal(path: Path) -> str:
    """Why a file cannot be written at a path, as far as this shows beforehand; "" if it can.

    A link is followed. A device or a pipe is refused.
    """
    place = Path(os.path.realpath(path))
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        if not place.parent.is_dir():
            return "there is no such folder"
        return "" if os.access(place.parent, os.W_OK) else os.strerror(errno.EACCES)
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISREG(mode):
        return "it is no regular file"
    return "" if os.access(place, os.W_OK) else os.strerror(errno.EACCES)


def sync_folder(path: Path) -> None:
    """Fsync a folder: files made, renamed and removed in it. Raises OSError.

    Does nothing on a file system that cannot do this.
    """
    try:
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def _put_where_none_is(partial: Path, path: Path) -> None:
    # A link, unlike a rename, fails if the name is taken.
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))  # takes the name, then fills it
        partial.replace(path)
