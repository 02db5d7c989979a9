"""Text as people save it: a byte order mark is no part of it, and UTF-16 is refused by its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aoshell.attest.policy import load_policy
from aoshell.errors import AoError
from aoshell.home.configfile import read_config
from aoshell.home.wallets import load_wallet
from aoshell.protocol.wallet import Wallet
from aoshell.shell.code.bundle import bundle
from aoshell.texts import strip_mark

MARK = b"\xef\xbb\xbf"


def test_lua_files(tmp_path: Path) -> None:
    (tmp_path / "part.lua").write_bytes(MARK + b"return 1\r\n")
    for name, source in (("marked", MARK), ("plain", b"")):
        (tmp_path / f"{name}.lua").write_bytes(source + b'return require("part")\r\n')
    marked, plain = bundle(tmp_path / "marked.lua"), bundle(tmp_path / "plain.lua")
    assert marked.source == plain.source.replace(b"plain.lua", b"marked.lua")
    assert marked.files["part.lua"] == "return 1\r\n"


def test_the_config_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(MARK + b'[shell]\r\ntheme = "light"\r\n')
    assert read_config(file) == {"shell": {"theme": "light"}}
    file.write_bytes("[shell]\n".encode("utf-16"))
    with pytest.raises(AoError, match="UTF-16 text"):
        read_config(file)


def test_a_wallet_and_a_policy(tmp_path: Path, wallet: Wallet) -> None:
    key, policy = json.dumps(wallet.jwk()), "debug = true\n"
    file = tmp_path / "wallet.json"
    file.write_bytes(MARK + key.encode())
    assert load_wallet(file).address == wallet.address
    assert load_policy(MARK + policy.encode()).debug
    file.write_bytes(key.encode("utf-16"))
    with pytest.raises(AoError, match=f"the wallet {file} is UTF-16 text"):
        load_wallet(file)
    with pytest.raises(AoError, match="mine is UTF-16 text") as raised:
        load_policy(policy.encode("utf-16"), "mine")
    assert raised.value.stage == "policy"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_other_codings_are_named(tmp_path: Path, coding: str) -> None:
    file = tmp_path / "x.lua"
    file.write_bytes("\ufeff".encode(coding) + "return 1".encode(coding))
    with pytest.raises(AoError, match=f"{file} is {coding[:6].upper()} text"):
        bundle(file)
    with pytest.raises(AoError, match="UTF-"):
        strip_mark(file.read_bytes(), "it", "load")
