"""The socket of a home: its place, and who may connect.

It is bound before the database is opened, so that other shells find it at once. The code that
answers is imported at the first connection, as most shells are alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from aoshell import durable
from aoshell.nodes.local.log.lock import HomeLock, not_in_forks

LONGEST_PATH = 100  # bytes: systems take 104 to 108
LOOK = 1.0  # seconds between two checks that the file is there
BACKLOG = 128  # shells that connect at once
SHELLS = 64  # shells that are joined to one carrier
_NOBODY = -1

_UCRED = struct.Struct("=iII")  # pid, uid, gid: unix(7)
_XUCRED = struct.Struct("=II")  # version, uid: the head of macOS's xucred
_LOCAL_PEERCRED = 1


def socket_path(folder: Path) -> Path:
    """Where the carrier of a folder listens: in the folder, or in a private one if that is too
    long, or has a line break.

    Raises:
        OSError: there is no private folder.
    """
    path = folder / "node.sock"
    if len(os.fsencode(path)) <= LONGEST_PATH and "\n" not in str(path):  # the lock has a line
        return path
    import hashlib
    import tempfile  # imported here, as it is slow and most paths are short

    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
    private = os.environ.get("XDG_RUNTIME_DIR", "")
    if not private.startswith("/") or len(os.fsencode(private)) + len(name) + 15 > LONGEST_PATH:
        private = str(Path(tempfile.gettempdir()) / f"aoshell-{os.getuid()}")
        durable.make_folder(Path(private))
    found = os.lstat(private)
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{private} is not private")
    return Path(private) / f"aoshell-{name}.sock"


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """(process id, user id) of the other side; the process id is 0 where it is not known."""
    if hasattr(socket, "SO_PEERCRED"):
        came = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid, uid, _ = _UCRED.unpack(came)
        return pid, uid
    if sys.platform == "darwin":
        came = connection.getsockopt(0, _LOCAL_PEERCRED, 128)
        return 0, _XUCRED.unpack_from(came)[1]
    return 0, os.getuid()  # here only the mode of the socket keeps other users out


class Door:
    """The listening socket of the process that holds the lock.

    On a file system without sockets the node works, but nobody can join. If the socket's file is
    removed, by a cleaner of temporary files for example, the socket is bound again.
    """

    def __init__(self, lock: HomeLock) -> None:
        self._lock = lock
        self._looking: asyncio.TimerHandle | None = None
        self._path: Path | None = None
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bind()

    def _bind(self) -> bool:
        """Listen, and write the path into the lock. Returns False, without changes, if it fails."""
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            path = socket_path(self._lock.path.parent)
            # The process that left this file is dead, as the lock is ours.
            path.unlink(missing_ok=True)
            # Nobody can connect before it listens; by then its mode is set.
            listening.bind(str(path))
            path.chmod(0o600)
            listening.listen(BACKLOG)
            listening.setblocking(False)
            not_in_forks(listening)
            self._lock.note(str(path))
        except OSError:
            listening.close()
            return False
        self._path, self._socket = path, listening
        return True

    @property
    def bound(self) -> bool:
        """Whether other shells can find it."""
        return self._socket is not None

    def open(self, take: Callable[[socket.socket], None]) -> None:
        """Give each connection of this user to `take`, on the running loop."""
        if self._socket is None:
            return
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._accept, take)
        self._looking = self._loop.call_later(LOOK, self._look, take)

    def _look(self, take: Callable[[socket.socket], None]) -> None:
        """Bind again if the file is gone. Shells that have joined stay joined."""
        assert self._loop is not None and self._path is not None
        old = self._socket
        # Do not remove another file there: then the lock's file was taken away, too.
        if old is not None and not self._path.exists() and self._bind():
            self._loop.remove_reader(old)
            old.close()
            assert self._socket is not None
            self._loop.add_reader(self._socket, self._accept, take)
        self._looking = self._loop.call_later(LOOK, self._look, take)

    def _accept(self, take: Callable[[socket.socket], None]) -> None:
        assert self._socket is not None
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # nobody waits any more, or no descriptors are left
                return
            connection.setblocking(False)
            not_in_forks(connection)
            try:
                uid = peer_of(connection)[1]
            except OSError:
                uid = _NOBODY
            if uid == os.geteuid():
                take(connection)
            else:
                connection.close()

    def close(self) -> None:
        """Close it. Call this while the lock is held, when no other socket can be bound there."""
        if self._socket is None or self._path is None:
            return
        if self._looking is not None:
            self._looking.cancel()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket)
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._socket.close()
        self._socket = None
