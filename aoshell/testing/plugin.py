"""Fixtures for pytest: a node without a network, processes on it, identities, a clock.

pytest finds this plugin by itself where aoshell is installed. Each test has a node of its own, so
tests may run in any order, and in parallel (pytest-xdist). Tests in Lua are collected as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from aoshell.testing.collecting import LuaFile
    from aoshell.testing.identity import Identity
    from aoshell.testing.opening import Zygotes
    from aoshell.testing.sync import Clock, Node, Process


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> LuaFile | None:
    """Collect `*_test.lua`, and any other file of Lua that the command line names."""
    if file_path.suffix != ".lua":
        return None
    if not file_path.name.endswith("_test.lua") and not parent.session.isinitpath(file_path):
        return None
    from aoshell.testing.collecting import LuaFile

    return LuaFile.from_parent(parent, path=file_path)


@pytest.fixture(scope="session")
def _ao_zygotes() -> Iterator[Zygotes]:
    """Forks workers. Starting it takes a moment, so one serves all tests."""
    from aoshell.testing.opening import Zygotes

    zygotes = Zygotes()
    zygotes.start()
    yield zygotes
    zygotes.shut_down()


@pytest.fixture
def ao_node(request: pytest.FixtureRequest, _ao_zygotes: Zygotes) -> Iterator[Node]:
    """A local node of the test's own (`aoshell.testing.Node`).

    Relative names of Lua files start from the folder of the test's file.
    """
    from aoshell.testing.opening import open_node

    with open_node(files=request.path.parent, supervisor=_ao_zygotes) as node:
        yield node


@pytest.fixture
def ao_process(ao_node: Node) -> Callable[..., Process]:
    """Makes a process: `ao_process("token.lua")`; all that `Node.spawn` takes."""
    return ao_node.spawn


@pytest.fixture
def identity(ao_node: Node) -> Callable[[str], Identity]:
    """Makes an identity: `identity("alice")`; the same name has the same address."""
    from aoshell.testing.identity import Identity

    def known(name: str) -> Identity:
        found = Identity(name)
        ao_node.knows(found)
        return found

    return known


@pytest.fixture
def clock(ao_node: Node) -> Clock:
    """The node's clock: `clock.advance("1h")`."""
    return ao_node.clock
