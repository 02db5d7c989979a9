"""The pages for people who change the code name files that exist."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md")
_PATH = re.compile(r"(?<![\w/.-])(?:[\w-]+/)+(?:[\w-]+\.(?:py|lua|md|toml|sh|c|mjs))?")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
_CONSTANT = re.compile(r"^((?:_?[A-Z][A-Z_]*(?:, )?)+)(?:: \w+)? = ", re.MULTILINE)
_RULE = re.compile(r"\|(?: *:?-+:? *\|)+$")  # below the header of a table
_JOINED = re.compile(r"\w+[.;:] [-*] \w+")  # an item of a list behind the one before it
_ROOTS = ("", "aoshell", "tests", "docs")


def pages() -> list[Path]:
    return [*(REPO / name for name in PAGES), *sorted((REPO / "docs").glob("*.md"))]


def exists(name: str, page: Path) -> bool:
    places = [page.parent / name, *(REPO / root / name for root in _ROOTS)]
    return any(place.exists() for place in places)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def wrong_rows(text: str) -> list[str]:
    """Rows that a viewer shows otherwise.

    It drops the cells that a row has too many, and what has no header is no table, such as what
    follows a blank line.
    """
    cells, wrong = 0, []
    lines = [*re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE).splitlines(), ""]
    for line, below in pairwise(lines):
        found = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
        if found and (found != cells if cells else not _RULE.match(below)):
            wrong.append(line)
        cells = (cells or found) if found else 0
    return wrong


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_rows_have_the_cells_of_their_table(page: Path) -> None:
    assert not wrong_rows(page.read_text(encoding="utf-8"))


def test_a_wrong_row_is_seen() -> None:
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert wrong_rows(f"{table}\n{table}```\n| x |\n```\n") == []
    assert wrong_rows(f"{table}| 1 |\n") == ["| 1 |"]
    assert wrong_rows(f"{table}\n| 3 | 4 |\n| 5 | 6 |\n") == ["| 3 | 4 |"]


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_each_item_of_a_list_has_its_own_line(page: Path) -> None:
    assert not _JOINED.findall(page.read_text(encoding="utf-8"))


def test_a_joined_item_is_seen() -> None:
    assert _JOINED.findall("- It is found. - It does\n  not exist.\n") == ["found. - It"]
    assert not _JOINED.findall("- It is 3 - 1.\n- It ends\n  here.\n- One more.\n| a. | - |\n")


@pytest.mark.parametrize("name", ["docs/architecture.md", "tests/README.md", "README.md"])
def test_paths_exist(name: str) -> None:
    page = REPO / name
    text = re.sub(r"https?://\S+", "", page.read_text(encoding="utf-8"))
    ends = (".py", ".lua", ".c", ".mjs")
    paths = {path for path in _PATH.findall(text) if path.endswith(ends) and "NAME" not in path}
    assert paths
    assert not [path for path in sorted(paths) if not exists(path, page)]


@pytest.mark.parametrize(("name", "least"), [("attack", 20), ("serve", 20), ("local-node", 5)])
def test_bounds_that_the_docs_name_exist(name: str, least: int) -> None:
    """`module.NAME` in the last column; a NAME alone is of the module before it."""
    known: dict[str, set[str]] = {}
    for path in (REPO / "aoshell").rglob("*.py"):
        found = _CONSTANT.findall(path.read_text(encoding="utf-8"))
        known.setdefault(path.stem, set()).update(re.findall(r"\w+", ",".join(found)))
    page = (REPO / f"docs/{name}.md").read_text(encoding="utf-8")
    missing, named = [], 0
    for row in (line for line in page.splitlines() if line.startswith("|")):
        module = ""
        for word in re.findall(r"`((?:[a-z]+\.)?_?[A-Z_]+)`", row.split("|")[-2]):
            before, _, constant = word.rpartition(".")
            module, named = before or module, named + 1
            missing += [word] if constant not in known.get(module, set()) else []
    assert named >= least and not missing


def test_the_architecture_has_every_room() -> None:
    text = (REPO / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (REPO / "aoshell").rglob("__init__.py")} - {"aoshell"}
    missing = [room for room in sorted(rooms) if f"{room}/" not in text]
    assert not missing
