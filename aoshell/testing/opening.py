"""Opening a node for tests, and putting it away without a trace."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from aoshell.errors import AoError
from aoshell.nodes.local.fixed import Fixed
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import Limits
from aoshell.sandbox.supervisor import Supervisor
from aoshell.testing import node as awaited
from aoshell.testing import sync
from aoshell.testing.anchors import counted_anchors, random_anchors
from aoshell.testing.clock import BEGIN

# Anybody can make this key, like those of a test's identities.
_FIXED = Fixed(BEGIN, hashlib.sha256(b"the node of aoshell's tests").digest())
_MEMORY = Path("/dev/shm")
_ROOM = 256 << 20  # bytes that a folder in memory must have free


class Zygotes(Supervisor):
    """A supervisor for one node after another: nodes that close leave it running."""

    def close(self) -> None:
        pass

    def shut_down(self) -> None:
        """Let the zygotes end."""
        super().close()


class NodeOpening:
    """What `open_node` gives: `with` it, or `async with` it."""

    def __init__(
        self,
        folder: Path | None,
        limits: Limits | None,
        files: Path | None,
        supervisor: Supervisor | None,
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._files = files
        self._supervisor = supervisor
        self._temporary: Path | None = None
        self._node: awaited.AsyncNode | None = None
        self._face: sync.Node | None = None

    async def __aenter__(self) -> awaited.AsyncNode:
        folder = self._folder or self._made()
        try:
            local = await LocalNode.open(folder, self._limits, self._supervisor, fixed=_FIXED)
        except BaseException:
            self._forget()
            raise
        address = (await local.info()).address
        # What a kept folder has already must not come again.
        anchors = random_anchors() if self._folder else counted_anchors()
        self._node = awaited.AsyncNode(local, address, self._files, anchors)
        return self._node

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._node is not None
        try:
            await self._node.close()
        finally:
            self._forget()

    def __enter__(self) -> sync.Node:
        loop = sync.Loop()
        try:
            self._face = sync.Node(loop, loop.run(self.__aenter__()))
        except BaseException:
            loop.close()
            raise
        return self._face

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._face is not None
        try:
            self._face.loop.run(self.__aexit__(kind, error, trace))
        finally:
            self._face.loop.close()

    def _made(self) -> Path:
        self._temporary = Path(tempfile.mkdtemp(prefix="aoshell-test-", dir=quick_folder()))
        return self._temporary

    def _forget(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def open_node(
    folder: Path | str | None = None,
    limits: Limits | None = None,
    *,
    files: Path | None = None,
    supervisor: Supervisor | None = None,
) -> NodeOpening:
    """A local node, offline: `with open_node() as node`, or `async with` with verbs to await.

    Args:
        folder: keeps what is done there; without one, the node leaves nothing behind.
        limits: what a process may use (`nodes.base.Limits`).
        files: the folder that names of Lua files start from, the current one by default.
        supervisor: zygotes that are up already.

    Raises:
        AoError: on entering, where the folder cannot be used or another node has it.
    """
    path = None if folder is None else Path(folder)
    if path is not None and not path.is_dir():
        raise AoError(f"there is no folder {path}", stage="home", hint="make it first")
    return NodeOpening(path, limits, files, supervisor)


def quick_folder() -> str | None:
    """Where a node need not wait for a disk, None for the system's own choice."""
    if sys.platform != "linux" or "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return None
    return str(_MEMORY) if shutil.disk_usage(_MEMORY).free >= _ROOM else None
