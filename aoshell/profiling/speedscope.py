"""The part of the file format of https://www.speedscope.app that profiles of a shell need."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

from aoshell import __version__

SCHEMA = "https://www.speedscope.app/file-format-schema.json"

Profile: TypeAlias = dict[str, Any]


class CodePlace(NamedTuple):
    """Where time is spent: a function and its module, or a message in a worker."""

    name: str
    file: str = ""
    line: int = 0


class CodePlaces:
    """All places, each with its number in the file."""

    def __init__(self) -> None:
        self._numbers: dict[CodePlace, int] = {}

    def number(self, place: CodePlace) -> int:
        return self._numbers.setdefault(place, len(self._numbers))

    def frames(self) -> list[dict[str, object]]:
        """The places in order, without unknown fields."""
        return [
            {name: value for name, value in place._asdict().items() if value}
            for place in self._numbers
        ]


def sampled(name: str, stacks: list[list[int]], seconds: list[float]) -> Profile:
    """A profile of stacks, each with its outermost call first and its duration in seconds."""
    times = {"startValue": 0, "endValue": sum(seconds)}
    return {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        **times,
        "samples": stacks,
        "weights": seconds,
    }


def evented(name: str, spans: list[tuple[int, float, float]], end: float) -> Profile:
    """A profile of spans (place, begin, end) in a row, in seconds."""
    events = [
        {"type": kind, "frame": place, "at": at}
        for place, begin, over in spans
        for kind, at in (("O", begin), ("C", over))
    ]
    times = {"startValue": 0, "endValue": max([end, *(over for _, _, over in spans[-1:])])}
    return {"type": "evented", "name": name, "unit": "seconds", **times, "events": events}


def file_of(places: CodePlaces, profiles: list[Profile]) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "name": "aoshell",
        "exporter": f"aoshell@{__version__}",
        "activeProfileIndex": 0,
        "shared": {"frames": places.frames()},
        "profiles": profiles,
    }
