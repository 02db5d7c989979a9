"""Checkpoints on disk: which one is found, which ones stay, and which are believed."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from aoshell.nodes.local.log import checkpoint as module
from aoshell.nodes.local.log import sealed
from aoshell.nodes.local.log.checkpoint import Checkpoint, Checkpoints
from aoshell.nodes.local.log.sealed import DamagedFileError

THREE = (1000, 1900, 2000)  # slots that are far enough apart


def made(slot: int, image: bytes = b"image") -> Checkpoint:
    return Checkpoint(slot + 1, slot, f"mark of {slot}", image)


def written(folder: Path, *slots: int) -> Checkpoints:
    """The folder with checkpoints of a process "p" at these slots."""
    checkpoints = Checkpoints(folder)
    for slot in slots:
        checkpoints.write("p", "e", made(slot))
    return checkpoints


def slots(checkpoints: Checkpoints, last: int = 1 << 40) -> list[int]:
    return [found.slot for found in checkpoints.up_to("p", "e", last)]


def test_the_newest_is_read_and_the_older_ones_up_to_a_slot(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, *THREE)
    assert checkpoints.read("p", "e") == made(2000)
    assert list(checkpoints.up_to("p", "e", 2000)) == [made(2000), made(1900), made(1000)]
    assert slots(checkpoints, 1999) == slots(checkpoints, 1900) == [1900, 1000]
    assert slots(checkpoints, 1899) == [1000] and slots(checkpoints, 999) == []
    assert checkpoints.read("q", "e") is None


def test_one_of_the_same_slot_takes_its_place(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, 10)
    checkpoints.write("p", "e", made(10, b"other"))
    assert list(checkpoints.up_to("p", "e", 10)) == [made(10, b"other")]
    assert not (tmp_path / "p.older").exists()


def test_where_the_newest_goes_the_next_one_is_the_newest(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, *THREE)
    assert checkpoints.discard("p") and checkpoints.read("p", "e") == made(1900)
    assert checkpoints.discard("p") and checkpoints.read("p", "e") == made(1000)
    assert not checkpoints.discard("p") and checkpoints.read("p", "e") is None


@pytest.mark.parametrize(
    ("slot", "left"),
    [(2001, [2000, 1900, 1000]), (2000, [1900, 1000]), (1900, [1000]), (1000, []), (0, [])],
)
def test_a_cut_takes_those_of_its_slot_and_of_all_later_ones(
    tmp_path: Path, slot: int, left: list[int]
) -> None:
    checkpoints = written(tmp_path, *THREE)
    checkpoints.back_to("p", slot)
    assert slots(checkpoints) == left
    newest = checkpoints.read("p", "e")
    assert (newest and newest.slot) == (left[0] if left else None)


def test_a_cut_takes_a_damaged_one_too(tmp_path: Path) -> None:
    """Nobody knows of which slot it is."""
    checkpoints = written(tmp_path, *THREE)
    (tmp_path / "p.checkpoint").write_bytes(b"?")
    checkpoints.back_to("p", 1950)
    assert checkpoints.read("p", "e") == made(1900)


def test_with_a_process_all_of_them_go(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, *THREE)
    checkpoints.write("q", "e", made(5))
    slot, size = checkpoints.facts("p")
    assert slot == 2000 and size > 2 * checkpoints.facts("q")[1]
    checkpoints.remove("p")
    assert checkpoints.facts("p") == (None, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["q.checkpoint"]


def test_a_damaged_one_is_passed_over_and_goes(tmp_path: Path) -> None:
    checkpoints = written(tmp_path, *THREE)
    path = tmp_path / "p.older" / "1900.checkpoint"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert slots(checkpoints) == [2000, 1000]
    assert not path.exists()


@pytest.mark.parametrize("what", ["bytes", "seq", "slot", "mark"])
def test_nothing_in_it_may_have_changed(tmp_path: Path, what: str) -> None:
    checkpoints = written(tmp_path, 10)
    path = tmp_path / "p.checkpoint"
    change = {
        "bytes": (b"image", b"imagE"),
        "seq": (b'"seq": 11', b'"seq": 12'),
        "slot": (b'"slot": 10', b'"slot": 12'),
        "mark": (b"mark of 10", b"mark of 11"),
    }[what]
    assert path.read_bytes().count(change[0]) == 1
    path.write_bytes(path.read_bytes().replace(*change))
    with pytest.raises(DamagedFileError, match="its bytes have changed"):
        checkpoints.read("p", "e")
    assert not path.exists()


def test_it_is_of_this_process_environment_format_and_lua(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(why: str, process: str = "p", environment: str = "e") -> None:
        with pytest.raises(DamagedFileError, match=f"it was made for another {why}"):
            checkpoints.read(process, environment)

    checkpoints = written(tmp_path, 10)
    (tmp_path / "q.checkpoint").write_bytes((tmp_path / "p.checkpoint").read_bytes())
    refused("process", process="q")
    refused("environment", environment="f")
    for name, other in (("FORMAT", 99), ("installed", lambda _library: "lupa 0.1")):
        checkpoints = written(tmp_path, 10)
        with monkeypatch.context() as patch:
            patch.setattr(module, name, other)
            refused({"FORMAT": "format", "installed": "lua"}[name])


def test_older_ones_have_a_bound_in_bytes_and_the_oldest_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    size = written(tmp_path / "one", 1000).facts("p")[1]
    monkeypatch.setattr(module, "OLDER_BYTES", 2 * size)
    checkpoints = written(tmp_path, 1000, 1900, 1990, 2000)
    assert slots(checkpoints) == [2000, 1990, 1900]
    checkpoints.remove("p")
    assert slots(written(tmp_path, 500, 1300, 1600)) == [1600, 1300, 500]
    # The one that goes for its distance makes room for the next.
    assert slots(written(tmp_path, 2000)) == [2000, 1600, 500]


def test_older_ones_are_the_farther_apart_the_farther_back(tmp_path: Path) -> None:
    """The next older one always stays, and no gap is more than so many times its distance."""
    checkpoints = written(tmp_path, *range(0, 200, 2))
    found = slots(checkpoints)
    assert found[:2] == [198, 196] and found[-1] >= 0
    for newer, older in zip(found[1:], [*found[2:], -1], strict=True):
        assert newer - older <= module.SPREAD * (198 - newer)
    assert len(found) < 10


def test_nobody_else_may_read_one(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    written(folder, 10)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "p.checkpoint").stat().st_mode) == 0o600


def test_a_large_one_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = written(tmp_path, 10)
    monkeypatch.setattr(sealed, "LARGEST", 100)
    with pytest.raises(DamagedFileError, match="it cannot be read: is larger than 100 bytes"):
        checkpoints.read("p", "e")


def test_one_that_is_half_written_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = written(tmp_path, 10)

    def ends(_path: Path, _target: Path) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", ends)
        checkpoints.write("p", "e", made(20))
    assert checkpoints.read("p", "e") == made(10)
