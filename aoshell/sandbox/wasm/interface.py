"""Modules with the json interface: `handle(message, environment)` on C strings.

Source: the ao loader (`@permaweb/ao-loader`), HyperBEAM `json-iface@1.0`.
"""

from __future__ import annotations

from aoshell.sandbox.wasm import guest_json
from aoshell.sandbox.wasm.answers import GuestExitError
from aoshell.sandbox.wasm.guest import Guest, GuestError
from aoshell.sandbox.wasm.messages import Delivered, GuestResult, ProcessDefinition, shown

# Exports that save the stack pointer, take bytes of the stack, and restore it; each under its names
# in several versions of emscripten.
_STACK = (
    ("stackSave", "emscripten_stack_get_current"),
    ("stackAlloc", "_emscripten_stack_alloc"),
    ("stackRestore", "_emscripten_stack_restore"),
)


class JsonInterface:
    """See `device.ModuleKind`."""

    def __init__(self, guest: Guest, definition: ProcessDefinition) -> None:
        self._guest = guest
        self._module = definition.module
        self._environment = definition.environment_json.encode()

    def start(self) -> None:
        start_module(self._guest)

    def deliver(self, message: Delivered) -> GuestResult:
        guest = self._guest
        text = message.as_json(self._module).encode()
        if message.signature is None:
            answer = self._called_on_the_heap(text)
        else:
            answer = self._called_on_the_stack(text)
        try:
            reply = guest_json.read(
                answer, guest.budget, encoding="utf-8", errors="surrogateescape", strict=False
            )
        except (ValueError, RecursionError) as error:
            raise GuestError(f"handle answered no JSON: {answer[:80]!r}") from error
        if not isinstance(reply, dict) or "response" not in reply:
            raise GuestError("handle answered no {ok, response}")
        if reply.get("ok") is False:
            return GuestResult(error=shown(reply["response"]) or "handle answered ok = false")
        return GuestResult.of(reply["response"])

    def _called_on_the_heap(self, text: bytes) -> bytes:
        guest = self._guest
        # One block for both strings: a call of malloc costs as much as everything else here.
        block = put_c_strings(guest, text, self._environment)
        answer = guest.text(guest.call("handle", block, block + len(text) + 1))
        if guest.has("free"):
            guest.call("free", block)
        return answer

    def _called_on_the_stack(self, text: bytes) -> bytes:
        """Call it as compute units do. Raises GuestError if it does not export its stack."""
        guest = self._guest
        save, take, restore = (_first_of(guest, names) for names in _STACK)
        before = guest.call(save)
        pointers = []
        for string in (text, self._environment):
            pointers.append(guest.unsigned(guest.call(take, len(string) + 1)))
            guest.write(pointers[-1], string + b"\0")
        pointer = guest.call("handle", *pointers)
        guest.call(restore, before)
        return guest.text(pointer)


def _first_of(guest: Guest, names: tuple[str, ...]) -> str:
    """The first of these names that the guest exports. Raises GuestError if there is none."""
    for name in names:
        if guest.has(name):
            return name
    raise GuestError(f"a forked process needs a module that exports {names[0]}")


def start_module(guest: Guest) -> None:
    """Run the start-up code of a module, before any of its functions is called.

    In a module that was linked as a program, this is `_start`. It also runs `main`, and may end
    with exit(0); functions can be called after that. Raises GuestExitError for any other exit code.
    """
    if guest.has("emscripten_stack_init"):
        guest.call("emscripten_stack_init")
    for name in ("_initialize", "__wasm_call_ctors", "_start"):
        if guest.has(name):
            try:
                guest.call(name)
            except GuestExitError as ended:
                if ended.code:
                    raise
            return


def put_c_strings(guest: Guest, *texts: bytes) -> int:
    """Put strings into the guest's memory, one after the other. Returns where they begin.

    Raises:
        GuestError: malloc has no room for them.
    """
    size = sum(len(text) + 1 for text in texts)
    pointer = at = int(guest.call("malloc", size))
    if pointer == 0:
        raise GuestError(f"malloc gave no room for {size - 1} bytes")
    guest.span(pointer, size)
    for text in texts:
        guest.write(at, text)
        guest.write(at + len(text), b"\0")
        at += len(text) + 1
    return pointer
