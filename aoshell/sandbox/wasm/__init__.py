"""WASM processes: modules are read, rewritten, compiled, and run in wasmtime.

There are three kinds (docs/wasm.md): `json`, as aos modules are, `plain` functions, and `wasi`
programs. `binary` is the way in for other packages, `device` runs a process in its worker.
"""
