from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from shell_fake import FakeNode
from shell_remote import FakeRemote
from shell_typing import Body, Use, typed

from aoshell.home.folders import Settings
from aoshell.protocol.wallet import Wallet
from aoshell.shell.help.hints import HINTS


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def home(aoshell_home: Path, wallet: Wallet) -> Settings:
    """A home whose wallet exists already, and in which nothing needs a hint."""
    settings = Settings.find()
    assert settings.home == aoshell_home
    settings.make_folders()
    settings.wallet.write_text(json.dumps(wallet.jwk()))
    settings.hints.write_text("\n".join(HINTS))
    return settings


@pytest.fixture
def typing(tmp_path: Path, wallet: Wallet, known_keys: None) -> Use:
    """Type into a session at a real node: `typing(body)`."""
    del known_keys

    def use(body: Body) -> None:
        asyncio.run(asyncio.wait_for(typed(tmp_path, wallet, body), 60))

    return use


@pytest.fixture
def there(wallet: Wallet) -> FakeRemote:
    """A remote node with a process called default."""
    node = FakeRemote("default")
    node.own(wallet.address)
    return node
