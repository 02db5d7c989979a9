"""Profiles the workers of a shell, from the frames between them and the shell.

A worker computes messages one after the other and reports how long each took. The profile assumes
that each began as early as possible.
"""

from __future__ import annotations

import time
from weakref import WeakKeyDictionary

from aoshell.profiling.speedscope import CodePlace, CodePlaces, Profile, evented
from aoshell.sandbox.frames import Frame

MOST = 100_000  # messages that are kept
LONGEST = 60  # characters of an action
_FIRST_TAG = 12  # of a message in a frame; see `sandbox.lua`


class WorkerTimes:
    """Gets each frame to and from a worker: `Supervisor(follow=times.follow)`."""

    def __init__(self, places: CodePlaces) -> None:
        self._places = places
        self._start = time.monotonic()
        self._processes: WeakKeyDictionary[object, str] = WeakKeyDictionary()
        # (process, seq) → when it was sent, and what it is
        self._sent: dict[tuple[str, int], tuple[float, str]] = {}
        self._spans: dict[str, list[tuple[int, float, float]]] = {}
        self._left = MOST

    def follow(self, worker: object, frame: Frame) -> None:
        match frame:
            case ["boot", _, _, _, str(process), *_]:
                self._processes[worker] = process
            case ["run", _, int(seq), _, *message]:
                self._begin(worker, seq, _name_of(message))
            case ["dry", _, int(token), _, *message]:
                self._begin(worker, -token, f"dry run of {_name_of(message)}")
            case ["done", _, int(seq), _, int() | float() as milliseconds, *_]:
                self._end(worker, seq, milliseconds / 1000)
            case ["dried", int(token), _, int() | float() as milliseconds, *_]:
                self._end(worker, -token, milliseconds / 1000)

    def _begin(self, worker: object, key: int, name: str) -> None:
        if self._left > 0:
            now = time.monotonic() - self._start
            self._sent[self._processes.get(worker, ""), key] = now, name

    def _end(self, worker: object, key: int, seconds: float) -> None:
        process = self._processes.get(worker, "")
        sent, name = self._sent.pop((process, key), (0.0, ""))
        if name:
            self._left -= 1
            spans = self._spans.setdefault(process, [])
            begin = max([sent, *(over for _, _, over in spans[-1:])])
            spans.append((self._places.number(CodePlace(name)), begin, begin + seconds))

    def stop(self) -> list[Profile]:
        """A profile for each process that has computed; those that took longest come first."""
        end = time.monotonic() - self._start
        cut = "" if self._left > 0 else f", the first {MOST:,} messages of all"
        found = sorted(self._spans.items(), key=lambda one: -_total(one[1]))
        return [evented(f"process {process}{cut}", spans, end) for process, spans in found]


def _total(spans: list[tuple[int, float, float]]) -> float:
    return sum(over - begin for _, begin, over in spans)


def _name_of(message: list[object]) -> str:
    """The Action of a message in a frame; if it has none, its Type."""
    pairs = iter(message[_FIRST_TAG:])
    tags = dict(zip(pairs, pairs, strict=False))
    found = tags.get("Action") or tags.get("Type") or "message"
    return str(found)[:LONGEST]
