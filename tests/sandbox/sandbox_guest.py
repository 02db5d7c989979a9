"""A guest for attacks: a runtime in this process, without some guards for controls."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from unittest import mock

from aoshell.nodes.local.log.form import FlatResult, check_result
from aoshell.sandbox import environment, lua

PROCESS, OWNER, MODULE = "P" * 43, "O" * 43, "M" * 43
NOW = 1_700_000_000_000

# (text of a guard, what stands there without it)
Cut = tuple[str, str]

_ids = itertools.count(1)


def message(id: str, data: str, *tags: str) -> list[Any]:
    """A message of the owner's, as `LuaRuntime.deliver` takes it."""
    return [id, OWNER, OWNER, PROCESS, data, "", NOW, 1000, next(_ids), "", False, False, *tags]


def eval_message(code: str) -> list[Any]:
    """An Eval."""
    return message(f"message-{next(_ids)}", code, "Action", "Eval")


def first_message() -> list[Any]:
    """The message that makes its sender the process's owner."""
    return message(PROCESS, "", "Type", "Process")


def definition() -> list[Any]:
    """What `LuaRuntime.boot` takes."""
    return [PROCESS, OWNER, MODULE, None, False, "", "Name", "guest"]


@dataclass(frozen=True)
class Answer:
    """A result that `check_result` accepted."""

    error: str
    output: str
    wire: list[Any]


def cut_out(sources: dict[str, str], cuts: tuple[Cut, ...]) -> dict[str, str]:
    """Sources without some guards. Each must be there, or the control would prove nothing."""
    sources = dict(sources)
    for guard, without in cuts:
        places = [name for name, text in sources.items() if guard in text]
        assert len(places) == 1, f"{guard!r} stands in {places or 'no file'}"
        sources[places[0]] = sources[places[0]].replace(guard, without)
    return sources


class Guest:
    """A process in a runtime of its own.

    Args:
        without: guards to take out, of host chunks and of the environment alike.
        options: of lupa's runtime, in place of those that the sandbox sets.
        version: of the host.
    """

    def __init__(
        self,
        *without: Cut,
        memory: int = 64 << 20,
        emit: Callable[[str], None] | None = None,
        options: dict[str, Any] | None = None,
        version: int = max(lua.VERSIONS),
    ) -> None:
        self.printed: list[str] = []
        sources = environment.read_sources()
        sources[environment.HOST_VERSION] = f"return {version}\n"
        if version == 1:
            del sources[environment.HOST_VERSION]
        parts = cut_out({**lua.CHUNKS, **sources}, without)
        chunks = {name: parts.pop(name) for name in lua.CHUNKS}
        plain = lua.lua53.LuaRuntime
        with (
            mock.patch.object(lua, "CHUNKS", chunks),
            mock.patch.object(
                lua.lua53, "LuaRuntime", lambda **given: plain(**{**given, **(options or {})})
            ),
        ):
            self.runtime = lua.LuaRuntime(parts, emit or self.printed.append)
        self.runtime.limit_memory(memory)
        self.runtime.boot(definition())
        self.runtime.deliver(first_message())

    def deliver(self, code: str) -> list[Any]:
        """The result of an Eval, unchecked."""
        return list(self.runtime.deliver(eval_message(code)))

    def eval(self, code: str) -> Answer:
        """The result of an Eval, checked."""
        result = FlatResult.of(self.deliver(code))
        check_result(bool(result.error), result)
        return Answer(str(result.error or ""), result.output, result.values)

    def is_well(self) -> bool:
        """Whether it still answers."""
        return self.eval("return 1 + 1").output == "2"
