"""Exports a process of the user's home, to fuzz a copy. Only reads the home."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from aoshell.bounded.files import is_file, shown
from aoshell.errors import AoError, UsageError
from aoshell.home.folders import Settings
from aoshell.nodes.local.history.transfer import export_process
from aoshell.nodes.local.log.rows import ProcessRow
from aoshell.nodes.local.log.store import Store
from aoshell.testing.testbed.opening import quick_folder


@contextmanager
def exported(settings: Settings, what: str) -> Iterator[Path | None]:
    """The file of a process while the block runs; None where `what` is a file.

    Raises:
        AoError: there is no such file or process, or it cannot be exported.
    """
    if what.endswith((".lua", ".wasm")) or is_file(Path(what)):
        if not is_file(Path(what)):
            raise UsageError(f"there is no file {shown(what)}", hint="aoshell fuzz FILE|PROCESS")
        yield None
        return
    if not settings.node_db.exists():
        raise _no_process(what)
    folder = Path(tempfile.mkdtemp(prefix="aoshell-fuzz-", dir=quick_folder()))
    try:
        file = folder / "exported.process"
        with closing(Store.reading(settings.node_db)) as store, store.unchanging() as now:
            row = _find(now, what)
            file.write_bytes(b"".join(export_process(now, row, lambda _count: None)))
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _find(store: Store, what: str) -> ProcessRow:
    """The process with a name or an id. Raises AoError: there is none, or several."""
    found = store.find_processes(what)
    if len(found) > 1:
        raise UsageError(
            f"several processes are called {what}", hint="name its id; aoshell --list shows them"
        )
    if not found:
        raise _no_process(what)
    return found[0]


def _no_process(what: str) -> AoError:
    return UsageError(
        f"there is no file and no process {shown(what)}",
        hint="aoshell fuzz FILE|PROCESS; aoshell --list shows the processes of this home",
    )
