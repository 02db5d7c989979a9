"""Where things live: the folders of a home, and the wallet in it.

Folders follow XDG (through platformdirs); `AOSHELL_HOME` moves all of them below one folder.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aoshell import durable
from aoshell.bounded import files
from aoshell.errors import AoError
from aoshell.protocol.wallet import Wallet
from aoshell.texts import unmarked

APP = "aoshell"
LARGEST_WALLET = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Settings:
    """The folders of one home, all absolute. None needs to exist yet; see `make_folders()`.

    Attributes:
        home: the folder to name to a user: `AOSHELL_HOME`, or the state folder where it is unset.
        state: what must not be lost: the node's log, the wallet, the history.
        config: what the user writes.
        cache: what can be made again.
    """

    home: Path
    state: Path
    config: Path
    cache: Path

    @classmethod
    def find(cls) -> Settings:
        """Settings as the environment has them.

        Raises:
            AoError: stage "home", when there is no home folder to be found.
        """
        if named := os.environ.get("AOSHELL_HOME"):
            home = _absolute(named)
            return cls(home, home / "state", home / "config", home / "cache")
        # Ten milliseconds, and nobody pays for them who sets AOSHELL_HOME.
        from platformdirs import PlatformDirs

        folders = PlatformDirs(APP, appauthor=False)
        state = _absolute(folders.user_state_dir)
        config, cache = _absolute(folders.user_config_dir), _absolute(folders.user_cache_dir)
        return cls(state, state, config, cache)

    @property
    def node_db(self) -> Path:
        return self.state / "node.db"

    @property
    def lock(self) -> Path:
        return self.state / "node.lock"

    @property
    def wallet(self) -> Path:
        return self.state / "wallet.json"

    @property
    def identities(self) -> Path:
        return self.state / "identities"

    @property
    def hints(self) -> Path:
        return self.state / "hints"

    @property
    def history(self) -> Path:
        return self.state / "history"

    def make_folders(self) -> None:
        """Make state and cache, open to the user alone; leave what exists as it is.

        Config is only read here, and may lie on something read-only.

        Raises:
            AoError: stage "home", when one cannot be made or written to.
        """
        make_folder(self.state)
        make_folder(self.cache)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents with mode 0700, and see that it can be written to.

    Raises:
        AoError: stage "home".
    """
    try:
        durable.make_folder(path)
    except OSError as error:
        raise _no_home(path, f"cannot be made: {_reason(error)}") from error
    if not path.is_dir():
        raise _no_home(path, "is no folder")
    if not os.access(path, os.W_OK | os.X_OK):
        raise _no_home(path, "cannot be written to")


def load_wallet(path: Path) -> Wallet:
    """The wallet in a file.

    Raises:
        AoError: stage "wallet", when the file is missing or unreadable, or holds no Arweave JWK.
    """
    from aoshell.bounded import jsontext

    content = _read(path)
    try:
        value = jsontext.parse(unmarked(content, f"the wallet {path}", "wallet"))
    except ValueError:
        raise AoError(
            f"the wallet {path} is not valid JSON",
            stage="wallet",
            hint="restore it from a copy, or move it away; it is left as it is",
        ) from None
    try:
        return Wallet.from_jwk(value)
    except AoError as error:
        raise AoError(f"{path}: {error.what}", stage=error.stage, hint=error.hint) from None


def ensure_wallet(path: Path) -> Wallet:
    """The wallet in a file, made on first use. A file that exists is never overwritten.

    Generating takes up to a few seconds, in which other threads run. Of two that race to make
    the file one wins, and both return its wallet.

    Raises:
        AoError: stage "wallet" as in `load_wallet()`, or "home" when it cannot be written.
    """
    if not os.path.lexists(path):
        make_folder(path.parent)
        _write_once(path, Wallet.generate())
    return load_wallet(path)


def _read(path: Path) -> bytes:
    try:
        return files.read(path, LARGEST_WALLET)
    except files.Unfit as error:
        raise AoError(
            f"the wallet {path} {error}",
            stage="wallet",
            hint="a wallet is an Arweave key as a JSON file of about 3 KB",
        ) from None
    except FileNotFoundError:
        raise AoError(
            f"there is no wallet at {path}",
            stage="wallet",
            hint="look at the name after --wallet, or leave it out to have a wallet made",
        ) from None
    except OSError as error:
        raise AoError(
            f"the wallet {path} cannot be read: {_reason(error)}",
            stage="wallet",
            hint="look at who may read the file, and its folder",
        ) from error


def _write_once(path: Path, wallet: Wallet) -> None:
    """Write a whole wallet to `path`, or leave the one that is there by now."""
    import json

    try:
        with suppress(FileExistsError):
            durable.write(path, [json.dumps(wallet.jwk()).encode()], new=True)
    except OSError as error:
        raise AoError(
            f"the wallet {path} cannot be written: {_reason(error)}",
            stage="home",
            hint="free some space or set AOSHELL_HOME to a folder on another disk",
        ) from error


def _absolute(name: str) -> Path:
    """A folder's name from the environment, `~` resolved."""
    try:
        return Path(name).expanduser().absolute()
    except (RuntimeError, OSError) as error:
        raise _no_home(Path(name), f"cannot be found: {error}") from None


def _no_home(path: Path, why: str) -> AoError:
    return AoError(
        f"the folder {path} {why}",
        stage="home",
        hint="set AOSHELL_HOME to a folder that you can write to",
    )


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
