from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the node of the test has its state (not made yet)."""
    return tmp_path / "node"
