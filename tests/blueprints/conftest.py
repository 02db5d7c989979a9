"""Processes with blueprints in them, in a bare runtime: those of tests/aos."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aoshell.blueprints import SHIPPED

ADDRESSES = {name: name * 43 for name in ("A", "B", "C")}


def _aos_process() -> Any:
    name = "aos_process_of_tests"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "aos" / "conftest.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name].Process


class Room:
    """One process; `ask` sends a message and tells what came of it.

    Its token has nothing but what is minted, unless `supply` says otherwise ("" for the usual one).
    """

    def __init__(self, *blueprints: str, supply: str = "0") -> None:
        self.process = _aos_process()()
        if supply:
            self.process.run(f"InitialSupply = {supply!r}")
        for name in blueprints:
            self.load(name)

    def load(self, name: str) -> None:
        result = self.process.eval((SHIPPED / f"{name}.lua").read_text(encoding="latin-1"))
        assert "Error" not in result, result["Error"]

    def ask(
        self, sender: str, action: str, data: str | None = None, time: int = 0, **tags: str
    ) -> list[dict[str, Any]]:
        """Messages that a message brings about: their tags, and Target and Data besides.

        `sender` is "A", "B", "C" or an address; a `_` in a tag's name stands for `-`; `time` is
        milliseconds behind the usual one.
        """
        named = {name.replace("_", "-"): value for name, value in tags.items()}
        result = self.process.send(
            action,
            data,
            tags=named,
            from_=ADDRESSES.get(sender, sender),
            Timestamp=1_700_000_000_000 + time,
        )
        assert "Error" not in result, result["Error"]
        return [
            self.process.tags(message) | {"Target": message["Target"], "Data": message.get("Data")}
            for message in result["Messages"] or []
        ]

    def only(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The one message that a message brings about."""
        [answer] = self.ask(*args, **kwargs)
        return answer

    def value(self, expression: str) -> Any:
        return self.process.value(expression)


@pytest.fixture(scope="session")
def room() -> Callable[..., Room]:
    return Room
