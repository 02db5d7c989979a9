"""The RSA key of a node that is served."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from eventually import in_loop

from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.protocol.wallet import Wallet
from aoshell.shell.ports.serving import node_key


@in_loop
async def test_the_key_is_made_once_and_said(
    aoshell_home: Path, wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aoshell.home.wallets.Wallet.generate", lambda: wallet)
    settings, said = Settings.find(), []
    assert (await node_key(settings, said.append)).address == wallet.address
    assert len(said) == 1 and "RSA key" in said[0]
    assert (await node_key(settings, said.append)).address == wallet.address
    assert len(said) == 1
    assert stat.S_IMODE(settings.node_key.stat().st_mode) == 0o600
    assert settings.node_key.is_relative_to(aoshell_home)
    settings.node_key.write_text("{")
    with pytest.raises(AoError, match=r"wallet: the key of this node .* is not valid JSON"):
        await node_key(settings, said.append)
