"""Opens a node for tests, and removes it completely."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import TracebackType

from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.nodes.clients import client_name
from aoshell.nodes.joined.carrying import Home
from aoshell.nodes.joined.node import HomeNode
from aoshell.nodes.local.clock.fixed import Fixed
from aoshell.nodes.local.node import LocalNode
from aoshell.nodes.values import Limits
from aoshell.sandbox.supervising.supervisor import Supervisor
from aoshell.sandbox.supervising.watching import Watch
from aoshell.testing.coverage.recorder import Coverage
from aoshell.testing.testbed import node as awaited
from aoshell.testing.testbed import sync
from aoshell.testing.testbed.anchors import counted_anchors, random_anchors
from aoshell.testing.testbed.clock import BEGIN, TestedNode

# Anybody can derive this key, like the keys of a test's identities.
_FIXED = Fixed(BEGIN, hashlib.sha256(b"the node of aoshell's tests").digest())
_MEMORY = Path("/dev/shm")
DATABASE = "node.db"
LARGEST_DATABASE = 8 << 20  # bytes of the database of a new node
_ROOM = 256 << 20  # free bytes that a folder in memory must have


class Zygotes(Supervisor):
    """A supervisor for several nodes in a row: it stays when a node closes.

    Its workers count instructions.

    Args:
        coverage: where they also count lines.
        base: see `Supervisor`.
    """

    def __init__(self, coverage: Coverage | None = None, base: bytes = b"") -> None:
        super().__init__(Watch(True, self._take_lines) if coverage else Watch(), base)
        self.coverage = coverage
        if coverage is not None:
            coverage.hand = self.hand_counting

    def _take_lines(self, lines: str) -> None:
        assert self.coverage is not None
        self.coverage.lines_came(lines)

    def close(self) -> None:
        pass

    def shut_down(self) -> None:
        """End the zygotes."""
        super().close()


class NodeOpening:
    """What `open_node` returns, for `with` or `async with`."""

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
        try:
            local = await self._open()
        except BaseException:
            self._remove_folder()
            raise
        address = (await local.info()).address
        # A permanent folder has messages already; counted anchors would repeat their ids.
        anchors = random_anchors() if self._folder else counted_anchors()
        coverage = self._supervisor.coverage if isinstance(self._supervisor, Zygotes) else None
        self._node = awaited.AsyncNode(local, address, self._files, anchors, coverage)
        return self._node

    async def _open(self) -> TestedNode:
        if self._folder is None:
            database = await _new_database(self._supervisor)
            folder = self._make_folder()
            folder.joinpath(DATABASE).write_bytes(database)
            supervisor = self._supervisor or Supervisor(Watch())
            return await LocalNode.open(folder, self._limits, supervisor, fixed=_FIXED)
        # Others may use the same folder, and this test's own code may block.
        home = Home(self._folder, self._supervisor, fixed=_FIXED)
        return await HomeNode.open(home, self._limits, client=client_name("test"), threaded=True)

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
            self._remove_folder()

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

    def _make_folder(self) -> Path:
        self._temporary = Path(tempfile.mkdtemp(prefix="aoshell-test-", dir=quick_folder()))
        _folders.add(self._temporary)
        return self._temporary

    def _remove_folder(self) -> None:
        if self._temporary is not None:
            _remove(self._temporary)


_folders: set[Path] = set()  # folders to remove


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _folders.discard(folder)


def remove_folders() -> None:
    """Remove the folders of nodes that were not closed, for example after a second Ctrl-C."""
    for folder in list(_folders):
        _remove(folder)


_begun: list[bytes] = []


async def _new_database(supervisor: Supervisor | None) -> bytes:
    """The database of a new node: the same for each test, so made once."""
    if not _begun:
        folder = Path(tempfile.mkdtemp(prefix="aoshell-test-", dir=quick_folder()))
        try:
            node = await LocalNode.open(folder, None, supervisor, fixed=_FIXED)
            await node.close()
            _begun.append(files.read(folder / DATABASE, LARGEST_DATABASE))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return _begun[0]


def open_node(
    folder: Path | str | None = None,
    limits: Limits | None = None,
    *,
    files: Path | None = None,
    supervisor: Supervisor | None = None,
) -> NodeOpening:
    """A local node, offline: `with open_node() as node`, or `async with` for coroutines.

    Args:
        folder: where the node keeps its state, which others may share; by default a temporary one.
        limits: what a process may use (`nodes.values.Limits`).
        files: where relative names of Lua files start, by default the current folder.
        supervisor: zygotes that run already.

    Raises:
        AoError: on entering: the folder cannot be used, or a shell with a real clock has it
            open.
    """
    path = None if folder is None else Path(folder)
    if path is not None and not path.is_dir():
        raise AoError(f"there is no folder {path}", stage="home", hint="make it first")
    return NodeOpening(path, limits, files, supervisor)


def quick_folder() -> str | None:
    """A folder in memory, to avoid waiting for a disk; None for the system's default."""
    if sys.platform != "linux" or "TMPDIR" in os.environ or not os.access(_MEMORY, os.W_OK):
        return None
    return str(_MEMORY) if shutil.disk_usage(_MEMORY).free >= _ROOM else None
