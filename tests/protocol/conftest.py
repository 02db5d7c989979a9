"""One signer of each kind."""

from __future__ import annotations

import pytest
from signers import Ed25519, Ethereum, Solana

from aoshell.protocol.keys import Signer
from aoshell.protocol.wallet import Wallet


@pytest.fixture(scope="session")
def signers(wallet: Wallet) -> dict[int, Signer]:
    """By type."""
    return {signer.type: signer for signer in (wallet, Ed25519(), Ethereum(), Solana())}
