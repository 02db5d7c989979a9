"""Lua text looked at without running it: does it parse, and what does it require.

Parsing is Lua's own: a bare runtime compiles the text and never calls what it compiled. Nothing
here executes; code runs in a node's worker only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

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
_TAIL = re.compile(r"\breturn\s+require\b")
_BEHIND_RETURN = frozenset(("end", "else", "elseif", "until", ";"))
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
    """A module's name, as a text has it behind `require`, and the line from 1."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the parser says of a text.

    Attributes:
        complete: False when more text could still make it valid.
        error: the parser's message, "" where the text is valid.
    """

    complete: bool
    error: str


def tokens(source: str) -> Iterator[Token]:
    """The tokens of a text, valid or not; long strings have the kind "string" as well."""
    for match in _TOKEN.finditer(source):
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
    """What a text requires by a literal name, in the order of the text, each time it does.

    A name that is computed, or written with an escape, is known only when the code runs.
    """
    name: str | None = None
    line, at, depth, previous = 1, 0, -1, ""  # depth: parentheses open behind `require`, or -1
    for token in tokens(source):
        if token.text == "require" and previous not in (".", ":"):
            name, depth = None, 0
            line, at = line + len(_BREAK.findall(source, at, token.start)), token.start
        elif depth >= 0:
            if name is None and token.text == "(":
                depth += 1
            elif name is None and token.kind == "string":
                name = _literal(token.text)
            elif name is not None and token.text == ")":
                depth -= 1
            else:
                depth = -1
            if depth == 0:
                if name is not None and _MODULE_NAME.match(name):
                    yield Requirement(name, line)
                depth = -1
        previous = token.text


def without_tail_requires(source: str) -> str:
    """A text that means the same, in which no `return require(…)` is a tail call.

    Such a call leaves nothing of the line that it stands in, for the error of a module that is not
    there. In parentheses it is none.
    """
    if not _TAIL.search(source):
        return source
    places: list[int] = []
    start, depth, end, previous = -1, 0, -1, ""  # of the call; depth: parentheses that are open
    for token in tokens(source):
        if end >= 0:
            places += [start, end] if token.text in _BEHIND_RETURN else []
            start = end = -1
        if previous == "return" and token.text == "require":
            start, depth = token.start, 0
        elif start >= 0:
            depth += (token.text == "(") - (token.text == ")")
            if depth == 0 and (token.text == ")" or token.kind == "string"):
                end = token.start + len(token.text)
            elif depth == 0:
                start = -1
        previous = token.text
    places += [start, end] if end >= 0 else []
    parts = [source[one:other] for one, other in pairwise((0, *places, len(source)))]
    return "".join(part + "()"[at % 2] for at, part in enumerate(parts[:-1])) + parts[-1]


def check(source: str) -> Verdict:
    """Whether a line of the shell is complete: as an expression first, then as a chunk.

    Lua names the end of the text ("near <eof>") exactly where more of it could help. The newline
    that is added is the one the user would type next: it ends a short string, which is an error,
    and leaves a long one open.
    """
    chunk = raw(source) + b"\n"
    as_expression = _compile(b"return " + chunk)
    if not as_expression:
        return Verdict(True, "")
    as_chunk = _compile(chunk)
    if not as_chunk:
        return Verdict(True, "")
    open_end = as_expression.endswith("near <eof>") or as_chunk.endswith("near <eof>")
    return Verdict(not open_end, as_chunk)


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
