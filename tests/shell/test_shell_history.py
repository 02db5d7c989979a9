"""The lines entered, over sessions."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.history import FileHistory

from aoshell.shell.prompt.history import KEPT, LONGEST, LineHistory


def opened(path: Path | None) -> LineHistory:
    """A history whose file has been read, as a prompt reads it."""
    history = LineHistory(path)
    history._loaded_strings = list(history.load_history_strings())
    history._loaded = True
    return history


def entered(path: Path, *lines: str) -> None:
    history = opened(path)
    for line in lines:
        history.append_string(line)


def test_entries_outlive_the_session(tmp_path: Path) -> None:
    path = tmp_path / "history"
    entered(path, "one", "two\n  lines", "+plus", "# hash")
    entered(path, "later")
    assert opened(path).entries == ["later", "# hash", "+plus", "two\n  lines", "one"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(FileHistory(str(path)).load_history_strings()) == opened(path).entries


@given(
    entries=st.lists(
        st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), min_size=1),
        max_size=5,
    )
)
def test_any_text(tmp_path_factory: pytest.TempPathFactory, entries: list[str]) -> None:
    path = tmp_path_factory.mktemp("history") / "history"
    entered(path, *entries)
    kept = [e for i, e in enumerate(entries) if e.strip()]
    wanted = [e for i, e in enumerate(kept) if i == 0 or kept[i - 1] != e]
    assert opened(path).entries == wanted[::-1]


def test_repetitions_and_whole_files_are_no_entries(tmp_path: Path) -> None:
    path = tmp_path / "history"
    entered(path, "a", "a", "  ", "x" * (LONGEST + 1), "b", "a")
    assert opened(path).entries == ["a", "b", "a"]


def test_a_damaged_file_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b"+half\n\xff\xfe\n# no entry\n\n# t\n+good\n\n# t\n+bad \xff byte\n\n# t")
    assert opened(path).entries == ["bad \udcff byte", "good"]


def test_no_file_no_harm(tmp_path: Path) -> None:
    entered(tmp_path, "a")  # a folder
    history = opened(tmp_path / "no" / "folder")
    history.append_string("a")
    assert history.entries == ["a"]
    assert opened(None).entries == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes")
def test_two_shells_do_not_mix_their_entries(tmp_path: Path) -> None:
    path = tmp_path / "history"
    children = []
    for number in range(2):
        pid = os.fork()
        if not pid:
            entered(path, *(f"{number} {i}\n{number} {i}" for i in range(200)))
            os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    entries = opened(path).entries
    assert len(entries) == 400
    assert all(len(set(entry.split("\n"))) == 1 for entry in entries)


def test_suggestions(tmp_path: Path) -> None:
    path = tmp_path / "history"
    entered(path, "Balance = 1", "Balances.x", "two\nlines", "Bal")

    def suggested(typed: str) -> str:
        found = history.suggestion(typed)
        return found.text if found else ""

    history = opened(path)
    assert [suggested("Bal"), suggested("Balance"), suggested("Balance ")] == [
        "ances.x",
        "s.x",
        "= 1",
    ]
    assert suggested("B") == "al"
    assert suggested("Balances.x") == suggested("") == suggested("q") == suggested("two\nl") == ""


def test_search() -> None:
    history = opened(None)
    for line in ('Send({Action = "Mint"})', "Handlers.list", "Balance = 7", "Handlers.list", "x"):
        history.append_string(line)
    assert history.search("hand list", 9) == ["Handlers.list"]
    assert history.search("list hand", 9) == ["Handlers.list"]
    assert history.search("Hand", 9) == ["Handlers.list"]
    assert history.search("HAND", 9) == []
    assert history.search("sndmnt", 9) == ['Send({Action = "Mint"})']
    assert history.search("zz", 9) == []
    assert history.search("", 2) == ["x", "Handlers.list"]


def test_ten_thousand_entries_are_quick(tmp_path: Path) -> None:
    path = tmp_path / "history"
    lines = "".join(f"\n# t\n+Balance = {i} + {i}\n" for i in range(KEPT + 500))
    path.write_text(lines)
    begun = time.process_time()  # a busy machine does not count
    history = opened(path)
    assert len(history.entries) == KEPT
    for typed in ("Balance = 77", "nothing", "B"):
        history.suggestion(typed)
    history.search("balance none at all", 200)
    assert time.process_time() - begun < 1
