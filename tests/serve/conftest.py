from __future__ import annotations

from pathlib import Path

import pytest
from npm_packages import installed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the node of the test has its state (not made yet)."""
    return tmp_path / "node"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the packages from npm are."""
    return installed(tmp_path_factory)
