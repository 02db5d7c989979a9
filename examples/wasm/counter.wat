;; A plain WASM module for AO, written by hand. It counts its calls, and repeats what it was given.
;;
;; Build it (with any assembler for WebAssembly text; this one comes with aoshell):
;;   .venv/bin/python -c 'import wasmtime; open("examples/wasm/counter.wasm", "wb").write(wasmtime.wat2wasm(open("examples/wasm/counter.wat").read()))'
;; Run it:
;;   scripts/aoshell --run '.publish examples/wasm/counter.wasm as counter' --run 'Counter = Send({ Target = "AOS", Action = "Spawn", Module = "counter" })' --run 'Send({ Target = Counter, Action = "ExecuteFunction", InputData = "Some data for WASM" })' --run 'Inbox[#Inbox].Data'
;; Ends with:
;;   call 1: Some data for WASM
(module
  (memory (export "memory") 1)
  (data (i32.const 0) "call ")

  ;; The state. The node keeps it across restarts.
  (global $calls (mut i32) (i32.const 0))
  (global $free (mut i32) (i32.const 1024))

  ;; Makes room for a string that the caller writes. Memory grows when it is full.
  (func $alloc (export "alloc") (param $size i32) (result i32)
    (local $start i32)
    (local.set $start (global.get $free))
    (global.set $free (i32.add (global.get $free) (local.get $size)))
    (block $enough
      (br_if $enough
        (i32.le_u (global.get $free) (i32.shl (memory.size) (i32.const 16))))
      (br_if $enough
        (i32.ne (i32.const -1)
          (memory.grow
            (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1)))))
      (return (i32.const 0)))
    (local.get $start))

  ;; Writes a number in decimal at $at, and returns where it ends.
  (func $decimal (param $number i32) (param $at i32) (result i32)
    (if (i32.ge_u (local.get $number) (i32.const 10))
      (then
        (local.set $at
          (call $decimal (i32.div_u (local.get $number) (i32.const 10)) (local.get $at)))))
    (i32.store8 (local.get $at)
      (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
    (i32.add (local.get $at) (i32.const 1)))

  ;; Takes pointer and length of the input, and returns (pointer << 32) | length of the output.
  (func (export "handle") (param $input i32) (param $length i32) (result i64)
    (local $output i32)
    (local $at i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (local.set $output (call $alloc (i32.add (local.get $length) (i32.const 32))))
    (memory.copy (local.get $output) (i32.const 0) (i32.const 5))
    (local.set $at
      (call $decimal (global.get $calls) (i32.add (local.get $output) (i32.const 5))))
    (i32.store16 (local.get $at) (i32.const 0x203a)) ;; ": "
    (local.set $at (i32.add (local.get $at) (i32.const 2)))
    (memory.copy (local.get $at) (local.get $input) (local.get $length))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $output)) (i64.const 32))
      (i64.extend_i32_u
        (i32.sub
          (i32.add (local.get $at) (local.get $length))
          (local.get $output)))))

  ;; Takes numbers and returns one: Function = "add", Parameters = "[40, 2]".
  (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1))))
