"""Tests of AO processes: each has its own node, processes, identities and clock. No network.

    with open_node() as node:
        token = node.spawn("token.lua")
        alice = Identity("alice")
        paid = token.send("Transfer", Recipient=alice, Quantity=5)
        assert paid.ok and token.value("Balances")[alice.address] == 5

`async with open_node()` gives the same with coroutines. `aoshell.testing.plugin` has fixtures
for pytest, and `aoshell test` runs tests written in Lua. See docs/testing.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aoshell.testing.recorded.recording import record
    from aoshell.testing.testbed.answers import Answer, EvalFailed, Mail
    from aoshell.testing.testbed.clock import AsyncClock
    from aoshell.testing.testbed.identity import Identity
    from aoshell.testing.testbed.node import AsyncNode, AsyncProcess
    from aoshell.testing.testbed.opening import open_node
    from aoshell.testing.testbed.sync import Clock, Node, Process

# Name → its module, imported on first use: pytest imports this package with its plugin, even if no
# test uses it.
_HOMES = {
    "Answer": "testbed.answers",
    "AsyncClock": "testbed.clock",
    "AsyncNode": "testbed.node",
    "AsyncProcess": "testbed.node",
    "Clock": "testbed.sync",
    "EvalFailed": "testbed.answers",
    "Identity": "testbed.identity",
    "Mail": "testbed.answers",
    "Node": "testbed.sync",
    "Process": "testbed.sync",
    "open_node": "testbed.opening",
    "record": "recorded.recording",
}
__all__ = [
    "Answer",
    "AsyncClock",
    "AsyncNode",
    "AsyncProcess",
    "Clock",
    "EvalFailed",
    "Identity",
    "Mail",
    "Node",
    "Process",
    "open_node",
    "record",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
