"""Where things live: the folders of a home.

Folders follow XDG (through platformdirs); `AOSHELL_HOME` moves all of them below one folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aoshell import durable
from aoshell.errors import AoError

APP = "aoshell"


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
        raise _no_home(path, f"cannot be made: {reason_of(error)}") from error
    if not path.is_dir():
        raise _no_home(path, "is no folder")
    if not os.access(path, os.W_OK | os.X_OK):
        raise _no_home(path, "cannot be written to")


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


def reason_of(error: OSError) -> str:
    return error.strerror or str(error)
