from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell_fake import FakeNode

from aoshell.protocol.wallet import Wallet
from aoshell.settings import Settings


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def home(aoshell_home: Path, wallet: Wallet) -> Settings:
    """A home whose wallet exists already."""
    settings = Settings.find()
    assert settings.home == aoshell_home
    settings.make_folders()
    settings.wallet.write_text(json.dumps(wallet.jwk()))
    return settings
