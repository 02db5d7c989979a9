"""Cuts a GraphQL document into tokens (October 2021, section 2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from aoshell.bounded.sizes import size
from aoshell.serve.graphql.errors import GraphqlError

LONGEST_TEXT = 256 << 10  # characters; a batch of queries by alias has some tens of thousands
MOST_TOKENS = 50_000

_IGNORED = re.compile(r"(?:[\ufeff \t\r\n,]++|\#[^\r\n]*+)*+")
_BREAK = re.compile(r"\r\n|\n|\r")
_TOKEN = re.compile(
    r"""
      (?P<name>   [_A-Za-z][_0-9A-Za-z]*+ )
    | (?P<mark>   \.\.\. | [!$&()\[\]{}:=@|] )
    | (?P<number> -?+ (?: 0 | [1-9][0-9]*+ ) (?P<part> (?:\.[0-9]++)?+ (?:[eE][+-]?+[0-9]++)?+ )
                  (?![_0-9A-Za-z.]) )
    | (?P<block>  \"\"\" (?: \\\"\"\" | (?!\"\"\") . )*+ \"\"\" )
    | (?P<string> \" (?!\"\") (?: [^\"\\\x00-\x08\x0a-\x1f]++ | \\ . )*+ \" )
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(
    r'\\(?:(["\\/bfnrt])|u([0-9A-Fa-f]{4})|u\{([0-9A-Fa-f]{1,8})\}|(.))', re.DOTALL
)
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


class Token(NamedTuple):
    """A piece of a document.

    Attributes:
        kind: "name", "mark", "int", "float", "string" or "end".
        text: the text as written; for a string, its value.
        at: offset of its first character.
    """

    kind: str
    text: str
    at: int


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a document; the last is of kind "end".

    Raises:
        GraphqlError: it is too long, or has a character that begins no token.
    """
    if len(text) > LONGEST_TEXT:
        raise GraphqlError(f"The query is longer than {size(LONGEST_TEXT)}.")
    found, at = 0, _skip(text, 0)
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise GraphqlError(_no_token(text, at), place(text, at))
        found += 1
        if found > MOST_TOKENS:
            raise GraphqlError(f"The query has more than {MOST_TOKENS:,} tokens.")
        yield _token(text, match)
        at = _skip(text, match.end())
    yield Token("end", "", len(text))


def place(text: str, at: int) -> tuple[int, int]:
    """Line and column of an offset, from 1."""
    breaks = [match.end() for match in _BREAK.finditer(text, 0, at)]
    return len(breaks) + 1, at - (breaks[-1] if breaks else 0) + 1


def _skip(text: str, at: int) -> int:
    match = _IGNORED.match(text, at)
    return match.end() if match else at


def _token(text: str, match: re.Match[str]) -> Token:
    kind, at = str(match.lastgroup), match.start()
    if match["number"]:
        return Token("float" if match["part"] else "int", match["number"], at)
    if kind == "string":
        return Token(kind, _unescape(text, match), at)
    if kind == "block":
        return Token("string", _unindent(match[0][3:-3].replace('\\"""', '"""')), at)
    return Token(kind, match[0], at)


def _no_token(text: str, at: int) -> str:
    if text[at] == '"':
        return "Syntax Error: Unterminated string."
    if text[at] in "-.0123456789":
        return "Syntax Error: Invalid number."
    return f"Syntax Error: Unexpected character: {text[at]!a}."


def _unescape(text: str, match: re.Match[str]) -> str:
    """The value of a string in quotes."""
    inner = match[0][1:-1]

    def value(escape: re.Match[str]) -> str:
        short, four, braced, wrong = escape.groups()
        if short:
            return _SHORT.get(short, short)
        code = int(four or braced or "110000", 16)
        if wrong or code > 0x10FFFF or (braced and 0xD800 <= code < 0xE000):
            raise GraphqlError(
                f"Syntax Error: Invalid escape {escape[0]!a}.",
                place(text, match.start() + 1 + escape.start()),
            )
        return chr(code)

    # Two escaped halves of a surrogate pair are one character; a half alone is an error.
    whole = _PAIR.sub(_join, _ESCAPE.sub(value, inner) if "\\" in inner else inner)
    if not whole.isascii() and _HALF.search(whole):
        raise GraphqlError(
            "Syntax Error: A string has half a surrogate pair.", place(text, match.start())
        )
    return whole


def _join(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


def _unindent(block: str) -> str:
    """The value of a block string: without common indentation, nor blank lines at its ends."""
    lines = _BREAK.split(block)
    indents = [len(line) - len(line.lstrip(" \t")) for line in lines[1:] if line.strip(" \t")]
    common = min(indents, default=0)
    lines[1:] = [line[common:] for line in lines[1:]]
    while lines and not lines[0].strip(" \t"):
        lines.pop(0)
    while lines and not lines[-1].strip(" \t"):
        lines.pop()
    return "\n".join(lines)
