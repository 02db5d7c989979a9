"""The node: .node, .limits, .verify-log."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict, replace

from aoshell.errors import AoError, UsageError
from aoshell.nodes.base import LocalVerbs
from aoshell.nodes.values import Limits, ProcessInfo, Verify
from aoshell.shell.attached.feed import named_id
from aoshell.shell.attached.session import Session
from aoshell.shell.commands import command
from aoshell.shell.commands.grammar import Given
from aoshell.shell.commands.places import process_or_attached
from aoshell.shell.commands.processes import local_verbs
from aoshell.shell.flags.limits import MEGABYTE, RANGES
from aoshell.shell.outcome import CommandOutput
from aoshell.shell.ports.forking import fork_text
from aoshell.shell.table import Table


@command("node")
async def node(session: Session, _: Given) -> CommandOutput:
    """Show which node this is: its kind, address and endpoint, and which answers are accepted."""
    info = await session.node.info()
    facts = {"kind": info.kind, "address": info.address, "endpoint": info.endpoint}
    facts |= {name: value for name, value in info.details.items() if value}
    facts["unsigned answers"] = _unsigned(session)
    rows = tuple((name, value) for name, value in facts.items() if value)
    return CommandOutput(facts, table=Table(("NODE", ""), rows))


def _unsigned(session: Session) -> str:
    if session.node.remote is None:
        return ""
    level = session.node.remote.verify
    return f"{'taken' if level is Verify.OFF else 'refused'} (.verify {level.value})"


@command("limits")
async def limits(session: Session, given: Given) -> CommandOutput:
    """Show what a process may use, or change it for all messages from now on.

    seconds: compute time of a message. memory: megabytes of heap of a process.
    pushes: messages that one line may cause; more are held, and freed when this is raised.
    gas: fuel that a message may use in WASM processes, counted exactly; 0: not counted.
    workers: processes with a worker at the same time; 0: what the machine allows.
    network: on or off, whether the network's limits on tags hold.
    """
    node = local_verbs(session)
    if given["LIMIT"]:
        await node.set_limits(with_limit(node.limits, given["LIMIT"], given["AMOUNT"]))
    now = node.limits
    rows = (
        ("seconds", f"{now.seconds:g}", "compute time of a message"),
        ("memory", f"{now.memory / MEGABYTE:g}", "MB of heap of a process"),
        ("pushes", f"{now.pushes}", "messages that one line may cause"),
        ("gas", f"{now.gas}", "fuel of a message in WASM; 0 counts none"),
        ("workers", f"{now.workers}", "processes with a worker; 0: what the machine allows"),
        ("network", "on" if now.network else "off", "limits of the network on tags"),
    )
    return CommandOutput(
        asdict(now), table=Table(("LIMIT", "VALUE", "IS"), rows, frozenset({"VALUE"}), wraps=True)
    )


@command("verify-log")
async def verify_log(session: Session, given: Given) -> CommandOutput:
    """Compute a log again in a fresh worker, and compare.

    Each difference from the recorded results is a line. --all verifies all processes, as many at a
    time as this computer has processors.
    """
    node = local_verbs(session)
    if given["PROCESS|--all"] == "--all":
        return await _verify_all(node, await session.node.processes())
    process = await process_or_attached(session, given["PROCESS|--all"])
    differences = list(await node.verify_log(process.id))
    value = {"process": process.id, "differences": differences}
    report = _verified_text(process, differences)
    return CommandOutput(value, text=report, note=fork_text(process), ok=not differences)


def _verified_text(process: ProcessInfo, differences: list[str]) -> str:
    name = named_id(process.id, process.name)
    return "\n".join(differences) or f"the log of {name} gives the recorded results"


async def _verify_all(node: LocalVerbs, processes: Sequence[ProcessInfo]) -> CommandOutput:
    """Verify the logs of many processes; the reports come in their order."""
    room = asyncio.Semaphore(os.cpu_count() or 1)

    async def verify(process: ProcessInfo) -> list[str]:
        async with room:
            try:
                return list(await node.verify_log(process.id))
            except AoError as error:
                return [f"it was not computed again: {error}"]

    async with asyncio.TaskGroup() as group:  # if one is cancelled, all are
        tasks = [group.create_task(verify(process)) for process in processes]
    found = [task.result() for task in tasks]
    texts = []
    for process, differences in zip(processes, found, strict=True):
        head = [f"{named_id(process.id, process.name)}:"] if differences else []
        texts += [*head, _verified_text(process, differences)]
    value = [
        {"process": process.id, "differences": differences}
        for process, differences in zip(processes, found, strict=True)
    ]
    return CommandOutput({"processes": value}, text="\n".join(texts), ok=not any(found))


def with_limit(limits: Limits, name: str, value: str) -> Limits:
    """The limits with one of them changed.

    Raises:
        UsageError: there is no such limit, or it cannot have this value.
    """
    if name == "network":
        if value not in ("on", "off"):
            raise UsageError(f"network cannot be {value}", hint="on or off")
        return replace(limits, network=value == "on")
    if name not in RANGES:
        raise UsageError(f"there is no limit {name}", hint=".help limits")
    number = RANGES[name].number(value)
    if name == "seconds":
        return replace(limits, seconds=number)
    if name == "memory":
        return replace(limits, memory=int(number * MEGABYTE))
    if name == "pushes":
        return replace(limits, pushes=int(number))
    if name == "workers":
        return replace(limits, workers=int(number))
    return replace(limits, gas=int(number))
