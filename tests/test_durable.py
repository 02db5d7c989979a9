"""Files that are on disk once they are written. That they are is shown by tests/power."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from aoshell import durable


def test_a_file_is_written_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write(path, [b"one ", b"two"])
    assert path.read_bytes() == b"one two" and path.stat().st_mode & 0o777 == 0o600
    durable.write(path, [b"three"])
    assert path.read_bytes() == b"three"
    with pytest.raises(FileExistsError):
        durable.write(path, [b"four"], new=True)
    assert path.read_bytes() == b"three" and list(tmp_path.iterdir()) == [path]


def test_where_a_file_is_there_the_parts_of_another_are_not_made(tmp_path: Path) -> None:
    """They may take long: a whole log."""
    path = tmp_path / "file"
    path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        durable.write(path, (pytest.fail("a part was made") for _ in range(1)), new=True)


@pytest.mark.parametrize("new", [True, False])
def test_a_file_is_fsynced_whole_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: bool
) -> None:
    """And its folder behind that: its name is in there."""
    fsync, path, seen = os.fsync, tmp_path / "file", list[tuple[bool, int, bool]]()

    def watched(handle: int) -> None:
        status = os.fstat(handle)
        is_folder = stat.S_ISDIR(status.st_mode)
        seen.append((is_folder, 0 if is_folder else status.st_size, path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    durable.write(path, [b"one ", b"two"], new=new)
    assert seen == [(False, 7, False), (True, 0, True)]


def test_each_new_folder_is_fsynced_in_the_one_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    durable.make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path, tmp_path / "a"]
    durable.make_folder(tmp_path / "a" / "b")
    assert len(synced) == 2


def test_a_folder_that_fails_to_fsync_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        durable.sync_folder(tmp_path)
    monkeypatch.undo()

    def refused(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(OSError, match="Input/output"):
        durable.write(tmp_path / "file", [b"one"], new=True)
    assert list(tmp_path.iterdir()) == []


def test_without_hard_links_a_file_that_is_just_made_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"

    def overtaken(_from: Path, to: Path) -> None:
        to.write_bytes(b"of another process")
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", overtaken)
    with pytest.raises(FileExistsError):
        durable.write(path, [b"ours"], new=True)
    assert path.read_bytes() == b"of another process" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("new", [True, False])
def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, new: bool) -> None:
    path = tmp_path / "file"
    with pytest.raises(RuntimeError), durable.writing(path, new=new) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP])
def test_a_file_system_without_links_takes_files_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def link(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", link)
    path = tmp_path / "file"
    durable.write(path, [b"one"], new=True)
    assert path.read_bytes() == b"one" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileExistsError):
        durable.write(path, [b"two"], new=True)


def test_of_two_that_write_a_new_file_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(FileExistsError), durable.writing(path, new=True) as file:
        file.write(b"late")
        durable.write(path, [b"early"], new=True)
    assert path.read_bytes() == b"early" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_fsynced_is_made_none_the_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def only_files(handle: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{handle}"):  # noqa: PTH112
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    durable.make_folder(tmp_path / "a" / "b")
    durable.write(tmp_path / "a" / "b" / "c", [b"d"])
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
