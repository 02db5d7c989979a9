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
from aoshell.shell.lines import tty
from aoshell.shell.lines.tty import Keys
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


def test_a_line_that_never_ends_is_handed_over() -> None:
    typed, most = keys(), 1 << 20
    assert typed.take(b"x" * most) == (b"", b"")
    assert typed.take(b"y") == (b"x" * most + b"y", b"")
    assert typed.take(b"\x7fz\n") == (b"z\n", b"")


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be", "utf-32", "utf-32-be"])
def test_other_codings_are_named(tmp_path: Path, coding: str) -> None:
    file = tmp_path / "x.lua"
    file.write_bytes("\ufeff".encode(coding) + "return 1".encode(coding))
    with pytest.raises(AoError, match=f"{file} is {coding[:6].upper()} text"):
        bundle(file)
    with pytest.raises(AoError, match="UTF-"):
        strip_mark(file.read_bytes(), "it", "load")


CONTROL = [b"\0"] * 32


def keys() -> Keys:
    import termios

    control = list(CONTROL)
    for place, key in (
        (termios.VERASE, b"\x7f"),
        (termios.VKILL, b"\x15"),
        (termios.VWERASE, b"\x17"),
        (termios.VEOF, b"\x04"),
    ):
        control[place] = key
    return Keys(control)


def test_a_terminal_s_line_is_as_long_as_it_is_typed() -> None:
    typed = keys()
    assert typed.take(b"x" * 6000) == (b"", b"")
    assert typed.take(b"\x04y\n") == (b"x" * 6000 + b"y\n", b"") and not typed.ended


def test_a_line_beyond_its_bound_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tty, "LONGEST", 100)
    typed = keys()
    assert typed.take(b"x" * 100) == (b"", b"")
    assert typed.take(b"y") == (b"x" * 100 + b"y", b"")
    assert typed.take(b"z\n") == (b"z\n", b"")


def test_erasing_and_ending() -> None:
    typed = keys()
    assert typed.take("añ".encode()) == (b"", b"")
    assert typed.take(b"\x7f") == (b"", b"\b \b")
    assert typed.take(b" two words\x17") == (b"", b"\b \b" * 5)
    assert typed.take(b"\n") == (b"a two \n", b"")
    assert typed.take(b"gone\x15left\x08\n\x04more") == (b"lef\n", b"") and typed.ended
