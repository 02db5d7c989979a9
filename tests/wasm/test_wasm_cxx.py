"""C++ exceptions as emscripten compiles them: `invoke_*` around what may throw, clauses by type."""

from __future__ import annotations

import pytest
from wasm_device import Device

# An exception object lies at 2048, its header in front of it. Type 200 is a base of type 100, 4
# bytes into it; 300 is that of a pointer. A `try` is a call through `invoke_vi`, then this:
#   go(what, clause)     catch (clause) { the object's address }, or on with it
#   outer(what, clause)  try { go(…) } catch (...) { 1000000 + the object's address }
#   again(what)          try { try { … } catch (...) { throw; } } catch (…) { … }
THROWING = """(module
  (import "env" "invoke_vi" (func $invoke_vi (param WORD i32)))
  (import "env" "invoke_vii" (func $invoke_vii (param WORD i32 WORD)))
  (import "env" "__cxa_throw" (func $throw (param WORD WORD WORD)))
  (import "env" "__cxa_rethrow" (func $rethrow))
  (import "env" "__resumeException" (func $resume (param WORD)))
  (import "env" "__cxa_find_matching_catch_3" (func $find (param WORD) (result WORD)))
  (import "env" "__cxa_find_matching_catch_2" (func $clean (result WORD)))
  (import "env" "__cxa_begin_catch" (func $begin (param WORD) (result WORD)))
  (import "env" "__cxa_end_catch" (func $end))
  (import "env" "__cxa_uncaught_exceptions" (func $uncaught (result i32)))
  (import "env" "llvm_eh_typeid_for" (func $id (param WORD) (result i32)))
  (memory (export "memory") INDEX 1)
  (table (export "__indirect_function_table") 8 funcref)
  (elem (i32.const 1) $body $go_on $reraise)
  (global $threw (mut i32) (i32.const 0)) (global $second (mut i32) (i32.const 0))
  (global $stack (mut WORD) (WORD.const 4096)) (global $count (mut i32) (i32.const 0))
  (global $destroyed (mut i32) (i32.const 0))
  (func (export "stackSave") (result WORD) (global.get $stack))
  (func (export "stackRestore") (param WORD) (global.set $stack (local.get 0)))
  (func (export "setThrew") (param i32 i32) (global.set $threw (local.get 0)))
  (func (export "_emscripten_tempret_set") (param i32) (global.set $second (local.get 0)))
  (func (export "__cxa_increment_exception_refcount") (param WORD)
    (global.set $count (i32.add (global.get $count) (i32.const 1))))
  (func (export "__cxa_decrement_exception_refcount") (param WORD)
    (global.set $count (i32.sub (global.get $count) (i32.const 1)))
    (if (i32.eqz (i32.or (global.get $count) (i32.load8_u (WORD.const RETHROWN))))
      (then (global.set $destroyed (i32.add (global.get $destroyed) (i32.const 1))))))
  (func (export "__cxa_is_pointer_type") (param WORD) (result i32)
    (WORD.eq (local.get 0) (WORD.const 300)))
  (func (export "__cxa_can_catch") (param $clause WORD) (param $kind WORD) (param $at WORD)
    (result i32)
    (if (i32.and (WORD.eq (local.get $clause) (WORD.const 200))
                 (WORD.eq (local.get $kind) (WORD.const 100)))
      (then
        (WORD.store (local.get $at) (WORD.add (WORD.load (local.get $at)) (WORD.const 4)))
        (return (i32.const 1))))
    (i32.const 0))
  (func $body (param $what i32)
    (global.set $stack (WORD.const 7))
    (memory.fill (WORD.const 2000) (i32.const 0) (WORD.const 48)) ;; as if allocated
    (WORD.store (WORD.const 2048) (WORD.const 77))
    (if (local.get $what)
      (then (call $throw (WORD.const 2048) (WIDEN (local.get $what)) (WORD.const 0))
            unreachable)))
  (func $go_on (param $what i32) (param $clause WORD)
    (drop (call $go (local.get $what) (local.get $clause))))
  (func $caught (result i32) (global.get $threw) (global.set $threw (i32.const 0)))
  (func $go (export "go") (param $what i32) (param $clause WORD) (result i32)
    (local $thrown WORD) (local $object i32)
    (call $invoke_vi (WORD.const 1) (local.get $what))
    (if (i32.eqz (call $caught)) (then (return (i32.const -1))))
    (local.set $thrown (call $find (local.get $clause)))
    (if (i32.eqz (i32.or (i32.eqz (NARROW (local.get $clause)))
                         (i32.eq (global.get $second) (call $id (local.get $clause)))))
      (then (call $resume (local.get $thrown)) unreachable))
    (local.set $object (NARROW (call $begin (local.get $thrown))))
    (if (call $uncaught) (then unreachable))
    (if (i32.ne (global.get $count) (i32.const 1)) (then unreachable))
    (call $end)
    (local.get $object))
  (func (export "outer") (param $what i32) (param $clause WORD) (result i32) (local $object i32)
    (call $invoke_vii (WORD.const 2) (local.get $what) (local.get $clause))
    (if (i32.eqz (call $caught)) (then (return (i32.const -2))))
    (local.set $object (NARROW (call $begin (call $find (WORD.const 0)))))
    (call $end)
    (i32.add (i32.const 1000000) (local.get $object)))
  (func $reraise (param $what i32)
    (call $invoke_vi (WORD.const 1) (local.get $what))
    (drop (call $caught))
    (drop (call $begin (call $find (WORD.const 0))))
    (call $rethrow))
  (func (export "again") (param $what i32) (result i32) (local $thrown WORD) (local $object i32)
    (call $invoke_vi (WORD.const 3) (local.get $what))
    (if (i32.eqz (call $caught)) (then (return (i32.const -3))))
    (local.set $thrown (call $clean))
    (if (i32.ne (call $uncaught) (i32.const 1)) (then unreachable))
    (call $end)
    (call $begin (local.get $thrown)) (local.set $object (NARROW)) (call $end)
    (i32.add (local.get $object)
      (i32.mul (global.get $destroyed) (i32.const 10000))) (global.set $destroyed (i32.const 0)))
  (func (export "lost") (call $rethrow))
  (func (export "stack") (result WORD) (global.get $stack)))"""


def throwing(wide: bool) -> str:
    narrow = "i32.wrap_i64" if wide else "i32.or (i32.const 0)"
    words = {
        "(NARROW)": "(i32.wrap_i64)" if wide else "",
        "(NARROW ": f"({narrow} ",
        "(WIDEN ": "(i64.extend_i32_u " if wide else "(i32.or (i32.const 0) ",
        "RETHROWN": str(2048 - (23 if wide else 11)),
        "INDEX": "i64" if wide else "",
        '"setThrew") (param i32': '"setThrew") (param WORD',
        "$threw (local.get 0)": f"$threw ({narrow} (local.get 0))",
        "WORD": "i64" if wide else "i32",
    }
    text = THROWING
    for name, code in words.items():
        text = text.replace(name, code)
    return text


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("function", "given", "output"),
    [
        ("go", (0, 100), "-1"),
        ("go", (100, 100), "2048"),
        ("go", (100, 0), "2048"),
        ("go", (100, 200), "2052"),
        ("go", (300, 300), "77"),
        ("outer", (100, 100), "-2"),
        ("outer", (100, 300), "1002048"),
        ("again", (100,), "12048"),
    ],
)
def test_exceptions_are_caught_by_type(
    function: str, given: tuple[int, ...], output: str, wide: bool
) -> None:
    device = Device(throwing(wide))
    for _ in range(2):
        assert device.call(function, *given).good == output
    assert device.call("stack").good == ("7" if given[0] == 0 else "4096")


@pytest.mark.parametrize(("function", "given", "error"), [
    ("go", (100, 300), "thrown Wasm exception"),
    ("lost", (), "rethrows a C++ exception where none is caught"),
])  # fmt: skip
def test_exceptions_that_nothing_catches(function: str, given: tuple[int, ...], error: str) -> None:
    assert error in Device(throwing(False)).call(function, *given).error


def test_a_module_that_can_catch_nothing_says_so() -> None:
    text = """(module (import "env" "__cxa_throw" (func $throw (param i32 i32 i32)))
      (memory (export "memory") 1)
      (func (export "f") (call $throw (i32.const 0) (i32.const 0) (i32.const 0)) unreachable))"""
    assert "it threw a C++ exception" in Device(text).call("f").error


def test_what_is_missing_is_named() -> None:
    text = throwing(False).replace('"__cxa_can_catch"', '"other"')
    error = Device(text).call("go", 100, 200).error
    assert error == "its C++ exceptions need the export __cxa_can_catch"
    text = """(module (import "env" "__cxa_demangle" (func $f (result i32)))
      (memory (export "memory") 1) (func (export "f") (result i32) (call $f)))"""
    assert Device(text).call("f").error == "it calls __cxa_demangle, which this node has not"
