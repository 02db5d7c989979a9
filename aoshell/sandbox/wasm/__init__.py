"""WASM processes: reading and rewriting modules, and running them in wasmtime.

Three kinds are known: modules of aos, modules that answer JSON, and WASI programs (docs/wasm.md).
"""
