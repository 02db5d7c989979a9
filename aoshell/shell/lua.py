"""Lua text looked at without running it: does it parse, and what does it require.

Parsing is Lua's own: a bare runtime compiles the text and never calls what it compiled. Nothing
here executes; code runs in a node's worker only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

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
_MODULE_NAME = re.compile(r"[\w-]+(\.[\w-]+)*\Z")


@dataclass(frozen=True, slots=True)
class Token:
    """A token that is neither space nor comment: its kind, its text and where it begins."""

    kind: str
    text: str
    start: int


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


def required(source: str) -> list[str]:
    """Names of the modules that a text requires by a literal name, in order, each once."""
    names: dict[str, None] = {}
    previous, awaiting = "", False
    for token in tokens(source):
        if awaiting and token.kind == "string":
            name = _literal(token.text)
            if _MODULE_NAME.match(name):
                names[name] = None
        awaiting = (token.text == "require" and previous not in (".", ":")) or (
            awaiting and token.text == "("
        )
        previous = token.text
    return list(names)


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


def _literal(token: str) -> str:
    long = re.match(r"\[(=*)\[", token)
    width = len(long.group()) if long else 1
    return token[width:-width]


def _compile(chunk: bytes) -> str:
    answer = _loader()(chunk, b"=aos", b"t")
    return text(answer[1]) if isinstance(answer, tuple) else ""


@cache
def _loader() -> Callable[[bytes, bytes, bytes], object]:
    from lupa.lua53 import LuaRuntime

    runtime = LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
    load: Callable[[bytes, bytes, bytes], object] = runtime.globals()[b"load"]
    return load
