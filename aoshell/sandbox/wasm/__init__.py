"""WASM processes: reading and rewriting modules, and running them in wasmtime."""
