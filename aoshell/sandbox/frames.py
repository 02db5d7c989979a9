"""The frames between shell and worker: a length, a JSON list, and after some of them raw bytes.

Text is latin-1, one character a byte, so that any byte string of a guest fits into JSON.

To a worker (`epoch`: how often it was rolled back; frames of an older epoch are ignored):

    code        epoch gas memory seconds length  raw bytes follow: code in place of the built-in
    compile     epoch gas length             raw bytes follow: a module; answered on the side
    watch       epoch lines                  count instructions, and note lines if that is true
    boot        epoch memory seconds definition…  bytes of heap, and what a message may take; see
                                             LuaRuntime.boot
    lift        epoch                        what follows was computed before: newer bounds do not
                                             hold for it
    image       epoch seq length             raw bytes follow: the state after seq
    run         epoch seq seconds message…   a live message
    replay      epoch seq message…           a message that was computed before; has no answer
    failed      epoch seq text               a message that had failed with this error
    park        epoch                        keep the state as it is now, for a roll-back
    dry         epoch token seconds message…
    trial       epoch token seconds end [is-doubtful message…]…  messages in turn on the state,
                                             all undone (`trials`)
    checkpoint  epoch seq

From a worker:

    ready     pid
    parked    seq pid                     a fork keeps the state after seq; pid computes from now on
    lines     text                        before the next two: the lines of files that were run
    done      epoch seq outcome milliseconds memory gas result…
    dried     token outcome milliseconds memory gas result…
    tried     token index outcome milliseconds memory gas result…  one message of a trial
    over      token                       the trial is over
    promoted  seq why printed pid         back at the state after seq; why: rollback, or how the
                                          computing fork died (time, memory, killed, crash N)
    forked    pid                         pid computes from now on
    broken    text                        an image cannot be used; the worker ends
    unable    text                        code or a log is beyond the limits; the worker ends

On the side, a second socket: images, and compiled modules (seq 0), each as a list
[seq length reason] and then the bytes.

Frames from a worker are checked before they are used (`check_worker_frame`, `check_image_header`):
a guest that found a hole in Lua could send frames in the worker's place.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from typing import Any

from aoshell.bounded import jsontext

Frame = list[Any]

# Requests to a zygote, one byte each: fork a worker (its two sockets come with the byte); fork one
# that begins with the base; take the base (4 bytes of length and the code follow); take code that
# counts its lines (a file comes with the byte: `counting.pack_counting`).
WORKER, BASED, BASE, COUNTING = b"w", b"t", b"b", b"c"


class FrameError(ValueError):
    """A frame that no worker sends at all, or not now: a guest may have sent it."""


WITH_BYTES = ("code", "compile", "image")  # raw bytes follow them; their last value is the length
HEADER = 4  # bytes, big-endian length of the JSON text
# Bytes of a frame's text. `host/bridge.lua` bounds results at an eighth of it, because JSON makes
# up to six characters of one ("\u0001").
LIMIT = 256 << 20
IMAGE_LIMIT = 1 << 30  # bytes of a compressed image


_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False).encode


def pack_list(value: list[Any]) -> bytes:
    """A list as JSON, a byte a character. The shell uses `packing`, which is quicker."""
    return _json(value).encode("latin-1")


def unpack(packed: bytes) -> Any:
    """The inverse of `pack_list`; any other JSON, too. Raises ValueError, RecursionError."""
    return json.loads(packed.decode("latin-1"))


def encode_frame(frame: Frame, pack: Callable[[list[Any]], bytes] = pack_list) -> bytes:
    """One frame as bytes."""
    body = pack(frame)
    return len(body).to_bytes(HEADER, "big") + body


LARGE = 1 << 16  # characters of a large frame that are encoded at a time
FEW = 1 << 10  # values of a large frame that are encoded at a time


def frame_pieces(frame: Frame) -> Iterator[bytes]:
    """One frame as bytes, in pieces where it is large.

    A result is up to six times longer as JSON: a whole copy beside a guest's memory is too much.
    """
    if len(frame) + _text_size(frame) < LARGE:
        yield encode_frame(frame)
        return
    yield sum(map(len, _encoded(frame))).to_bytes(HEADER, "big")
    yield from _encoded(frame)


def _encoded(frame: Frame) -> Iterator[bytes]:
    """A list as JSON, a few values at a time and large texts in parts."""
    before = b"["
    for few in _batches(frame):
        value = few[0]
        if type(value) is str and len(value) >= LARGE:
            yield before + b'"'
            for start in range(0, len(value), LARGE):
                yield pack_list([value[start : start + LARGE]])[2:-2]
            yield b'"'
        else:
            yield before + pack_list(few)[1:-1]
        before = b","
    yield b"]"


def _batches(frame: Frame) -> Iterator[list[Any]]:
    """The values of a list, a few at a time: of at most LARGE characters, or one large text."""
    for at in range(0, len(frame), FEW):
        few = frame[at : at + FEW]
        # Most are short, so they are measured together: one by one takes as long as encoding them.
        if _text_size(few) < LARGE:
            yield few
            continue
        some: list[Any] = []
        size = 0
        for value in few:
            length = len(value) if type(value) is str else 1
            if some and size + length >= LARGE:
                yield some
                some, size = [], 0
            some.append(value)
            size += length
        yield some


def _text_size(values: list[Any]) -> int:
    """Characters of the texts in a list."""
    return sum([len(value) for value in values if type(value) is str])


def decode_frame(body: bytes, unpack: Callable[[bytes], Any] = unpack) -> Frame:
    """The list in a frame's body. Raises FrameError where it is no JSON list."""
    try:
        jsontext.check_bounds(body, LIMIT)
        frame = unpack(body)
    except (ValueError, RecursionError) as error:
        raise FrameError("a frame is JSON") from error
    if not isinstance(frame, list):
        raise FrameError("a frame is a list")
    return frame


def is_count(value: object) -> bool:
    """Whether a value is an int from 0 to 2^63 - 1, which the database can hold."""
    return type(value) is int and 0 <= value < 1 << 63


def is_text(value: object) -> bool:
    """Whether a value is text of characters up to U+00FF; JSON can hold others."""
    if type(value) is not str:
        return False
    try:
        return value.isascii() or value.encode("latin-1") is not None
    except UnicodeEncodeError:
        return False


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and 0 <= value < 1e12


_Check = Callable[[object], bool]

# Frames from a worker. A result follows in `done` and `dried`: `nodes.local.log.form` checks it.
_FROM_WORKER: dict[str, tuple[_Check, ...]] = {
    "ready": (is_count,),
    "lines": (is_text,),
    "parked": (is_count, is_count),
    "done": (is_count, is_count, is_text, _is_time, is_count, is_count),
    "dried": (is_count, is_text, _is_time, is_count, is_count),
    "tried": (is_count, is_count, is_text, _is_time, is_count, is_count),
    "over": (is_count,),
    "promoted": (is_count, is_text, is_text, is_count),
    "forked": (is_count,),
    "broken": (is_text,),
    "unable": (is_text,),
}
_WITH_RESULT = ("done", "dried", "tried")
_IMAGE = (is_count, is_count, is_text)


def _fits(values: Frame, checks: tuple[_Check, ...]) -> bool:
    return len(values) == len(checks) and all(map(operator.call, checks, values))


def check_worker_frame(frame: Frame) -> Frame:
    """Check a frame from a worker; returns it. Raises FrameError where no worker sends that."""
    name, *values = frame or [None]
    checks = _FROM_WORKER.get(name) if isinstance(name, str) else None
    if checks is None or not _fits(
        values[: len(checks)] if name in _WITH_RESULT else values, checks
    ):
        raise FrameError("no worker sends that")
    return frame


def check_image_header(header: Frame) -> Frame:
    """Check an image's header; returns it. Raises FrameError: no header, or too large an image."""
    if _fits(header, _IMAGE):
        _seq, length, _reason = header
        if length <= IMAGE_LIMIT:
            return header
    raise FrameError("no header of an image")


class FrameReader:
    """Takes frames out of a byte stream that arrives in pieces.

    Args:
        unpack: parses the JSON text of a frame.
    """

    def __init__(self, unpack: Callable[[bytes], Any] = unpack) -> None:
        self._unpack = unpack
        self._buffer = bytearray()

    def feed(self, data: bytes | memoryview) -> None:
        self._buffer += data

    def frame(self) -> Frame | None:
        """The next frame, None until all of it is there.

        Raises:
            FrameError: it is larger than LIMIT, or no JSON list.
        """
        buffer = self._buffer
        if len(buffer) < HEADER:
            return None
        end = HEADER + int.from_bytes(buffer[:HEADER], "big")
        if end > HEADER + LIMIT:
            raise FrameError("a frame is too large")
        if len(buffer) < end:
            return None
        body = bytes(buffer[HEADER:end])
        del buffer[:end]
        return decode_frame(body, self._unpack)

    def take(self, size: int) -> bytes | None:
        """The next `size` raw bytes, None until all of them are there."""
        if len(self._buffer) < size:
            return None
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data
