"""The worker's ends of its two sockets: frames on one, images and compiled modules on the other.

If the shell has closed the main socket, each method on it ends the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from typing import Any, NoReturn

from aoshell.sandbox.frames import HEADER, encode_frame, frame_pieces
from aoshell.sandbox.worker.floor import Floor

LARGE = 1 << 20  # bytes: for a larger frame the floor is lifted first


class WorkerSockets:
    """Both ends; every fork of a worker shares them.

    Attributes:
        taken: bytes of the frames that were received, in this fork and in those before it.
    """

    def __init__(self, main: socket.socket, side: socket.socket, floor: Floor) -> None:
        self._main = main
        self._side = side
        self._floor = floor
        self.taken = 0

    def read(self, size: int) -> bytes:
        """Exactly that many bytes, no more: the rest may be for a fork that is promoted."""
        if size > LARGE:
            self._floor.lift()
        data = self._main.recv(size, socket.MSG_WAITALL)
        if len(data) == size:
            return data
        parts = bytearray(data)
        while len(parts) < size:
            more = self._main.recv(size - len(parts)) if data else b""
            if not more:
                os._exit(0)  # the shell is gone or has let go of this process
            parts += more
        return bytes(parts)

    def receive(self) -> list[Any]:
        """The next frame."""
        # The header is only peeked at, and the frame read in one call: a fork killed between two
        # reads would leave half a frame to the one that is promoted.
        header = b""
        while len(header) < HEADER:
            header = self._main.recv(HEADER, socket.MSG_PEEK)
            if not header:
                os._exit(0)
        body = self.read(HEADER + int.from_bytes(header, "big"))[HEADER:]
        self.taken += len(body)
        frame: list[Any] = json.loads(body.decode("latin-1"))
        return frame

    def send(self, frame: list[Any]) -> None:
        """Send a frame."""
        try:
            for piece in frame_pieces(frame):
                self._main.sendall(piece)
        except OSError:
            os._exit(0)

    def send_all(self, frames: list[list[Any]]) -> None:
        """Send frames together; each is small."""
        try:
            self._main.sendall(b"".join(map(encode_frame, frames)))
        except OSError:
            os._exit(0)

    def send_aside(self, seq: int, data: bytes, reason: str) -> None:
        """Send an image or a compiled module on the side socket; `reason`: why there is none."""
        with contextlib.suppress(OSError):  # the shell has gone: the main socket ends the worker
            self._side.sendall(encode_frame([seq, len(data), reason]))
            self._side.sendall(data)

    def end_broken(self, text: str) -> NoReturn:
        """Report that an image cannot be used, and end."""
        self.send(["broken", text])
        os._exit(0)

    def end_unable(self, text: str) -> NoReturn:
        """Report that code or a log is beyond the limits, and end."""
        self.send(["unable", text])
        os._exit(0)
