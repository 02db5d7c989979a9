"""WASI preview 1 for programs: stdin is the message, the files are those of the process.

There are no sockets, host files or environment variables. The clock shows the message's time,
randomness is seeded from the message, sleeping returns at once. Source: WASI
`wasi_snapshot_preview1` (witx), which numbers the errors, flags and file types below.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

import wasmtime

from aoshell.sandbox.wasm.answers import GuestExitError
from aoshell.sandbox.wasm.files import PIECE, Files, FilesFullError, path_cost
from aoshell.sandbox.wasm.guest import Guest, GuestError

MODULES = ("wasi_snapshot_preview1", "wasi_unstable")
SUCCESS, BADF, EXIST, INVAL, ISDIR, NAMETOOLONG, NOENT, NOSPC, NOSYS, NOTDIR, NOTEMPTY, SPIPE = (
    0, 8, 20, 28, 31, 37, 44, 51, 52, 54, 55, 70,
)  # fmt: skip
CHARACTER_DEVICE, DIRECTORY, REGULAR = 2, 3, 4
CREATE, IS_DIRECTORY, EXCLUSIVE, TRUNCATE = 1, 2, 4, 8
APPEND = 1
ALL_RIGHTS = (1 << 30) - 1
MAX_OUTPUT = 10 << 20
MAX_PATH = 4096  # bytes
_FAMILIES = ("args_", "clock_", "environ_", "fd_", "path_", "poll_", "proc_", "random_", "sched_")
ROOT = 3  # descriptor of the directory that every program has open


class WasiError(Exception):
    """A call that fails with an error number of WASI."""

    def __init__(self, number: int) -> None:
        self.number = number


@dataclass(slots=True)
class Descriptor:
    """An open file or directory."""

    path: str
    kind: int
    offset: int = 0
    append: bool = False


class System:
    """The WASI functions for one run of a program: the method `_NAME` is the function NAME."""

    def __init__(self, guest: Guest, files: Files, stdin: bytes) -> None:
        self._guest = guest
        self._files = files
        self._stdin = stdin
        self.stdout = bytearray()
        device = Descriptor("", CHARACTER_DEVICE)
        self._open = {0: device, 1: device, 2: device, ROOT: Descriptor("/", DIRECTORY)}
        # A descriptor keeps its path after its file is removed, so these paths count separately.
        guest.budget.count("system", lambda: len(self.stdout) + self._open_paths)
        self._open_paths = sum(path_cost(file.path) for file in self._open.values())  # bytes

    def give(self, item: wasmtime.ImportType) -> wasmtime.Func:
        """The host's function for an import. Raises GuestError for one that is not WASI's."""
        name = f"{item.module}.{item.name}"
        if not isinstance(item.type, wasmtime.FuncType):
            raise GuestError(f"it imports {name}, which is no function")
        if item.module not in MODULES:
            raise GuestError(f"it imports {name}, and a program is given WASI only")
        known = (item.name or "").startswith(
            _FAMILIES
        )  # without this, "path" would call the method _path
        call = getattr(self, f"_{item.name}", None) if known else None
        takes = len(list(item.type.params))
        if call is not None and takes != len(signature(call).parameters):
            raise GuestError(f"it imports {name} with {takes} parameters, which WASI has otherwise")
        return wasmtime.Func(self._guest.store, item.type, _answering(call, item.type))

    def _descriptor(self, fd: int, kind: int | None = None) -> Descriptor:
        found = self._open.get(fd)
        if found is None:
            raise WasiError(BADF)
        if kind is not None and found.kind != kind:
            raise WasiError(
                NOTDIR if kind == DIRECTORY else ISDIR if found.kind == DIRECTORY else SPIPE
            )
        return found

    def _path(self, fd: int, pointer: int, length: int) -> str:
        base = self._descriptor(fd, DIRECTORY).path
        if length > MAX_PATH:
            raise WasiError(NAMETOOLONG)
        return Files.resolve(base, self._guest.read(pointer, length).decode("utf-8", "replace"))

    def _vectors(self, pointer: int, count: int) -> list[tuple[int, int]]:
        if not 0 <= count <= 1024:
            raise WasiError(INVAL)
        words = self._guest.words(pointer, 2 * count)
        return list(zip(words[::2], words[1::2], strict=True))

    # Arguments, environment, time, chance -----------------------------------------------------

    def _args_sizes_get(self, count: int, size: int) -> None:
        self._guest.put_word(count, 1)
        self._guest.put_word(size, len(b"process\0"))

    def _args_get(self, pointers: int, buffer: int) -> None:
        self._guest.put_word(pointers, buffer)
        self._guest.write(buffer, b"process\0")

    def _environ_sizes_get(self, count: int, size: int) -> None:
        self._guest.put_word(count, 0)
        self._guest.put_word(size, 0)

    def _environ_get(self, _pointers: int, _buffer: int) -> None:
        return None

    def _clock_res_get(self, _clock: int, result: int) -> None:
        self._guest.put(result, 1_000_000, 8)

    def _clock_time_get(self, _clock: int, _precision: int, result: int) -> None:
        self._guest.put(result, self._guest.now * 1_000_000, 8)

    def _random_get(self, buffer: int, length: int) -> None:
        if not 0 <= length <= 1 << 20:
            raise WasiError(INVAL)
        self._guest.write(buffer, self._guest.random(length))

    def _proc_exit(self, code: int) -> None:
        raise GuestExitError(code)

    def _sched_yield(self) -> None:
        return None

    def _poll_oneoff(self, subscriptions: int, events: int, count: int, result: int) -> None:
        if not 0 < count <= 1024:
            raise WasiError(INVAL)
        for at in range(count):
            subscription = self._guest.read(subscriptions + 48 * at, 9)
            event = subscription[:8] + struct.pack("<HB21x", SUCCESS, subscription[8])
            self._guest.write(events + 32 * at, event)
        self._guest.put_word(result, count)

    # Reading and writing ------------------------------------------------------------------------

    def _fd_write(self, fd: int, vectors: int, count: int, result: int) -> None:
        file = self._descriptor(fd)
        parts, size = self._spans(vectors, count)
        if file.kind == CHARACTER_DEVICE:
            self._print(fd, parts, size)
        else:
            end = len(self._content(file))
            at = end if file.append else file.offset
            self._store(file, at, parts, size)
            file.offset = at + size
        self._guest.put_word(result, size)

    def _spans(self, vectors: int, count: int) -> tuple[list[tuple[int, int]], int]:
        """The parts of memory to write, and how many bytes they have. Raises GuestError.

        All are checked before the first is written, so a bad pointer leaves the file unchanged.
        """
        parts = self._vectors(vectors, count)
        for pointer, length in parts:
            self._guest.span(pointer, length)
        return parts, sum(length for _pointer, length in parts)

    def _print(self, fd: int, parts: list[tuple[int, int]], size: int) -> None:
        if fd == 1:
            if len(self.stdout) + size > MAX_OUTPUT:
                raise GuestError(f"it prints more than {MAX_OUTPUT >> 20} MB")
            self.stdout += self._guest.gather(parts, 0, size)
        elif fd == 0:
            raise WasiError(BADF)
        self._guest.printed(parts)

    def _fd_pwrite(self, fd: int, vectors: int, count: int, offset: int, result: int) -> None:
        file = self._descriptor(fd, REGULAR)
        parts, size = self._spans(vectors, count)
        self._store(file, offset, parts, size)
        self._guest.put_word(result, size)

    def _fd_read(self, fd: int, vectors: int, count: int, result: int) -> None:
        file = self._descriptor(fd)
        source = self._stdin if fd == 0 else self._content(file)
        wanted = sum(length for _pointer, length in self._vectors(vectors, count))
        size = min(wanted, self._guest.size)
        read = self._fill(vectors, count, source, file.offset, size)
        file.offset += read
        self._guest.put_word(result, read)

    def _fd_pread(self, fd: int, vectors: int, count: int, offset: int, result: int) -> None:
        content = self._content(self._descriptor(fd, REGULAR))
        size = MAX_OUTPUT if offset >= 0 else 0
        self._guest.put_word(result, self._fill(vectors, count, content, offset, size))

    def _fill(
        self, vectors: int, count: int, source: bytes | bytearray, start: int, size: int
    ) -> int:
        """Fill parts of memory with up to `size` bytes of a file. Returns how many bytes."""
        read = 0
        with memoryview(source) as view:
            data = view[start : start + size]
            for pointer, length in self._vectors(vectors, count):
                part = data[read : read + length]
                self._guest.span(pointer, len(part))
                for at in range(0, len(part), PIECE):
                    self._guest.write(pointer + at, bytes(part[at : at + PIECE]))
                read += len(part)
                part.release()
            data.release()
        return read

    def _content(self, file: Descriptor) -> bytearray:
        if file.kind == DIRECTORY:
            raise WasiError(ISDIR)
        if file.kind == CHARACTER_DEVICE:
            return bytearray()
        content = self._files.contents.get(file.path)
        if content is None:
            raise WasiError(NOENT)
        return content

    def _store(self, file: Descriptor, at: int, parts: list[tuple[int, int]], size: int) -> None:
        content = self._content(file)
        if at < 0:
            raise WasiError(INVAL)
        if at + size > len(content):
            self._resize(file.path, at + size)
        for pointer, length in parts:
            for done in range(0, length, PIECE):
                piece = self._guest.read(pointer + done, min(PIECE, length - done))
                content[at : at + len(piece)] = piece
                at += len(piece)

    def _resize(self, path: str, size: int) -> None:
        try:
            self._files.resize(path, size)
        except FilesFullError as full:
            raise WasiError(NOSPC) from full

    def _fd_seek(self, fd: int, offset: int, whence: int, result: int) -> None:
        file = self._descriptor(fd)
        if file.kind != REGULAR:
            raise WasiError(SPIPE)
        base = {0: 0, 1: file.offset, 2: len(self._content(file))}.get(whence)
        if base is None or base + offset < 0:
            raise WasiError(INVAL)
        file.offset = base + offset
        self._guest.put(result, file.offset, 8)

    def _fd_tell(self, fd: int, result: int) -> None:
        self._guest.put(result, self._descriptor(fd, REGULAR).offset, 8)

    def _fd_close(self, fd: int) -> None:
        self._open_paths -= path_cost(self._descriptor(fd).path)
        del self._open[fd]

    def _fd_renumber(self, fd: int, to: int) -> None:
        replaced = self._descriptor(to)
        self._open[to] = self._descriptor(fd)
        if to != fd:
            self._open_paths -= path_cost(replaced.path)
            del self._open[fd]

    def _fd_sync(self, fd: int) -> None:
        self._descriptor(fd)

    _fd_datasync = _fd_sync

    def _fd_advise(self, fd: int, _offset: int, _length: int, _advice: int) -> None:
        self._descriptor(fd)

    def _fd_allocate(self, fd: int, offset: int, length: int) -> None:
        file = self._descriptor(fd, REGULAR)
        if offset + length > len(self._content(file)):
            self._resize(file.path, offset + length)

    # Facts --------------------------------------------------------------------------------------

    def _fd_fdstat_get(self, fd: int, result: int) -> None:
        file = self._descriptor(fd)
        flags = APPEND if file.append else 0
        stat = struct.pack("<BxHxxxxQQ", file.kind, flags, ALL_RIGHTS, ALL_RIGHTS)
        self._guest.write(result, stat)

    def _fd_fdstat_set_flags(self, fd: int, flags: int) -> None:
        self._descriptor(fd).append = bool(flags & APPEND)

    def _fd_filestat_get(self, fd: int, result: int) -> None:
        file = self._descriptor(fd)
        self._put_stat(result, file.kind, file.path)

    def _path_filestat_get(
        self, fd: int, _flags: int, pointer: int, length: int, result: int
    ) -> None:
        path = self._path(fd, pointer, length)
        if not self._files.exists(path):
            raise WasiError(NOENT)
        self._put_stat(result, DIRECTORY if path in self._files.folders else REGULAR, path)

    def _put_stat(self, result: int, kind: int, path: str) -> None:
        size = len(self._files.contents.get(path, b""))
        inode = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "little")
        self._guest.write(result, struct.pack("<QQB7xQQQQQ", 1, inode, kind, 1, size, 0, 0, 0))

    def _fd_filestat_set_size(self, fd: int, size: int) -> None:
        file = self._descriptor(fd, REGULAR)
        self._content(file)
        if size < 0:
            raise WasiError(INVAL)
        self._resize(file.path, size)

    def _fd_prestat_get(self, fd: int, result: int) -> None:
        if fd != ROOT or fd not in self._open:
            raise WasiError(BADF)
        self._guest.write(result, struct.pack("<B3xI", 0, 1))

    def _fd_prestat_dir_name(self, fd: int, pointer: int, length: int) -> None:
        if fd != ROOT:
            raise WasiError(BADF)
        self._guest.write(pointer, b"/"[:length])

    def _fd_readdir(self, fd: int, buffer: int, size: int, cookie: int, result: int) -> None:
        folder = self._descriptor(fd, DIRECTORY).path
        size, entries = max(size, 0), bytearray()
        for number, name in enumerate(self._files.children(folder), 1):
            if number > cookie and len(entries) < size:
                path = Files.resolve(folder, name)
                kind = DIRECTORY if path in self._files.folders else REGULAR
                raw = name.encode()
                entries += struct.pack("<QQIB3x", number, 0, len(raw), kind) + raw
        self._guest.write(buffer, bytes(entries[:size]))
        self._guest.put_word(result, min(len(entries), size))

    # Paths --------------------------------------------------------------------------------------

    def _path_open(
        self,
        fd: int,
        _lookup: int,
        pointer: int,
        length: int,
        how: int,
        _rights: int,
        _inherited: int,
        flags: int,
        result: int,
    ) -> None:
        path = self._path(fd, pointer, length)
        if path in self._files.folders:
            if how & (CREATE | TRUNCATE) and not how & IS_DIRECTORY:
                raise WasiError(ISDIR)
            opened = Descriptor(path, DIRECTORY)
        else:
            self._open_file(path, how)
            opened = Descriptor(path, REGULAR, append=bool(flags & APPEND))
        number = next(n for n in range(4, 1 << 20) if n not in self._open)
        if number > 1024:
            raise WasiError(NOSPC)
        self._guest.budget.check(path_cost(path))
        self._open_paths += path_cost(path)
        self._open[number] = opened
        self._guest.put(result, number, 4)

    def _open_file(self, path: str, how: int) -> None:
        exists = path in self._files.contents
        if how & IS_DIRECTORY:
            raise WasiError(NOTDIR if exists else NOENT)
        if exists and how & CREATE and how & EXCLUSIVE:
            raise WasiError(EXIST)
        if not exists and (not how & CREATE or not self._files.parent_exists(path)):
            raise WasiError(NOENT)
        if not exists:
            try:
                self._files.create(path)
            except FilesFullError as full:
                raise WasiError(NOSPC) from full
        elif how & TRUNCATE:
            self._files.contents[path].clear()

    def _path_create_directory(self, fd: int, pointer: int, length: int) -> None:
        path = self._path(fd, pointer, length)
        if self._files.exists(path):
            raise WasiError(EXIST)
        if not self._files.parent_exists(path):
            raise WasiError(NOENT)
        try:
            self._files.create_folder(path)
        except FilesFullError as full:
            raise WasiError(NOSPC) from full

    def _path_remove_directory(self, fd: int, pointer: int, length: int) -> None:
        path = self._path(fd, pointer, length)
        if path not in self._files.folders:
            raise WasiError(NOTDIR if path in self._files.contents else NOENT)
        if path == "/" or self._files.children(path):
            raise WasiError(NOTEMPTY)
        self._files.remove_folder(path)

    def _path_unlink_file(self, fd: int, pointer: int, length: int) -> None:
        path = self._path(fd, pointer, length)
        if not self._files.remove(path):
            raise WasiError(ISDIR if path in self._files.folders else NOENT)

    def _path_rename(
        self, fd: int, old: int, old_length: int, to: int, new: int, new_length: int
    ) -> None:
        source, target = self._path(fd, old, old_length), self._path(to, new, new_length)
        if not self._files.exists(source) or not self._files.parent_exists(target):
            raise WasiError(NOENT)
        if target == source:
            return
        if source == "/" or target.startswith(source + "/"):
            raise WasiError(INVAL)
        if target in self._files.folders:
            raise WasiError(EXIST)
        if source in self._files.folders and target in self._files.contents:
            raise WasiError(NOTDIR)
        self._files.rename(source, target)


def _answering(call: Callable[..., None] | None, kind: wasmtime.FuncType) -> Callable[..., Any]:
    """A call that returns an errno, as WASI does; ENOSYS for a call that this node lacks."""
    answers = bool(list(kind.results))

    def answering(*args: int) -> int | None:
        if call is None:
            return NOSYS if answers else None
        try:
            call(*args)
        except WasiError as error:
            return error.number
        return SUCCESS if answers else None

    return answering
