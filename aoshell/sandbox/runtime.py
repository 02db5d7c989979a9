"""What a worker needs of a device: the interface that Lua and WASM share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable


class OutOfMemoryError(Exception):
    """The guest went over its memory; its runtime must not be used any more."""


class Runtime(Protocol):
    """The state of one AO process. `sandbox.lua` lists what the flat lists hold."""

    gas_used: int  # by the last message; 0 where gas is not counted
    failure: str  # the outcome of the last message if it failed: "error", or "gas"

    @property
    def memory(self) -> int:
        """Bytes in use."""

    def limit_memory(self, size: int, *, judged: bool = True) -> None:
        """Let the guest use that many bytes.

        Args:
            judged: count what its host holds for it, too. True for new messages. False for replays,
                as the log may be older than that bound.
        """

    def boot(self, definition: Sequence[Any]) -> None:
        """Tell the guest which process it is."""

    def deliver(self, message: Sequence[Any]) -> tuple[Any, ...]:
        """Run a message. Raises OutOfMemoryError."""

    def failed(self, text: str) -> None:
        """Record the error of a message that failed and was rolled back."""

    def print_places(self) -> None:
        """From now on, let long computations print where they are, if the device can tell."""

    def image(self) -> bytes:
        """The whole state. Raises ValueError where it cannot be saved."""

    def restore(self, image: bytes) -> None:
        """Take over the state of an image. Raises ValueError where it cannot be used."""


@runtime_checkable
class Watched(Protocol):
    """A runtime that can be watched: those of Lua."""

    def watch(self, *, lines: bool) -> None:
        """Count the instructions of each message from now on, as `gas_used`.

        Args:
            lines: note which lines it runs, too.
        """

    def watched_lines(self) -> str:
        """The lines that the last message ran, as `watch.LineCounts` writes them; "" for none."""

    def lines_so_far(self) -> str:
        """The lines that ran since the last call. Another thread may call it during a message."""


class Host(Protocol):
    """A device in a zygote: everything is imported, no AO process is loaded.

    Attributes:
        headroom: a replay may use this many times the memory limit, as garbage is collected at
            other moments; 1 where the guest can observe how much its memory can grow.
    """

    headroom: int

    @property
    def runtime(self) -> Runtime | None:
        """The runtime with built-in code; None where the device has none."""

    def room(self, memory: int) -> int:
        """Bytes of real memory that a guest with a limit of `memory` bytes may take."""

    def load(self, code: bytes, gas: int, memory: int) -> Runtime:
        """A runtime with other code. Loading may use `memory` bytes.

        Raises:
            ValueError: it is no code of this device, or fails while it loads.
            MemoryError: it takes more memory.
        """

    def compile(self, source: bytes, gas: int) -> bytes:
        """The code for `load`, made from a module. Raises ValueError."""
