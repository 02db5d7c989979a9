"""Publishes code on a remote node, after it showed what becomes public and asked."""

from __future__ import annotations

from aoshell.errors import AoError, UnsupportedError
from aoshell.nodes.base import Node
from aoshell.nodes.values import Module
from aoshell.protocol.url import is_loopback
from aoshell.shell.attached.session import Session
from aoshell.shell.view.text import format_size

ENVIRONMENT = "--environment"  # argument of .publish
NAME = "aoshell-environment"


async def publish_code(session: Session, data: bytes, name: str, sure: bool) -> Module:
    """Publish code on the node.

    Args:
        sure: publish without asking.

    Raises:
        AoError: stage "publish": nobody agreed; or another stage, from the node.
    """
    node = session.node.remote
    assert node is not None  # the caller has checked
    publication = await node.publication(await session.wallet(), data, name)
    lasts = "and permanent" if publication.permanent else "for as long as the node keeps it"
    session.front.note(
        f"{publication.item.id}, public {lasts}:\n"
        f"  size         {format_size(publication.size)}\n"
        f"  destination  {publication.destination}\n"
        f"  cost         {publication.cost or 'the destination does not say'}"
    )
    if not sure and not await session.front.confirm("Publish it? [y/N] "):
        raise AoError(
            "nothing was published", stage="publish", hint="--yes publishes without asking"
        )
    return await node.publish(publication)


def takes_environment(node: Node) -> bool:
    """Whether it is a HyperBEAM node of this machine: only such a node gets our environment."""
    return node.remote is not None and node.state is not None and is_loopback(node.remote.endpoint)


async def publish_environment(session: Session, sure: bool) -> Module:
    """Publish the environment for new processes to a HyperBEAM node of this machine.

    Raises:
        UnsupportedError: it is another node.
        AoError: as `publish_code()`.
    """
    if not takes_environment(session.node):
        raise UnsupportedError(
            "the environment is published to a HyperBEAM node of this machine only",
            hint="other nodes fetch their modules from Arweave: --module ID names one",
        )
    from aoshell.sandbox import hyperaos

    return await publish_code(session, hyperaos.source(), NAME, sure)
