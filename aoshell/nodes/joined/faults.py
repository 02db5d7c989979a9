"""Errors that cross the socket (class, text, stage, hint), and errors of the socket itself."""

from __future__ import annotations

from pathlib import Path

from aoshell.errors import STAGES, AoError, UnsupportedError, UsageError
from aoshell.nodes.database_errors import UnusableDatabaseError
from aoshell.nodes.values import NameTakenError, NotFoundError

# Classes that a shell handles in different ways. All others are sent as AoError.
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
    """The other side sent something other than a frame, value or verb; the text says what."""


class LostError(Exception):
    """The carrier is gone, or nobody listens; it is not known whether it has done the call."""


class StoppedError(AoError):
    """The carrier was stopped, as by Ctrl-Z."""

    def __init__(self, folder: Path, pid: int) -> None:
        super().__init__(
            f"the aoshell that carries the node in {folder} is stopped (pid {pid}, as by Ctrl-Z)",
            stage="join",
            hint=f"`fg` in its terminal, or `kill -CONT {pid}`, lets it go on",
        )


def error_form(error: AoError) -> ErrorForm:
    """The form in which an error is sent."""
    name = next((kind.__name__ for kind in _CLASSES if type(error) is kind), "AoError")
    return name, error.what, error.stage, error.hint


def to_error(form: ErrorForm) -> AoError:
    """The error from that form. Raises JoinError if its stage does not exist."""
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
    """The carrier of the home has another version or format; see `frames.Hello`."""
    return AoError(
        f"aoshell {theirs[1]} (format {theirs[0]}, pid {theirs[2]}) carries the node in {folder}, "
        f"and this is aoshell {mine[1]} (format {mine[0]})",
        stage="join",
        hint="close that one first, or give this one a home of its own: AOSHELL_HOME=DIR aoshell",
    )


def other_build(folder: Path, pid: int) -> AoError:
    """The carrier has this version, but other verbs: another checkout."""
    return AoError(
        f"another build of this version carries the node in {folder} (pid {pid})",
        stage="join",
        hint="close that one first, or give this one a home of its own: AOSHELL_HOME=DIR aoshell",
    )


def unjoinable(folder: Path, pid: int) -> AoError:
    """Another process holds the lock, and has no socket."""
    return AoError(
        f"another aoshell (pid {pid or 'unknown'}) is working in {folder}, and cannot be joined",
        stage="join",
        hint="it is older, or the folder takes no sockets: close it first, or give this one a home"
        " of its own: AOSHELL_HOME=DIR aoshell",
    )


def without_file(folder: Path, pid: int, socket: Path) -> AoError:
    """Another process holds the lock, and the file of its socket is gone."""
    return AoError(
        f"the aoshell that carries the node in {folder} (pid {pid or 'unknown'}) cannot be joined:"
        f" its socket {socket} is not there",
        stage="join",
        hint="leave that aoshell, then start it again",
    )


def silent(folder: Path, pid: int, seconds: float) -> AoError:
    """Another process holds the lock, and does not answer."""
    return AoError(
        f"the aoshell that carries the node in {folder} (pid {pid or 'unknown'}) has not answered"
        f" for {seconds:.0f} s",
        stage="join",
        hint="look what it does (a full pipe, Ctrl-S?), or give this one a home of its own:"
        " AOSHELL_HOME=DIR aoshell",
    )


def foreign(folder: Path, uid: int) -> AoError:
    """A process of another user answers."""
    return AoError(
        f"what answers for {folder} belongs to another user ({uid})",
        stage="join",
        hint="a home belongs to one user: AOSHELL_HOME=DIR aoshell",
    )


def lost_each_time(verb: str, times: int) -> AoError:
    """A verb that may be repeated got no answer from any carrier."""
    return AoError(
        f"the aoshell that carries the node was lost {times} times in a row during `{verb}`",
        stage="join",
        hint="look what was done (.messages, .log, .ps) before you repeat the line",
    )


def not_known(verb: str) -> AoError:
    """The answer of a verb that must not be repeated was lost."""
    return AoError(
        f"the aoshell that carried the node left during `{verb}`: whether it was done is not known",
        stage="join",
        hint="look (.ps, .messages), then repeat it where it was not",
    )
