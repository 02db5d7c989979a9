from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from local_home import KINDS, Local, opened

from aoshell.nodes.values import Limits
from aoshell.protocol.wallet import Wallet

Open = Callable[..., AbstractAsyncContextManager[Local]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the node of the test has its state (not made yet)."""
    return tmp_path / "node"


@pytest.fixture
def opening(folder: Path, wallet: Wallet) -> Open:
    """Opens the test's node; the same one each time."""

    def open_node(
        limits: Limits | None = None, **changed: float
    ) -> AbstractAsyncContextManager[Local]:
        return opened(folder, wallet, limits or Limits(**changed))  # type: ignore[arg-type]

    return open_node


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of failure."""
    found: str = request.param
    return found
