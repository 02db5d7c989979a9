"""The synthetic AMD, made once a session."""

from __future__ import annotations

import pytest
from amd import Amd, Line, Sample
from rsa_keys import RsaKeys

from aoshell.protocol.wallet import Wallet


@pytest.fixture(scope="session")
def amd(rsa_keys: RsaKeys) -> Amd:
    return Amd([rsa_keys.key(number) for number in range(2, 6)])


@pytest.fixture(scope="session")
def milan(amd: Amd) -> Line:
    return amd.milan


@pytest.fixture(scope="session")
def good(milan: Line) -> Sample:
    """A report that passes."""
    return milan.sample()


@pytest.fixture(scope="session")
def attacker(other_wallet: Wallet) -> Wallet:
    return other_wallet
