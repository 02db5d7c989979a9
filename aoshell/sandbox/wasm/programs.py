"""WASI programs: each message starts them anew. They read it from stdin and print the answer.

The message is the same JSON as for modules of the json kind. If the program prints a JSON object
with Output, Messages, Spawns or Error to stdout, that is a result as of that kind. Anything else is
the output, and is also sent to the sender of an ExecuteFunction message.

The files that a program sees belong to its process. They are part of the state, kept from message
to message, and never on the host.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import wasmtime

from aoshell.sandbox.wasm import guest_json
from aoshell.sandbox.wasm.answers import GuestExitError
from aoshell.sandbox.wasm.files import Files
from aoshell.sandbox.wasm.functions import EXECUTE, RESULT
from aoshell.sandbox.wasm.guest import Guest
from aoshell.sandbox.wasm.messages import Delivered, GuestResult, ProcessDefinition
from aoshell.sandbox.wasm.wasi import System

FIRST = 8  # bytes within which a JSON object must begin, a byte order mark included
FIELDS = ("Output", "Messages", "Spawns", "Assignments", "Error")


class Programs:
    """See `device.ModuleKind`."""

    def __init__(
        self,
        guest: Guest,
        module: wasmtime.Module,
        definition: ProcessDefinition,
        new_store: Callable[[], wasmtime.Store],
    ) -> None:
        self._guest = guest
        self._module = module
        self._new_store = new_store
        self._definition = definition
        self._files = Files(guest.budget)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return self._files.size

    def limit(self, size: int) -> None:
        """Let its files have `size` bytes together."""
        self._files.limit = size

    def start(self) -> None:
        """Nothing runs before the first message."""

    def deliver(self, message: Delivered) -> GuestResult:
        if message.tag("Type") == "Process":
            return GuestResult()
        printed = self._run(message.as_json(self._definition.module))
        answer = self._result(printed)
        if isinstance(answer, dict) and any(name in answer for name in FIELDS):
            return GuestResult.of(answer)
        text = printed.decode("utf-8", "surrogateescape").removesuffix("\n")
        if message.tag("Action") != EXECUTE:
            return GuestResult(output=text)
        tags = [{"name": "Action", "value": RESULT}]
        sent = {"Target": message.sender, "Data": text, "Tags": tags}
        return GuestResult(output=text, messages=[(False, sent)])

    def _result(self, printed: bytes) -> object:
        """What it printed, as JSON; None if that is not a JSON object."""
        if b"{" not in printed.lstrip()[:FIRST]:
            return None
        try:
            encoding = json.detect_encoding(printed)
            return guest_json.read(
                printed, self._guest.budget, encoding=encoding, errors="surrogatepass"
            )
        except (ValueError, RecursionError):
            return None

    def _run(self, stdin: str) -> bytes:
        # An instance is freed only with its store, so each run has a store of its own.
        guest = self._guest
        store = self._new_store()
        guest.begin_instance(store)
        system = System(guest, self._files, stdin.encode())
        imports = [system.give(item) for item in self._module.imports]
        guest.attach(wasmtime.Instance(store, self._module, imports).exports(store))
        try:
            guest.call("_start")
        except GuestExitError as ended:
            if ended.code:
                raise
        return bytes(system.stdout)

    def image(self) -> bytes:
        """Its files."""
        return self._files.dump()

    def restore(self, image: bytes) -> None:
        """The inverse of `image`. Raises ValueError."""
        limit = self._files.limit
        self._files = Files.load(image, self._guest.budget)
        self._files.limit = limit
