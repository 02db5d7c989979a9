"""Reads what is pasted: a Lua program, lines, or a transcript of a session.

In a transcript, a line with a prompt begins an input. Later lines belong to it while it is
incomplete, or if they are indented as far as the first, as the prompt shows them. All others are
answers and are left out. Above the first prompt only a first line that can run counts as typed: a
copy may begin after the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from aoshell.lua.lexer import tokens
from aoshell.shell.lines.multiline import (
    Assembler,
    check,
    command_name,
    is_command,
    prompt_of,
    without_prompt,
)
from aoshell.shell.view.text import width_of

COMPOSING = "… "
"""What stands before the first line that `.editor` takes; later ones have as many spaces."""
_COMPOSED = (".done", ".cancel")


class Following(str):
    """A later line of a paste: it waits until all that the line before it caused is done."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Typed:
    """One input of a transcript.

    Attributes:
        shown: its lines as in the transcript, with the prompt.
        chunks: what to run; more than one for `.editor` and its lines.
        is_open: the transcript ends before the input is complete.
    """

    shown: tuple[str, ...]
    chunks: tuple[str, ...]
    is_open: bool = False


def split_chunks(text: str) -> tuple[list[str], bool]:
    """The chunks of a text of several lines, and whether the last one is incomplete.

    A text that is one Lua program is one chunk, so that its `local`s are visible to its end. Of a
    transcript, only what was typed counts.
    """
    lines = _lines(text)
    if len(lines) > 1:
        if _is_program(lines):
            return ["\n".join(lines)], False
        if (typed := read_transcript(text)) is not None:
            return [chunk for one in typed for chunk in one.chunks], bool(
                typed and typed[-1].is_open
            )
    assembler = Assembler()
    found = [chunk for line in lines if (chunk := assembler.add(line)) is not None]
    last = assembler.rest()
    return (found, False) if last is None else ([*found, last], True)


def read_transcript(text: str) -> list[Typed] | None:
    """The inputs of a transcript, None if no line begins with a prompt."""
    lines = _lines(text)
    prompts = [at for at, line in enumerate(lines) if prompt_of(line)]
    if not prompts:
        return None
    found = _above(lines[: prompts[0]])
    at = prompts[0]
    while at < len(lines):
        end = _next_prompt(lines, at)
        found += _typed(lines[at:end], last=end == len(lines))
        at = end
    return found


def is_transcript(text: str) -> bool:
    """Whether a line of a text begins with a prompt."""
    return any(map(prompt_of, _lines(text)))


def without_answers(text: str) -> tuple[str, int]:
    """A text without its answers if it is a transcript, and how many lines were left out."""
    found = read_transcript(text)
    if found is None:
        return text, 0
    shown = [line for typed in found for line in typed.shown]
    gone = sum(1 for line in _lines(text) if line.strip()) - sum(map(bool, shown))
    return "\n".join(shown), max(gone, 0)


def _next_prompt(lines: Sequence[str], at: int) -> int:
    """Where the next input begins; a prompt further to the right is part of this one."""
    width = width_of(prompt_of(lines[at]))
    for later in range(at + 1, len(lines)):
        prompt = prompt_of(lines[later])
        if prompt and len(prompt) - len(prompt.lstrip()) < width:
            return later
    return len(lines)


def _above(lines: Sequence[str]) -> list[Typed]:
    """What was typed above the first prompt."""
    chunk, used = _complete(lines)
    if not chunk or (not is_command(chunk) and check(chunk).error):
        return []
    return [Typed(tuple(lines[:used]), (chunk,))]


def _typed(lines: Sequence[str], *, last: bool) -> list[Typed]:
    """The input that begins with the first of these lines; none if that is a prompt alone."""
    prompt = prompt_of(lines[0])
    indent = " " * width_of(prompt)
    first = without_prompt(lines[0])
    if is_command(first):
        return [_command(first, lines)]
    block = [line.removeprefix(indent) for line in lines[1:]]
    echoed = len(list(takewhile(lambda line: line.startswith(indent), lines[1:]))) + 1
    chunk, used = _complete([first, *block])
    if chunk is None and not first.strip():
        return []
    wrong = chunk is not None and used > echoed and check(chunk).error
    if chunk is None and last:
        return [Typed(tuple(lines), ("\n".join([first, *block]),), is_open=True)]
    if chunk is None or wrong:  # it was incomplete, and an answer follows
        used, chunk = echoed, "\n".join([first, *block[: echoed - 1]])
    elif used < echoed:
        longer = "\n".join([first, *block[: echoed - 1]])
        if not check(longer).error:
            used, chunk = echoed, longer
    return [Typed(tuple(lines[:used]), (chunk,))] if any(tokens(chunk)) else []


def _command(first: str, lines: Sequence[str]) -> Typed:
    """A dot command, with the lines that `.editor` was given."""
    if first.strip() != ".editor":
        return Typed((lines[0],), (first,))
    block = [line.removeprefix(COMPOSING).removeprefix("  ") for line in lines[1:]]
    end = next((at for at, line in enumerate(block) if line.strip() in _COMPOSED), -1) + 1
    return Typed(tuple(lines[: end + 1]), (first, *block[:end]))


def _complete(lines: Sequence[str]) -> tuple[str | None, int]:
    """The first complete chunk, None if there is none, and its number of lines."""
    assembler = Assembler()
    for used, line in enumerate(lines, 1):
        chunk = assembler.add(line)
        if chunk is not None:
            return chunk, used
        if used == 1 and not line.strip():
            return None, 0
    return None, len(lines)


def _lines(text: str) -> list[str]:
    return re.split(r"\r\n|\r|\n", text)


def _is_program(lines: list[str]) -> bool:
    """Whether lines are one valid Lua program and not a transcript."""
    if any(map(_is_known, lines)) or prompt_of(lines[0]):
        return False
    text = "\n".join(lines)
    return not check(text).error and any(tokens(text))


def _is_known(line: str) -> bool:
    """Whether a line names a dot command; in Lua, a line may begin with a field, too."""
    name = command_name(line)
    if not name:
        return False
    from aoshell.shell.commands import registry

    return name in registry()
