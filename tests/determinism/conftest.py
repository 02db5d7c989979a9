"""Runners for the determinism tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from replay_harness import Harness


@pytest.fixture(scope="session")
def harness() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.close()
