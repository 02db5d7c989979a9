"""Blocks of the parser: visible variables, labels, and gotos whose label is not known yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from aoshell.lua.syntax import Local

MAX_LOCALS = 200


@dataclass(slots=True)
class _Pending:
    """A goto or break whose label is not known yet; `active`: number of visible variables."""

    label: str
    line: int
    active: int


@dataclass(slots=True)
class _Scope:
    is_loop: bool
    active: int
    labels: dict[str, tuple[int, int]] = field(default_factory=dict)  # name → (line, active)
    gotos: list[_Pending] = field(default_factory=list)


class ScopeError(Exception):
    """A label or goto that Lua refuses, with Lua's message."""


class FunctionScope:
    """The blocks of one function; `outer` is the function around it."""

    def __init__(self, outer: FunctionScope | None, line: int, is_vararg: bool) -> None:
        self.outer = outer
        self.line = line
        self.is_vararg = is_vararg
        self._scopes: list[_Scope] = []
        self._active: list[Local] = []

    def find(self, name: str) -> Local | None:
        """The visible variable of a name, None if the name is global."""
        function: FunctionScope | None = self
        while function:
            for local in reversed(function._active):
                if local.name == name:
                    return local
            function = function.outer
        return None

    def declare(self, *locals_: Local) -> None:
        self._active.extend(locals_)

    def has_room(self, more: int) -> bool:
        """Whether `more` variables could be declared."""
        return len(self._active) + more <= MAX_LOCALS

    @property
    def where(self) -> str:
        return f"function at line {self.line}" if self.line else "main function"

    def enter(self, is_loop: bool = False) -> None:
        self._scopes.append(_Scope(is_loop, len(self._active)))

    def leave(self) -> None:
        """Close a block. Gotos that found no label in it look in the block around it."""
        scope = self._scopes.pop()
        del self._active[scope.active :]
        left = [goto for goto in scope.gotos if not (scope.is_loop and goto.label == "break")]
        if not self._scopes:
            if left:
                raise ScopeError(_unmet(left[0]))
            return
        for goto in left:
            goto.active = min(goto.active, scope.active)
            self._resolve(goto)

    def goto(self, label: str, line: int) -> None:
        """Add a goto; a break is a goto to the label `break`."""
        self._resolve(_Pending(label, line, len(self._active)))

    def label(self, name: str, line: int) -> None:
        """Declare a label; gotos find it after `settle`."""
        labels = self._scopes[-1].labels
        if name in labels:
            raise ScopeError(f"label '{name}' already defined on line {labels[name][0]}")
        labels[name] = (line, len(self._active))

    def settle(self, names: list[str], ends_block: bool) -> None:
        """Resolve gotos to these labels. Variables of a block are not visible at its end."""
        scope = self._scopes[-1]
        if ends_block:
            scope.labels.update({name: (scope.labels[name][0], scope.active) for name in names})
        waiting, scope.gotos = scope.gotos, []
        for goto in waiting:
            self._resolve(goto)

    def _resolve(self, goto: _Pending) -> None:
        scope = self._scopes[-1]
        label = scope.labels.get(goto.label)
        if label is None:
            scope.gotos.append(goto)
        elif goto.active < label[1]:
            name = self._active[goto.active].name
            raise ScopeError(
                f"<goto {goto.label}> at line {goto.line} jumps into the scope of local '{name}'"
            )


def _unmet(goto: _Pending) -> str:
    if goto.label == "break":
        return f"<break> at line {goto.line} not inside a loop"
    return f"no visible label '{goto.label}' for <goto> at line {goto.line}"
