"""Tests of `aoshell test` have a home of their own: what failed last is remembered there."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The AOSHELL_HOME of the test, outside of its temporary folder."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("AOSHELL_HOME", str(home))
    return home
