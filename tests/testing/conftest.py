"""Tests of `aoshell test` have a home of their own: what failed last is remembered there."""

from __future__ import annotations

from pathlib import Path

import pytest
from zygotes import kept_zygotes

__all__ = ["kept_zygotes"]


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The AOSHELL_HOME of the test, outside of its temporary folder."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("AOSHELL_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def _share_zygotes(kept_zygotes: None) -> None:
    """Starting a zygote costs more than most of these tests."""
