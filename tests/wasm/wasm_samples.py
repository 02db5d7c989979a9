"""Modules that the tests of reading and rewriting share."""

from __future__ import annotations

import functools

import wasmtime

# Built by hand with wabt's wat2wasm (exceptions on), which still writes the legacy form; the source
# stands here for people. What each function gives was also asked of V8, which runs this form.
#
# (module
#   (import "host" "fail" (func $fail (param i32)))
#   (tag $one (param i32))
#   (tag $two (param i32 i64))
#   (tag $none)
#   (global $seen (mut i32) (i32.const 0))
#   (func $raise (param $how i32)
#     (block $d (block $c (block $b (block $a
#       (br_table $a $b $c $d (local.get $how)))
#       (throw $one (i32.const 7)))
#       (throw $two (i32.const 8) (i64.const 90)))
#       (throw $none)))
#   (func (export "clauses") (param $how i32) (result i32)
#     (try (result i32)
#       (do (call $raise (local.get $how)) (i32.const 1))
#       (catch $one)
#       (catch $two (i32.wrap_i64) (i32.add))
#       (catch_all (i32.const 2))))
#   (func (export "rethrown") (param $how i32) (result i32)
#     (local $note i32)
#     (try $outer (result i32)
#       (do
#         (try $inner
#           (do (call $raise (local.get $how)))
#           (catch $one (local.set $note) (rethrow $inner))
#           (catch_all (local.set $note (i32.const 100)) (rethrow $inner)))
#         (i32.const 1))
#       (catch $one (i32.add (local.get $note)))
#       (catch $two (i32.wrap_i64) (i32.add) (i32.add (local.get $note)))
#       (catch_all (local.get $note))))
#   (func $both (param $how i32) (result i32)
#     (try $outer (result i32)
#       (do (call $raise (local.get $how)) (i32.const 1))
#       (catch_all
#         (try $inner
#           (do (throw $none))
#           (catch $none (rethrow $outer)))
#         (i32.const 3))))
#   (func (export "outer") (param $how i32) (result i32)
#     (try (result i32) (do (call $both (local.get $how))) (catch $one) (catch_all (i32.const 5))))
#   (func (export "branches") (param $how i32) (result i32)
#     (local $n i32)
#     (block $done
#       (loop $again
#         (try $t
#           (do
#             (local.set $n (i32.add (local.get $n) (i32.const 1)))
#             (br_if $t (i32.eq (local.get $n) (i32.const 1)))
#             (call $raise (local.get $how))
#             (br $done))
#           (catch $one (drop)
#             (br_if $done (i32.gt_s (local.get $n) (i32.const 4)))
#             (br $again))
#           (catch $two (drop) (drop)
#             (block $in
#               (br_table $in $t $done (i32.sub (local.get $n) (i32.const 2))))
#             (local.set $n (i32.add (local.get $n) (i32.const 10)))
#             (br $again))
#           (catch_all
#             (local.set $n (i32.add (local.get $n) (i32.const 50)))))
#         (br_if $again (i32.lt_s (local.get $n) (i32.const 40)))))
#     (local.get $n))
#   (func (export "bare") (param $how i32) (result i32)
#     (try (result i32)
#       (do
#         (try (result i32)
#           (do (call $raise (local.get $how)) (br 0 (i32.const 4)))))
#       (catch_all (i32.const 9))))
#   (func (export "within") (param $how i32) (result i32)
#     (if (result i32) (i32.gt_s (local.get $how) (i32.const 0))
#       (then (try (result i32)
#         (do
#           (if (i32.eq (local.get $how) (i32.const 1))
#             (then (call $raise (i32.const 0)))
#             (else (call $raise (i32.const 9))))
#           (i32.const 20))
#         (catch $one (global.set $seen) (global.get $seen) (return))))
#       (else (i32.const 30)))))
LEGACY = bytes.fromhex(
    """
    0061736d0100000001120460017f0060027f7e0060000060017f017f020d0104686f7374046661696c0000030908
    00030303030303030d07030000000100020606017f0141000b07390607636c617573657300020872657468726f77
    6e0003056f757465720005086272616e636865730006046261726500070677697468696e00080aa7020823000240
    02400240024020000e03000102030b410708000b410842da0008010b08020b0b1400067f20001001410107000701
    a76a1941020b0b2d01017f067f0640200010010700210109001941e400210109000b4101070020016a0701a76a20
    016a1920010b0b1700067f2000100141011906400802070209010b41030b0b0e00067f2000100407001941050b0b
    5801017f024003400640200141016a210120014101460d00200010010c0207001a200141044a0d020c0107011a1a
    0240200141026b0e020001030b2001410a6a21010c0119200141326a21010b20014128480d000b0b20010b130006
    7f067f2000100141040c000b1941090b0b2a00200041004a047f067f200041014604404100100105410910010b41
    140700240023000f0b05411e0b0b
"""
)

# What those functions give for 0 (tag $one), 1 ($two), 2 ($none) and 3 (nothing is thrown).
LEGACY_RESULTS = {
    "clauses": [7, 98, 2, 1],
    "rethrown": [14, 198, 100, 1],
    "outer": [7, 5, 5, 1],
    "branches": [5, 13, 52, 2],
    "bare": [9, 9, 9, 4],
    "within": [30, 7, 20, 20],
}

# (module (tag $e) (func (export "f")
#   (try $l (do (try (do (throw $e)) (delegate $l))) (catch_all))))
DELEGATE = bytes.fromhex(
    """
    0061736d01000000010401600000030201000d03010000070501016600000a0e010c000640064008001800190b0b
"""
)

# (module (tag $e) (func (export "f") (result i32) (i32.const 1)
#   (try (param i32) (result i32) (do) (catch $e (i32.const 2)))))
PARAMETERS = bytes.fromhex(
    """
    0061736d01000000010d036000006000017f60017f017f030201010d03010000070501016600000a0d010b004101
    0602070041020b0b
"""
)

WIDE = """
(module
  (type $unary (func (param i32) (result i32)))
  (import "env" "log" (func $log (param i64 f32) (result f64)))
  (import "env" "base" (global $base i32))
  (memory (export "memory") 2 9)
  (table $t (export "table") 3 funcref)
  (table $x 1 externref)
  (tag $e (param i32))
  (global $a (mut i32) (i32.const -70))
  (global $b i64 (i64.const 9))
  (global $c (mut f64) (f64.const 1.5))
  (global $v (mut v128) (v128.const i32x4 1 2 3 4))
  (global $r (mut funcref) (ref.func $tail))
  (global $h (mut externref) (ref.null extern))
  (global $s (mut i32) (i32.add (global.get $base) (i32.const 6)))
  (elem (i32.const 0) $tail $tail)
  (elem $passive funcref (ref.func $tail))
  (data (i32.const 8) "hello")
  (data $later "later")
  (start $begin)
  (func $begin)
  (func $tail (export "tail") (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 6))))
    (return_call $tail (i32.sub (local.get 0) (i32.const 1))))
  (func (export "tables") (param i32) (result i32)
    (drop (table.grow $t (ref.null func) (i32.const 1)))
    (table.fill $t (i32.const 0) (ref.func $tail) (i32.const 1))
    (table.init $t $passive (i32.const 0) (i32.const 0) (i32.const 1))
    (table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 1))
    (elem.drop $passive)
    (table.set $x (i32.const 0) (ref.null extern))
    (drop (ref.is_null (table.get $t (i32.const 0))))
    (drop (select (result funcref) (ref.null func) (ref.func $tail) (i32.const 1)))
    (return_call_indirect $t (type $unary) (table.size $t) (local.get 0)))
  (func (export "memories") (result i64)
    (memory.init $later (i32.const 0) (i32.const 0) (i32.const 2))
    (data.drop $later)
    (memory.copy (i32.const 0) (i32.const 1) (i32.const 2))
    (memory.fill (i32.const 0) (i32.const 7) (i32.const 9))
    (i64.store offset=70000 align=1 (i32.const 0) (i64.const -6))
    (drop (i32.trunc_sat_f64_s (f64.const 6.5)))
    (drop (i32.extend8_s (memory.grow (memory.size))))
    (drop (i32.atomic.rmw.add (i32.const 0) (i32.const 6)))
    (atomic.fence)
    (i64.load8_u offset=6 (i32.const 0)))
  (func (export "vectors") (param f32) (result i32)
    (local i64 f64 v128)
    (local.set 3 (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 6 6 6 6 6
      (v128.const i64x2 6 0x0606060606060606) (f32x4.splat (local.get 0))))
    (local.set 3 (v128.load8_lane offset=6 6 (i32.const 6) (local.get 3)))
    (v128.store (i32.const 32) (i16x8.replace_lane 6 (local.get 3) (i32.const 6)))
    (local.set 3 (v128.load32_zero (i32.const 6)))
    (i32x4.extract_lane 0 (i32x4.trunc_sat_f32x4_s (f64x2.nearest (local.get 3)))))
  (func (export "exceptions") (param i32) (result i32)
    (block $out (result i32)
      (block $any (result exnref)
        (try_table (result i32) (catch $e $out) (catch_all_ref $any)
          (throw $e (local.get 0)))
        (return))
      (throw_ref)))
  (func (export "branches") (param i32)
    (loop $l (block $m (block $n (br_table $l $m $n $m (local.get 0))) (br_if $l (i32.const 6)))))
  (@custom "made-up" "bytes")
)
"""


@functools.cache
def wat(text: str) -> bytes:
    """A module's bytes."""
    return bytes(wasmtime.wat2wasm(text))


def wide() -> bytes:
    """A module with every section, and with instructions of every shape."""
    return bytes(wasmtime.wat2wasm(WIDE))


def engine() -> wasmtime.Engine:
    """An engine that takes what these modules use."""
    config = wasmtime.Config()
    config.wasm_exceptions = True
    config.wasm_memory64 = True
    config.wasm_threads = True
    return wasmtime.Engine(config)
