"""Converters that argparse calls with the text of a flag. Each raises ArgumentTypeError."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from aoshell.errors import UsageError

if TYPE_CHECKING:
    from aoshell.shell.flags.limits import Range


def file(text: str) -> str:
    """The name of a file, not empty. A pipe, such as `<(…)`, is read now."""
    from aoshell.bounded import files

    try:
        files.take_pipe(files.path_of(named(text)))
    except OSError as error:
        why = files.reason_of(error)
        raise argparse.ArgumentTypeError(f"{files.shown(text)} cannot be read: it {why}") from None
    return text


def state_file(text: str) -> str:
    """The name of a dump; "-" is standard input."""
    return text if text == "-" else file(named(text))


def named(text: str) -> str:
    """A name, not empty."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty")
    return text


def within(numbers: Range) -> Callable[[str], float]:
    """Reads a number of a range, for argparse."""

    def number(text: str) -> float:
        try:
            return numbers.number(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(f"{error.what}: {error.hint}") from None

    return number


def whole_within(numbers: Range) -> Callable[[str], int]:
    """The same for whole numbers."""
    read = within(numbers)
    return lambda text: int(read(text))
