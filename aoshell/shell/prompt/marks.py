"""Marks typed Lua: errors that Lua's own compiler finds, and brackets or blocks still open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.formatted_text.utils import fragment_list_len
from prompt_toolkit.layout.processors import Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments

from aoshell.lua import compiling
from aoshell.lua.lexer import tokens
from aoshell.lua.references import masked
from aoshell.shell.lines.multiline import is_command
from aoshell.shell.lines.pasted import is_transcript, split_chunks
from aoshell.shell.prompt.screen import Marking
from aoshell.shell.prompt.structure import open_frames
from aoshell.shell.view.errors_view import TYPED, place_of

MARKED = 1_000  # characters; a longer text has no marks: each key makes them again


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text.

    Attributes:
        start, end: offsets of what is marked.
        kind: "wrong", or "open" for what is not closed yet.
    """

    start: int
    end: int
    kind: str


@lru_cache(maxsize=64)
def find_mark(text: str, cursor: int) -> Mark | None:
    """What to mark in a text of Lua; None for nothing, for other text, or if it is too long.

    A word right before the cursor may still change, so it is never wrong.
    """
    if len(text) > MARKED or not text.strip() or _is_no_lua(text):
        return None
    at, chunk = _wrong_chunk(masked(text))
    verdict = compiling.check_line(chunk)
    if not verdict.error:
        return None
    if not verdict.complete:
        return _open_in(chunk, at)
    start = place_of(f"{TYPED}:{verdict.error.partition(':')[2]}", chunk)
    token = next((one for one in tokens(chunk) if one.start <= (start or 0) < one.end), None)
    if start is None or token is None:
        return None
    typing = token.kind != "symbol" and at + token.end == cursor
    return None if typing else Mark(at + token.start, at + token.end, "wrong")


def _is_no_lua(text: str) -> bool:
    return is_command(text) or text.lstrip()[:1] in ".=?" or is_transcript(text)


def _wrong_chunk(text: str) -> tuple[int, str]:
    """The first chunk of a text that is not valid, else the last one; and where it begins."""
    at, chunk = 0, text
    if "\n" in text and compiling.check_line(text).error:
        for chunk in split_chunks(text)[0]:
            at = text.find(chunk, at)
            if not is_command(chunk) and compiling.check_line(chunk).error:
                break
    return at, chunk


def _open_in(chunk: str, at: int) -> Mark | None:
    """The innermost open bracket or block; else the open string or comment."""
    found = list(tokens(chunk))
    if found and found[-1].kind == "string" and found[-1].unfinished:
        return Mark(at + found[-1].start, at + found[-1].start + 1, "open")
    frames = open_frames(found)
    if not frames:
        return None
    start = at + frames[-1].start
    return Mark(start, start + len(frames[-1].opener), "open")


class LuaMarks(Marking):
    """Draws the mark of what is typed.

    Args:
        typing: whether marks are on and a line is typed, not an answer to a question or code for
            `.editor`.
    """

    def __init__(self, typing: Callable[[], bool]) -> None:
        self._typing = typing

    def marks(self, document: Document) -> bool:
        return self._mark(document) is not None

    def _mark(self, document: Document) -> Mark | None:
        return find_mark(document.text, document.cursor_position) if self._typing() else None

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document, fragments = transformation_input.document, transformation_input.fragments
        mark = self._mark(document)
        begin = document.translate_row_col_to_index(transformation_input.lineno, 0)
        if mark is None or not _is_in_line(mark, begin, document, transformation_input.lineno):
            return Transformation(fragments)
        shown: StyleAndTextTuples = explode_text_fragments(fragments)
        for at in range(mark.start - begin, min(mark.end - begin, fragment_list_len(shown))):
            shown[at] = (f"{shown[at][0]} class:lua.{mark.kind}", shown[at][1])
        return Transformation(shown)


def _is_in_line(mark: Mark, begin: int, document: Document, line: int) -> bool:
    return begin <= mark.start <= begin + len(document.lines[line])
