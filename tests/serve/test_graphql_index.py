"""The index of transactions: what a query costs, and that it holds the log and nothing else."""

from __future__ import annotations

import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gateway_node import id_of
from hypothesis import given, settings
from hypothesis import strategies as st

from aoshell.protocol.message import Tag
from aoshell.serve.graphql import entries, filters, searching
from aoshell.serve.graphql.entries import Entry
from aoshell.serve.graphql.errors import GraphqlError
from aoshell.serve.graphql.filters import OWNER, RECIPIENT, TAG, Clause, Filter
from aoshell.serve.graphql.index import LONGEST_KEY, Index, Position
from aoshell.serve.graphql.matching import fits_wildcard

# What a search costs ------------------------------------------------------------------------------


def log(count: int) -> list[Entry]:
    """A log as a busy node has one: a hundred processes that send to each other."""
    chance = random.Random(1)
    made = []
    for number in range(1, count + 1):
        sender, target = (f"process {chance.randrange(100)}" for _ in range(2))
        tags = {
            "Data-Protocol": "ao",
            "Type": "Message" if number % 50 else "Process",
            "Action": chance.choice(["Eval", "Transfer", "Credit-Notice", "Info"]),
            "From-Process": id_of(sender),
            "Pushed-For": id_of(f"root {number // 10}"),
            "Reference": str(number),
            "SDK": "aoconnect",
        }
        if number % (count // 10) == 1:  # ten of each log, whatever its length
            tags["Rare"] = "yes"
        made.append(
            Entry(
                *(number, id_of(str(number)), id_of("owner"), id_of(target), "", 4),
                *(number * 1000, 2_000_000 + number // 100),
                tuple(Tag(name, value) for name, value in tags.items()),
            )
        )
    return made


@pytest.fixture(scope="module")
def two_logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Index]]:
    """Indexes of 1,000 and of 8,000 messages."""
    folder = tmp_path_factory.mktemp("indexes")
    made = []
    for count in (1_000, 8_000):
        index = Index(folder / f"{count}.db")
        index.add(log(count), Position(), count)
        made.append(index)
    yield made
    for index in made:
        index.close()


def tag(name: str, *values: str, negated: bool = False) -> Clause:
    return Clause(TAG, name, frozenset(values), None, negated)


def to(kind: int, *names: str) -> Clause:
    return Clause(kind, "", frozenset(map(id_of, names)))


AO = tag("Data-Protocol", "ao")
POLLS: dict[str, Filter] = {
    "incoming": Filter(clauses=(AO, to(RECIPIENT, "process 7")), first=25),
    "outgoing": Filter(clauses=(AO, tag("From-Process", id_of("process 7"))), first=25),
    "spawned": Filter(clauses=(tag("Type", "Process"), tag("From-Process", id_of("process 7")))),
    "caused": Filter(clauses=(AO, tag("Pushed-For", id_of("root 5"))), first=1000),
    "actions": Filter(clauses=(AO, tag("Action", "Transfer", "Info")), first=100),
    "everything": Filter(clauses=(AO,), first=100),
    "no filter": Filter(first=100, newest_first=False),
    "owner": Filter(clauses=(to(OWNER, "owner"), tag("SDK", "aoconnect")), first=100),
    "by name": Filter(clauses=(AO, tag("Type", "Process"), tag("Name", "x"), to(OWNER, "owner"))),
    "rare": Filter(clauses=(AO, tag("Type", "Message"), tag("Rare", "yes")), first=100),
    "not": Filter(clauses=(AO, tag("Action", "Eval", negated=True)), first=100),
    "id": Filter(ids=frozenset((id_of("77"),)), clauses=(AO,)),
    "blocks": Filter(clauses=(AO,), lowest=2_000_002, highest=2_000_003, first=100),
}


@contextmanager
def counted(db: sqlite3.Connection) -> Iterator[Callable[[], int]]:
    """How many steps SQLite's virtual machine takes."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(step, 1)
    yield lambda: steps
    db.set_progress_handler(None, 0)


@pytest.mark.parametrize("name", POLLS)
def test_a_poll_is_no_scan(
    two_logs: list[Index], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight times the messages cost less than twice the steps, and a walk along a short list.

    To look at every message would take some 100,000 steps.
    """
    monkeypatch.setattr(searching, "_bounded", lambda index: index.errors())
    costs = []
    for index in two_logs:
        with counted(index.db) as steps:
            page = searching.find(index, POLLS[name], POLLS[name].first + 1)
        costs.append(steps())
        assert page or name in ("by name", "spawned")
    few, many = costs
    assert many < 2 * few + 10_000, costs


def test_no_search_reads_a_whole_table(two_logs: list[Index]) -> None:
    """What SQLite plans, for each statement that any of the polls runs."""
    index = two_logs[1]
    seen = set[str]()
    index.db.set_trace_callback(seen.add)
    for wanted in POLLS.values():
        searching.find(index, wanted, wanted.first + 1)
    index.db.set_trace_callback(None)
    selects = [sql for sql in seen if sql.startswith("SELECT")]
    assert len(selects) > 20
    for sql in selects:
        plan = [row[3] for row in index.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        scans = [line for line in plan if "SCAN" in line and "SCAN (subquery" not in line]
        assert not scans and not any("TEMP B-TREE" in line for line in plan), (sql, plan)


def test_a_search_that_finds_nothing_in_long_lists_ends(
    two_logs: list[Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST_STEPS", 20_000)
    clauses = (AO, tag("SDK", "aoconnect"), tag("Action", "Eval", negated=True), tag("x", "y"))
    nothing = Filter(clauses=(*clauses[:2], tag("Reference", "1", "2", negated=True)), first=1000)
    with pytest.raises(GraphqlError, match="too many transactions"):
        searching.count(two_logs[1], nothing)
    assert searching.find(two_logs[1], POLLS["id"], 2)  # and the index is as it was
    assert searching.find(two_logs[1], Filter(clauses=clauses), 11) == []


# What it finds ------------------------------------------------------------------------------------

NAMES = ["a", "b", "Ä", "x" * (LONGEST_KEY + 1), "x" * (LONGEST_KEY + 2), ""]
few = st.sampled_from(NAMES)
some = st.lists(few, min_size=1, max_size=2)
made_entries = st.lists(
    st.builds(
        lambda height, owner, recipient, pairs: (height, owner, recipient, pairs),
        st.integers(-1, 3),
        few,
        few,
        st.lists(st.tuples(few, few), max_size=3),
    ),
    max_size=12,
)
clauses = st.builds(
    lambda kind, name, values, negated: Clause(
        kind, name if kind == TAG else "", frozenset(values), None, negated
    ),
    st.sampled_from([TAG, OWNER, RECIPIENT]),
    few,
    some,
    st.booleans(),
)
filters_made = st.builds(
    Filter,
    ids=st.none() | st.frozensets(st.sampled_from(["1", "3", "5", "none"]), min_size=1),
    clauses=st.lists(clauses, max_size=3).map(tuple),
    newest_first=st.booleans(),
    lowest=st.none() | st.integers(-1, 4),
    highest=st.none() | st.integers(-1, 4),
)


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """An index for many examples, which they clear."""
    index = Index(tmp_path_factory.mktemp("emptied") / "index.db")
    yield index
    index.close()


def test_what_another_process_has_filled_is_not_cleared(tmp_path: Path) -> None:
    """Both read the end of the index before one of them began to fill it."""
    first, late = (Index(tmp_path / "index.db") for _ in range(2))
    looked = late.position()
    first.clear(first.position(), "node", 0)
    first.add([Entry(3, "id", "owner", "to", "", 0, 0, 0, ())], first.position(), 3)
    late.clear(looked, "node", 0)
    assert late.position() == Position("node", 0, 3)
    late.clear(late.position(), "another", 0)
    assert first.position() == Position("another", 0, 0)
    for one in (first, late):
        one.close()


@settings(max_examples=60)
@given(made_entries, filters_made, st.integers(1, 4))
def test_pages_are_what_looking_at_each_gives(
    emptied: Index, made: list[Any], wanted: Filter, first: int
) -> None:
    """The index against the filter itself, page by page."""
    logged = [
        Entry(n, str(n), owner, recipient, "", 0, 0, height, tuple(Tag(*pair) for pair in pairs))
        for n, (height, owner, recipient, pairs) in enumerate(made)
    ]
    emptied.clear(emptied.position(), "", 0)
    emptied.add(logged, Position(), len(logged))
    expected = sorted((one for one in logged if one.fits(wanted)), key=lambda one: one.place)
    if wanted.newest_first:
        expected.reverse()
    got, page = list[Entry](), list[Entry]()
    while not got or len(page) == first:
        here = replace(wanted, after=got[-1].place if got else None)
        page = searching.find(emptied, here, first)
        got += page
        if not got:
            break
    assert got == expected
    assert searching.count(emptied, wanted) == len(expected)


@given(st.text("ab*?", max_size=6), st.text("abc", max_size=6))
def test_wildcards(pattern: str, text: str) -> None:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert fits_wildcard(pattern, text) is bool(re.fullmatch(expression, text))


def test_a_pattern_costs_no_more_than_its_length_allows() -> None:
    assert not fits_wildcard("*a" * 120, "a" * 119 + "b" * 3_000)


def test_a_pattern_is_held_against_so_many_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = Index(tmp_path / "index.db")
    index.add(log(100), Position(), 100)

    def find(name: str, pattern: str) -> list[Entry]:
        clause = Clause(TAG, name, frozenset(), lambda text: fits_wildcard(pattern, text))
        return searching.find(index, Filter(clauses=(clause,)), 10)

    assert len(find("Reference", "9*")) == 10
    monkeypatch.setattr(searching, "MOST_FITTING", 10)
    with pytest.raises(GraphqlError, match="More than 10 values"):
        find("Reference", "9*")
    monkeypatch.setattr(searching, "MOST_VALUES", 50)
    with pytest.raises(GraphqlError, match="too many values"):
        find("Reference", "99")
    index.close()


def test_cursors_are_read_back() -> None:
    for place in (0, 1, entries.place_of(2_073_619, 9), entries.place_of(1 << 40, 9)):
        assert filters.read_cursor(filters.write_cursor(place)) == place
    for wrong in ("x", "é", "====", "LTE=", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5"):
        with pytest.raises(GraphqlError, match="not one of this server's"):
            filters.read_cursor(wrong)
