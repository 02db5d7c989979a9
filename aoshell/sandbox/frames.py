"""How shell and worker talk: JSON lists behind their length, some followed by raw bytes.

Text is latin-1, one character a byte, so that any byte string of a guest fits into JSON.

To a worker (`epoch` counts the roll-backs it has been through; older frames are ignored):

    env         epoch {module: source}       use another environment than the built-in one
    boot        epoch memory definition…     bytes of heap; see LuaRuntime.boot
    image       epoch seq length             raw bytes follow: the state after seq
    run         epoch seq seconds message…   a live message
    replay      epoch seq message…           one that was computed before; nothing is answered
    failed      epoch seq text               one that had failed
    dry         epoch token seconds message…
    checkpoint  epoch seq slot

From a worker:

    ready     pid
    parked    seq pid                     a fork holds the state after seq; pid computes from now on
    done      epoch seq outcome milliseconds memory result…
    dried     token outcome milliseconds memory result…
    promoted  seq why printed pid         back at the state after seq; why: rollback, or how the
                                          computing fork died (time, killed, crash N)
    broken    text                        an image or environment that cannot be used; it ends

Beside it, on a socket of its own: images, a list [seq slot length reason] and then the bytes.
"""

from __future__ import annotations

import json
from typing import Any

Frame = list[Any]

HEADER = 4  # bytes, big-endian length of the JSON text


def encode(frame: Frame) -> bytes:
    """One frame as bytes."""
    body = json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode("latin-1")
    return len(body).to_bytes(HEADER, "big") + body


def decode(body: bytes) -> Frame:
    """The list in a frame's body. Raises ValueError where it is none."""
    frame = json.loads(body.decode("latin-1"))
    if not isinstance(frame, list):
        raise ValueError("a frame is a list")
    return frame


class Reader:
    """Frames out of a byte stream that arrives in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def frame(self) -> Frame | None:
        """The next whole frame, or None. Raises ValueError where it is no JSON list."""
        buffer = self._buffer
        if len(buffer) < HEADER:
            return None
        end = HEADER + int.from_bytes(buffer[:HEADER], "big")
        if len(buffer) < end:
            return None
        body = bytes(buffer[HEADER:end])
        del buffer[:end]
        return decode(body)

    def take(self, size: int) -> bytes | None:
        """`size` raw bytes, or None while they have not all come."""
        if len(self._buffer) < size:
            return None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data
