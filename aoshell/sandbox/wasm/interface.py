"""Modules with the json interface: `handle(message, environment)` on C strings.

Source: the ao loader (`@permaweb/ao-loader`), HyperBEAM `json-iface@1.0`.
"""

from __future__ import annotations

import json

from aoshell.sandbox.wasm.guest import Guest, GuestFault
from aoshell.sandbox.wasm.messages import Definition, Delivered, Reply


class JsonInterface:
    """See `device.Kind`."""

    def __init__(self, guest: Guest, definition: Definition) -> None:
        self._guest = guest
        self._module = definition.module
        self._environment = json.dumps(definition.environment).encode()

    def start(self) -> None:
        start(self._guest)

    def deliver(self, message: Delivered) -> Reply:
        guest = self._guest
        pointers = [
            c_string(guest, text)
            for text in (message.as_json(self._module).encode(), self._environment)
        ]
        answer = guest.text(guest.call("handle", *pointers))
        for pointer in pointers:
            if guest.has("free"):
                guest.call("free", pointer)
        try:
            said = json.loads(answer.decode("utf-8", "surrogateescape"), strict=False)
        except (ValueError, RecursionError) as error:
            raise GuestFault(f"handle answered no JSON: {answer[:80]!r}") from error
        if not isinstance(said, dict) or "response" not in said:
            raise GuestFault("handle answered no {ok, response}")
        if said.get("ok") is False:
            return Reply(error=str(said["response"]))
        return Reply.of(said["response"])


def start(guest: Guest) -> None:
    """What a module's own C or C++ run-time does before its first function."""
    for name in ("emscripten_stack_init", "__wasm_call_ctors", "_initialize"):
        if guest.has(name):
            guest.call(name)


def c_string(guest: Guest, text: bytes) -> int:
    """A string in the guest's memory. Raises GuestFault where it gives no room for it."""
    pointer = int(guest.call("malloc", len(text) + 1))
    if pointer == 0:
        raise GuestFault(f"malloc gave no room for {len(text)} bytes")
    guest.write(pointer, text + b"\0")
    return pointer
