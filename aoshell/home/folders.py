"""The folders of a home.

On Linux they follow XDG, on other systems platformdirs; `AOSHELL_HOME` puts all of them into one
folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple

from aoshell import durable
from aoshell.bounded.files import path_of, reason_of, shown
from aoshell.errors import AoError

APP = "aoshell"
_ROOM = 100  # characters of the longest name of a file of ours below a folder


class Settings(NamedTuple):
    """The folders of one home, all absolute. None needs to exist yet; see `make_folders()`.

    Attributes:
        home: the folder to show to a user: `AOSHELL_HOME`, or the state folder if that is unset.
        state: data that must not be lost: the log of the node, the wallet, the history.
        config: files that the user writes.
        cache: data that can be made again.
        keys: the state folder of another home whose wallets and keys are used; None for its own.
    """

    home: Path
    state: Path
    config: Path
    cache: Path
    keys: Path | None = None

    @classmethod
    def find(cls) -> Settings:
        """The settings from the environment variables.

        Raises:
            AoError: stage "home": the user's home folder is not found.
        """
        if named := os.environ.get("AOSHELL_HOME"):
            home = _absolute(named)
            return cls(home, home / "state", home / "config", home / "cache")
        state, config, cache = map(_absolute, _of_xdg() or _of_platform())
        return cls(state, state, config, cache)

    @property
    def node_db(self) -> Path:
        return self.state / "node.db"

    @property
    def book(self) -> Path:
        """Facts about remote nodes."""
        return self.state / "remote.db"

    @property
    def wallet(self) -> Path:
        return (self.keys or self.state) / "wallet.json"

    @property
    def node_key(self) -> Path:
        """The RSA key with which the node signs answers over HTTP."""
        return (self.keys or self.state) / "node-key.json"

    @property
    def identities(self) -> Path:
        return (self.keys or self.state) / "identities"

    @property
    def hints(self) -> Path:
        return self.state / "hints"

    @property
    def history(self) -> Path:
        return self.state / "history"

    def make_folders(self) -> None:
        """Make the state and cache folders with mode 0700; existing ones keep their mode.

        The config folder is only read, and may be read-only.

        Raises:
            AoError: stage "home": one cannot be made or written to.
        """
        make_folder(self.state)
        make_folder(self.cache)


def _of_xdg() -> tuple[str, ...]:
    """The folders for state, config and cache on Linux; none if the user's home is unusual.

    Same as `_of_platform`, whose import takes ten milliseconds. But platformdirs 4.0 takes relative
    paths; the XDG Base Directory Specification says to ignore them, and empty ones.
    """
    home = os.environ.get("HOME", "")
    if sys.platform != "linux" or "ANDROID_DATA" in os.environ or not home.startswith("/"):
        return ()
    home = home.rstrip("/")
    defaults = {"STATE": f"{home}/.local/state", "CONFIG": f"{home}/.config"}
    defaults["CACHE"] = f"{home}/.cache"
    named = {name: os.environ.get(f"XDG_{name}_HOME", "") for name in defaults}
    found = {name: value for name, value in named.items() if value.startswith("/")}
    return tuple(f"{one}/{APP}" for one in (defaults | found).values())


def _of_platform() -> tuple[str, ...]:
    from platformdirs import PlatformDirs

    found = PlatformDirs(APP, appauthor=False)
    return found.user_state_dir, found.user_config_dir, found.user_cache_dir


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents with mode 0700; check that it can be written to.

    Raises:
        AoError: stage "home".
    """
    try:
        durable.make_folder(path)
    except OSError as error:
        raise _no_home(path, f"cannot be made: {reason_of(error)}") from error
    if not path.is_dir():
        raise _no_home(path, "is not a folder")
    if not os.access(path, os.W_OK | os.X_OK):
        raise _no_home(path, "cannot be written to")


def _absolute(name: str) -> Path:
    """A folder's name from the environment, `~` resolved.

    Raises:
        AoError: stage "home": no file can be in it, or it cannot be looked at.
    """
    path = path_of(name)
    if name.startswith("~") and path == Path(name):  # a folder of that name would surprise
        raise _no_home(path, "cannot be found: no such user has a home here")
    try:
        path = path.absolute()
        os.lstat(path / ("_" * _ROOM))
    except (FileNotFoundError, NotADirectoryError):
        pass  # it is made when it is needed
    except OSError as error:
        raise _no_home(path, f"cannot be found: {reason_of(error)}") from None
    return path


def _no_home(path: Path, why: str) -> AoError:
    return AoError(
        f"the folder {shown(path)} {why}",
        stage="home",
        hint="set AOSHELL_HOME to a folder that you can write to",
    )
