"""The node: .limits, .verify-log."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

from aoshell.errors import UsageError
from aoshell.nodes.base import Limits
from aoshell.shell.commands import command, usage
from aoshell.shell.commands.processes import local
from aoshell.shell.feed import short
from aoshell.shell.outcome import Reply, Table
from aoshell.shell.session import Session

MEGABYTE = 1024 * 1024


@command("limits", "[NAME VALUE]")
async def limits(session: Session, rest: str) -> Reply:
    """Show what a process may use, or change it from now on.

    seconds: compute time of a message. memory: megabytes of heap of a process.
    pushes: messages that one line may cause; more are held, and freed when this is raised.
    gas: fuel that a message may use in WASM processes, counted exactly; 0 counts none.
    network: on or off, whether the network's limits on tags hold.
    """
    node = local(session)
    words = rest.split()
    if words:
        if len(words) != 2:
            raise usage("limits")
        await node.set_limits(changed(node.limits, *words))
    now = node.limits
    rows = (
        ("seconds", f"{now.seconds:g}", "compute time of a message"),
        ("memory", f"{now.memory / MEGABYTE:g}", "MB of heap of a process"),
        ("pushes", f"{now.pushes}", "messages that one line may cause"),
        ("gas", f"{now.gas}", "fuel of a message in WASM; 0 counts none"),
        ("network", "on" if now.network else "off", "limits of the network on tags"),
    )
    return Reply(asdict(now), table=Table(("LIMIT", "VALUE", "IS"), rows, frozenset({"VALUE"})))


@command("verify-log", "[PROCESS]")
async def verify_log(session: Session, rest: str) -> Reply:
    """Compute a log again in a fresh worker, and compare.

    What differs from the recorded results is listed, a line each.
    """
    process = await session.node.find(rest) if rest else session.attached
    differences = list(await local(session).verify_log(process.id))
    name = process.name or short(process.id)
    said = "\n".join(differences) or f"the log of {name} gives the recorded results"
    value = {"process": process.id, "differences": differences}
    return Reply(value, text=said, ok=not differences)


def changed(limits: Limits, name: str, value: str) -> Limits:
    """Limits with one of them changed.

    Raises:
        UsageError: no such limit, or no such value of it.
    """
    if name == "network" and value in ("on", "off"):
        return replace(limits, network=value == "on")
    if name == "seconds":
        return replace(limits, seconds=positive(value, name))
    if name == "memory":
        return replace(limits, memory=int(positive(value, name) * MEGABYTE))
    if name == "pushes" and value.isdecimal() and int(value) > 0:
        return replace(limits, pushes=int(value))
    if name == "gas" and value.isdecimal():
        return replace(limits, gas=int(value))
    raise UsageError(f"there is no limit {name} {value}", hint=".help limits")


def positive(value: str, name: str) -> float:
    """A number above zero.

    Raises:
        UsageError: it is none.
    """
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise UsageError(f"{value} is no number of {name} above zero")
    return number
