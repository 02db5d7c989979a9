"""Hello lines, frames, and payloads that are cut into frames. Does no input or output.

Both sides begin with a line: `aoshell-node FORMAT VERSION PID`. The form of that line never
changes, so that any two versions can name each other. Frames follow: code, number of the call,
length, bytes. A payload is one or several frames; frames of other calls may come between them. A
payload has the length of its JSON, the JSON, and the bytes that the JSON counts (`codec`).
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

from aoshell import __version__
from aoshell.nodes.joined.faults import JoinError

FORMAT = 4  # of frames, verbs and values; both sides must have the same
CHUNK = 64 << 10  # bytes of a frame, so that a short answer need not wait for a long one
LARGEST = (1 << 30) + (1 << 20)  # bytes of a payload: an exported process, and 1 MB more
PARTIAL = LARGEST + (64 << 20)  # bytes of all incomplete payloads of one peer
UNFINISHED = 64  # incomplete payloads of one peer
LONGEST_HELLO = 128  # bytes

_HEAD = struct.Struct(">BII")
_JSON = struct.Struct(">I")
_MORE = 0x80  # more frames of this payload follow
_HELLO = re.compile(rb"aoshell-node ([0-9]{1,6}) ([0-9A-Za-z.+!-]{1,40}) ([0-9]{1,10})\Z")


class Code(IntEnum):
    """What a payload is."""

    JOIN = 1  # who joins; once, before anything else
    WELCOME = 2  # the answer to JOIN
    CALL = 3  # a verb and its arguments
    CANCEL = 4  # nobody waits for a call any more
    ANSWER = 5  # the value of a call
    PART = 6  # some items of the value of a call; more follow
    ERROR = 7  # why a call has no value
    EVENT = 8  # something happened on the node
    MISSED = 9  # events were left out, as the shell read too slowly
    STATE = 10  # the limits of the node, and what it is doing


class Hello(NamedTuple):
    """The first line of a side."""

    format: int
    version: str
    pid: int

    def line(self) -> bytes:
        return f"aoshell-node {self.format} {self.version} {self.pid}\n".encode()


class Payload(NamedTuple):
    """A whole payload."""

    code: Code
    number: int  # of the call, 0 where it belongs to none
    text: bytes  # JSON
    blobs: bytes


def read_hello(came: bytes | bytearray) -> tuple[Hello, bytes] | None:
    """The hello at the beginning of received bytes, and the bytes after it; None if incomplete.

    Raises:
        JoinError: the bytes are no hello.
    """
    end = came.find(b"\n", 0, LONGEST_HELLO)
    if end < 0 and len(came) < LONGEST_HELLO:
        return None
    found = _HELLO.match(bytes(came[: max(end, 0)]))
    if found is None:
        raise JoinError("it does not say hello as an aoshell does")
    return Hello(int(found[1]), found[2].decode(), int(found[3])), bytes(came[end + 1 :])


class Greeting:
    """Takes the hello from the beginning of a stream.

    Args:
        greeted: called once, with the hello; `feed` passes on its errors.
    """

    def __init__(self, greeted: Callable[[Hello], None]) -> None:
        self._greeted = greeted
        self._came: bytearray | None = bytearray()  # None once the hello is complete

    def feed(self, data: bytes) -> bytes:
        """The bytes after the hello. Raises JoinError if the stream begins otherwise."""
        if self._came is None:
            return data
        self._came += data
        found = read_hello(self._came)
        if found is None:
            return b""
        hello, rest = found
        self._came = None
        self._greeted(hello)
        return rest


def own_hello() -> Hello:
    """The hello of this process."""
    return Hello(FORMAT, __version__, os.getpid())


def frames_of(code: Code, number: int, text: bytes, blobs: list[bytes]) -> Iterator[bytes]:
    """A payload as frames, each with its head. Raises JoinError where it is too large."""
    whole = memoryview(b"".join((_JSON.pack(len(text)), text, *blobs)))
    if len(whole) > LARGEST:
        raise JoinError(f"it has {len(whole):,} bytes, and {LARGEST:,} may be sent")
    for at in range(0, len(whole), CHUNK):
        part = whole[at : at + CHUNK]
        more = _MORE if at + CHUNK < len(whole) else 0
        yield _HEAD.pack(code | more, number, len(part)) + part


class Assembler:
    """Puts the frames of one peer together to payloads."""

    def __init__(self) -> None:
        self._came = bytearray()
        self._open: dict[tuple[int, int], bytearray] = {}
        self._held = 0  # bytes in `_open`

    def feed(self, data: bytes) -> Iterator[Payload]:
        """The payloads that these bytes complete.

        Raises:
            JoinError: a bound is exceeded, or a code is unknown.
        """
        self._came += data
        at = 0
        try:
            while len(self._came) - at >= _HEAD.size:
                code, number, length = _HEAD.unpack_from(self._came, at)
                if length > CHUNK:
                    raise JoinError(f"a frame has {length:,} bytes, and {CHUNK:,} are allowed")
                end = at + _HEAD.size + length
                if len(self._came) < end:
                    return
                piece = bytes(memoryview(self._came)[at + _HEAD.size : end])
                at = end
                whole = self._add(code, number, piece)
                if whole is not None:
                    yield whole
        finally:
            del self._came[:at]

    def _add(self, code: int, number: int, piece: bytes) -> Payload | None:
        kind = code & ~_MORE
        if not Code.JOIN <= kind <= Code.STATE:
            raise JoinError(f"there is no frame of kind {kind}")
        before = self._open.pop((kind, number), None)
        if before is None and not code & _MORE:
            return _payload(Code(kind), number, piece)
        held = before if before is not None else bytearray()
        self._held -= len(held)
        held += piece
        if not code & _MORE:
            return _payload(Code(kind), number, bytes(held))
        self._open[kind, number] = held
        self._held += len(held)
        if len(held) > LARGEST or self._held > PARTIAL or len(self._open) > UNFINISHED:
            raise JoinError("more was begun to be sent than is taken")
        return None


def _payload(code: Code, number: int, whole: bytes) -> Payload:
    if len(whole) < _JSON.size:
        raise JoinError("a payload ends before it says how long it is")
    end = _JSON.size + _JSON.unpack_from(whole)[0]
    if end > len(whole):
        raise JoinError("a payload is shorter than it says")
    return Payload(code, number, whole[_JSON.size : end], whole[end:])
