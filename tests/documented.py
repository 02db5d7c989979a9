"""The fenced blocks of README and docs, and whether a screen shows what one of them says.

In a block, `…` stands for anything within a line, and for any lines where it stands alone. Ids,
times and places of the test's own are compared by their form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
PAGES = (REPO / "README.md", *sorted((REPO / "docs").glob("*.md")))
PROMPT = re.compile(r"(?:\[[\w-]+\])?[\w-]+@aos-[\d.]+(?:\[Inbox:\d+\])?> |> ")
COMMAND = re.compile(r"\$ ")
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# What differs from run to run, by its form.
_FORMS = (
    (re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])"), "ID"),
    (re.compile(r"(?<![\w-])[\w-]{8}…"), "ID…"),
    (re.compile(r"(?<![\w-])[\w-]{3}\.\.\.[\w-]{3}(?![\w-])"), "ID..."),
    (re.compile(r"\d+(?:\.\d+)? (ms|s|µs|MB|kB)\b"), r"N \1"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: behind the fence, "" for none.
        line: of its first line on the page.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def first(self) -> str:
        return self.text.partition("\n")[0]


@dataclass(frozen=True, slots=True)
class Step:
    """What is typed (its lines) behind a prompt, and the lines that it comes to."""

    prompt: str
    typed: str
    shown: tuple[str, ...]


def blocks() -> list[Block]:
    """All fenced blocks, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        name = str(page.relative_to(REPO))
        for match in _FENCED.finditer(text):
            line = text.count("\n", 0, match.start()) + 2
            found.append(Block(name, line, match[1], match[2]))
    return found


def steps(block: Block, prompt: re.Pattern[str]) -> list[Step]:
    """What is typed behind each prompt, and what follows.

    Lines that are indented as far as the text behind the prompt go on with what is typed; so does
    what follows a backslash at the end of a line.
    """
    found: list[tuple[str, list[str], list[str]]] = []
    width = 0
    for line in block.text.splitlines():
        begun = prompt.match(line)
        if begun:
            width = begun.end()
            found.append((begun[0], [line[width:]], []))
            continue
        _, typed, shown = found[-1]
        goes_on = width > 4 and line.startswith(" " * width) and not shown
        if goes_on or typed[-1].endswith("\\"):
            typed.append(line[width:] if goes_on else line)
        else:
            shown.append(line)
    return [Step(before, "\n".join(typed), tuple(shown)) for before, typed, shown in found]


def by_form(text: str) -> str:
    """Text in which ids and times are replaced by their forms."""
    for pattern, form in _FORMS:
        text = pattern.sub(form, text)
    return text


def pattern_of(lines: tuple[str, ...]) -> re.Pattern[str]:
    """What matches such lines on a screen, after `by_form`."""
    parts = []
    for line in lines:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
            continue
        pieces = [re.escape(piece) for piece in by_form(line.rstrip()).split("…")]
        parts.append(".*?".join(pieces) + r"[ ]*\n")
    return re.compile("".join(parts))
