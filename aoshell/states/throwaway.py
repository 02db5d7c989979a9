"""Temporary homes made from a dump: `--state FILE`, `aoshell.open(state=…)`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from aoshell import interrupts
from aoshell.bounded.files import reason_of
from aoshell.errors import AoError
from aoshell.home.folders import Settings
from aoshell.states.working import load, notes, tell

# Removes the home once its input ends, which happens however this process ends.
_GUARD = 'cat >/dev/null; rm -rf -- "$1"'


@contextmanager
def throw_away(settings: Settings, file: str) -> Iterator[Settings]:
    """A temporary home with the content of a dump, while the block runs.

    Args:
        file: "-" for standard input.

    Raises:
        AoError: the home cannot be made, or the file cannot be loaded.
    """
    with temporary_home(settings) as home:
        for line in notes(interrupts.run(load(home, file))):
            tell(line)
        yield home


@contextmanager
def temporary_home(settings: Settings) -> Iterator[Settings]:
    """A temporary home while the block runs.

    It uses the wallets of the user's home, if there are any; nothing there changes.

    Args:
        settings: of the user's home. Raises: AoError: it cannot be made.
    """
    folder = _make_folder()
    guard = _begin_guard(folder)
    try:
        keys = settings.state if settings.wallet.exists() else None
        state, cache = folder / "state", folder / "cache"
        yield Settings(folder, state, settings.config, cache, keys)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if guard is not None:
            guard.communicate()


def _make_folder() -> Path:
    import tempfile

    try:
        return Path(tempfile.mkdtemp(prefix="aoshell-state-"))  # with mode 0700
    except OSError as error:
        raise AoError(
            f"no temporary home can be made: {reason_of(error)}",
            stage="home",
            hint="TMPDIR names the folder for it",
        ) from error


def _begin_guard(folder: Path) -> subprocess.Popen[bytes] | None:
    """A process that removes the folder even if this one is killed."""
    with suppress(OSError):  # without it, the folder goes when the block ends
        return subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    return None
