"""The lexer against that of pygments, which others wrote.

Compared are comments, strings, numbers, keywords and names: their kinds, places and texts. pygments
splits strings at escapes, so that neighbours of one kind count as one. Symbols and spaces are what
is left between.

Three rules of pygments are for colours, or for another Lua than 5.3. The judge goes without them:

- brackets and other punctuation together are one token: of `([[text]]` it takes `([[` as such, and
  the text of the string as code;
- `a < b … >` is an attribute of Lua 5.4, and what is between is no code;
- `table.concat` is one name, as are all functions of Lua's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from lua_texts import PROGRAMS, ROOT
from pygments.lexers.scripting import LuaLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String

from aoshell.lua.lexer import pieces

KINDS = {
    "comment": Comment, "string": String, "number": Number, "keyword": Keyword, "name": Name,
}  # fmt: skip
TOGETHER, ATTRIBUTE = r"[\[\]{}().,:;]+", "<.+?>)"


def rules() -> Iterator[object]:
    """Those of pygments for code, but for the three above."""
    for rule in LuaLexer.tokens["base"]:
        pattern, kind = (str(rule[0]), rule[1]) if isinstance(rule, tuple) else ("", None)
        if pattern == TOGETHER:
            yield (pattern.removesuffix("+"), kind)
        elif not pattern.endswith(ATTRIBUTE) and kind is not Name.Builtin:
            yield rule


class Judge(LuaLexer):
    """The lexer of pygments for Lua 5.3."""

    tokens = {**LuaLexer.tokens, "base": list(rules())}  # noqa: RUF012 - as pygments has it


def joined(found: Iterator[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Offset, kind and text of what is compared, neighbours of one kind as one."""
    groups = (list(group) for _, group in groupby(found, key=lambda piece: piece[1]))
    return [
        (group[0][0], group[0][1], "".join(text for *_, text in group))
        for group in groups
        if group[0][1] in KINDS
    ]


def theirs(source: str) -> list[tuple[int, str, str]]:
    def kind(token: object) -> str:
        if token in Operator.Word:  # and, or, not
            return "keyword"
        return next((name for name, whole in KINDS.items() if token in whole), "")

    found = Judge().get_tokens_unprocessed(source)
    return joined((start, kind(token), text) for start, token, text in found)


def ours(source: str) -> list[tuple[int, str, str]]:
    return joined((piece.start, piece.kind, piece.text) for piece in pieces(source))


def compare_files(folder: Path) -> None:
    found = list(folder.rglob("*.lua"))
    assert found
    for path in found:
        source = path.read_bytes().decode("latin-1")
        assert ours(source) == theirs(source), path


@pytest.mark.parametrize("folder", ["aoshell", "examples", "tests"])
def test_files_of_the_repository(folder: str) -> None:
    compare_files(ROOT / folder)


def test_files_as_people_write_them(shared: Path) -> None:
    compare_files(shared)


@settings(max_examples=200)
@given(PROGRAMS)
def test_any_program(program: str) -> None:
    assert ours(program) == theirs(program)
