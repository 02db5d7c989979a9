"""docs/errors.md and the set of stages agree with the code."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from aoshell.errors import STAGES

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))

from errors_page import PAGE, Source, errors, sources, tables, used_stages, written


@pytest.fixture(scope="module")
def code() -> list[Source]:
    return sources()


@pytest.fixture(scope="module")
def used(code: list[Source]) -> dict[str, set[str]]:
    return used_stages(code)


def test_each_stage_that_the_code_names_is_in_the_set(used: dict[str, set[str]]) -> None:
    unknown = {stage: where for stage, where in used.items() if stage not in STAGES}
    assert not unknown, "give each a line in STAGES of aoshell/errors.py"


def test_each_stage_of_the_set_is_used(used: dict[str, set[str]]) -> None:
    assert not STAGES.keys() - used


def test_the_page_has_the_tables_of_the_code(code: list[Source]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    made = written(page, tables(code, STAGES))
    assert page == made, "run .venv/bin/python scripts/errors_page.py"


def test_each_class_says_when_it_is_raised(code: list[Source]) -> None:
    assert not [error.name for error in errors(code) if not error.when.endswith(".")]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("raise AoError('x', stage='a')", {"a"}),
        ("raise AoError('x', stage='a' if y else 'b')", {"a", "b"}),
        ("def f():\n    at = 'a'\n    raise AoError('x', stage=at)", {"a"}),
        ("def f():\n    what, at = 'x', 'a'\n    raise AoError(what, stage=at)", {"a"}),
        ("def read(path, stage): ...\nread('p', 'a')", {"a"}),
        ("class C:\n    def read(self, stage, path): ...\nC().read('a', 'p')", {"a"}),
        ("class C:\n    async def get(self, stage): ...\nC().get('a')", set()),  # as a dict's
        ("class C:\n    async def get(self, stage): ...\nasync def f(): await C().get('a')", {"a"}),
        ("waiting.during('a', 'here')", {"a"}),
        ("print('a')", set()),
    ],
)
def test_stages_are_found(source: str, found: set[str]) -> None:
    assert used_stages([Source("aoshell.x", ast.parse(source))]).keys() == found


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for stages"):
        written("# Errors\n", {"stages": []})
