"""Tests of `aoshell test` have a home of their own: what failed last is remembered there."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_home(aoshell_home: Path) -> Path:
    return aoshell_home
