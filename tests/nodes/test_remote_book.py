"""A file of remote processes that cannot be used: an error as for the node's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from aoshell.errors import AoError
from aoshell.nodes.remote.memory import Book


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "remote.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(AoError, match="is damaged") as raised:
        Book(path)
    assert raised.value.stage == "store" and "only remembers" in raised.value.hint


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    book = Book(tmp_path / "remote.db")
    pages = book._db.execute("PRAGMA page_count").fetchone()[0]
    book._db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(AoError, match=r"remote\.db cannot be used: .*full") as raised:
        book.put("e", "k", "x", "y" * 100_000)
    assert "free some room" in raised.value.hint
    book.close()


def test_what_goes_wrong_later_is_told_of_each_verb(tmp_path: Path) -> None:
    book = Book(tmp_path / "remote.db")
    book._db.execute("DROP TABLE facts")
    for verb in (
        lambda: book.get("e", "k", "x"),
        lambda: book.put("e", "k", "x", 1, learnt_again=True),
        lambda: book.all("e", "k"),
    ):
        with pytest.raises(AoError, match=r"remote\.db cannot be used"):
            verb()
    book.close()
