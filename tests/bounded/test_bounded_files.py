"""Files that a user names: what is no regular file, or too large, is refused at once, by name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from aoshell.attest.collateral.cache import Folder
from aoshell.blueprints import BlueprintPins
from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.home import configfile, wallets
from aoshell.nodes.local.log.sealed import DamagedFileError, Sealed
from aoshell.shell.attestation import files as evidence_files
from aoshell.shell.code import files as shell_files
from aoshell.shell.code.bundle import bundle
from aoshell.shell.help import hints
from aoshell.shell.prompt.history import LineHistory


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert files.read(path, 5) == b"12345"
    assert files.read_head(path, 3) == b"123"
    assert files.read_tail(path, 3) == b"345"
    assert files.read_tail(path, 9) == b"12345"
    with pytest.raises(files.UnfitFileError, match="is larger than 4 bytes"):
        files.read(path, 4)


def test_files_that_tell_no_size_are_read_up_to_the_bound() -> None:
    path = Path("/proc/self/status")
    if not path.exists():
        pytest.skip("this system has no /proc")
    assert b"Name:" in files.read(path, 1 << 20)
    with pytest.raises(files.UnfitFileError):
        files.read(path, 10)


HUGE = 64 << 20  # bytes of a file without contents on disk


@pytest.fixture
def huge(tmp_path: Path) -> Path:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(HUGE)
    return path


def memory_of(call: Callable[[], object]) -> int:
    """The most bytes that a call takes at once."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("tells", [True, False])
def test_a_file_beyond_its_bound_is_refused_before_it_is_in_memory(
    huge: Path, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    """Also one that grows, or tells no size."""
    if not tells:
        monkeypatch.setattr(files, "_size", lambda _file: 0)
    for reader in (files.read, lambda path, most: list(files.pieces(path, most))):

        def refused(read: Callable[[Path, int], object] = reader) -> None:
            with pytest.raises(files.UnfitFileError, match="is larger than 1000 bytes"):
                read(huge, 1000)

        assert memory_of(refused) < HUGE // 8
    many = 3 << 20
    with pytest.raises(files.UnfitFileError, match="is larger than 3 MB"):
        for piece in files.pieces(huge, many):
            assert not tells  # its size says it before anything is read
            many -= len(piece)
            assert many >= 0


def test_the_end_of_a_short_file_takes_no_more_memory_than_it_has(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert memory_of(lambda: files.read_tail(path, HUGE)) < HUGE // 8


def test_a_file_that_is_refused_is_closed(tmp_path: Path) -> None:
    def opened() -> int:
        number = os.open(tmp_path, os.O_RDONLY)  # the lowest that is free
        os.close(number)
        return number

    before = opened()
    for _ in range(3):
        with pytest.raises(files.UnfitFileError):
            files.read(tmp_path, 1)
    assert opened() == before


@pytest.fixture(params=["pipe", "device", "folder", "socket", "link to a pipe"])
def unfit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "unfit"
    match request.param:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(str(path))
        case _:
            os.mkfifo(tmp_path / "pipe")
            path.symlink_to(tmp_path / "pipe")
    return path


TERMINAL = """
import os, sys
from pathlib import Path
from aoshell.bounded import files
try:
    files.read(Path(sys.argv[1]), 10)
except files.UnfitFileError as error:
    print(error)
try:
    os.open("/dev/tty", os.O_RDWR)
except OSError:
    print("it has no terminal")
"""


def test_a_terminal_that_is_named_does_not_become_ours() -> None:
    """Ctrl-C typed there would end a program that runs without one."""
    controller, terminal = os.openpty()
    try:
        command = [sys.executable, "-c", TERMINAL, os.ttyname(terminal)]
        done = subprocess.run(
            command, start_new_session=True, capture_output=True, text=True, timeout=60
        )
    finally:
        os.close(controller)
        os.close(terminal)
    assert done.stdout.splitlines() == ["is no regular file", "it has no terminal"]


READERS: dict[str, Callable[[Path], object]] = {
    "files of commands": shell_files.read_file,
    "programs": bundle,
    "wallets": wallets.load_wallet,
    "config": configfile.read_config,
    "evidence": lambda path: evidence_files.read_named_file(str(path)),
    "blueprints": lambda path: BlueprintPins(path).get("x"),
    "history": lambda path: [] if not LineHistory(path).load_history_strings() else None,
    "hints": lambda path: None if hints._text(path) else [],
    "fetched certificates": lambda path: Folder(path.parent).read(path.name, 100) or [],
    "checkpoints": lambda path: Sealed(path.parent, "").read(path.name, {}),
}
QUIET = ("history", "hints", "fetched certificates")  # as good as not there


@pytest.mark.parametrize("reader", READERS)
def test_nobody_waits_for_what_is_no_regular_file(unfit: Path, reader: str) -> None:
    outcome: list[object] = []

    def read() -> None:
        try:
            outcome.append(READERS[reader](unfit))
        except (AoError, DamagedFileError) as error:
            outcome.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(60)
    assert outcome, "it waits"
    if reader in QUIET:
        assert outcome == [[]]
    else:
        assert isinstance(outcome[0], AoError | DamagedFileError), outcome


def test_a_pipe_that_was_taken_is_read_like_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_taken", {})
    monkeypatch.setattr(files, "LARGEST_PIPE", 8)
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def fed(data: bytes) -> None:
        threading.Thread(target=path.write_bytes, args=(data,), daemon=True).start()
        files.take_pipe(path)

    with pytest.raises(files.UnfitFileError, match="is no regular file"):
        files.read(path, 8)
    fed(b"12345678")
    assert files.read(path, 8) == files.read(path, 8) == b"12345678"
    assert (files.read_head(path, 3), files.read_tail(path, 3)) == (b"123", b"678")
    with pytest.raises(files.UnfitFileError, match="is larger than 7 bytes"):
        files.read(path, 7)
    with pytest.raises(files.UnfitFileError, match="is larger than 8 bytes"):
        fed(b"123456789")


def test_what_is_no_pipe_is_not_taken(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", Path("/dev/zero"), Path("\0")):
        files.take_pipe(path)
        with pytest.raises((OSError, ValueError)):
            files.read(path, 100)


def test_a_config_file_has_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * (configfile.LARGEST + 1))
    with pytest.raises(AoError, match=r"config\.toml cannot be read: is larger than 1 MB"):
        configfile.read_config(path)
