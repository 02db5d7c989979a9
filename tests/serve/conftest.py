from __future__ import annotations

from pathlib import Path

import pytest
from npm_packages import installed
from rsa_keys import RsaKeys

from aoshell.protocol.wallet import Wallet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the node of the test has its state (not made yet)."""
    return tmp_path / "node"


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the packages from npm."""
    return installed(tmp_path_factory)


@pytest.fixture(scope="session")
def node_key(rsa_keys: RsaKeys) -> Wallet:
    """The key of a node that is served as HyperBEAM, which signs each answer."""
    return rsa_keys.quick_wallet()
