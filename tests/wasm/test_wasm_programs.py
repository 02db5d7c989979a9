"""WASI programs: stdin and stdout, files that stay, and what a hostile one asks for."""

from __future__ import annotations

import json

import pytest
from wasm_device import NOW, SENDER, Device, quoted

SIGNATURES = {
    "fd_write": "i32 i32 i32 i32",
    "fd_read": "i32 i32 i32 i32",
    "fd_pread": "i32 i32 i32 i64 i32",
    "fd_pwrite": "i32 i32 i32 i64 i32",
    "fd_seek": "i32 i64 i32 i32",
    "fd_close": "i32",
    "fd_renumber": "i32 i32",
    "fd_readdir": "i32 i32 i32 i64 i32",
    "fd_prestat_get": "i32 i32",
    "fd_prestat_dir_name": "i32 i32 i32",
    "fd_fdstat_get": "i32 i32",
    "fd_filestat_get": "i32 i32",
    "fd_filestat_set_size": "i32 i64",
    "fd_allocate": "i32 i64 i64",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "path_filestat_get": "i32 i32 i32 i32 i32",
    "path_create_directory": "i32 i32 i32",
    "path_remove_directory": "i32 i32 i32",
    "path_unlink_file": "i32 i32 i32",
    "path_rename": "i32 i32 i32 i32 i32 i32",
    "path_symlink": "i32 i32 i32 i32 i32",
    "clock_time_get": "i32 i64 i32",
    "random_get": "i32 i32",
    "args_sizes_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "poll_oneoff": "i32 i32 i32 i32",
    "sched_yield": "",
    "sock_send": "i32 i32 i32 i32 i32",
}
CREATE, DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
APPEND = 1


class Script:
    """A program that makes calls one after the other; it prints each errno, and memory it is told.

    Calls name parameters as numbers, or as text that is put into memory: a pointer and a length.
    """

    def __init__(self) -> None:
        self._data: list[str] = []
        self._at = 4096
        self._code: list[str] = []

    def place(self, data: bytes) -> int:
        """Put bytes into memory; where."""
        at, self._at = self._at, self._at + len(data) + 1
        self._data.append(f"(data (i32.const {at}) {quoted(data)})")
        return at

    def do(self, name: str, *given: int | str) -> Script:
        values: list[int] = []
        for value in given:
            if isinstance(value, str):
                data = value.encode()
                values += (self.place(data), len(data))
            else:
                values.append(value)
        types = SIGNATURES[name].split()
        assert len(types) == len(values), (name, values)
        passed = " ".join(f"({t}.const {v})" for t, v in zip(types, values, strict=True))
        self._code.append(f"(call $number (call ${name} {passed}))")
        return self

    def open(self, path: str, how: int = 0, flags: int = 0) -> Script:
        """Open a file; its descriptor is shown as 4, 5, …"""
        return self.do("path_open", 3, 0, path, how, 0, 0, flags, 100)

    def write(self, fd: int, text: str) -> Script:
        data = text.encode()
        vector = self.place(
            self.place(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
        )
        return self.do("fd_write", fd, vector, 1, 104)

    def read(self, fd: int, size: int = 32) -> Script:
        """Read, and show what was read."""
        vector = self.place((512).to_bytes(4, "little") + size.to_bytes(4, "little"))
        self.do("fd_read", fd, vector, 1, 104)
        self._code.append("(call $show (i32.const 512) (i32.load (i32.const 104)))")
        return self

    def show(self, at: int, size: int) -> Script:
        """Print a part of memory."""
        self._code.append(f"(call $show (i32.const {at}) (i32.const {size}))")
        return self

    def raw(self, code: str) -> Script:
        self._code.append(code)
        return self

    @property
    def text(self) -> str:
        imports = "".join(
            f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {types})(result i32)))'
            for name, types in SIGNATURES.items()
        )
        return f"""(module {imports}
          (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
          (memory (export "memory") 16)
          {" ".join(self._data)}
          (func $show (param i32 i32)
            (i32.store (i32.const 16) (local.get 0))
            (i32.store (i32.const 20) (local.get 1))
            (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
          (func $number (param $n i32)
            (i32.store8 (i32.const 8)
              (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 10))))
            (i32.store16 (i32.const 9) (i32.add (i32.const {0x2030})
              (i32.rem_u (local.get $n) (i32.const 10))))
            (call $show (i32.const 8) (i32.const 3)))
          (func (export "_start") {" ".join(self._code)}))"""


class Program:
    """A process whose program differs from message to message, its files those of the last one."""

    def __init__(self) -> None:
        self._image = b""

    def run(self, script: Script) -> str:
        device = Device(script.text)
        if self._image:
            device.runtime.restore(self._image)
        said = device.send(Action="Run").good
        self._image = device.runtime.image()
        again = Device(script.text)
        again.runtime.restore(self._image)
        assert again.runtime.image() == self._image
        return said


@pytest.mark.versions
def test_the_message_is_on_stdin_and_stdout_is_the_answer() -> None:
    script = Script().raw(
        """(i32.store (i32.const 32) (i32.const 65536)) (i32.store (i32.const 36) (i32.const 5000))
        (drop (call $fd_read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 40)))
        (call $show (i32.const 65536) (i32.load (i32.const 40)))"""
    )
    answer = Device(script.text).send("the data", Reference="5")
    given = json.loads(answer.good)
    assert (given["Data"], given["From"]) == ("the data", SENDER)
    ((_spawn, target, data, _anchor, tags),) = answer.messages
    assert (target, data) == (SENDER, answer.output)
    assert tags[:2] == ["Action", "ExecuteFunction-Result"]


@pytest.mark.parametrize(
    ("printed", "output", "sent"),
    [
        ("plain\n", "plain", 0),
        ("", "", 0),
        ("[1]", "[1]", 0),
        ('{"a": 1}', '{"a": 1}', 0),
        ('{"Output": "x", "Messages": [{"Target": "t", "Tags": []}]}', "x", 1),
        ("[" * 100_000, "[" * 100_000, 0),
    ],
)
def test_what_is_printed_is_text_or_a_result(printed: str, output: str, sent: int) -> None:
    script = Script()
    at = script.place(printed.encode())
    answer = Device(script.show(at, len(printed)).text).send(Action="Run")
    assert (answer.good, len(answer.messages)) == (output, sent)


def test_an_error_that_is_printed() -> None:
    script = Script()
    text = b'{"Error": "boom"}'
    answer = Device(script.show(script.place(text), len(text)).text).send()
    assert answer.error == "boom"


def test_files_stay_from_message_to_message() -> None:
    program = Program()
    assert program.run(Script().open("a.txt", CREATE).write(4, "hello ")) == "00 00 "
    assert program.run(Script().open("a.txt", 0, APPEND).write(4, "world")) == "00 00 "
    assert program.run(Script().open("a.txt").read(4)) == "00 00 hello world"
    assert program.run(Script().open("a.txt", TRUNCATE).read(4)) == "00 00 "
    assert program.run(Script().open("../../a.txt", CREATE | EXCLUSIVE)) == "20 "
    assert program.run(Script().open("b.txt").open("no/b.txt", CREATE)) == "44 44 "


def test_seeking() -> None:
    script = Script().open("f", CREATE).write(4, "0123456789")
    script.do("fd_seek", 4, 3, 0, 112).read(4, 2).do("fd_seek", 4, -2, 2, 112).read(4)
    script.do("fd_seek", 4, -1, 1, 112).read(4).do("fd_seek", 4, -99, 1, 112)
    script.do("fd_seek", 4, 0, 7, 112).do("fd_seek", 1, 0, 0, 112)
    said = Program().run(script)
    assert said == "00 00 00 00 3400 00 8900 00 928 28 70 "


def test_writing_behind_the_end_fills_with_zeros_and_has_a_bound() -> None:
    script = Script().open("f", CREATE).do("fd_seek", 4, 3, 0, 112).write(4, "x")
    script.do("fd_seek", 4, 0, 0, 112).read(4)
    script.do("fd_seek", 4, 1 << 60, 0, 112).write(4, "x")
    script.do("fd_filestat_set_size", 4, 1 << 40).do("fd_filestat_set_size", 4, -1)
    script.do("fd_allocate", 4, 1 << 62, 1 << 62)
    assert Program().run(script) == "00 00 00 00 00 \0\0\0x00 51 51 28 51 "


def test_directories() -> None:
    program = Program()
    made = Script().do("path_create_directory", 3, "d").do("path_create_directory", 3, "d")
    made.do("path_create_directory", 3, "x/y").open("d/f", CREATE).write(4, "in d")
    assert program.run(made) == "00 20 44 00 00 "
    moved = Script().do("path_rename", 3, "d", 3, "e").open("d/f").open("e/f").read(4)
    moved.do("path_rename", 3, "e", 3, "e/g").do("path_rename", 3, "e/f", 3, "e/f")
    moved.do("path_rename", 3, "e", 3, "e/f").do("path_rename", 3, "no", 3, "yes")
    assert program.run(moved) == "00 44 00 00 in d28 00 28 44 "
    removed = Script().do("path_remove_directory", 3, "e").do("path_unlink_file", 3, "e")
    removed.do("path_unlink_file", 3, "e/f").do("path_unlink_file", 3, "e/f")
    removed.do("path_remove_directory", 3, "e").do("path_remove_directory", 3, "/")
    assert program.run(removed) == "55 31 00 44 00 55 "


def test_a_directory_does_not_take_a_files_name() -> None:
    program = Program()
    script = Script().open("f", CREATE).do("path_create_directory", 3, "d")
    assert program.run(script.do("path_rename", 3, "d", 3, "f")) == "00 00 54 "
    assert program.run(Script().do("path_rename", 3, "f", 3, "d")) == "20 "


def test_reading_a_directory_a_part_at_a_time() -> None:
    script = Script()
    for name in ("bb", "a", "c"):
        script.open(name, CREATE)
    script.do("fd_readdir", 3, 600, 400, 0, 112).show(624, 1).show(649, 2).show(675, 1)
    script.do("fd_readdir", 3, 600, 400, 2, 112).show(624, 1)
    script.do("fd_readdir", 3, 600, -1, 0, 112).do("fd_readdir", 4, 600, 9, 0, 112)
    assert Program().run(script) == "00 00 00 00 abbc00 c00 54 "


def test_the_root_is_open() -> None:
    script = Script().do("fd_prestat_get", 3, 600).do("fd_prestat_dir_name", 3, 608, 1)
    script.show(608, 1).do("fd_prestat_get", 4, 600)
    assert Program().run(script) == "00 00 /08 "


def test_descriptors() -> None:
    script = Script().do("fd_close", 9).do("fd_fdstat_get", 9, 600).open("f", CREATE)
    script.write(4, "x").do("fd_renumber", 4, 4).write(4, "y").do("fd_renumber", 4, 77)
    script.do("fd_close", 4).write(4, "z").write(3, "z").write(0, "z")
    assert Program().run(script) == "08 08 00 00 00 00 08 00 08 31 08 "


def test_a_file_that_is_gone_under_its_descriptor() -> None:
    script = Script().open("f", CREATE).do("path_unlink_file", 3, "f").write(4, "x").read(4)
    assert Program().run(script).startswith("00 00 44 44 ")


def test_time_and_chance_are_the_messages() -> None:
    script = Script().do("clock_time_get", 0, 0, 600).show(600, 8)
    script.do("random_get", 608, 40).show(608, 40).do("random_get", 608, 8).show(608, 8)
    said = Device(script.text).send(Action="Run").good
    again = Device(script.text)
    assert again.send(Action="Run").good == said
    assert again.send(Action="Run").good == said
    assert int.from_bytes(said[3:11].encode("latin-1"), "little") == NOW * 1_000_000
    assert said[14:22] != said[-8:]
    assert again.send(Action="Run", id="j" * 43).good[14:] != said[14:]


@pytest.mark.versions
@pytest.mark.parametrize("code", [0, 1, 255, -1])
def test_exit_codes(code: int) -> None:
    script = Script().write(1, "said").raw(f"(call $proc_exit (i32.const {code}))")
    answer = Device(script.raw("unreachable").text).send()
    assert answer.error == (f"it called exit({code})" if code else False)
    assert answer.output == "said00 "


def test_output_is_bounded() -> None:
    script = Script().raw("(loop (call $show (i32.const 0) (i32.const 1000000)) (br 0))")
    assert Device(script.text).send().error == "it prints more than 10 MB"


def test_files_are_bounded_in_bytes_and_names() -> None:
    flood = """(local $n i32) (local $e i32)
      (i32.store (i32.const 32) (i32.const 0)) (i32.store (i32.const 36) (i32.const 1048576))
      (block $full (loop $next
        (local.set $e
          (call $fd_write (i32.const 4) (i32.const 32) (i32.const 1) (i32.const 40)))
        (br_if $full (local.get $e))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br_if $next (i32.lt_u (local.get $n) (i32.const 300)))))
      (call $number (local.get $e))"""
    text = Script().raw(flood).open("f", CREATE).text
    opening = text.index("(call $number (call $path_open")
    call = text[opening:].removesuffix("))")
    device = Device(
        text.replace(call, "").replace(
            "(i32.store (i32.const 32) (i32.const 0))",
            call + "(i32.store (i32.const 32) (i32.const 0))",
        )
    )
    assert device.send(Action="Run").good == "00 51 "


def test_files_count_and_are_bounded_as_memory_is() -> None:
    room = 2 << 20
    device = Device(
        Script().open("f", CREATE).do("fd_filestat_set_size", 4, room).text, memory=room
    )
    assert device.send(Action="Run").good == "00 00 "
    assert device.runtime.memory == room + (16 << 16)
    image = device.runtime.image()
    more = Script().open("g", CREATE).write(4, "x").open("f").do("fd_filestat_set_size", 5, 9)
    other = Device(more.do("fd_filestat_set_size", 4, 6).text, memory=room)
    other.runtime.restore(image)
    assert other.send(Action="Run").good == "00 51 00 00 00 "
    assert other.runtime.memory == 15 + (16 << 16)
    lowered = Device(Script().open("f").do("fd_filestat_set_size", 4, room - 1).text)
    lowered.runtime.restore(image)
    lowered.runtime.limit_memory(room // 2)
    assert lowered.send(Action="Run").good == "00 00 "  # less than it was is well


@pytest.mark.parametrize("what", ["path_open", "path_create_directory"])
def test_names_are_bounded(what: str) -> None:
    script = Script()
    name = script.place(b"0000")
    calls = {
        "path_create_directory": f"""(call $path_create_directory
            (i32.const 3) (i32.const {name}) (i32.const 4))""",
        "path_open": f"""(call $path_open (i32.const 3) (i32.const 0) (i32.const {name})
            (i32.const 4) (i32.const 1) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 40))
            (drop (call $fd_close (i32.const 4)))""",
    }
    script.raw(
        f"""(local $n i32) (local $e i32)
        (block $full (loop $next
          (i32.store (i32.const {name}) (i32.const 0x40404040))
          (i32.store8 (i32.const {name})
            (i32.add (i32.const 64) (i32.and (local.get $n) (i32.const 63))))
          (i32.store8 (i32.const {name + 1}) (i32.add (i32.const 64)
            (i32.and (i32.shr_u (local.get $n) (i32.const 6)) (i32.const 63))))
          (i32.store8 (i32.const {name + 2})
            (i32.add (i32.const 64) (i32.shr_u (local.get $n) (i32.const 12))))
          (local.set $e {calls[what]})
          (br_if $full (local.get $e))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $next (i32.lt_u (local.get $n) (i32.const 20000)))))
        (call $number (local.get $e))"""
    )
    assert Device(script.text).send(Action="Run").good == "51 "


def test_long_paths() -> None:
    assert Program().run(Script().open("x" * 5000, CREATE).open("x" * 4000, CREATE)) == "37 00 "


@pytest.mark.parametrize(
    "call",
    [
        ("fd_write", 1, -8, 1, 104),
        ("fd_write", 1, 16 << 16, 1, 104),
        ("fd_write", 1, 600, 1, -4),
        ("fd_read", 0, -8, 1, 104),
        ("random_get", -1, 5),
        ("random_get", (16 << 16) - 1, 5),
        ("clock_time_get", 0, 0, -8),
        ("path_open", 3, 0, -1, 5, 1, 0, 0, 0, 100),
        ("path_open", 3, 0, 0, -5, 1, 0, 0, 0, 100),
        ("fd_filestat_get", 3, -3),
        ("poll_oneoff", -4, 0, 5, 0),
    ],
)
def test_wild_pointers(call: tuple[str, int]) -> None:
    script = Script().do(*call)
    device = Device(script.text)
    for _ in range(2):
        assert "a pointer is wild" in device.send().error
    assert device.runtime.memory == 16 << 16


def test_vectors_that_are_wild() -> None:
    script = Script()
    vectors = script.place((1 << 31).to_bytes(4, "little") + (8).to_bytes(4, "little"))
    device = Device(script.do("fd_write", 1, vectors, 1, 104).text)
    assert "a pointer is wild" in device.send().error
    assert Program().run(Script().do("fd_write", 1, 0, 1025, 0)) == "28 "
    assert Program().run(Script().do("fd_write", 1, 0, -1, 0)) == "28 "


def test_calls_that_this_node_has_not() -> None:
    script = Script().do("path_symlink", 0, 0, 3, 0, 0).do("sock_send", 1, 0, 0, 0, 0)
    assert Program().run(script.do("sched_yield")) == "52 52 00 "


@pytest.mark.parametrize(
    ("name", "signature", "error"),
    [
        ("fd_write", "(param i32) (result i32)", "fd_write with 1 parameters"),
        ("_init__", "(param i32 i32 i32) (result i32)", ""),
        ("path", "(param i32 i32 i32) (result i32)", ""),
        ("print", "(param i32 i32) (result i32)", ""),
        ("guest", "(param) (result i32)", ""),
    ],
)
def test_imports_that_are_no_wasi(name: str, signature: str, error: str) -> None:
    zeros = "(i32.const 1)" * signature.partition("(result")[0].count("i32")
    answer = Device(
        f"""(module (import "wasi_snapshot_preview1" "{name}" (func $f {signature}))
        (memory (export "memory") 1)
        (func (export "_start")
          (if (i32.ne (i32.const 52) (call $f {zeros})) (then unreachable))))"""
    ).send()
    if error:
        assert error in answer.error
    else:
        assert answer.error is False


def test_a_run_begins_with_fresh_memory_and_a_failed_one_leaves_nothing_behind() -> None:
    script = Script().raw(
        """(if (i32.load (i32.const 2048)) (then unreachable))
        (i32.store (i32.const 2048) (i32.const 1))"""
    )
    device = Device(script.text)
    assert [device.send(Action="Run").error for _ in range(3)] == [False] * 3
    broken = Device(
        '(module (memory (export "memory") 1) (func $s unreachable) (start $s)'
        ' (func (export "_start")))'
    )
    for _ in range(2):
        assert "unreachable" in broken.send().error
        assert broken.runtime.memory == 0
