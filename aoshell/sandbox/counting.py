"""Makes compiled Lua count by itself which line it runs after which.

The interpreter calls a line hook when another line begins, or when an instruction jumps back. Two
instructions that run one after the other decide that. So wherever the hook would be called between
two instructions, others are inserted that add 1 to a counter. The counters are in a table, the last
upvalue of each function. They hold exactly what a hook would count, in a fraction of its time.

Nothing that a script can see changes. The registers for counting come after all others, so nested
calls take no more of the stack. But some functions count while a list of values (all results of a
call, or `...`) lies after their registers. There the registers for counting come right after the
parameters, or they would overwrite that list. Inserted instructions have the line of the
instruction after them, and set no register that an error message of Lua could name.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from aoshell.lua.compiled import (
    CONDITIONS,
    FORLOOP,
    FORPREP,
    JMP,
    JUMP_ZERO,
    LOADBOOL,
    TAILCALL,
    TFORCALL,
    CompiledFunction,
    Flow,
    read_dump,
    write_dump,
)

LARGEST = 4 << 20  # bytes of compiled code that can be made to count
_DIGEST = 32  # bytes
_KEPT = 16  # results that are kept, for code that comes again
MOST_GIVEN = 64 << 20  # bytes of counting code from other processes that are kept, the newest
_REGISTERS, _UPVALUES, _OPERANDS = 250, 255, 256  # limits of Lua's functions and instructions
_WIDE = 1 << 18  # values that the longest operand of an instruction has
_INTEGER = 19  # kind of a constant
_NAME = b"\x08(lines)"  # of the added registers, as a dump writes names

_LOADK, _LOADNIL, _GETTABUP, _SETTABUP, _ADD = 1, 4, 6, 8, 13
_CALL, _TFORLOOP, _VARARG = 36, 42, 45
_PAIRED = CONDITIONS | {TFORCALL}  # the jump after one belongs to it
_JUMPS = frozenset((JMP, FORLOOP, FORPREP, _TFORLOOP))
# Which operands are registers. B and C from 256 on are constants; the A of JMP is 0 or one more.
_A = frozenset(range(46)) - {_SETTABUP, JMP, 31, 32, 33}
_B = frozenset((0, 7, 8, 10, 12, *range(13, 30), 31, 32, 33, 35))
_C = frozenset((6, 7, 8, 10, 12, *range(13, 25), 29, 31, 32, 33))

Way = tuple[int, int]
"""From one line to the next: (line, line). The first is 0 where a function begins."""
UNSEEN: Way = (0, 0)
"""A step between instructions for which no line hook is called."""


class CountingCode(NamedTuple):
    """Code that counts.

    Attributes:
        code: a dump.
        counters: what its counters count. First `<I4 functions>`; then for each function
            `<I4 first line, I4 last line, I4 counters>`; then for each counter, in order, `<I4 from
            line, I4 to line, I4 instructions>`. The last is what each count costs.
        tails: for each tail call, its index in the original dump and in this one.
    """

    code: bytes
    counters: bytes
    tails: tuple[tuple[int, int], ...]

    def with_calls(self, dump: bytes) -> bytes:
        """The code with calls in place of tail calls, where `dump`, the same code, has calls."""
        code = bytearray(self.code)
        for theirs, ours in self.tails:
            code[ours] = code[ours] & ~63 | dump[theirs] & 63
        return bytes(code)


_given: dict[bytes, CountingCode] = {}  # made by other processes, by the digest of the dump


def pack_counting(dump: bytes, made: CountingCode) -> bytes:
    """Pack the counting code that was made of a dump, for `take_counting` in another process."""
    parts = [made.code, made.counters, struct.pack(f"<{2 * len(made.tails)}I", *chain(*made.tails))]
    sizes = struct.pack("<III", *map(len, parts))
    return hashlib.sha256(dump).digest() + sizes + b"".join(parts)


def take_counting(packed: bytes) -> None:
    """Keep what another process of ours has packed: `make_counting` then returns it."""
    at, parts = _DIGEST + 12, []
    for size in struct.unpack_from("<III", packed, _DIGEST):
        parts.append(packed[at : at + size])
        at += size
    code, counters, flat = parts
    tails = tuple(struct.iter_unpack("<II", flat))
    _given[packed[:_DIGEST]] = CountingCode(code, counters, tails)
    while sum(len(one.code) + len(one.counters) for one in _given.values()) > MOST_GIVEN:
        del _given[next(iter(_given))]


def make_counting(dump: bytes) -> CountingCode:
    """The code of a dump, made to count.

    Raises:
        ValueError: it is too large, or at the limits of the compiler.
    """
    return _given.get(hashlib.sha256(dump).digest()) or _make_counting(dump)


@lru_cache(_KEPT)
def _make_counting(dump: bytes) -> CountingCode:
    if len(dump) > LARGEST:
        raise ValueError("its compiled code is too large")
    main = read_dump(dump)
    functions, counters = bytearray(), bytearray()
    tails: list[tuple[int, CompiledFunction, int]] = []
    count = before = 0
    for function, table in list(_with_tables(main, (1, 0))):
        made = _Counting(function, table, before)
        at = function.code_at
        found = made.insert()
        tails += [(at + 4 * theirs, function, ours) for theirs, ours in found]
        count += 1
        before += len(made.counters)
        functions += struct.pack("<III", function.first, function.last, len(made.counters))
        for way, cost in made.counters:
            counters += struct.pack("<III", *way, cost)
    code = write_dump(dump, main)
    table_ = struct.pack("<I", count) + functions + counters
    pairs = tuple((theirs, function.code_at + 4 * ours) for theirs, function, ours in tails)
    return CountingCode(code, table_, pairs)


def _with_tables(
    function: CompiledFunction, found: tuple[int, int]
) -> Iterator[tuple[CompiledFunction, int]]:
    """All functions, each with the number of the upvalue that is its table of counters."""
    table = len(function.upvalues)
    if table >= _UPVALUES:
        raise ValueError("a function has too many upvalues")
    function.upvalues.append(found)
    yield function, table
    for inner in function.inner:
        yield from _with_tables(inner, (0, table))


@dataclass(slots=True)
class _Place:
    """An instruction, and what is inserted before it.

    Attributes:
        falls: the way from the instruction before, None if that one never goes on here.
        jumps: the ways of jumps that are counted here.
        blocks: such a way → the new target of these jumps.
        at: the instruction's new index.
    """

    falls: Way | None = None
    jumps: dict[Way, None] = field(default_factory=dict)
    blocks: dict[Way, int] = field(default_factory=dict)
    at: int = 0

    @property
    def ways(self) -> list[Way]:
        """The ways that are counted here, `falls` first; all but the last jump over the rest."""
        falls = self.falls
        if falls is None or (falls == UNSEEN and not self.jumps):
            return list(self.jumps)
        return [falls, *(way for way in self.jumps if way != falls)]


class _Counting:
    """One function that is made to count.

    Args:
        table: which of its upvalues has the counters.
        before: counters of other functions.

    Attributes:
        counters: (way, instructions that a count costs) → the counter's number.
    """

    def __init__(self, function: CompiledFunction, table: int, before: int) -> None:
        self.counters: dict[tuple[Way, int], int] = {}
        self._function = function
        self._table = table
        self._before = before
        self._flow = Flow(function.code)
        self._places = [_Place() for _ in function.code]
        self._skips: dict[int, Way] = {}  # LOADBOOLs whose skip becomes a jump
        self._code: list[int] = []
        self._lines: list[int] = []
        self._jumps: list[tuple[int, int, Way]] = []  # an instruction's place, its target, its way
        self._constants: dict[int, int] = {}
        self._first, self._added = function.registers, 1  # registers

    def insert(self) -> list[tuple[int, int]]:
        """Change the function. Returns where its tail calls were, and where they are now.

        Raises:
            ValueError: a limit of Lua's code would be exceeded.
        """
        function = self._function
        self._find_ways()
        if self._counts_amid_values():
            self._first = function.parameters
        count = sum(len(place.ways) for place in self._places) + len(self._skips)
        if function.constant_count + count + 1 > _OPERANDS:
            self._added = 3  # two more registers, to load constants into
        if function.registers + self._added > _REGISTERS:
            raise ValueError("a function needs too many registers")
        if function.constant_count + count + 1 > _WIDE:
            raise ValueError("a function has too many constants")
        for at in range(len(function.code)):
            self._put(at)
        for at, target, way in self._jumps:
            place = self._places[target]
            by = place.blocks.get(way, place.at) - at - 1 + JUMP_ZERO
            if not 0 <= by < _WIDE:
                raise ValueError("a jump is too long")
            self._code[at] |= by << 14
        tails = [at for at in range(len(function.code)) if self._flow.op(at) == TAILCALL]
        self._finish()
        return [(at, self._places[at].at) for at in tails]

    # The ways -------------------------------------------------------------------------------------

    def _way(self, start: int, to: int) -> Way:
        lines = self._function.lines
        return (lines[start], lines[to]) if to <= start or lines[start] != lines[to] else UNSEEN

    def _find_ways(self) -> None:
        flow, places = self._flow, self._places
        places[0].falls = (0, self._function.lines[0])
        pairs: list[int] = []  # instructions that must stay right after the one before
        skips: list[int] = []
        for at in flow.reached():
            op, after = flow.op(at), flow.next(at)
            if op == LOADBOOL and after[0] == at + 2:
                skips.append(at)
                continue
            jumps = after if op in (JMP, FORPREP) else after[1:]
            if len(jumps) < len(after):
                places[after[0]].falls = self._way(at, after[0])
                if after[0] == at + 2:
                    pairs.append(at + 1)
            for to in jumps:
                if (way := self._way(at, to)) != UNSEEN:
                    places[to].jumps[way] = None
        for at in skips:
            way = self._way(at, at + 2)
            if way != UNSEEN or places[at + 1].ways or places[at + 2].ways:
                self._skips[at] = way
        if any(places[at].ways for at in pairs):
            raise ValueError("a jump leads into the middle of an instruction")

    def _counts_amid_values(self) -> bool:
        """Whether a way is counted after an instruction that leaves an open number of values."""
        for at, word in enumerate(self._function.code):
            op, b, c = word & 63, word >> 23, word >> 14 & 511
            leaves = (op in (_CALL, TAILCALL) and not c) or (op == _VARARG and not b)
            if leaves and self._places[at + 1].ways:
                return True
        return False

    # Code -----------------------------------------------------------------------------------------

    def _put(self, at: int) -> None:
        """Append what counts, then the instruction."""
        place = self._places[at]
        ways = place.ways
        for number, way in enumerate(ways, 1):
            if way in place.jumps:
                place.blocks[way] = len(self._code)
            self._count(way, at, jumps=number < len(ways))
        place.at = len(self._code)
        word, op = self._moved(self._function.code[at]), self._flow.op(at)
        if at in self._skips:
            self._emit(word & ~(511 << 14), at)
            self._count(self._skips[at], at, jumps=True, to=at + 2)
        elif op in _JUMPS:
            is_part = at > 0 and self._flow.op(at - 1) in _PAIRED
            target = self._flow.jump(at)
            self._jump(word, at, target, self._way(at - is_part, target))
        else:
            self._emit(word, at)

    def _emit(self, word: int, at: int) -> None:
        self._code.append(word)
        self._lines.append(self._function.lines[at])

    def _jump(self, word: int, at: int, target: int, way: Way) -> None:
        self._jumps.append((len(self._code), target, way))
        self._emit(word & 0x3FFF, at)

    def _count(self, way: Way, at: int, *, jumps: bool, to: int | None = None) -> None:
        """Add 1 to the counter of a way, and then jump to an instruction, `at` unless `to`."""
        cost = (3 if self._added == 1 else 5) + jumps
        place = self.counters.setdefault((way, cost), len(self.counters))
        first, table = self._first, self._table
        key, one = self._constant(self._before + place + 1), self._constant(1)
        if self._added == 1:
            key, one = _OPERANDS | key, _OPERANDS | one
        else:
            self._emit(_LOADK | first + 1 << 6 | key << 14, at)
            self._emit(_LOADK | first + 2 << 6 | one << 14, at)
            key, one = first + 1, first + 2
        self._emit(_GETTABUP | first << 6 | key << 14 | table << 23, at)
        self._emit(_ADD | first << 6 | one << 14 | first << 23, at)
        self._emit(_SETTABUP | table << 6 | first << 14 | key << 23, at)
        if jumps:
            self._jump(JMP, at, at if to is None else to, UNSEEN)

    def _constant(self, value: int) -> int:
        """The number of the constant that is a whole number."""
        number = self._constants.setdefault(value, len(self._constants))
        return self._function.constant_count + number

    def _moved(self, word: int) -> int:
        """An instruction whose registers are moved up past the added ones."""
        first, by = self._first, self._added
        op, a, b, c = word & 63, word >> 6 & 255, word >> 23, word >> 14 & 511
        if (op in _A and a >= first) or (op == JMP and a > first):
            word += by << 6
        elif op == _LOADNIL and a + b >= first:
            word += by << 23  # from a parameter on
        if op in _B and first <= b < _OPERANDS:
            word += by << 23
        if op in _C and first <= c < _OPERANDS:
            word += by << 14
        return word

    def _finish(self) -> None:
        function, first, by = self._function, self._first, self._added
        places = [*(place.at for place in self._places), len(self._code)]
        moved = [(name, places[start], places[end]) for name, start, end in function.locals]
        if first == function.parameters:
            moved[first:first] = [(_NAME, places[0], len(self._code))] * by
        function.locals = moved
        for inner in function.inner:
            inner.upvalues = [
                (local, number + by if local and number >= first else number)
                for local, number in inner.upvalues
            ]
        function.code, function.lines = self._code, self._lines
        function.registers += by
        function.constants += b"".join(
            struct.pack("<Bq", _INTEGER, value) for value in self._constants
        )
        function.constant_count += len(self._constants)
