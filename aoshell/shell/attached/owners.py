"""What the shell says if a process belongs to somebody else."""

from __future__ import annotations

from aoshell.errors import AoError
from aoshell.nodes.base import Node
from aoshell.nodes.values import ProcessInfo
from aoshell.shell.attached.feed import short_id
from aoshell.shell.names.identities import Identities


async def way_in(node: Node, identities: Identities, process: ProcessInfo) -> str:
    """A hint: how to evaluate in a process that this wallet does not own."""
    if name := (await identities.addresses()).get(process.owner):
        return f".as {name} signs as its owner"
    if process.origin is not None:
        return f".as {process.owner} speaks as its owner: a fork takes unsigned messages"
    try:
        owner = await node.find(process.owner)
    except AoError:
        return "start with --wallet of its owner, or choose another NAME"
    return (
        f".attach {owner.id[:12]} and let the owner send it: "
        f'Send({{Target = "{process.id}", Action = "Eval", Data = "…"}})'
    )


async def not_owner(node: Node, identities: Identities, process: ProcessInfo) -> AoError:
    name, owner = process.name or short_id(process.id), short_id(process.owner)
    return AoError(
        f"{name} belongs to {owner}, so it does not evaluate what this wallet sends",
        stage="session",
        hint=await way_in(node, identities, process),
    )
