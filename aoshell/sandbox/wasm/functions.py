"""Plain modules: a message names an export and gives it parameters.

    Action = ExecuteFunction
    Function = NAME         the export; by default `handle`, or the only one there is
    InputData = TEXT        one string (the message's Data where the tag is missing), or
    Parameters = [1, 2.5]   a JSON list of numbers and strings
    Result-Type = text      or `number`: the answer's type; by default it is guessed

`strings` says how strings go in and out. The answer is the message's output. It is also sent to the
sender, with the tags Action=ExecuteFunction-Result and Function. HyperBEAM's `wasm-64@1.0` takes
`function` and `parameters` in the same way, and answers numbers only.
"""

from __future__ import annotations

import json
from typing import Any

from aoshell.sandbox.wasm.guest import Guest, GuestError
from aoshell.sandbox.wasm.interface import start_module
from aoshell.sandbox.wasm.messages import Delivered, GuestResult, ProcessDefinition, narrow
from aoshell.sandbox.wasm.strings import ALLOCATORS, Strings

EXECUTE = "ExecuteFunction"
RESULT = "ExecuteFunction-Result"
TYPES = ("text", "number")
# Exports that compilers add for their own use; messages cannot call them.
_OWN = frozenset(ALLOCATORS) | {
    "calloc", "realloc", "free", "dealloc", "deallocate", "sbrk", "fflush", "setThrew",
    "stackSave", "stackRestore", "stackAlloc", "_initialize", "_start",
}  # fmt: skip
_OWN_PREFIXES = ("__", "emscripten_", "_emscripten_", "dynCall_", "asyncify_")


def is_callable(export: str) -> bool:
    """Whether messages can call the exported function of this name."""
    return export not in _OWN and not export.startswith(_OWN_PREFIXES)


class Functions:
    """See `device.ModuleKind`."""

    def __init__(self, guest: Guest, _definition: ProcessDefinition) -> None:
        self._guest = guest

    def start(self) -> None:
        start_module(self._guest)

    def deliver(self, message: Delivered) -> GuestResult:
        action = message.tag("Action")
        if action != EXECUTE:
            # The definition, and messages with another Action, change nothing.
            output = "" if message.tag("Type") == "Process" else f"nothing takes Action = {action}"
            return GuestResult(output=output)
        name = self._function(message.tag("Function"))
        answer = self._call(name, self._arguments(message), message.tag("Result-Type"))
        tags = [{"name": "Action", "value": RESULT}, {"name": "Function", "value": name}]
        reference = message.tag("Reference")
        if reference:
            tags.append({"name": "X-Reference", "value": reference})
        reply = {"Target": message.sender, "Data": answer, "Tags": tags}
        return GuestResult(output=answer, messages=[(False, reply)])

    def _function(self, wanted: str | None) -> str:
        found = [export for export in self._guest.functions() if is_callable(export)]
        if wanted is None:
            if "handle" in found:
                return "handle"
            if len(found) == 1:
                return found[0]
            raise GuestError(f"give Function: one of {', '.join(found) or 'no exports'}")
        if wanted not in found:
            raise GuestError(f"there is no export {wanted!r}: {', '.join(found) or 'none at all'}")
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
            raise GuestError(f"Parameters is no JSON: {error}") from error
        if not isinstance(values, list):
            raise GuestError('Parameters is no list, as in [1, 2.5, "text"]')
        return [v.encode("utf-8", "replace") if isinstance(v, str) else v for v in values]

    def _call(self, name: str, values: list[Any], wanted: str | None) -> str:
        if wanted not in (None, *TYPES):
            raise GuestError(f"Result-Type is {' or '.join(TYPES)}, not {wanted!r}")
        strings = Strings(self._guest)
        takes, gives = self._guest.signature(name)
        if not takes and values == [b""]:
            values = []
        passed: list[int | float] = []
        for value in values:
            left = takes[len(passed) :]
            if not left:
                raise GuestError(f"{name} takes fewer parameters than were given")
            if isinstance(value, bytes):
                passed += strings.give(value, left, alone=len(values) == len(takes))
            else:
                passed.append(_number(name, value, left[0]))
        if len(passed) != len(takes):
            kinds = ", ".join(takes) or "nothing"
            raise GuestError(f"{name} takes {kinds}: {len(values)} parameters do not fit")
        answer = self._guest.call(name, *passed)
        if wanted == "text":
            return strings.take(answer, gives)
        given = any(isinstance(value, bytes) for value in values)
        text = strings.find(answer, gives, given) if wanted is None else None
        return _shown(answer, gives) if text is None else text


def _number(name: str, value: Any, kind: str) -> int | float:
    """A number of a message as a parameter of that type."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise GuestError(f"a parameter of {name} is neither a number nor a string")
    if kind in ("f32", "f64"):
        try:
            return float(value)
        except OverflowError as error:
            raise GuestError(f"a parameter of {name} is too large for {kind}") from error
    if kind not in ("i32", "i64"):
        raise GuestError(f"{name} takes {kind}, which no message can give")
    bits = int(kind[1:])
    whole_number = isinstance(value, int) or value.is_integer()
    if not whole_number or not -(1 << bits - 1) <= value < 1 << bits:
        raise GuestError(f"{value} is no {kind}, which {name} takes")
    whole = int(value)
    return whole - (1 << bits) if whole >> (bits - 1) > 0 else whole


def _shown(answer: Any, gives: list[str]) -> str:
    """Numbers as text: one, or a JSON list of several."""
    if not gives:
        return ""
    return json.dumps(answer) if len(gives) > 1 else narrow(repr(answer))
