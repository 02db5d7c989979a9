"""The synthetic AMD, made once a session."""

from __future__ import annotations

import pytest
from amd import Amd, Line, Sample

from aoshell.protocol.wallet import Wallet


@pytest.fixture(scope="session")
def amd() -> Amd:
    return Amd()


@pytest.fixture(scope="session")
def milan(amd: Amd) -> Line:
    return amd.milan


@pytest.fixture(scope="session")
def good(milan: Line) -> Sample:
    """A report that passes."""
    return milan.sample()


@pytest.fixture(scope="session")
def attacker() -> Wallet:
    return Wallet.generate()
