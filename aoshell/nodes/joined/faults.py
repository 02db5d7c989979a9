"""Errors over the socket: their class, text, stage and hint; and those of the socket itself."""

from __future__ import annotations

from pathlib import Path

from aoshell.errors import STAGES, AoError, UnsupportedError, UsageError
from aoshell.nodes.database_errors import UnusableDatabaseError
from aoshell.nodes.values import NameTakenError, NotFoundError

# Classes that a shell tells apart. Any other one travels as AoError.
_CLASSES: tuple[type[AoError], ...] = (
    UsageError,
    UnsupportedError,
    NotFoundError,
    NameTakenError,
    UnusableDatabaseError,
)
ErrorForm = tuple[str, str, str, str]
"""Class, what, stage, hint."""


class JoinError(ValueError):
    """What came over the socket is no frame, value or verb; the text says why."""


class LostError(Exception):
    """The carrier is gone, or nobody listens; whether it did what it was asked is not known."""


class StoppedError(AoError):
    """The carrier was stopped, as by Ctrl-Z."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(
            f"the aoshell that carries the node in {folder} is stopped (pid {pid}, as by Ctrl-Z)",
            stage="join",
            hint=f"`fg` in its terminal, or `kill -CONT {pid}`, lets it go on",
        )


def error_form(error: AoError) -> ErrorForm:
    """What is sent of an error."""
    name = next((kind.__name__ for kind in _CLASSES if type(error) is kind), "AoError")
    return name, error.what, error.stage, error.hint


def to_error(form: ErrorForm) -> AoError:
    """The error that was sent. Raises JoinError where there is no such stage."""
    name, what, stage, hint = form
    if stage not in STAGES:
        raise JoinError("an error has a stage that does not exist")
    if name == "UsageError":
        return UsageError(what, hint=hint)
    if name == "UnsupportedError":
        return UnsupportedError(what, hint=hint)
    kinds = {kind.__name__: kind for kind in _CLASSES}
    return kinds.get(name, AoError)(what, stage=stage, hint=hint)


def other_version(
    folder: Path, theirs: tuple[int, str, int], mine: tuple[int, str, int]
) -> AoError:
    """The home is carried by an aoshell that speaks another language; see `frames.Hello`."""
    return AoError(
        f"aoshell {theirs[1]} (format {theirs[0]}, pid {theirs[2]}) carries the node in {folder}, "
        f"and this is aoshell {mine[1]} (format {mine[0]})",
        stage="join",
        hint="close that one first, or give this one a home of its own: AOSHELL_HOME=DIR aoshell",
    )


def other_build(folder: Path, pid: int) -> AoError:
    """Two checkouts of one version, of which one says other things."""
    return AoError(
        f"another build of this version carries the node in {folder} (pid {pid})",
        stage="join",
        hint="close that one first, or give this one a home of its own: AOSHELL_HOME=DIR aoshell",
    )


def unjoinable(folder: Path, pid: int) -> AoError:
    """Somebody holds the lock and has no socket."""
    return AoError(
        f"another aoshell (pid {pid or 'unknown'}) is working in {folder}, and cannot be joined",
        stage="join",
        hint="it is older, or the folder takes no sockets: close it first, or give this one a home"
        " of its own: AOSHELL_HOME=DIR aoshell",
    )


def without_file(folder: Path, pid: int, socket: Path) -> AoError:
    """Somebody holds the lock, and the file of its socket is gone."""
    return AoError(
        f"the aoshell that carries the node in {folder} (pid {pid or 'unknown'}) cannot be joined:"
        f" its socket {socket} is not there",
        stage="join",
        hint="leave that aoshell, then start it again",
    )


def silent(folder: Path, pid: int, seconds: float) -> AoError:
    """Somebody holds the lock and does not answer."""
    return AoError(
        f"the aoshell that carries the node in {folder} (pid {pid or 'unknown'}) has not answered"
        f" for {seconds:.0f} s",
        stage="join",
        hint="look what it does (a full pipe, Ctrl-S?), or give this one a home of its own:"
        " AOSHELL_HOME=DIR aoshell",
    )


def foreign(folder: Path, uid: int) -> AoError:
    """Somebody else's process answers."""
    return AoError(
        f"what answers for {folder} belongs to another user ({uid})",
        stage="join",
        hint="a home belongs to one user: AOSHELL_HOME=DIR aoshell",
    )


def lost_each_time(verb: str, times: int) -> AoError:
    """A verb that may be asked again got no answer from any carrier."""
    return AoError(
        f"the aoshell that carries the node was lost {times} times in a row during `{verb}`",
        stage="join",
        hint="look what was done (.messages, .log, .ps) before you repeat the line",
    )


def not_known(verb: str) -> AoError:
    """A verb that may not be asked again lost its answer."""
    return AoError(
        f"the aoshell that carried the node left during `{verb}`: whether it was done is not known",
        stage="join",
        hint="look (.ps, .messages), then repeat it where it was not",
    )
