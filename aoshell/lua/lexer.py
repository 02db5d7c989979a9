"""The only lexer of Lua 5.3 (reference manual, 3.1).

`pieces` accepts any text, finished or not, in time linear in its length. It serves completion,
colours, multi-line input, the search for `require` and, through `strict`, the parser. Strings are
cut as by Lua: a backslash takes the next character with it, an end of line ends a string in
quotes. Bytes as latin-1 and Unicode text give the same tokens: outside of strings and comments,
each character beyond ASCII is a symbol.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

KEYWORDS = frozenset(
    ("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
     "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while")
)  # fmt: skip
BREAK = re.compile(r"\r\n|\n\r|\n|\r")
"""An end of line as Lua counts them."""

_LONG = re.compile(r"(?:--)?\[(=*)\[")
_ESCAPE = r"\\(?: \r\n | \n\r | z[ \t\v\f\r\n]*+ | . )"


def _long(group: str) -> str:
    """A long bracket without its end, whose level is the length of `group`."""
    return rf"\[(?P<{group}>=*+)\[(?:[^\]]++ | \](?!(?P={group})\]))*+"


def _short(quote: str) -> str:
    """A string in quotes without its end."""
    return rf"{quote}(?:[^{quote}\\\r\n]++ | {_ESCAPE})*+"


# The possessive quantifiers (`*+`) never backtrack, so no text is read twice. Open tokens are tried
# second; without an end, a backslash at the end of the text belongs to them.
_OPAQUE = rf"""
      (?P<comment>      -- (?: {_long("c")} \](?P=c)\] | (?!\[=*+\[) [^\r\n]*+ (?=[\r\n]) ) )
    | (?P<open_comment> -- (?: {_long("d")} | [^\r\n]*+ ) )
    | (?P<string>       {_short('"')} " | {_short("'")} ' | {_long("s")} \](?P=s)\] )
    | (?P<open_string>  (?: {_short('"')} | {_short("'")} ) \\?+ | {_long("t")} )
"""
_PIECE = rf"""
      (?P<space>        [ \t\v\f\r\n]++ )
    | (?P<word>         [A-Za-z_][A-Za-z0-9_]*+ )
    | {_OPAQUE}
    | (?P<number>       \.?0[xX](?:[pP][+-]?+ | [0-9A-Fa-f.])*+
                      | \.?[0-9](?:[eE][+-]?+ | [0-9A-Fa-f.])*+ )
    | (?P<symbol>       \.\.\.?+ | [=~<>]= | << | >> | // | :: | . )
"""
_OPEN = {"open_comment": "comment", "open_string": "string"}


class Token(NamedTuple):
    """A piece of a text.

    Attributes:
        kind: "keyword", "name", "string", "number" or "symbol"; from `pieces` also "space" and
            "comment". A number may be malformed; a symbol may be unknown to Lua.
        text: as written, with quotes and brackets.
        start: offset of its first character.
        unfinished: whether its end is missing: the closing quote or bracket, or the end of a
            comment's line.
    """

    kind: str
    text: str
    start: int
    unfinished: bool = False

    @property
    def end(self) -> int:
        """Offset after its last character."""
        return self.start + len(self.text)

    @property
    def level(self) -> int | None:
        """The number of equals signs of a long string or comment; None for other tokens."""
        long = _LONG.match(self.text) if self.kind in ("string", "comment") else None
        return len(long[1]) if long else None


def pieces(source: str, start: int = 0) -> Iterator[Token]:
    """All pieces of a text from an offset on, with spaces and comments."""
    for match in _compiled(_PIECE).finditer(source, start):
        kind, text = match.lastgroup or "", match.group()
        if kind == "word":
            yield Token("keyword" if text in KEYWORDS else "name", text, match.start())
        elif kind in _OPEN:
            yield Token(_OPEN[kind], text, match.start(), True)
        else:
            yield Token(kind, text, match.start())


def tokens(source: str, start: int = 0) -> Iterator[Token]:
    """The tokens of a text from an offset on, without spaces and comments."""
    return (piece for piece in pieces(source, start) if piece.kind not in ("space", "comment"))


def find_name(source: str, name: str) -> Iterator[int]:
    """The offsets at which a name stands, outside of strings and comments.

    Several times as fast as going through all tokens.
    """
    word = rf"(?P<name> (?<![A-Za-z0-9_]) {name} (?![A-Za-z0-9_]) )"
    # Four times as fast: at most places the first character rules a match out.
    begins = rf"""(?= [-"'\[{name[0]}] )"""
    for match in _compiled(f"{begins} (?: {_OPAQUE} | {word} )").finditer(source):
        if match.lastgroup == "name":
            yield match.start()


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compiled on first use: that takes longer than the rest of this module."""
    return re.compile(pattern, re.VERBOSE | re.DOTALL)
