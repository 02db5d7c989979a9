"""Finds what surrounds the cursor in typed Lua: an open call, a string, names and dots.

It reads tokens of unfinished text at every key, so only the end of a long text is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from aoshell.lua.lexer import KEYWORDS, Token, pieces, tokens

LOOKED_AT = 4_000  # characters before the cursor
INDENT = "  "

_OPENERS = {"(": ")", "{": "}", "[": "]"}
_CLOSERS = frozenset(_OPENERS.values())
_BLOCKS = frozenset({"function", "if", "do", "repeat"})
_ENDS = frozenset({"end", "until"})
_DEDENTS = re.compile(r"\s*(?:end|else|elseif|until)\b|\s*[)}\]]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(slots=True)
class Frame:
    """A bracket or block that is open at the cursor.

    Attributes:
        opener: a bracket, or the keyword.
        start: its offset.
        name: the function, for `name(`, `name{` and for the braces directly inside such a call.
        argument: how many commas follow it.
        key: in braces, the key whose value is being written, or "".
    """

    opener: str
    start: int
    name: str = ""
    argument: int = 0
    key: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """What surrounds the cursor.

    Attributes:
        word: the part of a name or string that is typed already.
        path: the names before it, `("Handlers", "list", "[]")` for `Handlers.list[1].`; the first
            is "" if the expression does not begin with a name.
        separator: "." or ":" before the word, else "".
        quote: what opened the string around the cursor, "" outside of strings.
        comment: whether it is in a comment or a number, where nothing is completed.
        frames: open brackets and blocks, outermost first.
    """

    word: str
    path: tuple[str, ...]
    separator: str
    quote: str
    comment: bool
    frames: tuple[Frame, ...]

    @property
    def call(self) -> Frame | None:
        """The innermost call whose arguments are being written, None elsewhere."""
        for frame in reversed(self.frames):
            if frame.opener in _BLOCKS:
                return None
            if frame.name:
                return frame
        return None


@lru_cache(maxsize=4)
def read_context(before: str) -> Context:
    """Read what surrounds the end of a text. Cached: all helpers ask for the same text at a key."""
    text = _end_of(before)
    found = list(pieces(text))
    quote, silent, word = "", False, ""
    match found[-1:]:
        case [Token(kind="string", text=typed, unfinished=True)]:
            quote = "[[" if typed[0] == "[" else typed[0]
            word = typed[1:]
            found.pop()
        case [Token(kind="name" | "keyword", text=word)]:
            found.pop()
        case [Token(kind="number")] | [Token(kind="comment", unfinished=True)]:
            silent = True
    code = [piece for piece in found if piece.kind not in ("space", "comment")]
    path, separator = ((), "") if quote else _path(code)
    return Context(word, path, separator, quote, silent, tuple(open_frames(code)))


def open_frames(found: list[Token]) -> list[Frame]:
    """The brackets and blocks that tokens leave open, outermost first."""
    stack: list[Frame] = []
    for at, token in enumerate(found):
        word = token.text
        if token.kind == "string":
            continue
        if word in _OPENERS:
            stack.append(Frame(word, token.start, _called(found, at, stack)))
        elif word in _BLOCKS:
            stack.append(Frame(word, token.start))
        elif word in _CLOSERS or word in _ENDS:
            _close(stack, word)
        elif stack and word in (",", ";"):
            stack[-1].argument += 1
            stack[-1].key = ""
        elif stack and word == "=" and stack[-1].opener == "{" and found[at - 1].kind == "name":
            stack[-1].key = found[at - 1].text
    return stack


def next_indent(before: str) -> str:
    """The indentation of the line that follows a text."""
    text = _end_of(before)
    found = list(tokens(text))
    if found and _is_open_string(found[-1]):
        return ""  # they would belong to the text
    stack = open_frames(found)
    return _indent_at(text, stack[-1].start) + INDENT if stack else ""


def dedented(before: str) -> str | None:
    """The indentation for a last line that closes a block above it; None if it is right already."""
    head, newline, line = before.rpartition("\n")
    if not newline or not _DEDENTS.match(line):
        return None
    text = _end_of(head)
    found = list(tokens(text))
    stack = open_frames(found)
    if not stack or _is_open_string(found[-1]):
        return None
    indent = _indent_at(text, stack[-1].start)
    return (
        None if line.startswith(indent) and line[len(indent) : len(indent) + 1] != " " else indent
    )


def _end_of(before: str) -> str:
    if len(before) <= LOOKED_AT:
        return before
    cut = before[-LOOKED_AT:]
    return cut[cut.find("\n") + 1 :]


def _is_open_string(token: Token) -> bool:
    return token.kind == "string" and token.unfinished


def _path(found: list[Token]) -> tuple[tuple[str, ...], str]:
    """The names before a word, read backwards from the dot before it."""
    at = len(found) - 1
    if at < 0 or found[at].text not in (".", ":"):
        return (), ""
    separator, names = found[at].text, []
    while at >= 0 and found[at].text in (".", ":"):
        at -= 1
        while at >= 0 and found[at].text == "]":
            at = _opening(found, at) - 1
            names.append("[]")
        if at < 0 or found[at].kind != "name":
            return ("",), separator
        names.append(found[at].text)
        at -= 1
    return tuple(reversed(names)), separator


def _opening(found: list[Token], at: int) -> int:
    depth = 0
    while at >= 0:
        depth += {"]": 1, "[": -1}.get(found[at].text, 0)
        if not depth:
            return at
        at -= 1
    return 0


def _called(found: list[Token], at: int, stack: list[Frame]) -> str:
    """The name of the function that a bracket calls, "" for none."""
    bracket = found[at].text
    if bracket == "[" or not at:
        return ""
    before = found[at - 1]
    if bracket == "{" and before.text == "(" and stack:
        return stack[-1].name  # `Send({` means the same as `Send{`
    if before.kind != "name":
        return ""
    path, separator = _path([*found[: at - 1]])
    if at > 1 and not separator and found[at - 2].text == "function":
        return ""  # a definition
    return ".".join((*path, before.text))


def _close(stack: list[Frame], closer: str) -> None:
    """Close the innermost frame that `closer` ends, and all frames inside of it."""
    for at in range(len(stack) - 1, -1, -1):
        opener = stack[at].opener
        closes = closer == _OPENERS.get(opener) or (closer in _ENDS and opener in _BLOCKS)
        if closes:
            del stack[at:]
            return


def _indent_at(text: str, start: int) -> str:
    line = text[text.rfind("\n", 0, start) + 1 :]
    return line[: len(line) - len(line.lstrip(" \t"))]


def is_name(text: str) -> bool:
    """Whether a text can follow a dot."""
    return _NAME.match(text) is not None and text not in KEYWORDS
