"""Writes the tables of docs/errors.md from the code: `.venv/bin/python scripts/errors_page.py`.

It parses the sources, and imports the list of stages only. tests/test_errors_page.py checks that
the page is up to date.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REPO = Path(__file__).resolve().parents[1]
PAGE = REPO / "docs" / "errors.md"
ROOT = "AoError"
MISUSED = "UsageError"  # its exit code is 2


class Source(NamedTuple):
    """A file of the package: its module's name, and its syntax tree."""

    module: str
    tree: ast.Module


class Error(NamedTuple):
    """A class of errors.

    Attributes:
        line: the class and its base classes.
        stage: of all its errors; "" if each `raise` names one.
        when: the first paragraph of its docstring.
    """

    name: str
    module: str
    line: tuple[str, ...]
    stage: str
    when: str

    @property
    def exit_code(self) -> int:
        return 2 if MISUSED in self.line else 1


def sources() -> list[Source]:
    """All files of the package, in the order of their names."""
    files = sorted((REPO / "aoshell").rglob("*.py"))
    return [
        Source(
            ".".join(path.relative_to(REPO).with_suffix("").parts).removesuffix(".__init__"),
            ast.parse(path.read_text(encoding="utf-8")),
        )
        for path in files
    ]


# Classes -----------------------------------------------------------------------------------------


def errors(files: list[Source]) -> list[Error]:
    """`ROOT` and all classes below it, sorted by module."""
    classes = {
        node.name: (file.module, node)
        for file in files
        for node in ast.walk(file.tree)
        if isinstance(node, ast.ClassDef)
    }
    found = []
    for name, (module, node) in classes.items():
        line = list(_line(name, classes))
        if ROOT in line:
            stages = (_stage(classes[above][1]) for above in line if above in classes)
            paragraph = (ast.get_docstring(node) or "").partition("\n\n")[0]
            when = " ".join(paragraph.split())
            found.append(Error(name, module, tuple(line), next(filter(None, stages), ""), when))
    return sorted(
        found, key=lambda one: (one.module != "aoshell.errors", one.module, len(one.line))
    )


def _line(name: str, classes: dict[str, tuple[str, ast.ClassDef]]) -> Iterator[str]:
    """A class and its base classes."""
    yield name
    for base in classes[name][1].bases if name in classes else ():
        yield from _line(ast.unparse(base).rpartition(".")[2], classes)


def _stage(node: ast.ClassDef) -> str:
    """The stage that the class gives to each of its errors, or ""."""
    keywords = [
        one for call in ast.walk(node) if isinstance(call, ast.Call) for one in call.keywords
    ]
    stages = {
        str(ast.literal_eval(one.value))
        for one in keywords
        if one.arg == "stage" and isinstance(one.value, ast.Constant)
    }
    return stages.pop() if len(stages) == 1 else ""


# The page ----------------------------------------------------------------------------------------


def tables(files: list[Source], meanings: dict[str, str]) -> dict[str, list[str]]:
    """The lines of the page's tables, by the name of each."""
    return {
        "stages": [
            "| stage | what failed |",
            "|---|---|",
            *(f"| `{stage}` | {meanings[stage]} |" for stage in sorted(meanings, key=str.lower)),
        ],
        "classes": [
            "| class | module | raised when | stage | exit code |",
            "|---|---|---|---|---|",
            *map(_row, errors(files)),
        ],
    }


def _row(error: Error) -> str:
    stage = f"`{error.stage}`" if error.stage else "as raised"
    cells = (f"`{error.name}`", f"`{error.module}`", error.when, stage, str(error.exit_code))
    return f"| {' | '.join(cells)} |"


def written(page: str, made: dict[str, list[str]]) -> str:
    """The page with new tables. Each stands between `<!-- NAME -->` and `<!-- end -->`.

    Raises:
        ValueError: the page has no place for one of them.
    """
    for name, lines in made.items():
        before, found, rest = page.partition(f"<!-- {name} -->\n")
        _, ended, after = rest.partition("<!-- end -->\n")
        if not found or not ended:
            raise ValueError(f"the page has no place for {name}")
        page = f"{before}{found}" + "\n".join(["", *lines, "", ""]) + f"{ended}{after}"
    return page


if __name__ == "__main__":
    sys.path.insert(0, str(REPO))
    from aoshell.errors import STAGES

    text = written(PAGE.read_text(encoding="utf-8"), tables(sources(), dict(STAGES)))
    PAGE.write_text(text, encoding="utf-8")
