"""Plain modules: a message names an export and gives it parameters.

    Action = ExecuteFunction
    Function = NAME         the export; `handle` by default, or the only one there is
    InputData = TEXT        one string (the message's Data where the tag is missing), or
    Parameters = [1, 2.5]   a JSON list: numbers as the function takes them, strings as below

A string is given and taken as the module's exports tell:

    __new, __pin                 AssemblyScript: a pointer to a string object (UTF-16)
    malloc, alloc or allocate    one pointer: a C string; a pointer and a length: those bytes, and
                                 an i64 answer is (pointer << 32) | length

The answer is the message's output and is sent back to whom the message is from, with the tags
Action=ExecuteFunction-Result and Function. HyperBEAM's `wasm-64@1.0` takes `function` and
`parameters` alike.
"""

from __future__ import annotations

import json
from typing import Any

from aoshell.sandbox.wasm.guest import Guest, GuestFault
from aoshell.sandbox.wasm.interface import start
from aoshell.sandbox.wasm.messages import Definition, Delivered, Reply, narrow

EXECUTE = "ExecuteFunction"
RESULT = "ExecuteFunction-Result"
ALLOCATORS = ("malloc", "alloc", "allocate")
# What compilers export for themselves.
_OWN = frozenset(
    """malloc free alloc allocate dealloc deallocate realloc calloc sbrk setThrew _initialize _start
    __wasm_call_ctors __new __pin __unpin __collect""".split()  # noqa: SIM905
)
_STRING_ID = 2  # AssemblyScript's class id of String


class Functions:
    """See `device.Kind`."""

    def __init__(self, guest: Guest, _definition: Definition) -> None:
        self._guest = guest

    def start(self) -> None:
        start(self._guest)

    def deliver(self, message: Delivered) -> Reply:
        action = message.tag("Action")
        if action != EXECUTE:
            # Its definition, and what is not for it, change nothing.
            said = "" if message.tag("Type") == "Process" else f"nothing takes Action = {action}"
            return Reply(output=said)
        name = self._function(message.tag("Function"))
        answer = self._call(name, self._arguments(message))
        tags = [{"name": "Action", "value": RESULT}, {"name": "Function", "value": name}]
        reference = message.tag("Reference")
        if reference:
            tags.append({"name": "X-Reference", "value": reference})
        reply = {"Target": message.sender, "Data": answer, "Tags": tags}
        return Reply(output=answer, messages=[(False, reply)])

    def _function(self, wanted: str | None) -> str:
        found = [n for n in self._guest.functions() if n not in _OWN and not n.startswith("__")]
        if wanted is None:
            if "handle" in found:
                return "handle"
            if len(found) == 1:
                return found[0]
            raise GuestFault(f"give Function: one of {', '.join(found) or 'no exports'}")
        if wanted not in found:
            raise GuestFault(f"there is no export {wanted!r}: {', '.join(found) or 'none at all'}")
        return wanted

    def _arguments(self, message: Delivered) -> list[Any]:
        given = message.tag("Parameters")
        if given is None:
            text = message.tag("InputData")
            data = message.data.encode("latin-1")
            return [text.encode() if text is not None else data]
        try:
            values = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise GuestFault(f"Parameters is no JSON: {error}") from error
        if not isinstance(values, list):
            raise GuestFault('Parameters is no list, as in [1, 2.5, "text"]')
        return [v.encode("utf-8", "replace") if isinstance(v, str) else v for v in values]

    def _call(self, name: str, values: list[Any]) -> str:
        takes, gives = self._guest.signature(name)
        if not takes and values == [b""]:
            values = []
        passed: list[int | float] = []
        for value in values:
            passed += self._passed(name, value, takes[len(passed) :])
        if len(passed) != len(takes):
            kinds = ", ".join(takes) or "nothing"
            raise GuestFault(f"{name} takes {kinds}: {len(values)} parameters do not fit")
        answer = self._guest.call(name, *passed)
        return self._shown(answer, gives, any(isinstance(value, bytes) for value in values))

    def _passed(self, name: str, value: Any, takes: list[str]) -> list[int | float]:
        if not takes:
            raise GuestFault(f"{name} takes fewer parameters than were given")
        if isinstance(value, bool) or not isinstance(value, (int, float, bytes)):
            raise GuestFault(f"a parameter of {name} is neither a number nor a string")
        if isinstance(value, bytes):
            return self._string(name, value, takes)
        if takes[0] in ("f32", "f64"):
            try:
                return [float(value)]
            except OverflowError as error:
                raise GuestFault(f"a parameter of {name} is too large for {takes[0]}") from error
        if takes[0] not in ("i32", "i64"):
            raise GuestFault(f"{name} takes {takes[0]}, which no message can give")
        bits = int(takes[0][1:])
        whole_number = isinstance(value, int) or value.is_integer()
        if not whole_number or not -(1 << bits - 1) <= value < 1 << bits:
            raise GuestFault(f"{value} is no {takes[0]}, which {name} takes")
        whole = int(value)
        return [whole - (1 << bits) if whole >> (bits - 1) > 0 else whole]

    def _string(self, name: str, value: bytes, takes: list[str]) -> list[int | float]:
        guest = self._guest
        if guest.has("__new") and guest.has("__pin"):
            text = value.decode("utf-8", "replace").encode("utf-16-le")
            pointer = guest.call("__pin", guest.call("__new", len(text), _STRING_ID))
            guest.write(pointer, text)
            return [pointer]
        allocator = next((n for n in ALLOCATORS if guest.has(n)), None)
        if allocator is None:
            raise GuestFault(
                f"{name} takes {', '.join(takes)} and the module has no malloc for a string: "
                "give Parameters = [numbers]"
            )
        pointer = int(guest.call(allocator, len(value) + 1))
        if pointer == 0:
            raise GuestFault(f"{allocator} gave no room for {len(value)} bytes")
        guest.write(pointer, value + b"\0")
        return [pointer] if len(takes) == 1 else [pointer, len(value)]

    def _shown(self, answer: Any, gives: list[str], text: bool) -> str:
        """The answer as text: a string where one was given and a pointer comes back."""
        guest = self._guest
        if not gives:
            return ""
        if text and guest.has("__new") and gives == ["i32"]:
            size = int.from_bytes(guest.read(answer - 4, 4), "little")
            return guest.read(answer, size).decode("utf-16-le", "replace")
        pointer = "i64" if guest.wide else "i32"
        if text and gives == ["i64"] and not guest.wide:
            packed = int(answer) & 0xFFFF_FFFF_FFFF_FFFF
            raw = guest.read(packed >> 32, packed & 0xFFFF_FFFF)
            return raw.decode("utf-8", "surrogateescape")
        if text and gives == [pointer]:
            return guest.text(answer).decode("utf-8", "surrogateescape")
        return json.dumps(answer) if len(gives) > 1 else narrow(repr(answer))
