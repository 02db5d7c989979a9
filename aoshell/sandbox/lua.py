"""Device `lua@5.3a`: one Lua 5.3 runtime that holds the state of one process.

Runs inside a worker, never in the shell. Strings cross as latin-1 text, one character a byte, so
that nothing can fail to decode.

Guest code sees its environment (`aos/*.lua`), and the part of Lua that `host/guard.lua` and
`host/order.lua` leave. It never gets a Python object as a value.

The flat lists that `LuaRuntime.deliver` takes and gives:

    message  id from owner target data anchor timestamp block_height nonce hash_chain cron
             read_only (name value)…
    result   error|False output prompt suspended n resumed-id… and, without an error,
             n (spawn target|False data anchor n (name value)…)… n (message-id n process-id…)…
             and, where an Eval returned what its output does not show, that as text
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lupa import lua53

from aoshell.sandbox import environment, hyperbolic
from aoshell.sandbox.digests import Digests, pbkdf2
from aoshell.sandbox.runtime import OutOfMemoryError
from aoshell.sandbox.textfiles import path_of, read_text

if TYPE_CHECKING:
    from aoshell.sandbox.watch import LineCounts

# The chunks of host/ by version, in the order in which they run. An environment names its version.
# What a script can observe of the host (texts, places, order, limits) must never change in a
# version that a log may name. So chunks that versions share may change only where no script can
# observe it.
VERSIONS = {
    1: ("guard", "objects", "order", "bridge", "image"),
    2: ("guard", "objects", "order", "bytecode", "stack", "plain", "bridge", "image"),
    # The same; `next` gives false where 2 gives nil.
    3: ("guard", "objects", "order", "bytecode", "stack", "plain", "bridge", "image"),
    # `table.sort` as the core's; functions of Lua 5.2 in `math`; `package.path` and `cpath`.
    4: (
        *("guard", "objects", "order", "sort", "bytecode", "stack", "plain", "bridge"),
        *("mathlib", "image"),
    ),
}
# Read at import: a worker cannot open files.
CHUNKS = {name: read_text(path_of("host", f"{name}.lua")) for name in VERSIONS[max(VERSIONS)]}
UNLIMITED = 0x7FFFFFFF_FFFF  # bytes
# Real memory as a multiple of what Lua counts: Lua counts the bytes that it asks for, and for small
# objects the allocator takes up to 1.34 times as many.
SHARE = 1.5
STRIDE = 100_000  # instructions between two prints of `LuaRuntime.print_places`
PLACE = "computes at "  # begins each of these prints
PLACES = """
local H, stride, mark, emit = ...
local raw = H.raw
local sethook, getinfo, find = raw.debug.sethook, raw.debug.getinfo, raw.string.find
-- The innermost function that is not the environment's, whose chunks are named ".name".
local function look()
  local level = 2
  repeat
    local info = getinfo(level, "Sl")
    if not info then return end
    level = level + 1
    if info.currentline > 0 and not find(info.short_src, "^%.") and info.short_src ~= "host" then
      return emit(mark .. info.short_src .. ":" .. info.currentline)
    end
  until false
end
package.loaded[".places"] = function() sethook(look, "", stride) end
"""
MAX_REASON = 1000  # characters of the reason why code did not load


def _deny(_object: object, _name: object, _setting: bool) -> str:
    raise AttributeError("access denied")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


class LuaHost:
    """See `runtime.Host`. Code is an environment as `environment.pack` writes it.

    Args:
        watched: its runtimes can be watched, as those of tests are.
    """

    headroom = 2  # after a checkpoint, garbage is collected at other moments

    def __init__(self, emit: Callable[[str], None], *, watched: bool = False) -> None:
        self._emit = emit
        self._watched = watched
        self.runtime = LuaRuntime(environment.read_sources(), emit, watched=watched)

    def room(self, memory: int) -> int:
        return int(SHARE * memory)

    def load(self, code: bytes, gas: int, memory: int) -> LuaRuntime:
        del gas  # Lua is not metered
        try:
            sources = environment.unpack(code)
            return LuaRuntime(sources, self._emit, memory, watched=self._watched)
        except lua53.LuaMemoryError:
            raise  # it is a MemoryError
        except lua53.LuaError as error:
            raise ValueError(_first_line(error)[:MAX_REASON]) from error

    def compile(self, source: bytes, gas: int) -> bytes:
        del source, gas
        raise ValueError("Lua is loaded as it is")


class LuaRuntime:
    """A guarded runtime with an environment loaded.

    Args:
        sources: module name → Lua source of the environment; ".process" is its entry.
        emit: called with each text that the guest prints, at the moment it prints.
        memory: bytes of heap that loading may use.
        watched: it can be watched (`host/watch.lua`).
    """

    gas_used = 0
    failure = "error"

    def __init__(
        self,
        sources: Mapping[str, str],
        emit: Callable[[str], None],
        memory: int = UNLIMITED,
        *,
        watched: bool = False,
    ) -> None:
        self._lua = lua53.LuaRuntime(
            encoding="latin-1",
            source_encoding="latin-1",
            attribute_filter=_deny,
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            max_memory=memory,
        )
        self._host = self._lua.table()
        self._host.sizes = _table_sizes
        digests = Digests()
        self._host.digests = self._lua.table_from(
            {"begin": digests.begin, "add": digests.add, "end": digests.end}
        )
        self._host.pbkdf2 = pbkdf2
        self._host.hyperbolic = self._lua.table_from(hyperbolic.FUNCTIONS)
        load = self._lua.globals().load
        self._host.version = environment.host_version(sources)
        chunks = _chunks(sources)
        self._counts: LineCounts | None = None
        if watched:
            # A third of a zygote's imports; those of shells do not need it.
            from aoshell.sandbox import watch

            self._counts = watch.install(self._host)
            chunks.insert(0, watch.CHUNK)
        for chunk in chunks:
            load(chunk, "=host")(self._host, emit)
        for name, source in sources.items():
            self._host.sources[name] = source
        self._host.start()
        self._host.mark_fresh()
        self._deliver = self._host.deliver
        self._emit = emit
        self._prints_places = False
        self._watching: LineCounts | None = None
        self._room = 0  # bytes added to the guest's limit, for the notes on its lines

    def watch(self, *, lines: bool) -> None:
        """See `runtime.Watched`. Only where the runtime was made to be watched."""
        from aoshell.sandbox.watch import ROOM

        self._host.watch(lines)
        self._watching, self._room = self._counts, ROOM if lines else 0

    def watched_lines(self) -> str:
        self._lua.set_max_memory(UNLIMITED)  # until the next message
        return self._counts.take(*self._host.watched_handlers()) if self._counts else ""

    def lines_so_far(self) -> str:
        return self._counts.take() if self._counts else ""

    def limit_memory(self, size: int, *, judged: bool = True) -> None:
        """Let the guest's heap grow to `size` bytes, the environment's included."""
        del judged  # the host holds little else, and the worker's floor bounds that
        self._lua.set_max_memory(size + self._room, total=True)

    @property
    def memory(self) -> int:
        """Bytes of heap in use."""
        return int(self._lua.get_memory_used(total=True))

    def boot(self, definition: Sequence[Any]) -> None:
        """Define the process: id owner module code|None boot-id boot-data tags…"""
        self._host.boot(*definition)

    def deliver(self, message: Sequence[Any]) -> tuple[Any, ...]:
        """Run one message, flat in and flat out.

        Raises:
            OutOfMemoryError: also where the guest caught Lua's error.
        """
        try:
            if self._watching:
                self._host.watch_message()
                self._watching.begin()
            result: tuple[Any, ...] = self._deliver(*message)
            if self._watching:
                self.gas_used = int(self._host.watched_steps()) - self._watching.steps()
        except lua53.LuaMemoryError as error:
            raise OutOfMemoryError from error
        except lua53.LuaError as error:
            if self._host.out_of_memory:
                raise OutOfMemoryError from error
            return (str(error), "", "", False, 0)
        return result

    def failed(self, text: str) -> None:
        """Record the error of a message that was rolled back."""
        self._host.failed(text)

    def print_places(self) -> None:
        """Give the environment `.places`: it makes its coroutine print where it computes.

        That prints every `STRIDE` instructions, so only long computations print at all.
        """
        if not self._prints_places:
            self._prints_places = True
            self._host.raw.load(PLACES, "=host")(self._host, STRIDE, PLACE, self._emit)

    def image(self) -> bytes:
        """The whole state.

        Raises:
            ValueError: it cannot be saved; the text says why.
        """
        self._lua.set_max_memory(UNLIMITED)
        try:
            image: str = self._host.image()
        except lua53.LuaError as error:
            raise ValueError(_first_line(error)) from error
        return image.encode("latin-1")

    def restore(self, image: bytes) -> None:
        """Take over the state of an image. The runtime must be fresh, of the same environment.

        Raises:
            ValueError: the image is damaged or of another environment; discard the runtime.
        """
        try:
            self._host.restore(image.decode("latin-1"))
        except lua53.LuaError as error:
            raise ValueError(_first_line(error)) from error


def _chunks(sources: Mapping[str, str]) -> list[str]:
    """The host's chunks for an environment. Raises ValueError where it needs a newer host."""
    version = environment.host_version(sources)
    if version not in VERSIONS:
        raise ValueError(f"it was made for version {version} of the sandbox, newer than this one")
    return [CHUNKS[name] for name in VERSIONS[version]]


_LAYOUT = struct.Struct("<BI8xQ")  # lsizenode, sizearray, array, node


def _table_layout(address: int) -> tuple[int, int, int]:
    """Array size, log2 of the node count, and the node pointer of a `Table` (Lua 5.3 lobject.h)."""
    log_nodes, array, node = _LAYOUT.unpack(ctypes.string_at(address + 11, _LAYOUT.size))
    return array, log_nodes, node


def _table_sizes(addresses: str) -> str:
    """Sizes of Lua tables named by `tostring`, 5 bytes each: array part, 0 or 1 + log2(nodes).

    No function of Lua returns them, yet `#` of a table with holes depends on them, so an image must
    keep them. Read only while an image is made, at addresses that Lua itself has just given.
    """
    parts = []
    for name in addresses.split("\n"):
        array, log_nodes, node = _table_layout(int(name.rpartition(" ")[2], 16))
        empty = log_nodes == 0 and node == _no_nodes()
        parts.append(struct.pack("<IB", array, 0 if empty else log_nodes + 1))
    return b"".join(parts).decode("latin-1")


_dummy: list[int] = []


def _no_nodes() -> int:
    """The node pointer of tables without keys: `dummynode`, one for all (Lua 5.3 ltable.c)."""
    if not _dummy:
        lua = lua53.LuaRuntime(register_eval=False, register_builtins=False)
        name: str = lua.eval("tostring(setmetatable({}, nil))")
        _dummy.append(_table_layout(int(name.rpartition(" ")[2], 16))[2])
    return _dummy[0]
