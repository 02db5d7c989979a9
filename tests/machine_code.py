"""Machine code of large modules, made once a run: a module of aos takes seconds to compile."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import pytest

from aoshell.nodes.local.workers.code import MachineCode

FOLDER = "machine-code"
LARGE = 100 << 10  # bytes of a module; smaller ones are compiled wherever they are asked for


def folder_of_run(factory: pytest.TempPathFactory) -> Path:
    """Where a run keeps machine code, for all of its workers."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def compile_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nodes of this process take what another one in this run has compiled of the same bytes.

    Whether, when and by whom code is compiled, checked and kept stays as it is.

    Args:
        folder: of the run's own.
    """
    compile_module = MachineCode._compiled

    async def compiled(self: MachineCode, source: bytes, metered: bool) -> bytes:
        if len(source) < LARGE:
            return await compile_module(self, source, metered)
        file = folder / f"{hashlib.sha256(source).hexdigest()}-{metered:d}.code"
        with contextlib.suppress(FileNotFoundError):
            return file.read_bytes()
        code = await compile_module(self, source, metered)
        handle, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as made:
            made.write(code)
        Path(name).rename(file)
        return code

    monkeypatch.setattr(MachineCode, "_compiled", compiled)
