from __future__ import annotations

from pathlib import Path

import pytest
from npm_packages import aoconnect


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the node of the test has its state (not made yet)."""
    return tmp_path / "node"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where aoconnect, arbundles and arweave-js from npm are."""
    return aoconnect(tmp_path_factory)
