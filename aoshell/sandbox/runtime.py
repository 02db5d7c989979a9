"""What a worker needs of a device: one face for Lua and WASM."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class OutOfMemoryError(Exception):
    """The guest went over its memory; its runtime must not be used any more."""


class Runtime(Protocol):
    """The state of one process. What the lists hold is told in `sandbox.lua`."""

    gas_used: int  # by the last message, 0 where gas is not counted
    failure: str  # how the last message ended if it failed: "error", or "gas" where that ran out

    @property
    def memory(self) -> int:
        """Bytes in use."""

    def limit_memory(self, size: int, *, judged: bool = True) -> None:
        """Let the guest use that many bytes.

        Args:
            judged: whether all that its host holds for it counts too, as it does for new messages.
        """

    def boot(self, definition: Sequence[Any]) -> None:
        """Tell the guest which process it is."""

    def deliver(self, message: Sequence[Any]) -> tuple[Any, ...]:
        """Run a message. Raises OutOfMemoryError."""

    def failed(self, text: str) -> None:
        """A message had failed: record that, after the roll-back."""

    def image(self) -> bytes:
        """The whole state. Raises ValueError where it cannot be saved."""

    def restore(self, image: bytes) -> None:
        """Become what an image says. Raises ValueError."""


class Host(Protocol):
    """A device in a zygote: everything imported, nothing of a process loaded.

    Attributes:
        headroom: times the limit that memory may be at a replay; 1 where the guest can tell.
    """

    headroom: int

    @property
    def runtime(self) -> Runtime | None:
        """A runtime with the built-in code, where there is one."""

    def room(self, memory: int) -> int:
        """Bytes that the memory of a guest takes which may use that many."""

    def load(self, code: bytes, gas: int, memory: int) -> Runtime:
        """A runtime with other code, which may use that many bytes.

        Raises:
            ValueError: it is no such code, or fails when it runs.
            MemoryError: it takes more.
        """

    def compile(self, source: bytes, gas: int) -> bytes:
        """What `load` takes, made of a module. Raises ValueError."""
