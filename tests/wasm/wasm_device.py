"""A device under test without a worker, and the modules in text that several tests use."""

from __future__ import annotations

import functools
import json
from typing import Any

import wasmtime
from wasm_samples import wat

from aoshell.sandbox.wasm.device import WasmRuntime
from aoshell.sandbox.wasm.engine import Compiled, compile_module, new_engine
from aoshell.sandbox.wasm.messages import narrow

PROCESS, OWNER, MODULE, SENDER = "p" * 43, "o" * 43, "m" * 43, "s" * 43
NOW = 1_700_000_000_123  # the time of messages, milliseconds
ROOM = 64 << 20  # bytes of memory


@functools.cache
def _engine(metered: bool) -> wasmtime.Engine:
    return new_engine(fuel=metered)


@functools.cache
def _compiled(text: str, metered: bool) -> bytes:
    return compile_module(wat(text), _engine(metered)).dump()


class Device:
    """An instance of a module's text, and what it printed on the side."""

    def __init__(self, text: str, *, memory: int = ROOM, gas: int = 0) -> None:
        self.printed: list[str] = []
        code = Compiled.load(_compiled(text, gas > 0))
        self.runtime = WasmRuntime(_engine(gas > 0), code, self.printed.append, gas)
        self.runtime.limit_memory(memory)
        self.runtime.boot([PROCESS, OWNER, MODULE, None, None, None, "Type", "Process"])

    def send(self, data: str = "", *, id: str = "i" * 43, now: int = NOW, **tags: str) -> Answer:
        """Deliver a message. A tag's `_` stands for `-`; a tag Action=ExecuteFunction is given."""
        tags = {"Action": "ExecuteFunction"} | tags
        pairs = ((name.replace("_", "-"), narrow(value)) for name, value in tags.items())
        flat = [text for pair in pairs for text in pair]
        head = [id, SENDER, SENDER, PROCESS, data, "", now, 7, 1, "h" * 43, False, False]
        return Answer(self.runtime.deliver([*head, *flat]))

    def call(self, function: str, *parameters: Any) -> Answer:
        """Call an export with typed parameters."""
        return self.send(Function=function, Parameters=json.dumps(parameters))


class Answer:
    """A result, its flat list read."""

    def __init__(self, flat: tuple[Any, ...]) -> None:
        json.dumps(flat, ensure_ascii=False).encode("latin-1")  # as it goes to the shell
        self.error, self.output, self.prompt = flat[0], flat[1], flat[2]
        self.messages: list[tuple[bool, Any, str, str, list[str]]] = []
        self.assignments: list[tuple[str, list[str]]] = []
        if self.error is not False:
            assert len(flat) == 5
            return
        rest = iter(flat[5:])
        for _ in range(next(rest)):
            spawn, target, data, anchor = (next(rest) for _ in range(4))
            tags = [next(rest) for _ in range(2 * next(rest))]
            self.messages.append((spawn, target, data, anchor, tags))
        for _ in range(next(rest)):
            message = next(rest)
            self.assignments.append((message, [next(rest) for _ in range(next(rest))]))
        assert next(rest, None) is None

    @property
    def good(self) -> str:
        """The output of a result that has to be good."""
        assert self.error is False, self.error
        return str(self.output)


def quoted(data: bytes) -> str:
    """Bytes as a string of module text."""
    return '"' + "".join(f"\\{byte:02x}" for byte in data) + '"'


def answering(text: bytes | str, *, body: str = "", wide: bool = False) -> str:
    """A module of the json kind that answers one text; `body` is what `handle` does instead."""
    data = text if isinstance(text, bytes) else text.encode()
    word = "i64" if wide else "i32"
    memory = "i64 40" if wide else "40"
    return f"""(module
      (memory (export "memory") {memory})
      (global $free (mut {word}) ({word}.const 1000000))
      (data ({word}.const 64) {quoted(data)})
      (func (export "malloc") (param {word}) (result {word})
        (global.get $free)
        (global.set $free ({word}.add (global.get $free) (local.get 0))))
      (func (export "free") (param {word}))
      (func (export "handle") (param {word} {word}) (result {word})
        {body or f"({word}.const 64)"}))"""


def responding(response: Any) -> str:
    """A module whose every answer is that response."""
    return answering(json.dumps({"ok": True, "response": response}))
