"""Code on the local node: modules by id and by name, the environment, the node's own key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aoshell.errors import AoError
from aoshell.nodes.local.log import form
from aoshell.nodes.local.log.rows import ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.nodes.local.processes.aliases import BUILT_IN
from aoshell.nodes.values import Module
from aoshell.protocol.wallet import address_of
from aoshell.sandbox import environment

ENVIRONMENT = "aos"  # the name under which the built-in environment is published
WASM_MAGIC = b"\0asm"


class Modules:
    """The modules of a store. Adds the built-in environment if it is new.

    Attributes:
        environment: module id of the built-in environment.
    """

    def __init__(self, store: Store, clock: Callable[[], int]) -> None:
        self._store = store
        self._clock = clock
        self._kinds: dict[str, str] = {}
        self.environment, data = environment.built_in()
        if store.module_named(ENVIRONMENT) != self.environment:
            store.add_module(self.environment, "environment", data, ENVIRONMENT, clock())

    def node_address(self, given: bytes | None = None) -> str:
        """Address of the node's own Ed25519 key. On first use, the key is made, or is `given`."""
        key = self._store.meta("node_public_key")
        if key is None:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            make = Ed25519PrivateKey.from_private_bytes
            private = make(given) if given else Ed25519PrivateKey.generate()
            key = private.public_key().public_bytes_raw()
            self._store.set_meta("node_private_key", private.private_bytes_raw())
            self._store.set_meta("node_public_key", key)
        return address_of(key)

    def read_key(self) -> bytes | None:
        """The node's private Ed25519 key, 32 bytes."""
        found: bytes | None = self._store.meta("node_private_key")
        return found

    def check(self, data: bytes, name: str) -> Module:
        """Bytes as a module; nothing is stored.

        Raises:
            AoError: no process can run them, or the name belongs to the environment.
        """
        if name == ENVIRONMENT:
            raise AoError(
                f"the name {ENVIRONMENT!r} belongs to the built-in environment",
                stage="module",
                hint="publish it under another name",
            )
        kind = "lua"
        if data.startswith(WASM_MAGIC):
            from aoshell.sandbox.wasm.binary import describe_module

            kind = "wasm"
            problem = describe_module(data).problem  # check before compiling
            if problem:
                hint = "`.wasm FILE` lists what it exports"
                raise AoError(
                    f"the WASM module cannot be run: {problem}", stage="module", hint=hint
                )
        return Module(environment.module_id(data), kind, name, data)

    def keep(self, module: Module) -> None:
        """Store a module, and point its name at it."""
        self._store.add_module(module.id, module.kind, module.data, module.name, self._clock())

    def is_wasm(self, module_id: str) -> bool:
        """Whether a module is WASM."""
        if module_id not in self._kinds:
            self._kinds[module_id] = self._store.module_kind(module_id)
        return self._kinds[module_id] == "wasm"

    def look_for(self, reference: str, *, network: bool = False) -> str:
        """The id of a module by id or name, "" if there is none.

        Args:
            network: the built-in environment replaces aos modules that are not here.
        """
        found = self._store.find_module(reference)
        return self.environment if not found and network and reference in BUILT_IN else found

    def find(self, reference: str, *, network: bool = False) -> str:
        """As `look_for`, but raises AoError if there is none."""
        module_id = self.look_for(reference, network=network)
        if not module_id:
            raise AoError(
                f"no module {reference!r} is on this node",
                stage="module",
                hint="store one: .publish FILE at the prompt, t:publish(FILE) in a test",
            )
        return module_id

    def resolve(self, reference: str) -> Module:
        """A module by id or name. Raises AoError if there is none."""
        module_id = self.find(reference)
        found = self._store.module(module_id)
        assert found  # modules are never deleted
        kind, data = found
        return Module(module_id, kind, self._store.name_of_module(module_id), data)

    def definition(self, process: ProcessRow) -> list[Any]:
        """The list for `LuaRuntime.boot`: id owner module code|None boot-id|None boot-data tags…

        For a forked WASM process, the code is compute units' description of its module.
        """
        first = self._store.at_slot(process.number, 0)
        if first is None:
            raise AoError(f"process {process.id} has no definition", stage="store")
        body = form.load_wire(first[0].body)
        tags = body[form.TAGS :]
        code = None
        if process.module != process.environment:
            kind = self._store.module_kind(process.module)
            if not kind:
                raise AoError(f"the module of {process.id} is missing", stage="store")
            # A process whose module is an environment, even an older one, has no other code.
            found = self._store.module(process.module) if kind == "lua" else None
            code = found[1].decode("latin-1") if found else None
            if kind == "wasm" and (origin := self._store.origin(process.number)):
                code = form.narrow(origin.module) or None
        boot = form.find_tag(tags, "On-Boot")
        loaded = self._store.module(boot) if boot and boot != "Data" else None
        boot_data = loaded[1].decode("latin-1") if loaded else None
        return [
            process.id, body[form.OWNER], process.alias or process.module, code,
            boot if loaded else None, boot_data, *tags,
        ]  # fmt: skip

    def environment_of(self, process: ProcessRow) -> bytes | None:
        """The environment that a process was made with; None if it is the built-in one."""
        if process.environment == self.environment:
            return None
        found = self._store.module(process.environment)
        if found is None:
            raise AoError(f"the environment of {process.id} is missing", stage="store")
        return found[1]
