"""The environment of forks of HyperBEAM's Lua processes, as a module."""

from __future__ import annotations

import os
from typing import Any

import pytest

from aoshell.sandbox import luerl


class Entries(list[Any]):
    """The entries of `os.scandir` in a given order."""

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_error: object) -> None:
        pass


@pytest.mark.parametrize("backwards", [False, True])
def test_its_id_does_not_depend_on_the_order_of_a_folder(
    monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    due, _ = luerl.module()
    scanned = os.scandir

    def scandir(path: Any) -> Entries:
        with scanned(path) as entries:
            return Entries(sorted(entries, key=os.fspath, reverse=backwards))

    monkeypatch.setattr(os, "scandir", scandir)
    assert luerl.module.__wrapped__()[0] == due
