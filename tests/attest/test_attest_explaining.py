"""`--explain`: each error is explained, and its verdict is the one that it ends with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aoshell.attest.explaining import (
    ERRORS,
    NO_EVIDENCE,
    OPEN,
    SOMETIMES_OPEN,
    VERDICTS,
    explain,
)
from aoshell.attest.verify import NOT_EXCLUSIVE, all_checks

ROOT = Path(__file__).parents[2]
OF_CHECKS = {error for one in all_checks() for error in one.errors}


def raised() -> Iterator[tuple[str, str]]:
    """(class, error) of what the sources raise by a name that stands there."""
    for path in sorted((ROOT / "aoshell" / "attest").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(ast.Name(kind), [ast.Constant(str(error)), *_]):
                    yield kind, error


def test_each_error_is_explained() -> None:
    assert ERRORS.keys() == OF_CHECKS | {NO_EVIDENCE, NOT_EXCLUSIVE}
    assert not OPEN & SOMETIMES_OPEN.keys()
    assert {*OPEN, *SOMETIMES_OPEN} <= ERRORS.keys()
    for text in ERRORS.values():
        assert text.endswith(".") and "  " not in text and text[0].isupper()


def test_verdicts_are_those_of_the_sources() -> None:
    found = set(raised())
    assert ("EvidenceError", "REPORT_SIZE") in found
    for kind, error in found:
        if kind in ("InconclusiveError", "UnusableFileError"):
            assert error in {*OPEN, *SOMETIMES_OPEN}, error
        if kind == "EvidenceError":
            assert error not in OPEN, error


def test_the_page_lists_the_same() -> None:
    page = (ROOT / "docs" / "attest.md").read_text(encoding="utf-8")
    listed = page.split("These errors are INCONCLUSIVE: ")[1].split("All others are FAIL")[0]
    named = {*re.findall(r"\b[A-Z][A-Z_]+[A-Z]\b", listed)} & ERRORS.keys()
    assert named == {*OPEN, "CHALLENGE_FAILED"} - {NO_EVIDENCE}


@pytest.mark.parametrize("error", sorted(ERRORS))
def test_an_error(error: str) -> None:
    said = explain(error.lower())
    head, meaning, verdict, _, *rest = said.split("\n")
    assert (head, meaning) == (error, ERRORS[error])
    assert verdict.startswith("Verdict: ")
    assert ("FAIL" in verdict) is (error not in OPEN)
    for word in ("FAIL", "INCONCLUSIVE"):
        assert (f"{word}: {VERDICTS[word]}" in rest) is (word in verdict)
    checks = [one for one in all_checks() if error in one.errors]
    assert all(f"{one.number} {one.name}" in rest for one in checks)


@pytest.mark.parametrize("name", ["PASS", "fail", "Inconclusive"])
def test_a_verdict(name: str) -> None:
    assert explain(name) == f"{name.upper()}\n{VERDICTS[name.upper()]}"


@pytest.mark.parametrize("name", ["vmpl", "30", "key-custody", "evidence"])
def test_a_check(name: str) -> None:
    assert "\nErrors: " in explain(name)


def test_each_check() -> None:
    for one in all_checks():
        assert one.explanation and one.errors
        for name in (one.name, str(one.number), one.errors[0], one.errors[0].lower()):
            assert one.explanation in explain(name)


@pytest.mark.parametrize("name", ["", "x", "0", "VMPL_"])
def test_nothing(name: str) -> None:
    with pytest.raises(KeyError):
        explain(name)
