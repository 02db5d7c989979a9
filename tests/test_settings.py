from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from platformdirs import PlatformDirs

from aoshell.errors import AoError
from aoshell.home import folders
from aoshell.home.folders import Settings
from aoshell.home.wallets import ensure_wallet, load_wallet
from aoshell.protocol.wallet import Wallet

# None of these may touch the user's own folders.
pytestmark = pytest.mark.usefixtures("aoshell_home")


@pytest.fixture
def quick(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> Wallet:
    """Generating gives the wallet of the session."""
    monkeypatch.setattr(Wallet, "generate", lambda: wallet)
    return wallet


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_aoshell_home_moves_everything(aoshell_home: Path) -> None:
    found = Settings.find()
    assert found.home == aoshell_home
    assert {found.state.parent, found.config.parent, found.cache.parent} == {aoshell_home}
    for path in (found.node_db, found.wallet, found.history):
        assert path.parent == found.state
    assert not aoshell_home.exists()


def test_a_home_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOSHELL_HOME", "~/ao")
    assert Settings.find().home == tmp_path / "user" / "ao"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AOSHELL_HOME", "here")
    assert Settings.find().home == tmp_path / "here"


@pytest.mark.versions
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has folders of its own")
def test_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOSHELL_HOME", "")
    user = tmp_path / "user"
    found = Settings.find()
    assert found.state == found.home == user / ".local/state/aoshell"
    assert found.config == user / ".config/aoshell"
    assert found.cache == user / ".cache/aoshell"
    for name in ("STATE", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    found = Settings.find()
    assert found.state == tmp_path / "STATE/aoshell"
    assert found.config == tmp_path / "CONFIG/aoshell"
    assert found.cache == tmp_path / "CACHE/aoshell"


@pytest.mark.versions
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked")
@pytest.mark.parametrize("state", ["relative", "./relative", "~/own", " ", ""])
def test_what_is_no_absolute_path_is_ignored(
    state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the XDG Base Directory Specification says, whatever a version of platformdirs does."""
    monkeypatch.delenv("AOSHELL_HOME", raising=False)
    monkeypatch.setattr(folders, "_of_platform", lambda: pytest.fail("it is not asked"))
    monkeypatch.setenv("XDG_STATE_HOME", state)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = Settings.find()
    assert found.state == tmp_path / "user" / ".local/state/aoshell"
    assert found.config == tmp_path / "user" / ".config/aoshell"
    assert found.cache == tmp_path / "cache/aoshell"


@pytest.mark.versions
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked")
@pytest.mark.parametrize("home", ["/home/user", "/home/user/", "/", "relative", None])
@pytest.mark.parametrize("state", ["/var/own", "/var/own/", "", None])
def test_platformdirs_finds_the_same(
    home: str | None, state: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AOSHELL_HOME", raising=False)
    for name, value in (("HOME", home), ("XDG_STATE_HOME", state)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    theirs = PlatformDirs("aoshell", appauthor=False)
    found = Settings.find()
    assert found.state == Path(theirs.user_state_dir).expanduser().absolute()
    assert found.config == Path(theirs.user_config_dir).expanduser().absolute()
    assert found.cache == Path(theirs.user_cache_dir).expanduser().absolute()


def test_no_home_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOSHELL_HOME", "~nobody-of-that-name/ao")
    with pytest.raises(AoError) as caught:
        Settings.find()
    assert caught.value.stage == "home"
    assert "AOSHELL_HOME" in caught.value.hint


def test_folders_are_private(aoshell_home: Path) -> None:
    found = Settings.find()
    found.make_folders()
    assert [mode(path) for path in (aoshell_home, found.state, found.cache)] == [0o700] * 3
    found.state.chmod(0o750)
    found.make_folders()
    assert mode(found.state) == 0o750


def test_a_home_that_is_a_file(aoshell_home: Path) -> None:
    aoshell_home.write_text("")
    with pytest.raises(AoError, match="Not a directory") as caught:
        Settings.find().make_folders()
    assert "AOSHELL_HOME" in caught.value.hint


def test_a_state_that_is_a_file(aoshell_home: Path) -> None:
    aoshell_home.mkdir()
    (aoshell_home / "state").write_text("")
    with pytest.raises(AoError, match="is not a folder"):
        Settings.find().make_folders()


def test_a_home_that_cannot_be_written(aoshell_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aoshell_home.mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(AoError, match="cannot be written to") as caught:
        ensure_wallet(Settings.find().wallet)
    assert caught.value.stage == "home"


def error_of(powerless: list[str], code: str) -> str:
    """What Python shows of the error that ends a program."""
    command = [*powerless, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    return done.stderr


def test_a_home_without_permission(aoshell_home: Path, powerless: list[str]) -> None:
    code = "from aoshell.home.folders import Settings; Settings.find().make_folders()"
    state = aoshell_home / "state"
    aoshell_home.mkdir(0o500)
    found = error_of(powerless, code)
    assert f"the folder {state} cannot be made: Permission denied" in found
    aoshell_home.chmod(0o700)
    state.mkdir(0o500)
    assert f"the folder {state} cannot be written to" in error_of(powerless, code)


def test_the_wallet_is_made_once(quick: Wallet) -> None:
    path = Settings.find().wallet
    made = ensure_wallet(path)
    content = path.read_bytes()
    assert made.address == quick.address
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert path.stat().st_nlink == 1
    assert json.loads(content) == quick.jwk()
    assert ensure_wallet(path).address == made.address
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.usefixtures("quick")
def test_the_wallet_is_private_from_its_first_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    true_open = os.open

    def watching_open(path: str, flags: int, mode_: int = 0o777) -> int:
        file = true_open(path, flags, mode_)
        if flags & os.O_CREAT:
            seen.append(stat.S_IMODE(os.fstat(file).st_mode))
        return file

    monkeypatch.setattr(os, "open", watching_open)
    previous = os.umask(0)
    try:
        ensure_wallet(Settings.find().wallet)
    finally:
        os.umask(previous)
    assert seen == [0o600]


def test_shells_that_race_share_one_wallet() -> None:
    path = Settings.find().wallet
    code = f"""if True:
        from pathlib import Path
        from aoshell.home import wallets
        from aoshell.protocol import wallet
        wallet.GENERATED_BITS = 2048
        print(wallets.ensure_wallet(Path({str(path)!r})).address)"""

    def run(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()

    with ThreadPoolExecutor(4) as pool:
        addresses = set(pool.map(run, range(4)))
    assert addresses == {load_wallet(path).address}
    assert list(path.parent.iterdir()) == [path]


def test_a_wallet_that_appears_meanwhile_is_kept(
    wallet: Wallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Settings.find().wallet

    def generate() -> Wallet:
        path.write_text("not ours")
        return wallet

    monkeypatch.setattr(Wallet, "generate", generate)
    with pytest.raises(AoError, match="not valid JSON"):
        ensure_wallet(path)
    assert path.read_text() == "not ours"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("failing", ["link", "fsync"])
def test_a_wallet_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = Settings.find().wallet
    Settings.find().make_folders()
    monkeypatch.setattr(os, failing, fail)
    with pytest.raises(AoError, match="No space left") as caught:
        ensure_wallet(path)
    assert caught.value.hint
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not valid JSON"),
        (b'{"kty": "RSA", "n": "AQ', "not valid JSON"),
        (b"\xff\xff\x00", "not valid JSON"),
        (b"\xff\xfe{\x00", "is UTF-16 text"),
        (b"[" * 60_000, "not valid JSON"),
        (b'{"kty": "RSA", "n": ' + b"7" * 5000 + b"}", "not valid JSON"),
        (b" " * 70_000, "larger than 64 KB"),
        (b'"text"', "no Arweave wallet"),
        (b'{"name": "package.json"}', "no Arweave wallet"),
        (b'{"kty": "RSA", "n": "AQAB", "e": "AQAB"}', "public key only"),
    ],
)
def test_a_damaged_wallet_is_named_and_left_alone(
    tmp_path: Path, content: bytes, what: str
) -> None:
    path = tmp_path / "wallet.json"
    path.write_bytes(content)
    for read in (load_wallet, ensure_wallet):
        with pytest.raises(AoError, match=what) as caught:
            read(path)
        assert caught.value.stage == "wallet"
        assert caught.value.hint
        assert str(path) in str(caught.value)
    assert path.read_bytes() == content


def test_wallets_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(AoError, match="there is no wallet at") as caught:
        load_wallet(tmp_path / "missing.json")
    assert "--wallet" in caught.value.hint
    with pytest.raises(AoError, match="is a folder"):
        load_wallet(tmp_path)
    with pytest.raises(AoError, match="is a folder"):
        ensure_wallet(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(AoError, match="cannot be read: Not a directory"):
        load_wallet(tmp_path / "file" / "wallet.json")


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "wallet.json"
    path.symlink_to(tmp_path / "unmounted")
    with pytest.raises(AoError, match="there is no wallet at"):
        ensure_wallet(path)
    assert not (tmp_path / "unmounted").exists()


def test_a_wallet_without_permission(tmp_path: Path, powerless: list[str]) -> None:
    path = tmp_path / "wallet.json"
    path.touch(0)
    code = f"""if 1:
        from pathlib import Path
        from aoshell.home.wallets import load_wallet
        load_wallet(Path({str(path)!r}))
    """
    found = error_of(powerless, code)
    assert f"the wallet {path} cannot be read: Permission denied" in found


def test_platformdirs_is_imported_only_where_it_is_needed() -> None:
    code = (
        "import sys; from aoshell.home.folders import Settings; Settings.find();"
        "print('platformdirs' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
