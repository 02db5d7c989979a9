"""The parser of command lines: argparse that also accepts ids that begin like flags."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from aoshell.protocol.encoding import has_id_form
from aoshell.shell.view.streams import writer

_BYTES = frozenset({"CODE", "FILE", "FOLDER", "TEXT", "VALUE"})  # in metavars
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # as Python has such bytes
_MARK = "\0"  # before ids that argparse would take for flags; no argument can hold one


class Hidden(str):
    """Help that only the manual page and completion show, so that --help stays short."""

    __slots__ = ()


class CommandParser(argparse.ArgumentParser):
    """Accepts ids that begin with `-`, as every 64th one does.

    Its errors show arguments as they were given.
    """

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """As `parse_args`: exits with code 2 if the arguments cannot be understood."""
        return self.parse_args([_MARK + one if _is_id(one) else one for one in arguments])

    def print_help(self, file: Any = None) -> None:
        """Show the help. Raises AoError if it cannot be written, which argparse would hide."""
        writer(file or sys.stdout, needed=True)(self.format_help())

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        value = arg_string.removeprefix(_MARK)
        if _NOT_UTF8.search(value) and not _takes_bytes(action):
            raise argparse.ArgumentError(action, "it must be UTF-8 text")
        return super()._get_value(action, value)

    def error(self, message: str) -> NoReturn:
        super().error(message.replace(_MARK, ""))


def _takes_bytes(action: argparse.Action) -> bool:
    """Whether a value may be any bytes: a file's name, Lua, or what a message or a machine gets."""
    return bool(_BYTES & set(re.findall("[A-Z]+", str(action.metavar))))


def _is_id(argument: str) -> bool:
    # A slot may follow the id of a live process: ID@SLOT.
    return argument.startswith("-") and has_id_form(argument.partition("@")[0])
