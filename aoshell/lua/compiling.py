"""Lua text looked at without running it: does it parse, and what does it require.

Parsing is Lua's own: a bare runtime compiles the text and never calls what it compiled. Nothing
here executes; code runs in a node's worker only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise

from aoshell.protocol.message import raw, text

# One token of Lua 5.3 (reference manual, 3.1): comments, strings, names, numbers, the rest by
# character. What is never closed counts up to the end.
_TOKEN = re.compile(
    r"""
      (?P<comment> --\[(?P<c>=*)\[ .*? (?:\](?P=c)\]|\Z) | --[^\n]* )
    | (?P<long>    \[(?P<s>=*)\[ (?P<body>.*?) (?:\](?P=s)\]|\Z) )
    | (?P<string>  "(?:\\.|[^"\\\n])*(?:"|$|\Z) | '(?:\\.|[^'\\\n])*(?:'|$|\Z) )
    | (?P<name>    [A-Za-z_][A-Za-z0-9_]* )
    | (?P<number>  \.?[0-9](?:[eEpP][+-]|[A-Za-z0-9_.])* )
    | (?P<space>   \s+ )
    | (?P<other>   \.{2,3} | . )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
# Which group matched last: the ones inside of another stand for it.
_KINDS = {"c": "comment", "s": "string", "body": "string", "long": "string"}
# `require` where it is code: comments and strings are matched first, and passed over.
_REQUIRE = re.compile(
    r"""
      --\[(?P<c>=*)\[ .*? (?:\](?P=c)\]|\Z) | --[^\n]*
    | \[(?P<s>=*)\[ .*? (?:\](?P=s)\]|\Z)
    | "(?:\\.|[^"\\\n])*(?:"|$|\Z) | '(?:\\.|[^'\\\n])*(?:'|$|\Z)
    | (?P<require> (?<![A-Za-z0-9_]) require (?![A-Za-z0-9_]) )
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_BEFORE = re.compile(r"(?:(?<![.:])(?P<index>[.:])|(?<![\w.:])return)\s*\Z")
_LOOKED_BACK = 64  # characters before `require`
_LONGEST_CALL = 64  # tokens; a longer one is computed
_BEHIND_RETURN = frozenset(("end", "else", "elseif", "until", ";", ""))
_BREAK = re.compile(r"\r\n|\n\r|\n|\r")
# A module's name: at most 255 printable characters, as many as file systems take for one file.
_MODULE_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is neither space nor comment: its kind, its text and where it begins."""

    kind: str
    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Requirement:
    """A call of `require` in a text.

    Attributes:
        name: of the module, as the text has it; None where it is computed.
        line: from 1.
        start, end: offsets of a call in `return require(…)`; end is -1 for all others.
    """

    name: str | None
    line: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CompileResult:
    """What the parser says of a text.

    Attributes:
        complete: False when more text could still make it valid.
        error: the parser's message, "" where the text is valid.
    """

    complete: bool
    error: str


_END = Token("end", "", 0)


def tokens(source: str, start: int = 0) -> Iterator[Token]:
    """The tokens of a text from a place on, valid or not; long strings are strings as well."""
    for match in _TOKEN.finditer(source, start):
        kind = _KINDS.get(match.lastgroup or "other", match.lastgroup or "other")
        if kind not in ("comment", "space"):
            yield Token(kind, match.group(), match.start())


def pieces(source: str) -> Iterator[tuple[str, str]]:
    """Kind and text of the tokens and comments of a text, without the space between them."""
    for match in _TOKEN.finditer(source):
        kind = _KINDS.get(match.lastgroup or "other", match.lastgroup or "other")
        if kind != "space":
            yield kind, match.group()


def required(source: str) -> Iterator[Requirement]:
    """The calls of `require` in a text, in its order.

    A name that is computed, or written with an escape, is known only when the code runs.
    """
    line, at = 1, 0
    for found in _REQUIRE.finditer(source):
        if found["require"] is None:
            continue
        start = found.start()
        before = _BEFORE.search(source, max(0, start - _LOOKED_BACK), start)
        if before is None or before["index"] is None:
            line, at = line + len(_BREAK.findall(source, at, start)), start
            yield _requirement(source, start, line, before is not None)


def _requirement(source: str, start: int, line: int, returned: bool) -> Requirement:
    following = islice(tokens(source, start + len("require")), _LONGEST_CALL)
    first = next(following, _END)
    given, depth, end = [first], int(first.text == "("), first.start + len(first.text)
    while depth and (token := next(following, None)):
        depth += (token.text == "(") - (token.text == ")")
        end = token.start + len(token.text)
        given += [token] if token.text not in ("(", ")") else []
    given = given[1:] if first.text == "(" else given
    name = _literal(given[0].text) if len(given) == 1 and given[0].kind == "string" else None
    if name is not None and not _MODULE_NAME.match(name):
        name = None
    called = depth == 0 and (first.text == "(" or first.kind == "string")
    is_tail = called and returned and next(following, _END).text in _BEHIND_RETURN
    return Requirement(name if called else None, line, start, end if is_tail else -1)


def without_tail_calls(source: str, calls: Iterable[Requirement]) -> str:
    """A text that means the same, in which no call that is given is a tail call.

    Such a call leaves nothing of the line that it stands in, for the error of a module that is not
    there. In parentheses it is none.
    """
    places = [place for call in calls if call.end >= 0 for place in (call.start, call.end)]
    parts = [source[one:other] for one, other in pairwise((0, *places, len(source)))]
    return "".join(part + "()"[at % 2] for at, part in enumerate(parts[:-1])) + parts[-1]


def check(source: str) -> CompileResult:
    """Whether a line of the shell is complete: as an expression first, then as a chunk.

    Lua names the end of the text ("near <eof>") exactly where more of it could help. The newline
    that is added is the one the user would type next: it ends a short string, which is an error,
    and leaves a long one open.
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


def syntax_error(source: str) -> str:
    """The parser's message for a text as a chunk, "" where it is valid."""
    return _compile(raw(source))


def _literal(token: str) -> str | None:
    """What a string stands for; None where it has an escape or no end."""
    long = re.match(r"\[(=*)\[", token)
    if long:
        closing = f"]{long[1]}]"
        inner = token[len(long[0]) : -len(closing)]
        return inner.removeprefix("\n") if token.endswith(closing) else None
    closed = len(token) > 1 and token[-1] == token[0]
    return token[1:-1] if closed and "\\" not in token else None


def _compile(chunk: bytes) -> str:
    answer = _loader()(chunk, b"=aos", b"t")
    return text(answer[1]) if isinstance(answer, tuple) else ""


@cache
def _loader() -> Callable[[bytes, bytes, bytes], object]:
    from lupa.lua53 import LuaRuntime

    runtime = LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    load: Callable[[bytes, bytes, bytes], object] = runtime.globals()[b"load"]
    return load
