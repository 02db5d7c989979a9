"""Says how to install hypothesis, an optional dependency, for this program."""

from __future__ import annotations

import os
import shlex
import sys
import sysconfig
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from aoshell.errors import UsageError

_PACKAGE = "hypothesis"


def require_hypothesis() -> None:
    """Raises UsageError if hypothesis is not installed."""
    if find_spec(_PACKAGE) is None:
        raise UsageError(
            f"aoshell fuzz needs {_PACKAGE}, which is not installed here", hint=_installing()
        )


def _installing() -> str:
    """The command that installs it for the running program.

    Sources: the files that pipx, uv, venv (PEP 405) and distributions (PEP 668) leave there.
    """
    prefix = Path(sys.prefix)
    if (prefix / "pipx_metadata.json").is_file():
        return f"pipx inject {shlex.quote(prefix.name)} {_PACKAGE}"
    if find_spec("pip") is None and (prefix / "pyvenv.cfg").is_file():
        return f"uv pip install --python {_shown(prefix)} {_PACKAGE}"
    if sys.prefix == sys.base_prefix and _is_managed():
        return (
            f"the system's package manager keeps {prefix}: install its package of {_PACKAGE}"
            f" (python3-{_PACKAGE} on Debian and Fedora)"
        )
    return f"{_shown(Path(sys.executable))} -m pip install {_PACKAGE}"


def _is_managed() -> bool:
    """Whether pip must not change this Python (PEP 668)."""
    return (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").is_file()


def _shown(path: Path) -> str:
    """A path for a command line, relative if it is below the current folder."""
    with suppress(OSError):  # the current folder may be gone
        if path.is_relative_to(here := Path.cwd()):
            path = path.relative_to(here)
    return shlex.quote(os.fspath(path))
