"""Checks Lua without running it: whether a text is complete and valid, and what it requires.

Lua's own compiler decides: a bare runtime compiles the text and never calls the result. Code runs
in a node's worker only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice, pairwise
from typing import NamedTuple

from aoshell.lua.lexer import BREAK, Token, find_name, tokens
from aoshell.protocol.message import raw, text

_BEFORE = re.compile(r"(?:(?<![.:])(?P<index>[.:])|(?<![\w.:])return)\s*\Z")
_LOOKED_BACK = 64  # characters before `require`
_LONGEST_CALL = 64  # tokens; the name in a longer call counts as computed
_BEHIND_RETURN = frozenset(("end", "else", "elseif", "until", ";", ""))
# A module's name: at most 255 printable characters, as many as file systems take for one file.
_MODULE_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,255}\Z")


class Requirement(NamedTuple):
    """A call of `require` in a text.

    Attributes:
        name: of the module, as in the text; None if it is computed.
        line: from 1.
        start, end: offsets of a call in `return require(…)`; end is -1 for other calls.
    """

    name: str | None
    line: int
    start: int
    end: int


class CompileResult(NamedTuple):
    """The compiler's verdict on a text.

    Attributes:
        complete: False if more text could still make it valid.
        error: Lua's message, "" if the text is valid.
    """

    complete: bool
    error: str


_END = Token("end", "", 0)


def find_requires(source: str) -> Iterator[Requirement]:
    """Find the calls of `require` in a text, in its order.

    A name that is computed, or contains an escape, is known only when the code runs.
    """
    line, at = 1, 0
    for start in find_name(source, "require"):
        before = _BEFORE.search(source, max(0, start - _LOOKED_BACK), start)
        if before is None or before["index"] is None:
            line, at = line + len(BREAK.findall(source, at, start)), start
            yield _requirement(source, start, line, before is not None)


def _requirement(source: str, start: int, line: int, returned: bool) -> Requirement:
    following = islice(tokens(source, start + len("require")), _LONGEST_CALL)
    first = next(following, _END)
    given, depth, end = [first], int(first.text == "("), first.end
    while depth and (token := next(following, None)):
        depth += (token.text == "(") - (token.text == ")")
        end = token.end
        given += [token] if token.text not in ("(", ")") else []
    given = given[1:] if first.text == "(" else given
    name = _literal(given[0]) if len(given) == 1 and given[0].kind == "string" else None
    if name is not None and not _MODULE_NAME.match(name):
        name = None
    called = depth == 0 and (first.text == "(" or first.kind == "string")
    is_tail = called and returned and next(following, _END).text in _BEHIND_RETURN
    return Requirement(name if called else None, line, start, end if is_tail else -1)


def without_tail_calls(source: str, calls: Iterable[Requirement]) -> str:
    """The text with the given calls in parentheses, so that none of them is a tail call.

    A tail call loses its line, which the error about a missing module must name.
    """
    places = [place for call in calls if call.end >= 0 for place in (call.start, call.end)]
    parts = [source[one:other] for one, other in pairwise((0, *places, len(source)))]
    return "".join(part + "()"[at % 2] for at, part in enumerate(parts[:-1])) + parts[-1]


def check_line(source: str) -> CompileResult:
    """Say whether a line of the shell is complete: as an expression first, then as a chunk.

    Lua names the end of the text ("near <eof>") exactly if more text could help. The added newline
    is the one that the user would type next: in a short string it is an error, in a long one it is
    not.
    """
    chunk = raw(source) + b"\n"
    as_expression = _compile(b"return " + chunk)
    if not as_expression:
        return CompileResult(True, "")
    as_chunk = _compile(chunk)
    if not as_chunk:
        return CompileResult(True, "")
    open_end = as_expression.endswith("near <eof>") or as_chunk.endswith("near <eof>")
    return CompileResult(not open_end, as_chunk)


def find_syntax_error(source: str) -> str:
    """Lua's message for a text as a chunk, "" if it is valid."""
    return _compile(raw(source))


def _literal(token: Token) -> str | None:
    """The value of a string; None if it has an escape or no end."""
    if token.unfinished:
        return None
    if token.level is not None:
        width = token.level + 2
        return token.text[width:-width].removeprefix("\n")
    return token.text[1:-1] if "\\" not in token.text else None


def _compile(chunk: bytes) -> str:
    answer = _loader()(chunk, b"=aos", b"t")
    return text(answer[1]) if isinstance(answer, tuple) else ""


@cache
def _loader() -> Callable[[bytes, bytes, bytes], object]:
    from lupa.lua53 import LuaRuntime

    runtime = LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    load: Callable[[bytes, bytes, bytes], object] = runtime.globals()[b"load"]
    return load
