"""Fixtures for pytest: a node without a network, processes on it, identities, a clock.

pytest finds this plugin if aoshell is installed. Each test has its own node, so tests may run in
any order and in parallel (pytest-xdist). Tests in Lua are collected as well.

`--aoshell-coverage` shows which lines of handlers ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aoshell.testing.collecting import LuaFile
    from aoshell.testing.coverage.recorder import Coverage
    from aoshell.testing.testbed.identity import Identity
    from aoshell.testing.testbed.opening import Zygotes
    from aoshell.testing.testbed.sync import Clock, Node, Process


_COVERAGE = pytest.StashKey["Coverage"]()
_PACKED = "aoshell_coverage"  # the key for the data of a worker of xdist


def pytest_addoption(parser: pytest.Parser) -> None:
    """The flags of the plugin."""
    group = parser.getgroup("aoshell", "coverage of AO handlers")
    group.addoption(
        "--aoshell-coverage",
        action="store_true",
        help="show which lines of handlers ran (docs/testing.md of aoshell)",
    )
    group.addoption(
        "--aoshell-coverage-report",
        action="append",
        default=[],
        metavar="FORM[:FILE]",
        help="show it as text, or write it as lcov or html into FILE; may come several times",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Count the lines of handlers, if that is asked for."""
    reports = config.getoption("aoshell_coverage_report")
    if not (reports or config.getoption("aoshell_coverage")):
        return
    from aoshell.errors import UsageError
    from aoshell.testing.coverage.recorder import Coverage
    from aoshell.testing.coverage.reports import parse_wanted

    try:
        for text in reports:
            parse_wanted(text)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[_COVERAGE] = Coverage()
    config.pluginmanager.register(_CoverageReport(config.stash[_COVERAGE]), "aoshell-coverage")


class _CoverageReport:
    """Gathers what the processes of a session counted, and shows it."""

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Send the counts of a worker of pytest-xdist."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_PACKED] = self._coverage.packed()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the counts of a worker of pytest-xdist."""
        packed = getattr(node, "workeroutput", {}).get(_PACKED)
        if packed:
            self._coverage.add(packed)

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        """Show and write the reports."""
        from aoshell.errors import AoError
        from aoshell.testing.coverage.reports import parse_wanted, write_reports

        wanted = [parse_wanted(text) for text in config.getoption("aoshell_coverage_report")]
        terminalreporter.section("coverage of handlers")
        try:
            write_reports(wanted, self._coverage, terminalreporter.write_line)
        except AoError as error:
            terminalreporter.write_line(str(error), red=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> LuaFile | None:
    """Collect `*_test.lua`, and any other file of Lua that the command line names."""
    if file_path.suffix != ".lua":
        return None
    if not file_path.name.endswith("_test.lua") and not parent.session.isinitpath(file_path):
        return None
    from aoshell.testing.collecting import LuaFile, LuaRuns

    LuaRuns.begin(parent.config, parent.config.stash.get(_COVERAGE, None))
    return LuaFile.from_parent(parent, path=file_path)


@pytest.fixture(scope="session")
def _ao_zygotes(request: pytest.FixtureRequest) -> Iterator[Zygotes]:
    """Forks workers. Its start takes a moment, so one serves all tests."""
    from aoshell.testing.testbed.opening import Zygotes

    zygotes = Zygotes(request.config.stash.get(_COVERAGE, None))
    zygotes.start()
    yield zygotes
    zygotes.shut_down()


@pytest.fixture
def ao_node(request: pytest.FixtureRequest, _ao_zygotes: Zygotes) -> Iterator[Node]:
    """The test's own local node (`aoshell.testing.Node`).

    Relative names of Lua files start from the folder of the test's file.
    """
    from aoshell.testing.testbed.opening import open_node

    limits = None
    if _ao_zygotes.coverage is not None:
        from aoshell.nodes.values import Limits
        from aoshell.testing.coverage.reports import SLOWER

        limits = Limits(seconds=SLOWER * Limits().seconds)
    with open_node(limits=limits, files=request.path.parent, supervisor=_ao_zygotes) as node:
        yield node


@pytest.fixture
def ao_process(ao_node: Node) -> Callable[..., Process]:
    """Makes a process: `ao_process("token.lua")`; takes the arguments of `Node.spawn`."""
    return ao_node.spawn


@pytest.fixture
def identity(ao_node: Node) -> Callable[[str], Identity]:
    """Makes an identity: `identity("alice")`; the same name has the same address."""
    from aoshell.testing.testbed.identity import Identity

    def known(name: str) -> Identity:
        found = Identity(name)
        ao_node.knows(found)
        return found

    return known


@pytest.fixture
def clock(ao_node: Node) -> Clock:
    """The node's clock: `clock.advance("1h")`."""
    return ao_node.clock
