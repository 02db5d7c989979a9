"""Writes a profile of what runs within a block."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from aoshell.bounded.files import path_of, reason_of, shown
from aoshell.errors import AoError
from aoshell.profiling.loop import LoopTimes
from aoshell.profiling.speedscope import CodePlaces, file_of
from aoshell.profiling.workers import WorkerTimes


@contextmanager
def recorded(name: str) -> Iterator[WorkerTimes]:
    """Write a profile of the block to a file, even if the block ends with an error.

    Yields the part that must see the frames of workers.

    Raises:
        AoError: stage "profile": the file cannot be written; this is tried before the block.
    """
    with _unwritable_reported(name), ExitStack() as files:
        file = files.enter_context(path_of(name).open("w", encoding="utf-8"))
        closing = files.pop_all()
    places = CodePlaces()
    loop, workers = LoopTimes(places), WorkerTimes(places)
    loop.start()
    try:
        yield workers
    finally:
        profiles = [loop.stop(), *workers.stop()]
        with _unwritable_reported(name), closing:
            json.dump(file_of(places, profiles), file, separators=(",", ":"))


@contextmanager
def _unwritable_reported(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AoError(
            f"the profile {shown(name)} cannot be written: {reason_of(error)}",
            stage="profile",
            hint="name a file in a folder that you can write to",
        ) from error
