"""Dumps and loads, and shows a person the progress."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from functools import partial
from typing import Any, BinaryIO, TypeVar

from aoshell import durable
from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.nodes.local.forked import withheld
from aoshell.nodes.local.history import dumping, parts
from aoshell.nodes.local.history.loading import Loaded, load_node
from aoshell.nodes.local.history.longwork import LongWork, Progress, run_in_thread
from aoshell.nodes.local.log.lock import HeldError
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.values import ForkPoint
from aoshell.shell.ports.forking import origin_text
from aoshell.shell.view import waiting
from aoshell.shell.view.streams import broken, writer
from aoshell.shell.view.text import clean

STREAM = "-"  # the name of standard input and output

_PIECE = 1 << 20  # bytes that are read from a pipe at a time
_LOOK = 0.1  # seconds between two checks whether anybody still waits, while no data comes

T = TypeVar("T")


def tell(text: object) -> None:
    """Show a person a line that is not part of the answer."""
    writer(sys.stderr, needed=False)(clean(str(text), colour=False) + "\n")


# Dumping ------------------------------------------------------------------------------------------


async def dump(settings: Settings, file: str) -> dict[str, Any]:
    """Write the node of a home to a file that must not exist yet, or to standard output.

    Returns:
        The header of the dump, its size in `bytes`, and sentences for people as `notes`.

    Raises:
        AoError: stage "dump" or "output"; then no file was made.
    """
    if not settings.node_db.exists():
        raise AoError(
            f"there is no node in {settings.home} yet",
            stage="dump",
            hint="aoshell makes one; AOSHELL_HOME names another home",
        )
    with (
        closing(Store.reading(settings.node_db)) as store,
        store.unchanging() as now,
    ):
        header = dumping.read_header(now)
        left_out = dumping.count_left_out(now, header)
        held = await run_in_thread(lambda _progress: withheld.warnings(now), lambda _count: None)
        known = [*_of_forks(dumping.read_forks(now)), *_of_uploads(left_out), *held]
        write = partial(_write, now, header, file)
        written = await _shown("dump", file, header["messages"], write)
    return header | {"bytes": written, "notes": known}


def _of_forks(found: Iterable[tuple[str, ForkPoint]]) -> Iterator[str]:
    return (f"{name} is {origin_text(origin)}" for name, origin in found)


def _of_uploads(left_out: int) -> Iterator[str]:
    if left_out:
        what = "upload is" if left_out == 1 else "uploads are"
        yield f"{left_out:,} {what} left out: what is signed for a fork is valid elsewhere, too"


def _write(store: Store, header: dict[str, Any], file: str, progress: Progress) -> int:
    with closing(dumping.dump_node(store, header, progress)) as data:
        return _write_out(data) if file == STREAM else _write_file(file, data)


def _write_file(file: str, data: Iterator[bytes]) -> int:
    path = files.path_of(file)
    try:
        with durable.writing(path, new=True, mode=durable.USERS_FILE) as place:
            return _write_all(place, data)
    except FileExistsError:
        raise AoError(
            f"{files.shown(path)} exists already", stage="dump", hint="name a file that does not"
        ) from None
    except OSError as error:
        raise AoError(
            f"{files.shown(path)} cannot be written: {files.reason_of(error)}",
            stage="dump",
            hint="free some room on the disk, or name another place",
        ) from error


def _write_out(data: Iterator[bytes]) -> int:
    try:
        written = _write_all(sys.stdout.buffer, data)
        sys.stdout.buffer.flush()
    except OSError as error:
        raise broken(error) from None
    return written


def _write_all(place: BinaryIO, data: Iterator[bytes]) -> int:
    written = 0
    for part in data:
        place.write(part)
        written += len(part)
    return written


# Loading ------------------------------------------------------------------------------------------


async def load(
    settings: Settings, file: str, report: Callable[[str], None] | None = None
) -> Loaded:
    """Load a dump into a home, whole or not at all.

    Args:
        report: called with progress if it takes long; None shows it on standard error.

    Raises:
        AoError: stage "state" or "store"; then nothing was loaded.
    """
    settings.make_folders()
    try:
        opened = Store(settings.state)
    except HeldError as held:
        raise AoError(
            f"another aoshell (pid {held.pid or 'unknown'}) has {settings.home} open",
            stage="state",
            hint="leave that one first, or try the file with --state FILE",
        ) from held
    with closing(opened) as store:
        return await _shown("load", file, 0, partial(_read, store, file), report)


def notes(found: Loaded) -> list[str]:
    """Sentences for people about what was loaded."""
    lines = list(_of_forks(found.forks))
    if found.waits:
        lines.append(f"{found.waits:,} of its messages are computed when the node is opened")
    if found.ahead and found.clock_taken:
        lines.append(f"the clock is {found.ahead / 1000:,.0f} s ahead, as it was there")
    elif found.ahead:
        lines.append(
            f"the clock there was {found.ahead / 1000:,.0f} s ahead; this home keeps its own"
        )
    return lines


def _read(store: Store, file: str, progress: Progress) -> Loaded:
    seen = 0

    def count(done: int) -> None:
        nonlocal seen
        seen = done
        progress(done)

    return load_node(store, _pieces(file, lambda: progress(seen)), count)


def _pieces(file: str, go_on: Callable[[], None]) -> Iterator[bytes]:
    """The bytes of a file. Raises AoError: an OSError would count as one of the database.

    Args:
        go_on: called while no data comes; raises if nobody waits any more.
    """
    try:
        if file == STREAM:
            yield from _piped(sys.stdin.fileno(), go_on)
        else:
            yield from files.pieces(files.path_of(file), parts.LARGEST)
    except OSError as error:
        it = "it " if isinstance(error, files.UnfitFileError) else ""
        why = f"{it}{files.reason_of(error)}"
        if file == STREAM and error.errno == errno.EBADF:
            why = "it is not open for reading"
        raise _unreadable(file, why) from error


def _unreadable(file: str, why: str) -> AoError:
    what = "standard input" if file == STREAM else files.shown(file)
    return AoError(
        f"{what} cannot be read: {why}", stage="state", hint="give a file of aoshell dump"
    )


def _piped(pipe: int, go_on: Callable[[], None]) -> Iterator[bytes]:
    is_empty = True
    while True:
        while not select.select([pipe], [], [], _LOOK)[0]:
            go_on()
        piece = os.read(pipe, _PIECE)
        if not piece and is_empty:
            raise _unreadable(STREAM, "it is empty")
        if not piece:
            return
        is_empty = False
        yield piece


# Both ---------------------------------------------------------------------------------------------


async def _shown(
    name: str,
    file: str,
    whole: int,
    work: Callable[[Progress], T],
    report: Callable[[str], None] | None = None,
) -> T:
    """Do work in a thread, and show its progress if it takes long."""
    long = LongWork()
    on_terminal = report is None and sys.stderr.isatty()
    if on_terminal:
        showing = asyncio.create_task(waiting.show(long, _rewrite))
    else:
        showing = asyncio.create_task(waiting.report(long, report or tell))
    try:
        with long.seen(name, file, whole) as seen:
            return await run_in_thread(work, seen)
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        if on_terminal:
            _rewrite("")


def _rewrite(line: str) -> None:
    """Replace the last line shown."""
    writer(sys.stderr, needed=False)(f"\r{clean(line, colour=False)}\x1b[K")
