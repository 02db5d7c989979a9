"""Fixtures of tests of fuzzing."""

import pytest
from fuzzed import bounded, fuzzing, hurried, lean_pytest, untried
from zygotes import kept_zygotes

__all__ = ["bounded", "fuzzing", "hurried", "kept_zygotes", "lean_pytest", "untried"]


@pytest.fixture(autouse=True)
def _share_zygotes(kept_zygotes: None) -> None:
    """Starting a zygote costs as much as a short search."""
