"""The parser of command lines: argparse, but for ids that begin as flags do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from aoshell.protocol.encoding import has_id_form

_MARK = "\0"  # before ids that argparse would take for flags; no argument can hold one


class Hidden(str):
    """Help that --help leaves out, to stay short; the manual page and completion have it."""

    __slots__ = ()


class CommandParser(argparse.ArgumentParser):
    """Takes ids for what they are, also those that begin with `-`, as every 64th one does.

    Says what is wrong with arguments as they were given.
    """

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """As `parse_args`, which leaves with code 2 where they cannot be understood."""
        return self.parse_args([_MARK + one if _is_id(one) else one for one in arguments])

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        return super()._get_value(action, arg_string.removeprefix(_MARK))

    def error(self, message: str) -> NoReturn:
        super().error(message.replace(_MARK, ""))


def _is_id(argument: str) -> bool:
    # Of a live process a slot may follow: ID@SLOT.
    return argument.startswith("-") and has_id_form(argument.partition("@")[0])
