"""Rewrites legacy exception handling to the form that engines run today.

Older emscripten's `-fwasm-exceptions` emits `try … catch … end`, which wasmtime refuses. Each such
block of type T becomes, with one inner block for each clause:

    block T                          ;; ends where the try ended
      block (params of the second tag)
        block (params of the first tag)
          try_table T (catch …) (catch …)
            body
          end
          br to the outermost block
        end
        first handler
        br to the outermost block
      end
      second handler
    end

A clause whose handler uses `rethrow` also catches the exception itself and keeps it in a local.

Sources: the exception handling proposal, "legacy" and current.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from aoshell.sandbox.wasm import code
from aoshell.sandbox.wasm.reader import ModuleError, ModuleReader, leb128
from aoshell.sandbox.wasm.sections import CODE, TYPE, WasmModule, parse_module

MAX_REWRITTEN = 8 << 20  # bytes of function bodies; about 10 s

_EXNREF = b"\x69"
_EMPTY = b"\x40"
_END, _BR, _BLOCK = b"\x0b", b"\x0c", b"\x02"
_LOCAL_GET, _LOCAL_SET, _THROW_REF = b"\x20", b"\x21", b"\x0a"
_HINT = "build the module with exnref (emcc -sWASM_LEGACY_EXCEPTIONS=0, or wasm-opt --emit-exnref)"

Step = tuple[int, int, int]


def modernize(data: bytes) -> bytes:
    """A module without legacy exception handling; the same bytes where it has none.

    Raises:
        ModuleError: it is malformed, or uses `delegate` or a `try` that takes parameters.
    """
    module = parse_module(data)
    legacy = set(code.legacy_bodies(module))
    if not legacy:
        return data
    if sum(end - start for start, end in map(module.bodies.__getitem__, legacy)) > MAX_REWRITTEN:
        raise ModuleError("too many functions use legacy exceptions", len(data), _HINT)
    types = _Types(module)
    parts = [leb128(len(module.bodies))]
    for place, (start, end) in enumerate(module.bodies):
        body = _Function(module, types, place).rewritten() if place in legacy else data[start:end]
        parts += leb128(len(body)), body
    return module.rebuilt({CODE: b"".join(parts), TYPE: types.payload()})


class _Types:
    """The module's types; the rewrite adds the types of its new blocks."""

    def __init__(self, module: WasmModule) -> None:
        self._module = module
        self._added: dict[bytes, int] = {}

    def block(self, results: bytes) -> bytes:
        """The encoded type of a block that takes nothing and leaves `results`."""
        if len(results) < 2:
            return results or _EMPTY
        index = len(self._module.types) + len(self._added)
        return _signed(self._added.setdefault(results, index))

    def payload(self) -> bytes:
        """The type section's new payload."""
        old = self._module.section(TYPE)
        assert old is not None  # bodies have types
        parts = [leb128(old.count("types") + len(self._added)), old.data[old.at : old.end]]
        for results in self._added:
            parts += b"\x60\x00", leb128(len(results)), results
        return b"".join(parts)


@dataclass(slots=True)
class _Try:
    """`tags`: one for each clause, None for catch_all. `local`: holds what it rethrows, or -1."""

    tags: list[int | None] = field(default_factory=list)
    local: int = -1


@dataclass(slots=True)
class _Frame:
    """An open block. `level`: labels around it in the new code. `clause`: -1 within the body."""

    level: int
    block: _Try | None = None
    clause: int = -1


class _Function:
    """Rewrites the body of one function."""

    def __init__(self, module: WasmModule, types: _Types, place: int) -> None:
        self._module, self._types = module, types
        self._start, self._end = module.bodies[place]
        self._code, declared = code.after_locals(module, module.bodies[place])
        self._steps = list(code.controls(module, self._code, self._end))
        index = len(module.functions) - len(module.bodies) + place
        first = len(module.signature(index).takes) + declared
        self._tries, self._rethrown = _survey(module, self._steps, first)
        self._frames = [_Frame(0)]
        self._depth = 1

    def rewritten(self) -> bytes:
        """The body, locals included."""
        data, out, copied = self._module.data, bytearray(self._locals()), self._code
        for at, after, opcode in self._steps:
            out += data[copied:at] + self._step(at, after, opcode)
            copied = after
        return bytes(out + data[copied : self._end])

    def _locals(self) -> bytes:
        reader = ModuleReader(self._module.data, self._start, self._code)
        groups = reader.count("locals")
        kept = reader.data[reader.at : self._code]
        if not self._rethrown:
            return leb128(groups) + kept
        return leb128(groups + 1) + kept + leb128(self._rethrown) + _EXNREF

    def _step(self, at: int, after: int, opcode: int) -> bytes:
        text = self._module.data[at:after]
        if not self._frames:
            raise ModuleError("instructions follow a function's end", at)
        if opcode in {code.BLOCK, code.LOOP, code.IF}:
            self._frames.append(_Frame(self._depth))
            self._depth += 1
        elif opcode == code.TRY:
            return self._open(at, after)
        elif opcode in {code.CATCH, code.CATCH_ALL}:
            return self._handler()
        elif opcode == code.RETHROW:
            caught = self._frame(_operand(text), at).block
            assert caught is not None  # _survey() made sure
            return _LOCAL_GET + leb128(caught.local) + _THROW_REF
        elif opcode == code.END:
            return self._close()
        elif opcode != code.ELSE:
            return self._branch(text, at)
        return text

    def _open(self, at: int, after: int) -> bytes:
        block, kind = self._tries[at], self._module.data[at + 1 : after]
        self._check_parameters(at, kind)
        self._frames.append(_Frame(self._depth, block))
        self._depth += len(block.tags) + 2
        kept = 1 if block.local >= 0 else 0
        clauses = [leb128(len(block.tags))]
        for label, tag in enumerate(block.tags):
            named = bytes([2 + kept]) if tag is None else bytes([kept]) + leb128(tag)
            clauses += named, leb128(label)
        inner = [_BLOCK + self._types.block(self._caught(block, tag)) for tag in block.tags[::-1]]
        return b"".join([_BLOCK, kind, *inner, bytes([code.TRY_TABLE]), kind, *clauses])

    def _caught(self, block: _Try, tag: int | None) -> bytes:
        params = self._module.types[self._module.tags[tag]].takes if tag is not None else b""
        return params + (_EXNREF if block.local >= 0 else b"")

    def _check_parameters(self, at: int, kind: bytes) -> None:
        value = ModuleReader(kind, 0, len(kind))
        first = code.block_type(value)
        if 0x40 <= first <= 0x7F:
            return
        index = ModuleReader(kind, 0, len(kind)).index("try", len(self._module.types))
        if self._module.types[index].takes:
            raise ModuleError("a legacy try that takes parameters is not supported", at, _HINT)

    def _handler(self) -> bytes:
        frame = self._frames[-1]
        block = frame.block
        assert block is not None  # _survey() made sure
        frame.clause += 1
        outermost = len(block.tags) - frame.clause
        self._depth = frame.level + outermost
        leave = (_END if frame.clause == 0 else b"") + _BR + leb128(outermost) + _END
        return leave + (_LOCAL_SET + leb128(block.local) if block.local >= 0 else b"")

    def _close(self) -> bytes:
        frame = self._frames.pop()
        self._depth = frame.level
        return _END * 2 if frame.block and frame.clause < 0 else _END

    def _branch(self, text: bytes, at: int) -> bytes:
        reader = ModuleReader(text, 1, len(text))
        labels = reader.count("br_table") + 1 if text[0] == code.BR_TABLE else 1
        out = text[: reader.at]
        for _ in range(labels):
            level = self._frame(reader.number("a label"), at).level
            out += leb128(self._depth - 1 - level)
        return out

    def _frame(self, label: int, at: int) -> _Frame:
        if label >= len(self._frames):
            raise ModuleError(f"label {label} where {len(self._frames)} blocks are open", at)
        return self._frames[-1 - label]


def _survey(module: WasmModule, steps: Sequence[Step], local: int) -> tuple[dict[int, _Try], int]:
    """Each try by its place, and how many rethrow; these use the locals from `local` on."""
    found: dict[int, _Try] = {}
    open_blocks: list[_Try | None] = [None]
    rethrown = 0
    for at, after, opcode in steps:
        if opcode in {code.BLOCK, code.LOOP, code.IF}:
            open_blocks.append(None)
        elif opcode == code.TRY:
            found[at] = _Try()
            open_blocks.append(found[at])
        elif opcode == code.END and open_blocks:
            open_blocks.pop()
        elif opcode in {code.CATCH, code.CATCH_ALL}:
            _clause(module, open_blocks[-1:], module.data[at:after], at)
        elif opcode == code.RETHROW:
            caught = _named(open_blocks, _operand(module.data[at:after]), at)
            if caught.local < 0:
                caught.local = local + rethrown
                rethrown += 1
        elif opcode in {code.DELEGATE, code.TRY_TABLE}:
            name = "delegate" if opcode == code.DELEGATE else "a mix of legacy try and try_table"
            raise ModuleError(f"legacy exceptions: {name} is not supported", at, _HINT)
    if open_blocks:
        raise ModuleError("a function's blocks are not closed", steps[-1][1] if steps else 0)
    return found, rethrown


def _clause(module: WasmModule, innermost: list[_Try | None], text: bytes, at: int) -> None:
    block = innermost[0] if innermost else None
    if block is None or block.tags[-1:] == [None]:
        raise ModuleError("a catch stands outside of a try", at)
    tag = _operand(text) if text[0] == code.CATCH else None
    if tag is not None and tag >= len(module.tags):
        raise ModuleError(f"catch: tag {tag} where there are {len(module.tags)}", at)
    block.tags.append(tag)


def _named(open_blocks: list[_Try | None], label: int, at: int) -> _Try:
    block = open_blocks[-1 - label] if label < len(open_blocks) else None
    if block is None or not block.tags:
        raise ModuleError("a rethrow names no handler around it", at)
    return block


def _operand(text: bytes) -> int:
    return ModuleReader(text, 1, len(text)).number("an operand")


def _signed(value: int) -> bytes:
    out = bytearray()
    while value >= 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))
