"""Refuses Lua that HyperBEAM's `lua@5.3a` cannot compile, before it is sent.

The compiler of that device, luerl, does not say which line fails. `goto` breaks it so badly that
the process never gets past that message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aoshell.errors import AoError
from aoshell.lua import compiling
from aoshell.protocol.message import raw
from aoshell.shell.view.errors_view import TYPED, show_source

# Limits of Lua's own compiler (llimits.h, lparser.c of 5.3), which luerl does not have.
_BOUND = re.compile(r"too many|too long|limit|overflow|levels|memory")
# Only a text with one of these is worth parsing.
_SUSPECT = re.compile(r"goto|::|\\[u\r\n]|\[={4,}\[")
_NOT_SENT = "it was not sent"


def refuse_line(code: str) -> None:
    """Raises AoError, stage "message", if luerl cannot compile a line."""
    error = compiling.check_line(code).error.partition(":")[2]  # it begins with the chunk's name
    if error and not _BOUND.search(error):
        raise _refusal(f"line {error}", show_source(f"{TYPED}:{error}", {TYPED: code}))
    as_expression = f"return {code}"
    is_expression = not compiling.find_syntax_error(as_expression)
    _refuse_forms(as_expression if is_expression else code, "line ")


def refuse_files(sources: Mapping[str, str]) -> None:
    """The same for files of Lua; `sources`: their texts by path."""
    for path, source in sources.items():
        _refuse_forms(source, f"{path}:")


def _refuse_forms(source: str, where: str) -> None:
    if not _SUSPECT.search(source):
        return
    from aoshell.check.facts import Text
    from aoshell.check.hyper import refused_by_luerl
    from aoshell.lua.parser import parse
    from aoshell.lua.strict import LuaSyntaxError

    text = Text("", raw(source))
    try:
        found = next(refused_by_luerl(text, *parse(text.source)), None)
    except LuaSyntaxError:  # a bound of Lua's own
        return
    if found:
        raise _refusal(f"{where}{found.line}: {found.message}", "", found.advice)


def _refusal(what: str, shown: str, advice: str = "") -> AoError:
    whole = f"{what}\n{shown}" if shown else what
    hint = f"{_NOT_SENT}; {advice}" if advice else _NOT_SENT
    return AoError(whole, stage="message", hint=hint)
