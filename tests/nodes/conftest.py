from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from local_home import KINDS, Local, opened
from signers import Ed25519

from aoshell.nodes.values import Limits

Open = Callable[..., AbstractAsyncContextManager[Local]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the node of the test has its state (not made yet)."""
    return tmp_path / "node"


@pytest.fixture
def opening(folder: Path, signer: Ed25519) -> Open:
    """Opens the test's node; the same one each time."""

    def open_node(
        limits: Limits | None = None, **changed: float
    ) -> AbstractAsyncContextManager[Local]:
        return opened(folder, signer, limits or Limits(**changed))  # type: ignore[arg-type]

    return open_node


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of failure."""
    found: str = request.param
    return found
