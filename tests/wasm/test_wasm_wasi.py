"""The calls of WASI one by one, on a memory without a program: errors, bounds, what is counted."""

from __future__ import annotations

import struct

import pytest
import wasmtime

from aoshell.sandbox.runtime import OutOfMemoryError
from aoshell.sandbox.wasm import files, wasi
from aoshell.sandbox.wasm.budget import BESIDE, Budget
from aoshell.sandbox.wasm.files import Files, FilesFullError, path_cost
from aoshell.sandbox.wasm.guest import Guest, GuestError
from aoshell.sandbox.wasm.wasi import System, WasiError

OK, BADF, EXIST, INVAL, ISDIR, NAMETOOLONG, NOENT, NOSPC, NOSYS, NOTDIR, NOTEMPTY, SPIPE = (
    0, 8, 20, 28, 31, 37, 44, 51, 52, 54, 55, 70,
)  # fmt: skip
CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
ROOT = 3
PAGE = 65536
VECTORS, RESULT, TEXT, BUFFER = 1024, 16384, 20480, 30000  # where in memory


class Calls:
    """One run of a program, whose calls the test makes."""

    def __init__(self, pages: int = 32, limit: int = 64 << 20) -> None:
        self.engine = wasmtime.Engine()
        self.store = wasmtime.Store(self.engine)
        self.budget = Budget()
        self.budget.limit = limit
        self.printed: list[str] = []
        self.guest = Guest(
            self.store, False, lambda text, _: self.printed.append(text), self.budget
        )
        module = wasmtime.Module(self.engine, f'(module (memory (export "memory") {pages}))')
        self.guest.attach(wasmtime.Instance(self.store, module, []).exports(self.store))
        self.files = Files(self.budget)
        self.files.limit = limit
        self.system = System(self.guest, self.files, b"")

    @property
    def held(self) -> int:
        """Bytes that the budget counts."""
        return sum(held() for held in self.budget._held.values())

    def do(self, name: str, *given: int | str) -> int:
        """The error number of a call; text is put into memory, and given as pointer and length."""
        values: list[int] = []
        at = TEXT
        for value in given:
            if isinstance(value, int):
                values.append(value)
                continue
            self.guest.write(at, value.encode())
            values += (at, len(value.encode()))
            at += len(value.encode())
        try:
            getattr(self.system, f"_{name}")(*values)
        except WasiError as error:
            return error.number
        return OK

    def open(self, path: str, how: int = CREATE) -> int:
        return self.do("path_open", ROOT, 0, path, how, 0, 0, 0, RESULT)

    def vectors(self, *parts: tuple[int, int]) -> tuple[int, int]:
        """Where (pointer, length) pairs are, and how many."""
        raw = b"".join(struct.pack("<II", *part) for part in parts)
        self.guest.write(VECTORS, raw)
        return VECTORS, len(parts)

    def write(self, fd: int, data: bytes) -> int:
        self.guest.write(BUFFER, data)
        return self.do("fd_write", fd, *self.vectors((BUFFER, len(data))), RESULT)

    def give(self, text: str) -> wasmtime.Func:
        """What the host gives for an import."""
        (item,) = wasmtime.Module(self.engine, f"(module (import {text}))").imports
        return self.system.give(item)

    @property
    def result(self) -> int:
        return self.guest.words(RESULT, 1)[0]


@pytest.fixture
def calls() -> Calls:
    return Calls()


# Errors -------------------------------------------------------------------------------------------


def test_what_opening_refuses(calls: Calls) -> None:
    assert [calls.open("f"), calls.result, calls.write(4, b"text")] == [OK, 4, OK]
    assert calls.open("f", CREATE | EXCLUSIVE) == EXIST
    assert calls.open("f", DIRECTORY) == NOTDIR
    assert calls.open("none", DIRECTORY) == calls.open("none", 0) == NOENT
    assert calls.open("none/f") == NOENT
    assert calls.open("/", CREATE) == calls.open("/", TRUNCATE) == ISDIR
    assert calls.open("/", 0) == OK
    assert calls.files.contents["/f"] == b"text"
    assert calls.open("f", TRUNCATE) == OK
    assert calls.files.contents["/f"] == b""


def test_what_seeking_and_writing_refuse(calls: Calls) -> None:
    calls.open("f")
    calls.write(4, b"text")
    for offset, whence, ends in ((-1, 0, INVAL), (-5, 2, INVAL), (0, 3, INVAL), (-4, 2, OK)):
        assert calls.do("fd_seek", 4, offset, whence, RESULT) == ends
    assert calls.do("fd_seek", 1, 0, 0, RESULT) == SPIPE
    assert calls.do("fd_pwrite", 4, *calls.vectors((BUFFER, 4)), -1, RESULT) == INVAL
    assert calls.do("fd_filestat_set_size", 4, -1) == INVAL
    assert calls.do("fd_tell", ROOT, RESULT) == ISDIR
    assert calls.do("fd_close", 9) == BADF
    assert calls.files.contents["/f"] == b"text"
    assert calls.do("fd_pread", 4, *calls.vectors((BUFFER, 4)), -1, RESULT) == OK
    assert calls.result == 0


def test_standard_input_is_not_written_to(calls: Calls) -> None:
    assert calls.write(0, b"text") == BADF
    assert calls.printed == []
    assert [calls.write(1, b"out"), calls.write(2, b"err")] == [OK, OK]
    assert calls.printed == ["out", "err"]
    assert calls.system.stdout == b"out"


def test_what_renaming_and_removing_refuse(calls: Calls) -> None:
    for folder in ("a", "a/b", "c"):
        assert calls.do("path_create_directory", ROOT, folder) == OK
    calls.open("f")
    moves = {
        ("/", "x"): INVAL,
        ("a", "a/b/x"): INVAL,
        ("a", "ab"): OK,  # no part of itself, though its name begins alike
        ("c", "f"): NOTDIR,
        ("f", "c"): EXIST,
        ("none", "x"): NOENT,
        ("f", "none/x"): NOENT,
        ("f", "f"): OK,
    }
    found = {}
    for old, new in moves:
        raw, at = old.encode(), BUFFER
        calls.guest.write(at, raw + new.encode())
        places = (ROOT, at, len(old), ROOT, at + len(raw), len(new))
        found[old, new] = calls.do("path_rename", *places)
    assert found == moves
    assert calls.do("path_remove_directory", ROOT, "f") == NOTDIR
    assert calls.do("path_remove_directory", ROOT, "ab") == NOTEMPTY
    assert calls.do("path_unlink_file", ROOT, "ab") == ISDIR


def test_the_root_stays() -> None:
    calls = Calls()
    assert calls.do("path_remove_directory", ROOT, "/") == NOTEMPTY
    assert calls.files.folders == {"/"}


def test_only_the_root_is_given_beforehand(calls: Calls) -> None:
    assert calls.open("/", 0) == OK
    assert calls.do("fd_prestat_get", ROOT, RESULT) == OK
    assert calls.do("fd_prestat_get", 4, RESULT) == BADF
    assert calls.do("fd_prestat_dir_name", ROOT, RESULT, 1) == OK
    assert calls.do("fd_prestat_dir_name", 4, RESULT, 1) == BADF
    calls.do("fd_close", ROOT)
    assert calls.do("fd_prestat_get", ROOT, RESULT) == BADF


def test_a_wild_pointer_leaves_a_file_as_it_was(calls: Calls) -> None:
    calls.open("f")
    vectors = calls.vectors((BUFFER, 4), (32 * PAGE - 1, 2))
    with pytest.raises(GuestError, match="wild"):
        calls.do("fd_write", 4, *vectors, RESULT)
    assert calls.files.contents["/f"] == b""


def test_a_name_is_a_call_and_no_method_of_ours(calls: Calls) -> None:
    for name in ("descriptor", "resize", "fd_none"):
        call = calls.give(f'"wasi_unstable" "{name}" (func (param i32 i32) (result i32))')
        assert call(calls.store, ROOT, 3) == NOSYS
    with pytest.raises(GuestError, match="with 2 parameters"):
        calls.give('"wasi_unstable" "fd_close" (func (param i32 i32))')


def test_a_part_of_memory_lies_within_it(calls: Calls) -> None:
    end = 32 * PAGE
    assert [calls.guest.span(*part) for part in ((0, end), (end, 0), (end - 1, 1))] == [
        0, end, end - 1,
    ]  # fmt: skip
    for pointer, length in ((0, -1), (8, -4), (end, 1), (end - 1, 2), (-1, 1), (0, end + 1)):
        with pytest.raises(GuestError, match="wild"):
            calls.guest.read(pointer, length)


# Bounds -------------------------------------------------------------------------------------------


def test_paths_are_bounded(calls: Calls) -> None:
    assert calls.open("x" * wasi.MAX_PATH, 0) == NOENT
    assert calls.open("x" * (wasi.MAX_PATH + 1), 0) == NAMETOOLONG


def test_vectors_are_bounded(calls: Calls) -> None:
    for count, ends in ((-1, INVAL), (0, OK), (1024, OK), (1025, INVAL)):
        assert calls.do("fd_write", 2, BUFFER, count, RESULT) == ends


def test_events_are_bounded(calls: Calls) -> None:
    for count, ends in ((-1, INVAL), (0, INVAL), (1024, OK), (1025, INVAL)):
        assert calls.do("poll_oneoff", BUFFER, 10 * PAGE, count, RESULT) == ends


def test_randomness_is_bounded(calls: Calls) -> None:
    for length, ends in ((-1, INVAL), (0, OK), (1 << 20, OK), ((1 << 20) + 1, INVAL)):
        assert calls.do("random_get", BUFFER, length) == ends


def test_all_of_the_output_is_bounded(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasi, "MAX_OUTPUT", 100)
    assert [calls.write(1, b"x" * 60), calls.write(1, b"x" * 40)] == [OK, OK]
    with pytest.raises(GuestError, match="it prints more than"):
        calls.write(1, b"x")


def test_open_files_are_bounded(calls: Calls) -> None:
    assert [calls.open("f") for _ in range(4, 1025)] == [OK] * 1021
    assert calls.result == 1024
    assert calls.open("f") == NOSPC
    assert calls.do("fd_close", 70) == OK
    assert [calls.open("f"), calls.result] == [OK, 70]


def test_a_read_is_no_longer_than_memory() -> None:
    calls = Calls(pages=1)
    calls.open("f")
    calls.do("fd_filestat_set_size", 4, 3 * PAGE)
    vectors = calls.vectors(*[(BUFFER, PAGE - BUFFER)] * 4)
    assert calls.do("fd_read", 4, *vectors, RESULT) == OK
    assert calls.result == PAGE


def test_a_directory_is_read_from_an_entry_on(calls: Calls) -> None:
    for name in "abc":
        calls.open(name)
    size = 24 + 1  # bytes of an entry: d_next, inode, length of the name, kind; the name
    for cookie, left in ((0, "abc"), (1, "bc"), (3, "")):
        assert calls.do("fd_readdir", ROOT, BUFFER, 1000, cookie, RESULT) == OK
        assert calls.result == size * len(left)
        names = calls.guest.read(BUFFER, calls.result)[size - 1 :: size]
        assert names.decode() == left
    assert calls.do("fd_readdir", ROOT, BUFFER, 30, 0, RESULT) == OK
    assert calls.result == 30


# What is counted ----------------------------------------------------------------------------------


def test_open_paths_count(calls: Calls) -> None:
    calls.open("a")
    calls.open("bb")
    before = calls.held
    calls.open("bb", 0)
    assert calls.held == before + path_cost("/bb")
    assert calls.do("fd_renumber", 6, 4) == OK  # "a" is closed by it
    assert calls.held == before + path_cost("/bb") - path_cost("/a")
    assert calls.do("fd_renumber", 5, 5) == OK
    assert calls.do("fd_close", 4) == OK
    assert calls.held == before - path_cost("/a")


def test_opening_beyond_the_budget_ends_the_message(calls: Calls) -> None:
    calls.open("f")
    calls.budget.limit = calls.held + path_cost("/f") - BESIDE
    assert calls.open("f") == OK
    with pytest.raises(OutOfMemoryError):
        calls.open("f")


def new_files(limit: int = 64 << 20) -> tuple[Files, Budget]:
    budget = Budget()
    budget.limit = limit
    return Files(budget), budget


def names(held: Files) -> int:
    return sum(map(path_cost, (*held.contents, *held.folders))) - path_cost("/")


def test_names_count_while_they_are_there() -> None:
    held, _budget = new_files()
    held.create("/f")
    held.create_folder("/d")
    held.create("/d/inside")
    assert held._names == names(held)
    held.rename("/f", "/a longer name")
    assert held._names == names(held) + path_cost("/")  # all are counted anew, the root with them
    held.rename("/d", "/another name")
    assert "/another name/inside" in held.contents
    assert held._names == names(held) + path_cost("/")
    assert Files.load(held.dump(), Budget())._names == held._names
    before = held._names
    assert held.remove("/a longer name")
    held.remove("/another name/inside")
    held.remove_folder("/another name")
    assert held._names == path_cost("/") < before
    assert not held.remove("/none")


def test_names_and_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_NAMES", 3)
    held, _budget = new_files()
    held.create("/a")
    held.create_folder("/b")
    for create in (held.create, held.create_folder):
        with pytest.raises(FilesFullError):
            create("/c")
    held.limit = 10
    held.resize("/a", 10)
    with pytest.raises(FilesFullError):
        held.resize("/a", 11)
    held.limit = 1000
    monkeypatch.setattr(files, "MAX_BYTES", 20)
    held.resize("/a", 20)
    with pytest.raises(FilesFullError):
        held.resize("/a", 21)


@pytest.mark.parametrize("what", ["create", "create_folder", "grow", "rename", "rename a folder"])
def test_files_beyond_the_budget_end_the_message(what: str) -> None:
    held, budget = new_files()
    held.create("/f")
    held.create_folder("/d")
    held.create("/d/f")
    long = "/" + "x" * 100
    more = {
        "create": (lambda: held.create(long), path_cost(long)),
        "create_folder": (lambda: held.create_folder(long), path_cost(long)),
        "grow": (lambda: held.resize("/f", 100), 100),
        "rename": (lambda: held.rename("/f", long), path_cost(long)),
        "rename a folder": (
            lambda: held.rename("/d", long),
            path_cost(long) + path_cost(long + "/f"),
        ),
    }
    act, bytes_more = more[what]
    budget.limit = held.size + held._names + bytes_more - 1 - BESIDE
    before = held.dump()
    with pytest.raises(OutOfMemoryError):
        act()
    assert held.dump() == before
    budget.judged = False  # what went well once is not judged by a newer bound
    act()
    assert held.dump() != before


def test_the_budget_is_a_sum_with_a_bound() -> None:
    budget = Budget()
    budget.limit = 100
    budget.count("a", lambda: BESIDE)
    budget.count("b", lambda: 60)
    budget.check(40)
    with pytest.raises(OutOfMemoryError):
        budget.check(41)
    with pytest.raises(OutOfMemoryError):
        budget.fail()
    budget.judged = False
    budget.check(1 << 40)
    budget.fail()
